"""The contract of the plugin and of its model: every preset, every ablation."""

from collections.abc import Callable
from typing import Any

import pytest
from gaitbench_clipgar import plugin
from gaitbench_clipgar.config import ClipGarConfig
from gaitbench_clipgar.model import ClipGar
from gaitbench_clipgar.presets import PRESETS

from gaitbench.model import GaitBatch
from gaitbench.recipe import Recipe, Stage
from gaitbench.testing import (
    check_learning,
    check_lengths,
    check_modality_needed,
    check_model,
    check_plugin,
    check_recipe,
    load_preset,
)

TEXT: dict[str, Any] = {
    "architecture": "RN50",
    "overrides": {"width": 16, "heads": 2, "layers": 2, "embed_dim": 24},
}
IMAGE: dict[str, Any] = {
    "architecture": "open_clip:RN50",
    "overrides": {"width": 4, "layers": (1, 1, 1, 1), "head_width": 8, "image_size": 32, "embed_dim": 24},
}
CLIP: dict[str, Any] = {
    "scored": "align",
    "encoder": "clip",
    "text": TEXT,
    "image": IMAGE,
    "image_px": (32, 32),
}
ABLATIONS: dict[str, dict[str, Any]] = {
    "whole": {},
    "align": {"scored": "align"},
    "16-parts": {"bins": (16,)},
    "8-parts": {"bins": (8,)},
    "1-part": {"bins": (1,)},
    "2d": {"mode": "2d"},
    "p3d": {"mode": "p3d"},
    "clip-text": {"text": TEXT},
    "zero-shot": CLIP,
    "fine-tuned": {**CLIP, "is_image_trained": True},
    "vit": {
        **CLIP,
        "image": {
            "architecture": "open_clip:ViT-B-16",
            "overrides": {
                "width": 16,
                "layers": 1,
                "head_width": 8,
                "patch_size": 8,
                "image_size": 32,
                "embed_dim": 24,
            },
        },
    },
}
"""Tables 5 and 6 of the paper, a switch each."""

OPEN_POINTS: dict[str, dict[str, Any]] = {
    "cosine-of-mean": {"likeness": "cosine-of-mean"},
    "fixed-tau": {"is_tau_learned": False},
    "fused-theta": {"fused": "theta"},
    "unit-text": {"is_text_normalised": True},
    "untyped": {"has_types": False, "has_positions": False},
    "post-norm": {"is_pre_norm": False, "has_last_norm": True, "num_layers": 2, "feedforward": 2, "dropout": 0.0},
    "weighted": {"weighting": "exp-share", "decision": "argmax"},
    "own-sentences": {"sentences": {"gender": ("A man walks.", "A woman walks.")}, "words": "ma-gait"},
}
"""What the paper leaves open, exchanged."""
BOTH = {**ABLATIONS, **OPEN_POINTS}


def test_plugin() -> None:
    info = check_plugin("gaitbench-clipgar")
    assert info.components == (("model", "clipgar"),)
    assert plugin.CLIPGAR.open_points


def test_open_points_name_fields_that_exist() -> None:
    fields = set(ClipGarConfig.model_fields)
    for point in plugin.CLIPGAR.open_points:
        if not point.endswith(")"):
            continue
        for name in point[point.rindex("(") + 1 : -1].split(", "):
            assert name in fields or name.startswith("recipe"), name


@pytest.mark.parametrize("name", BOTH)
def test_contract(name: str, small: Callable[..., ClipGar]) -> None:
    check_model(small(**BOTH[name]), num_frames=3)


@pytest.mark.parametrize("stage", [0, 1])
def test_contract_in_each_stage(stage: int, small: Callable[..., ClipGar]) -> None:
    recipe = PRESETS["paper"].recipe
    check_recipe(small(), Recipe(stages=recipe.stages[stage : stage + 1]), num_frames=3)


def test_both_losses_at_once(small: Callable[..., ClipGar]) -> None:
    align, fusion = PRESETS["paper"].recipe.stages
    joint = align.model_copy(update={"freeze": ()})
    check_recipe(small(), Recipe(stages=(joint, fusion.model_copy(update={"iterations": 0}))), num_frames=3)


@pytest.mark.parametrize("preset", [name for name in PRESETS if "zero-shot" not in name and "fine-tuned" not in name])
def test_recipe_can_be_trained(preset: str, sizes: dict[str, Any]) -> None:
    check_recipe(*load_preset("clipgar", preset, config=sizes), num_frames=3)


@pytest.mark.parametrize("preset", [name for name in PRESETS if "zero-shot" in name or "fine-tuned" in name])
def test_recipe_of_clips_image_encoder_can_be_trained(preset: str, sizes: dict[str, Any]) -> None:
    config = {**sizes, **{key: value for key, value in CLIP.items() if key not in ("scored", "encoder")}}
    model, recipe = load_preset("clipgar", preset, config=config)
    assert len(recipe.stages) == (1 if "fine-tuned" in preset else 0)
    check_recipe(model, recipe, num_frames=3)


@pytest.mark.parametrize("preset", [name for name in PRESETS if name.startswith("quick")])
def test_quick_preset_trains_at_its_own_size(preset: str, walkers_schema: tuple[Any, ...]) -> None:
    model, recipe = load_preset("clipgar", preset, config={"attributes": walkers_schema})
    check_recipe(model, recipe, num_frames=2)


@pytest.mark.parametrize("name", OPEN_POINTS)
def test_every_choice_trains_by_the_published_recipe(name: str, sizes: dict[str, Any]) -> None:
    model, recipe = load_preset("clipgar", "paper", config={**sizes, **OPEN_POINTS[name]})
    check_recipe(model, recipe, num_frames=3)


def test_mixed_precision_trains(small: Callable[..., ClipGar]) -> None:
    check_recipe(small(), Recipe(stages=(Stage(),), precision="bf16-mixed"))


@pytest.mark.parametrize("name", ["whole", "align", "zero-shot"])
def test_padding_and_company_change_nothing(name: str, small: Callable[..., ClipGar]) -> None:
    check_lengths(small(**ABLATIONS[name]), (6, 2, 5, 1))


def test_both_stages_learn(small: Callable[..., ClipGar], clips: Callable[..., GaitBatch]) -> None:
    model = small(scored="align")
    check_learning(model, batch=clips(model), num_steps=12, share=0.85)
    model = small(dropout=0.0)
    check_learning(model, batch=clips(model), num_steps=12, share=0.85)


def test_what_is_missing_is_said(small: Callable[..., ClipGar]) -> None:
    check_modality_needed(small())
