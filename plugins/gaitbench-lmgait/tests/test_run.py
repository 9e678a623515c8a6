"""A whole run: trained in two stages, sealed, embedded from colours alone, and read again."""

from pathlib import Path
from typing import Any

import pytest

import gaitbench
from gaitbench.checkpoint import load_tensors
from gaitbench.results import read_record
from gaitbench.weights import build_model

WALKERS = {
    "num_train_subjects": 2,
    "num_test_subjects": 2,
    "conditions": ("nm-01", "nm-02", "nm-03", "nm-04"),
    "views_deg": (0, 90),
    "num_frames": 4,
    "rgb_height_px": 64,
    "rgb_width_px": 32,
}


@pytest.mark.slow
def test_run(tmp_path: Path, sizes: dict[str, Any], monkeypatch: Any) -> None:
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path / "cache"))
    clips = {"subjects_per_batch": 2, "sequences_per_subject": 2, "num_frames": 2}
    overrides: dict[str, Any] = {f"config.{key}": value for key, value in sizes.items()}
    for stage in (0, 1):
        overrides[f"recipe.stages.{stage}.iterations"] = 2
        overrides[f"recipe.stages.{stage}.schedule.warmup"] = 1
        overrides |= {f"recipe.stages.{stage}.clips.{key}": value for key, value in clips.items()}
    result = gaitbench.run(
        task="identity",
        dataset="walkers",
        models=["lmgait"],
        out=tmp_path / "runs",
        set=overrides,
        options=WALKERS,
    )
    (folder,) = [path.parent for path in (tmp_path / "runs" / "identity").rglob("record.json")]
    record = read_record(folder)
    assert result is not None
    assert [tower.role for tower in record.model.towers] == ["image", "text"]
    assert record.data.modalities == ("rgb", "silhouette-raw")
    weights = load_tensors(folder / "model.safetensors")
    assert "text.vector" in weights
    assert not any(name.startswith(("text.projection", "text.adapters")) for name in weights)
    # The number in the record is that of the model as it was trained.
    trained = build_model("lmgait", config=record.model.config)
    assert record.model.num_parameters == sum(weight.numel() for weight in trained.parameters())
