"""Whole runs across sensors: any two streams of a dataset, both directions, probe first, per condition."""

from pathlib import Path
from typing import Any

import pytest

import gaitbench
from gaitbench.checkpoint import load_tensors
from gaitbench.results import RunRecord, read_record

WALKERS = {
    "num_train_subjects": 2,
    "num_test_subjects": 2,
    "conditions": ("nm-01", "nm-02", "nm-03", "nm-04"),
    "views_deg": (0, 90),
    "num_frames": 4,
}
SMALLER = {"channels": (4, 4, 6, 8), "embedding_width": 8}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Walkers are made for each test, and nobody else's are read."""
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path / "cache"))


def run(model: str, out: Path, config: dict[str, Any], *, task: str = "crossmodal", num_stages: int = 1) -> Path:
    overrides: dict[str, Any] = {f"config.{key}": value for key, value in config.items()}
    for at in range(num_stages):
        stage = f"recipe.stages.{at}"
        overrides |= {f"{stage}.iterations": 2, f"{stage}.schedule.warmup": 1}
        clips = {"subjects_per_batch": 2, "sequences_per_subject": 2, "num_frames": 2}
        overrides |= {f"{stage}.clips.{key}": value for key, value in clips.items()}
    gaitbench.run(task=task, dataset="walkers", models=[model], out=out, set=overrides, options=WALKERS)
    (folder,) = [path.parent for path in (out / task).rglob("record.json")]
    return folder


def directions(record: RunRecord) -> set[str]:
    return {score.direction for score in record.scores}


@pytest.mark.slow
def test_any_ordered_pair_of_streams_is_scored_probe_first(tmp_path: Path) -> None:
    config = {**SMALLER, "modalities": ("skeleton2d", "depth")}
    record = read_record(run("cl-gait", tmp_path, config))
    assert record.data.modalities == ("skeleton2d", "depth")
    assert directions(record) == {
        "skeleton2d->depth",
        "depth->skeleton2d",
        "skeleton2d->skeleton2d",
        "depth->depth",
    }
    groups = {score.group for score in record.scores if score.direction == "depth->skeleton2d"}
    assert {"NM", "mean"} <= groups


@pytest.mark.slow
def test_two_stages_and_a_saved_student_without_teacher(tmp_path: Path) -> None:
    folder = run("unicrossgait", tmp_path, {**SMALLER, "heads": 2}, num_stages=2)
    assert not any(name.startswith("teacher.") for name in load_tensors(folder / "model.safetensors"))
    losses = read_record(folder).training.final_losses
    assert {"cross_triplet", "cross_entropy", "features", "samples", "parts"} <= set(losses)


@pytest.mark.slow
def test_omnigait_is_asked_alone_across_and_fused_with_one_training(tmp_path: Path) -> None:
    sizes = {"token_widths": (4, 4), "channels": (4, 6, 8), "embedding_width": 8}
    config = {**sizes, "modalities": ("rgb", "lidar-depth")}
    found = {}
    for task in ("crossmodal", "identity"):
        found[task] = directions(read_record(run("omnigait", tmp_path / "runs", config, task=task)))
    assert found["crossmodal"] == {
        "rgb->lidar-depth",
        "lidar-depth->rgb",
        "rgb->rgb",
        "lidar-depth->lidar-depth",
        "rgb+lidar-depth->rgb+lidar-depth",
        "rgb+lidar-depth->rgb",
        "rgb->rgb+lidar-depth",
        "rgb+lidar-depth->lidar-depth",
        "lidar-depth->rgb+lidar-depth",
    }
    assert found["identity"] == {""}
    assert len(list((tmp_path / "runs" / "trainings" / "walkers").iterdir())) == 1
