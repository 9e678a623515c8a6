"""The contract of the plugin and of its models: every model, every preset."""

from typing import Any

import pytest
from gaitbench_lidar import plugin
from gaitbench_lidar.records import DATASETS, MODALITIES, PROTOCOLS

from gaitbench.model import GaitModel
from gaitbench.recipe import Recipe
from gaitbench.testing import (
    check_labels_needed,
    check_learning,
    check_lengths,
    check_modality_needed,
    check_model,
    check_plugin,
    check_recipe,
    load_preset,
    load_presets,
)

SMALL: dict[str, dict[str, Any]] = {
    "lidargait++": {
        "num_points": 40,
        "channels": 2,
        "num_centres": (24, 16, 8),
        "num_neighbours": 4,
        "point_width": 12,
        "embedding_width": 6,
    },
}
"""Sizes at which a test takes milliseconds."""
NAMES = [spec.name for spec in plugin.MODELS]
PRESETS = [(name, preset) for name in NAMES for preset in load_presets(name)]
by_name = pytest.mark.parametrize("name", NAMES)


def small(name: str) -> GaitModel:
    return load_preset(name, "paper", config=SMALL[name], num_classes=3).model


def test_plugin() -> None:
    info = check_plugin("gaitbench-lidar")
    specs = (*plugin.MODELS, *MODALITIES, *DATASETS, *PROTOCOLS)
    assert info.components == tuple((spec.kind, spec.name) for spec in specs)


@by_name
def test_has_the_presets_that_users_ask_for(name: str) -> None:
    assert {"quick", "paper"} <= set(load_presets(name))


@by_name
def test_contract(name: str) -> None:
    check_model(small(name), num_frames=3)


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_recipe_can_be_trained(name: str, preset: str) -> None:
    check_recipe(*load_preset(name, preset, config=SMALL[name], num_classes=3), num_frames=3)


@by_name
def test_quick_preset_trains_at_its_own_size(name: str) -> None:
    check_recipe(*load_preset(name, "quick"), num_frames=2)


@by_name
def test_mixed_precision_trains(name: str) -> None:
    check_recipe(small(name), Recipe(precision="bf16-mixed"), num_frames=3)


@by_name
def test_padding_and_company_change_nothing(name: str) -> None:
    check_lengths(small(name), (4, 2, 1))


@by_name
def test_a_batch_without_points_is_refused(name: str) -> None:
    check_modality_needed(small(name))


@by_name
def test_losses_without_labels_are_refused(name: str) -> None:
    check_labels_needed(small(name), num_frames=2)


@by_name
def test_training_steps_tell_subjects_apart(name: str) -> None:
    check_learning(small(name))
