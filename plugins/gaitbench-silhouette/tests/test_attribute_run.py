"""RA-GAR from its files to a table of attributes, with the published rows beside."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gaitbench.cli import main
from gaitbench.leaderboard import from_folders
from gaitbench.results import read_record

SCHEMA = {
    "attributes": [
        {"name": "bag", "title": "Carries a bag", "classes": ["no", "yes"]},
        {"name": "hair", "title": "Hair", "classes": ["short", "shoulder", "long"]},
    ]
}
LABELS = "subject,hair,bag\n001,long,yes\n002,,no\n003,short,no\n005,short,yes\n006,shoulder,no\n007,long,\n"
SMALL = ["config.channels=[4,4,8]", "config.embedding_width=8", "recipe.stages.0.iterations=2"]


def test_some_people_of_ra_gar(
    tmp_path: Path,
    aligned: Callable,
    write_pickle: Callable,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path / "cache"))
    source, out = tmp_path / "s", tmp_path / "prepared"
    for subject in ("001", "002", "003", "005", "006", "007"):
        for condition in ("nm-1", "bg-1"):
            frames = aligned(int(subject), len(condition))
            write_pickle(source / subject / condition / "cam03" / "cam03.pkl", frames)
    (source / "schema.json").write_text(json.dumps(SCHEMA))
    (source / "labels.csv").write_text(LABELS)
    options = ["--option", "schema_file=schema.json", "labels_file=labels.csv"]
    prepare = ["prepare", "ra-gar", "--source", str(source), "--out", str(out), "--workers", "1"]
    assert main([*prepare, *options]) == 0, capsys.readouterr().err
    run = ["run", "--task", "attribute", "--dataset", "ra-gar", "--data", str(out), "--model", "gaitset"]
    run += ["--set", *SMALL, "--device", "cpu", "--out", str(tmp_path / "runs"), "--json"]
    capsys.readouterr()
    assert main(run) == 1
    assert "280 of 283 test subjects have no sequence" in capsys.readouterr().err
    assert main([*run, "--allow-partial"]) == 0, capsys.readouterr().err
    (folder,) = [path.parent for path in (tmp_path / "runs" / "attribute").rglob("record.json")]
    record = read_record(folder)
    assert record.status == "partial"
    by_place = {(score.metric, score.group): score for score in record.scores}
    whole = by_place["ma_onehot5", "all"]
    # 005, 006 and 007 are tested; the bag of 007 is not known.
    assert (whole.num_probes, whole.num_excluded) == (6, 2)
    # The protocol has one group, so the conditions are told apart.
    assert by_place["ma_onehot5", "bg-1"].num_probes == by_place["ma_onehot5", "nm-1"].num_probes == 3
    text = str(from_folders([folder]))
    for words in ("CLIP-GAR", "65.57", "may not have been scored on the same number of labels", "Partial"):
        assert words in text, words
    identity = ["run", "--task", "identity", "--dataset", "ra-gar", "--data", str(out), "--model", "gaitset"]
    assert main(identity) == 1
    assert "protocol 'ra-gar' is for the task attribute" in capsys.readouterr().err


def test_ma_gait_is_divided_by_its_user(
    tmp_path: Path,
    aligned: Callable,
    write_pickle: Callable,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "s"
    for subject in ("001", "002", "003", "005", "006", "007"):
        write_pickle(source / subject / "nm" / "000" / "000.pkl", aligned(int(subject)))
    (source / "schema.json").write_text(json.dumps(SCHEMA))
    (source / "labels.csv").write_text(LABELS)
    run = ["run", "--task", "attribute", "--dataset", "ma-gait", "--data", str(source), "--model", "gaitset"]
    run += ["--option", "schema_file=schema.json", "labels_file=labels.csv", "--set", *SMALL, "--device", "cpu"]
    run += ["--out", str(tmp_path / "runs")]
    assert main(run) == 1
    assert "as no division is published; hand yours in with --partition FILE" in " ".join(
        capsys.readouterr().err.split()
    )
    lists = tmp_path / "lists.json"
    lists.write_text(json.dumps({"TRAIN_SET": ["001", "002", "003"], "TEST_SET": ["005", "006", "007"]}))
    assert main([*run, "--partition", str(lists), "--allow-partial"]) == 0, capsys.readouterr().err
    text = capsys.readouterr().out
    for words in ("Partial, off the ranking", "majority", "GAR-Net", "71.86"):
        assert words in text, words
