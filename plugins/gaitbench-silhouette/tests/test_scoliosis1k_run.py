"""Scoliosis1K from its files to a table: a class of three is told of walks, by a list of the authors' form."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gaitbench.cli import main
from gaitbench.leaderboard import from_folders
from gaitbench.results import read_record

CLASSES = ("negative", "neutral", "positive")
TRAIN, TEST = ([f"{number:05d}" for number in numbers] for numbers in (range(6), range(6, 15)))
SIZES = {
    "sconet": ["config.channels=[4,4,8,8]", "config.embedding_width=8"],
    "gaitbase": ["config.channels=[4,4,8,8]", "config.embedding_width=8"],
}
SHORT = ["recipe.stages.0.iterations=2", "recipe.stages.0.clips.num_frames=3"]


@pytest.fixture
def prepared(
    tmp_path: Path,
    aligned: Callable,
    write_pickle: Callable,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Path:
    """Five walks of each class, two of each in training."""
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "s"
    for number in range(15):
        walk = source / f"{number:05d}" / CLASSES[number % 3] / "000_180"
        write_pickle(walk / "000_180.pkl", aligned(number))
    out = tmp_path / "prepared"
    assert main(["prepare", "scoliosis1k", "--source", str(source), "--out", str(out), "--workers", "1"]) == 0
    (tmp_path / "lists.json").write_text(json.dumps({"TRAIN_SET": TRAIN, "TEST_SET": TEST}))
    capsys.readouterr()
    return out


@pytest.mark.parametrize("model", SIZES)
def test_screening(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str) -> None:
    run = ["run", "--task", "attribute", "--dataset", "scoliosis1k", "--data", str(prepared), "--model", model]
    run += ["--set", *SIZES[model], *SHORT, "--device", "cpu", "--out", str(tmp_path / "runs")]
    assert main(run) == 1
    assert "scoliosis1k-112 needs TRAIN_SET and TEST_SET of its official partition file" in capsys.readouterr().err
    run += ["--partition", str(tmp_path / "lists.json")]
    assert main(run) == 1
    message = capsys.readouterr().err
    assert "is not the published list (745 entries, sha256 60266306bfda1497...)" in message
    assert main([*run, "--allow-partial"]) == 0, capsys.readouterr().err
    (folder,) = [path.parent for path in (tmp_path / "runs" / "attribute").rglob("record.json")]
    record = read_record(folder)
    assert record.status == "partial"
    assert record.data.num_train_sequences == 6
    by_place = {(score.metric, score.group): score for score in record.scores}
    assert by_place["class_accuracy", "all"].num_counted == 9
    assert by_place["class_accuracy", "all"].majority == pytest.approx(1 / 3)
    assert {"precision_macro", "recall_macro", "f1_macro"} <= {metric for metric, _ in by_place}
    positive = "all/attribute=scoliosis/class=positive"
    assert by_place["sensitivity", positive].num_counted == 3
    assert by_place["specificity", positive].num_counted == 6
    text = str(from_folders([folder]))
    for words in ("list 112", "macro F1", "Partial", "majority", "Sensitivity and specificity", "sensitivity positive"):
        assert words in text, words
    assert "binary3" not in text  # the same labels as onehot3


def test_another_list_and_nobody_to_identify(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["run", "--dataset", "scoliosis1k", "--data", str(prepared), "--model", "gaitbase", "--device", "cpu"]
    base += ["--partition", str(tmp_path / "lists.json"), "--out", str(tmp_path / "runs")]
    assert main([*base, "--task", "attribute", "--protocol", "scoliosis1k-118"]) == 1
    assert "the published list (744 entries, sha256 5994b2d4a13902a4...)" in capsys.readouterr().err
    assert main([*base, "--task", "identity"]) == 1
    assert "protocol 'scoliosis1k-112' is for the task attribute, not for 'identity'" in capsys.readouterr().err
