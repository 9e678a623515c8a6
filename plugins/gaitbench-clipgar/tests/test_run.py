"""Whole runs on the walkers: two stages, both kinds of answer, and what the record says of towers."""

from pathlib import Path
from typing import Any

import pytest

from gaitbench.cells.cell import Cell, resolve_cell
from gaitbench.checkpoint import load_tensors
from gaitbench.cli import main
from gaitbench.leaderboard import from_folders
from gaitbench.registry import load_registry
from gaitbench.results import read_record
from gaitbench.towers import weights

WALKERS = ["num_train_subjects=3", "num_test_subjects=2", 'conditions=["nm-01","nm-02","bg-01"]', "views_deg=[0,90]"]
SMALL = ["config.channels=[4,4,8,16]", "config.heads=4", "config.bins=[4]"]
SHORT: dict[int, list[str]] = {
    stage: [
        f"recipe.stages.{stage}.iterations=2",
        f"recipe.stages.{stage}.schedule.warmup=1",
        f"recipe.stages.{stage}.clips.batch_size=4",
        f"recipe.stages.{stage}.clips.num_frames=3",
    ]
    for stage in (0, 1)
}


def run(tmp_path: Path, preset: str, settings: list[str]) -> int:
    command = ["run", "--task", "attribute", "--dataset", "walkers", "--model", "clipgar", "--preset", preset]
    command += ["--option", *WALKERS, "num_frames=6", "--set", *SMALL, *settings]
    return main([*command, "--device", "cpu", "--out", str(tmp_path / "runs"), "--json"])


def folders(tmp_path: Path) -> list[Path]:
    return sorted(path.parent for path in (tmp_path / "runs" / "attribute").rglob("record.json"))


@pytest.mark.slow
def test_both_stages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "quick", [*SHORT[0], *SHORT[1]]) == 0, capsys.readouterr().err
    (folder,) = folders(tmp_path)
    record = read_record(folder)
    assert record.model.fidelity == "proposed"
    assert record.model.decides == "threshold"
    assert [(tower.role, tower.weights) for tower in record.model.towers] == [("text", "hashing")]
    assert record.training.num_steps == 4
    scores = {(score.metric, score.group): score for score in record.scores}
    assert scores["ma_onehot45", "all"].num_probes == 12
    saved = load_tensors(folder / "model.safetensors")
    assert saved["text.vectors"].shape == (45, 512)
    assert saved["fusion.head_weight"].shape == (45, 16)
    # The same command answers from what is there.
    capsys.readouterr()
    assert run(tmp_path, "quick", [*SHORT[0], *SHORT[1]]) == 0, capsys.readouterr().err
    assert folders(tmp_path) == [folder]
    assert "text tower hashing (hashed words, nothing learned)" in " ".join(str(from_folders([folder])).split())


@pytest.mark.slow
def test_the_first_stage_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "quick-align", SHORT[0]) == 0, capsys.readouterr().err
    (folder,) = folders(tmp_path)
    record = read_record(folder)
    assert record.model.decides == "argmax"
    assert record.training.num_steps == 2
    assert not any(name.startswith("fusion.") for name in load_tensors(folder / "model.safetensors"))


@pytest.mark.slow
def test_clips_image_encoder_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "quick-zero-shot", []) == 0, capsys.readouterr().err
    (folder,) = folders(tmp_path)
    record = read_record(folder)
    towers: dict[str, Any] = {tower.role: tower for tower in record.model.towers}
    assert (towers["image"].weights, towers["text"].weights) == ("untrained", "hashing")
    assert towers["image"].is_reduced
    assert record.training.num_steps == 0


@pytest.mark.parametrize("preset", ["paper", "paper-align", "paper-zero-shot", "paper-fine-tuned"])
def test_planning_needs_no_published_weights(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "fetch", lambda *_: pytest.fail("fetched"))
    cell = resolve_cell(Cell(task="attribute", dataset="walkers", model="clipgar", preset=preset), load_registry())
    assert cell.modalities == ("silhouette",)
    assert cell.decides == ("threshold" if preset == "paper" else "argmax")


@pytest.mark.slow
def test_a_bad_setting_is_said_before_anything_slow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for setting, message in (
        ("config.feedforward=0", "greater than 0"),
        ("config.template=no slots", "must hold words and the slot"),
        ("config.encoder=clip", "use scored='align' with it"),
        ("config.scord=align", "did you mean 'scored'"),
    ):
        assert run(tmp_path, "quick", [setting]) != 0
        assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists() or not folders(tmp_path)
