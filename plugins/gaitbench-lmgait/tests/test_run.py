"""A whole run: trained in two stages, sealed, embedded from colours alone, read again, explained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gaitbench_lmgait.model import LMGait
from gaitbench_lmgait.text_side import StoredText

import gaitbench
from gaitbench.checkpoint import load_tensors
from gaitbench.digest import file_digest
from gaitbench.errors import UsageError
from gaitbench.results import read_record
from gaitbench.runner import load_trained
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
def test_run(
    tmp_path: Path, sizes: dict[str, Any], write_prompts: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path / "cache"))
    clips = {"subjects_per_batch": 2, "sequences_per_subject": 2, "num_frames": 2}
    prompts = write_prompts(tmp_path / "prompts.parquet")
    overrides: dict[str, Any] = {f"config.{key}": value for key, value in sizes.items()}
    overrides["prompts_file"] = str(prompts)
    for stage in (0, 1):
        overrides[f"recipe.stages.{stage}.iterations"] = 2
        overrides[f"recipe.stages.{stage}.schedule.warmup"] = 1
        overrides |= {f"recipe.stages.{stage}.clips.{key}": value for key, value in clips.items()}

    def run() -> Any:
        return gaitbench.run(
            task="identity",
            dataset="walkers",
            models=["lmgait"],
            out=tmp_path / "runs",
            set=overrides,
            options=WALKERS,
        )

    result = run()
    (folder,) = [path.parent for path in (tmp_path / "runs" / "identity").rglob("record.json")]
    record = read_record(folder)
    assert result is not None
    assert [tower.role for tower in record.model.towers] == ["image", "text"]
    assert record.data.modalities == ("rgb", "silhouette-raw")
    assert record.data.training_only == ("silhouette-raw",)
    assert record.data.test_fingerprint not in ("", record.data.fingerprint)
    assert "prompts_file=prompts.parquet" in record.model.changes
    weights = load_tensors(folder / "model.safetensors")
    assert "text.vector" in weights
    assert not any(name.startswith(("text.projection", "text.adapters")) for name in weights)
    assert result.records == run().records
    led_by = record.model.config["prompts_file"]
    assert (led_by["name"], led_by["sha256"]) == ("prompts.parquet", file_digest(prompts))
    assert led_by["rounds"][0][0] == "Arms swing."
    prompts.unlink()
    loaded = load_trained(folder)
    assert isinstance(loaded, LMGait)
    assert isinstance(loaded.text, StoredText)
    gaitbench.explain(folder, tmp_path / "looks", num=1, num_frames=2)
    assert "semantic attention" in (tmp_path / "looks" / "findings.json").read_text()
    file = gaitbench.embed("walkers", tmp_path / "embeddings.npz", weights=folder, options=WALKERS)
    assert file.is_file()
    # The number in the record is that of the model as it was trained.
    trained = build_model("lmgait", config=record.model.config)
    assert record.model.num_parameters == sum(weight.numel() for weight in trained.parameters())


def test_wears_no_attribute_head() -> None:
    # Its decoder would stay as it was drawn: nothing but its own loss teaches it.
    with pytest.raises(UsageError, match="parts of model 'lmgait' learn from losses of its own"):
        gaitbench.run(task="attribute", dataset="walkers", models=["lmgait"], options=WALKERS)
