"""Presets for the USF gait challenge keep a model's sizes and losses and change what the data ask for."""

import pytest
from gaitbench_baselines import gait_challenge
from gaitbench_baselines.gait_challenge import on_gait_challenge
from gaitbench_baselines.gln import PRESETS

from gaitbench.registry import load_registry, resolve

SILHOUETTE_MODELS = (
    "deepgaitv2-2d", "deepgaitv2-3d", "deepgaitv2-p3d", "gaitbase", "gaitgl", "gaitpart", "gaitset", "gln", "swingait",
)  # fmt: skip


@pytest.mark.parametrize("name", SILHOUETTE_MODELS)
def test_every_silhouette_model_has_one(name: str) -> None:
    presets = resolve(load_registry().get("model", name).presets)
    preset = presets["quick@usf-gait17"]
    for stage in preset.recipe.stages:
        assert stage.augment == gait_challenge.AUGMENT
        assert stage.clips.num_frames <= 10
        assert stage.augment.flip == 0
    assert "32x22" in preset.note


def test_stages_by_hand() -> None:
    quick = PRESETS["quick"]
    preset = on_gait_challenge(quick, iterations=(50, 20), num_frames=9, config={"dropout": 0.1}, sizes="small")
    assert [stage.iterations for stage in preset.recipe.stages] == [50, 20]
    assert [stage.schedule.warmup for stage in preset.recipe.stages] == [5, 2]
    for stage, old in zip(preset.recipe.stages, quick.recipe.stages, strict=True):
        assert stage.clips.order == old.clips.order == "ordered"
        assert (stage.clips.subjects_per_batch, stage.clips.num_frames) == (16, 9)
        assert (stage.name, stage.optimizer, stage.freeze) == (old.name, old.optimizer, old.freeze)
        assert stage.loss_weights == old.loss_weights
    assert preset.config == {**quick.config, "dropout": 0.1}
    assert preset.note.startswith("small; ")
    assert preset.note.endswith(quick.note)
    with pytest.raises(ValueError, match="shorter"):
        on_gait_challenge(quick, iterations=(50,))
