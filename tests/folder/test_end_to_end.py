"""From somebody's folders to a table of results, by the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from gaitbench.cli import main

from .conftest import camera, save_array, save_png, save_video

pytest.importorskip("gaitbench_baselines", reason="the models that are run are those of gaitbench-baselines")

FEW = {"iterations": 2, "clips.subjects_per_batch": 2, "clips.sequences_per_subject": 2, "clips.num_frames": 4}
QUICK = [word for key, value in FEW.items() for word in ("--set", f"recipe.stages.0.{key}={value}")]


@pytest.fixture
def gaitbench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a command in an empty folder, with an empty cache."""
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        code = main(list(map(str, arguments)))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def tree(source: Path) -> None:
    """Four people in two conditions and two views, each walk in another kind of file."""
    saves: list[Callable[[Path, np.ndarray], None]] = [
        save_png,
        lambda leaf, frames: save_png(leaf, frames, "{:04d}.jpg"),
        lambda leaf, frames: save_array(leaf / "masks.npy", frames > 0),
        lambda leaf, frames: save_video(leaf.with_name(f"{leaf.name}.avi"), frames),
    ]
    for subject in range(4):
        for c, condition in enumerate(("bg", "nm")):
            for v, view in enumerate(("000", "090")):
                saves[2 * c + v](source / f"p{subject}" / condition / view, camera(subject, 2 * c + v))


def test_prepare_and_run_a_network(source: Path, tmp_path: Path, gaitbench: Callable) -> None:
    tree(source)
    (source / "p0/bg/000/broken").mkdir()
    out = tmp_path / "prepared"
    options = ["--option", "gallery=nm", "test_subjects=p2,p3", "views_are_angles=true"]
    code, said, error = gaitbench("prepare", "folder", "--source", source, "--out", out, "--workers", "1", *options)
    assert code == 0, error
    assert "4 subjects, 16 sequences" in said
    assert "silhouette: 16 sequences, 96 frames" in said
    assert "left out: 1 times beside frames, and of no modality (p0/bg/000/broken)" in said
    assert gaitbench("verify", out)[0] == 0
    arguments = ["run", "--task", "identity", "--dataset", "folder", "--data", out, "--device", "cpu", "--json"]
    code, said, error = gaitbench(*arguments, "--model", "gaitset", "--preset", "quick", *QUICK)
    assert code == 0, error
    (record,) = json.loads(said)["records"]
    assert record["status"] == "complete"
    assert record["training"]["num_steps"] == 2
    assert record["data"]["num_train_sequences"] == 8
    rank_1 = {score["group"]: score["num_probes"] for score in record["scores"] if score["metric"] == "rank_1"}
    assert rank_1["bg"] == 4
    code, said, error = gaitbench(*arguments, "--model", "nearest-raw", "--option", "gallery=bg")
    assert code != 0
    assert "was prepared with gallery='nm'" in error


def test_run_on_the_folder_itself(source: Path, gaitbench: Callable) -> None:
    """Without options: everything is prepared into the cache, and divided by a hash."""
    for subject in range(4):
        for view in ("front", "side"):
            save_array(source / f"p{subject}" / view / "a.npy", camera(subject))
    arguments = ["run", "--task", "identity", "--dataset", "folder", "--data", source, "--device", "cpu", "--json"]
    code, said, error = gaitbench(*arguments, "--option", "levels=subject/view", "--model", "nearest-raw")
    assert code == 0, error
    (record,) = json.loads(said)["records"]
    rank_1 = {score["group"]: score for score in record["scores"] if score["metric"] == "rank_1"}
    assert (rank_1["walk"]["num_probes"], rank_1["walk"]["value"]) == (4, 1.0)


def test_broken_walks_stop_until_they_are_skipped(source: Path, tmp_path: Path, gaitbench: Callable) -> None:
    tree(source)
    (source / "p1/nm/090.avi").write_bytes(b"RIFF\0\0\0\0AVI LIST")
    arguments = ["prepare", "folder", "--source", source, "--out", tmp_path / "prepared", "--workers", "1"]
    code, _, error = gaitbench(*arguments)
    assert code == 1
    assert "silhouette of 1 sequences cannot be read" in error
    assert str(source / "p1/nm/090.avi") in error
    code, said, error = gaitbench(*arguments, "--skip-broken")
    assert code == 0, error
    assert "1 of them for broken or missing files" in said


def test_people_whose_names_differ_in_case_only(source: Path, tmp_path: Path, gaitbench: Callable) -> None:
    """Whether they are one or two nobody can say, so that no result is complete with or without them."""
    for number, name in enumerate(("Ab", "aB", "c", "d", "e")):
        for condition in ("bg", "nm"):
            save_array(source / name / condition / "090" / "a.npy", camera(number))
    out = tmp_path / "prepared"
    options = ["--option", "gallery=nm", "test_subjects=Ab,aB,c"]
    prepare = ["prepare", "folder", "--source", source, "--out", out, "--workers", "1", *options]
    code, _, error = gaitbench(*prepare)
    assert code == 1
    assert "silhouette of 2 sequences cannot be read" in error
    assert "aB/bg/090 may be of Ab, from which it differs in case or in the writing of accents only" in error
    code, said, error = gaitbench(*prepare, "--skip-broken")
    assert code == 0, error
    assert "silhouette: 8 sequences" in said
    assert "2 sequences without frames, 2 of them for broken or missing files" in said
    run = ["run", "--task", "identity", "--dataset", "folder", "--data", out, "--model", "nearest-raw", "--json"]
    code, _, error = gaitbench(*run)
    assert code == 1
    assert "silhouette of 2 sequences was broken or missing (first: aB/bg/090, aB/nm/090)" in error
    code, said, error = gaitbench(*run, "--allow-partial")
    assert code == 0, error
    assert json.loads(said)["records"][0]["status"] == "partial"


@pytest.mark.parametrize("modality", ["depth", "lidar", "skeleton2d", "parsing"])
def test_every_modality_is_prepared(source: Path, tmp_path: Path, gaitbench: Callable, modality: str) -> None:
    for subject in "ab":
        leaf = source / subject / "nm/090"
        leaf.mkdir(parents=True)
        for t in range(3):
            if modality == "lidar":
                (leaf / f"{t}.bin").write_bytes(np.full((5, 4), t, "<f4").tobytes())
            elif modality == "skeleton2d":
                people = {"people": [{"pose_keypoints_2d": [float(t)] * 75}]}
                (leaf / f"{t}_keypoints.json").write_text(json.dumps(people))
            else:
                dtype = np.uint16 if modality == "depth" else np.uint8
                cv2.imwrite(str(leaf / f"{t}.png"), (camera(1)[t] // 50).astype(dtype))
    out = tmp_path / "prepared"
    option = f"modality={modality}"
    code, said, error = gaitbench("prepare", "folder", "--source", source, "--out", out, "--option", option)
    assert code == 0, error
    assert f"{modality}: 2 sequences, 6 frames" in said


def test_options_that_cannot_be_are_named(source: Path, gaitbench: Callable) -> None:
    tree(source)
    for option, message in (("levels=person/view", "'person' is no level"), ("modalit=rgb", "did you mean 'modality'")):
        code, _, error = gaitbench("prepare", "folder", "--source", source, "--out", "x", "--option", option)
        assert code == 2
        assert message in error
    code, said, _ = gaitbench("info", "folder")
    assert code == 0
    assert "levels = 'subject/condition/view'" in said
