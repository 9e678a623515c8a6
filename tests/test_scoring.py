"""From a file to the official table."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import gaitbench
from gaitbench.cli import main
from gaitbench.errors import GaitbenchError, UnknownNameError
from gaitbench.scoring import find_protocol, score_file


def write(path: Path, **changes: object) -> Path:
    """Three subjects of CASIA-B's test set in two views, told apart by everything but one bag."""
    rows = [
        (subject, condition, view)
        for subject in ("075", "076", "077")
        for condition in ("nm-01", "nm-02", "nm-03", "nm-04", "nm-05", "nm-06", "bg-01", "bg-02", "cl-01", "cl-02")
        for view in ("000", "090")
    ]
    labels, types, views = (np.array(column) for column in zip(*rows, strict=True))
    embeddings = np.zeros((len(rows), 2, 1), np.float32)
    embeddings[:, 0, 0] = [10.0 * int(label) for label in labels]
    embeddings[:, 1, 0] = np.arange(len(rows)) / 100
    wrong = (labels == "075") & (types == "bg-01") & (views == "000")
    embeddings[wrong, 0, 0] = 760
    np.savez(path, **({"embeddings": embeddings, "labels": labels, "types": types, "views": views} | changes))
    return path


def test_scores_by_hand(tmp_path: Path) -> None:
    found = score_file(write(tmp_path / "e.npz"), "casia-b", bootstrap=0)
    values = {(score.metric, score.group): score.value for score in found.scores}
    assert values["rank_1", "NM"] == 1
    # 12 probes with a bag in two cells of 6; one of them is taken for somebody else.
    assert values["rank_1", "BG"] == pytest.approx(11 / 12)
    assert values["rank_1_official", "BG"] == pytest.approx((0.8333 + 1) / 2)
    assert found.is_partial
    assert found.notes == ("3 of the 50 test subjects of casia-b",)


def test_the_table_says_what_was_counted(tmp_path: Path) -> None:
    text = str(gaitbench.score(write(tmp_path / "e.npz"), "casia-b", bootstrap=20))
    lines = text.splitlines()
    assert lines[2].split()[:3] == ["probes", "R1*", "R1"]
    assert lines[4].split()[0::2][:2] == ["BG", "91.67"]
    assert "not the official test: 3 of the 50 test subjects" in text
    assert "chance of rank-1 of mean: 33.33" in text


