"""The contract of the plugin and of its model: every preset, every ablation."""

from collections.abc import Callable
from typing import Any

import pytest
from gaitbench_lmgait import plugin
from gaitbench_lmgait.model import LMGait
from gaitbench_lmgait.presets import PRESETS

from gaitbench.recipe import Recipe, Stage
from gaitbench.testing import (
    check_labels_needed,
    check_learning,
    check_lengths,
    check_modality_needed,
    check_model,
    check_plugin,
    check_recipe,
    load_preset,
)

ABLATIONS: dict[str, dict[str, Any]] = {
    "whole": {},
    "no-text": {"has_text": False},
    "no-mam": {"has_mam": False},
    "wrong-text": {"prompt": "wrong"},
    "random-text": {"prompt": "random", "prompt_seed": 3},
    "conv3d": {"temporal": "conv3d"},
    "no-motion": {"temporal": "none"},
    "pte-only": {"has_rte": False},
    "rte-only": {"has_pte": False},
    "pixels-not-convolved": {"has_pte_conv": False},
    "frames-not-differences": {"has_rte_difference": False},
    "differences-not-convolved": {"has_rte_conv": False},
    "branches-added": {"fusion": "sum"},
    "clip-image": {
        "image": {
            "architecture": "open_clip:ViT-B-16",
            "overrides": {"width": 16, "layers": 2, "head_width": 8, "patch_size": 4, "image_size": 16, "embed_dim": 8},
        }
    },
    "biggait-style": {"has_text": False, "temporal": "none", "two_stream": True, "black": 0.0},
}
"""What tables 4 to 7 of the paper take away or exchange, a switch each."""

OPEN_POINTS: dict[str, dict[str, Any]] = {
    "tokens": {"text_form": "tokens"},
    "gate": {"has_mam_gate": True},
    "channel-gate": {"attention": "channel-gate"},
    "product": {"attention_use": "product", "attended": "layers"},
    "fixed-tau": {"is_tau_learned": False, "attended": "last"},
    "own-sentences": {"prompts": ("An arm swings.",), "text_positions": "sinusoidal", "is_text_projected": True},
    "some-layers": {"mam_layers": (2,), "mam_activation": "relu", "mam_start": "xavier"},
    "decoder-on-layers": {"decoder_features": "layers", "is_auto_swapped": True},
    "mask-gradient": {"has_mask_gradient": True, "mask_use": "soft"},
    "printed-diversity": {"diversity": "spatial-entropy", "smoothness_channels": "all"},
    "repeated-difference": {"last_difference": "repeat"},
    "stretched": {
        "rgb_form": "stretched",
        "rgb_px": (32, 32),
        "ratio": "stream",
        "silhouette_form": "stretched",
        "silhouette_px": (32, 32),
    },
    "tower-trained": {"is_image_trained": True},
}
"""What the paper leaves open, exchanged."""


def test_plugin() -> None:
    info = check_plugin("gaitbench-lmgait")
    assert info.components == (("model", "lmgait"),)
    assert plugin.LMGAIT.open_points


@pytest.mark.parametrize("name", [*ABLATIONS, *OPEN_POINTS])
def test_contract(name: str, small: Callable[..., LMGait]) -> None:
    check_model(small(**{**ABLATIONS, **OPEN_POINTS}[name]), num_frames=3)


@pytest.mark.parametrize("preset", PRESETS)
def test_recipe_can_be_trained(preset: str, sizes: dict[str, Any]) -> None:
    check_recipe(*load_preset("lmgait", preset, config=sizes, num_classes=3))


@pytest.mark.parametrize("preset", ["quick", "quick-clip"])
def test_quick_presets_train_at_their_own_size(preset: str) -> None:
    check_recipe(*load_preset("lmgait", preset), num_frames=2)


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_trains_by_the_published_recipe(name: str, sizes: dict[str, Any]) -> None:
    check_recipe(*load_preset("lmgait", "paper", config={**sizes, **ABLATIONS[name]}, num_classes=3), num_frames=3)


def test_mixed_precision_trains(small: Callable[..., LMGait]) -> None:
    check_recipe(small(), Recipe(stages=(Stage(),), precision="bf16-mixed"))


def test_padding_and_company_change_nothing(small: Callable[..., LMGait]) -> None:
    for name in ("whole", "conv3d", "no-motion"):
        check_lengths(small(**ABLATIONS[name]), (6, 2, 5, 1))


@pytest.mark.parametrize("num_frames", [1, 2])
def test_sequences_of_a_few_frames_are_embedded(num_frames: int, small: Callable[..., LMGait]) -> None:
    check_lengths(small(), (num_frames,))


def test_training_steps_tell_two_subjects_apart(small: Callable[..., LMGait]) -> None:
    model = small(mask_use="soft")
    check_learning(model, num_steps=12, share=0.85)


def test_what_is_missing_is_said(small: Callable[..., LMGait]) -> None:
    check_modality_needed(small())
    check_labels_needed(small())