def test_command_prints_text_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write(tmp_path / "e.npz"))
    assert main(["score", path, "--protocol", "casia-b", "--bootstrap", "0"]) == 0
    assert capsys.readouterr().out.startswith("casia-b, version 1")
    assert main(["score", path, "--protocol", "casia-b", "--bootstrap", "0", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["num_sequences"] == 60
    assert {score["group"] for score in told["scores"]} >= {"NM", "BG", "CL", "mean"}
    assert told["official"]


def test_cosine_in_place_of_the_protocols_distance(tmp_path: Path) -> None:
    embeddings = np.zeros((60, 2, 1), np.float32)
    embeddings[:, 0, 0] = np.repeat([1, 2, 3], 20)  # one direction: the cosine cannot tell anybody apart
    path = write(tmp_path / "e.npz", embeddings=embeddings)
    by_cosine = score_file(path, "casia-b", distance="cosine", bootstrap=0)
    by_distance = score_file(path, "casia-b", bootstrap=0)
    rank_1 = [
        next(s.value for s in scoring.scores if (s.metric, s.group) == ("rank_1", "NM"))
        for scoring in (by_cosine, by_distance)
    ]
    assert rank_1 == [0, 1]


def test_unknown_protocol_and_broken_embeddings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "e.npz")
    with pytest.raises(UnknownNameError, match="casia-b"):
        score_file(path, "casia-bb")
    broken = np.full((60, 2, 1), np.nan, np.float32)
    with pytest.raises(GaitbenchError, match="NaN"):
        score_file(write(tmp_path / "n.npz", embeddings=broken), "casia-b")
    assert main(["score", str(tmp_path / "none.npz"), "--protocol", "casia-b"]) == 1
    assert "none.npz cannot be read" in capsys.readouterr().err
    with pytest.raises(GaitbenchError, match="re-ranking"):
        score_file(path, "casia-b", reranking=True)


def test_a_protocol_with_lists_asks_for_its_partition(tmp_path: Path) -> None:
    path = write(tmp_path / "e.npz")
    with pytest.raises(GaitbenchError, match=r"PROBE_SET.*--partition"):
        score_file(path, "gait3d", bootstrap=0)
    partition = {
        "TRAIN_SET": ["001"],
        "TEST_SET": ["075", "076", "077"],
        "PROBE_SET": ["075-nm-01-000", "076-cl-02-090"],
    }
    (tmp_path / "gait3d.json").write_text(json.dumps(partition))
    found = score_file(path, "gait3d", partition=tmp_path / "gait3d.json", bootstrap=0)
    assert {(score.group, score.num_probes) for score in found.scores} >= {("all", 2)}
    assert any("not the published" in note for note in found.notes)
    with pytest.raises(GaitbenchError, match="not the official test of gait3d"):
        score_file(path, "gait3d", partition=tmp_path / "gait3d.json", bootstrap=0, is_strict=True)


def test_re_ranking_changes_the_scores_and_the_table_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = write(tmp_path / "e.npz", embeddings=rng.standard_normal((60, 4, 2)).astype(np.float32))
    plain, changed = (
        score_file(path, "casia-b-cross-view", bootstrap=0, reranking=reranking) for reranking in (False, True)
    )
    assert [score.value for score in plain.scores] != [score.value for score in changed.scores]
    assert "re-ranked" in str(changed)
    assert "re-ranked" not in str(plain)


def test_a_group_is_re_ranked_without_the_others(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = write(tmp_path / "e.npz", embeddings=rng.standard_normal((60, 4, 2)).astype(np.float32))
    whole = find_protocol("casia-b-cross-view")
    alone = whole.model_copy(update={"probes": {"BG": whole.probes["BG"]}, "headline": "BG"})
    values = [
        {
            score.metric: score.value
            for score in score_file(path, each, bootstrap=0, reranking=True).scores
            if score.group == "BG"
        }
        for each in (whole, alone)
    ]
    assert values[0] == values[1]


def test_submission(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    walks = np.array([0.0, 5.0, 4.0], np.float32).reshape(3, 1, 1)
    np.savez(
        tmp_path / "e.npz",
        embeddings=walks,
        labels=["0500", "0501", "probe"],
        types=["00"] * 3,
        views=["a", "b", "00017"],
    )
    command = ["score", str(tmp_path / "e.npz"), "--protocol", "hid", "--submission", str(tmp_path / "s.csv")]
    assert main(command) == 0
    assert (tmp_path / "s.csv").read_text().splitlines() == ["videoID,label", "00017,0501"]
    assert "server" in capsys.readouterr().out
    assert main(command[:4]) == 1
    assert "labels are withheld" in capsys.readouterr().err


@pytest.mark.parametrize(("asked", "found"), [("oumvlp", "ou-mvlp"), ("CASIA-B*", "casia-b-star"), ("ccpg", "ccpg")])
def test_names_are_found_as_the_field_writes_them(asked: str, found: str) -> None:
    assert find_protocol(asked).name == found


def test_device_is_chosen_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    path = str(write(tmp_path / "e.npz"))
    told = []
    for device in ("auto", "cpu"):
        assert main(["score", path, "--protocol", "casia-b", "--bootstrap", "0", "--json", "--device", device]) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert told[0] == told[1]
    assert main(["score", path, "--protocol", "casia-b", "--device", "cuda"]) == 2
    assert "use --device cpu" in capsys.readouterr().err
    submit = ["score", path, "--protocol", "hid", "--submission", str(tmp_path / "s.csv"), "--device", "cuda"]
    assert main(submit) == 2
    assert "use --device cpu" in capsys.readouterr().err
