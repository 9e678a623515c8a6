"""The contract of the plugin and of its model: every preset, every ablation, every open point."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gaitbench_tcfdnet import plugin
from gaitbench_tcfdnet.config import TcfdNetConfig
from gaitbench_tcfdnet.model import TcfdNet
from gaitbench_tcfdnet.presets import LOSS_WEIGHTS, PRESETS

from gaitbench.cells.cell import override
from gaitbench.testing import (
    check_apart,
    check_labels_needed,
    check_learning,
    check_lengths,
    check_modality_needed,
    check_model,
    check_plugin,
    check_recipe,
    load_preset,
)

README = Path(__file__).parents[1] / "README.md"

ABLATIONS: dict[str, dict[str, Any]] = {
    "whole": {},
    "no-gmtd": {"prototypes": "learned"},
    "no-prototypes": {"prototypes": "none"},
    "no-bypass": {"has_bypass": False},
    "no-tfd": {"has_tfd": False},
    "no-fse": {"has_fse": False},
    "no-mf": {"has_mf": False},
    "resnet-only": {"has_mf": False, "has_sw": False},
    "k-32": {"num_retrieved": 32},
    "no-exchange": {"exchange": 0.0},
}
"""What table 4 of the paper takes away, and k_t."""

OPEN_POINTS: dict[str, dict[str, Any]] = {
    "private-stem": {"sharing": "private-stem"},
    "private-bypass": {"sharing": "private-bypass"},
    "clip-space": {"retrieval": "clip"},
    "residual-adapters": {"adapter": "residual"},
    "literal-mf": {"has_mf_residual": False, "num_layers": 1},
    "bounded-weights": {"sw_activation": "sigmoid"},
    "softmax": {"squash": "softmax", "fse_stride": 1},
    "within": {"has_within_triplet": True, "orthogonality": "literal", "hsic_features": "unit"},
    "gray": {"encoding": "gray1"},
    "own-sentences": {"dictionary": {"silhouette": ["flat", "white"], "lidar-depth": ["far", "near"]}}
    | {"num_retrieved": 1},
    "clip-text": {
        "text": {"architecture": "ViT-B-16", "overrides": {"width": 8, "heads": 2, "layers": 1, "embed_dim": 6}}
    },
    "tower-trained": {"is_image_trained": True},
    "tower-trained-no-bypass": {"is_image_trained": True, "has_bypass": False},
}
"""What the paper leaves open, exchanged."""

SWITCHES = (
    *("prototypes=learned", "prototypes=none", "has_bypass=false", "has_tfd=false", "has_fse=false", "has_mf=false"),
    *("has_mf=false has_sw=false", "num_retrieved=4", "exchange=0"),
    *("recipe.stages.0.loss_weights.alignment=0", "recipe.stages.0.loss_weights.triplet=0"),
)
"""``--set`` of rows in the README."""


def test_plugin() -> None:
    info = check_plugin("gaitbench-tcfdnet")
    assert info.components == (("model", "tcfdnet"),)
    fields = TcfdNetConfig.model_fields
    for point in plugin.TCFDNET.open_points:
        if point.endswith(")"):
            named = point[point.rindex("(") + 1 : -1].split(", ")
            assert set(named) <= {*fields, "recipe"}, point


@pytest.mark.parametrize("name", [*ABLATIONS, *OPEN_POINTS])
def test_contract(name: str, small: Callable[..., TcfdNet]) -> None:
    check_model(small(**{**ABLATIONS, **OPEN_POINTS}[name]), num_frames=2)


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_trains_by_the_published_recipe(name: str, sizes: dict[str, Any]) -> None:
    check_recipe(*load_preset("tcfdnet", "paper", config={**sizes, **ABLATIONS[name]}, num_classes=3), num_frames=2)


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "quick"])
def test_published_presets_name_their_towers_and_weights(preset: str) -> None:
    found = PRESETS[preset]
    config = TcfdNetConfig.model_validate(found.config)
    assert {config.image.weights, config.text.weights} == {"pretrained"}
    assert (config.num_retrieved, config.heads, config.num_layers, config.bins) == (16, 8, 2, (16,))
    (stage,) = found.recipe.stages
    assert stage.loss_weights == LOSS_WEIGHTS
    assert LOSS_WEIGHTS == {
        "triplet": 1.0,
        "cross_entropy": 1.0,
        "alignment": 0.5,
        "orthogonality": 0.1,
        "hsic": 0.1,
    }
    assert (stage.iterations, stage.schedule.milestones, stage.schedule.gamma) == (25_000, (10_000, 20_000), 0.1)
    assert (stage.optimizer.name, stage.optimizer.lr) == ("adam", 3e-4)
    clips = stage.clips
    assert (clips.subjects_per_batch, clips.sequences_per_subject, clips.num_frames) == (8, 8, 10)
    assert clips.order == "unordered"


def test_quick_trains_at_its_own_size() -> None:
    model, recipe = load_preset("tcfdnet", "quick", num_classes=3)
    assert all(info.is_stand_in for info in model.towers)
    assert {info.weights for info in model.towers} == {"trained-along", "hashing"}
    check_recipe(model, recipe, num_frames=2)


@pytest.mark.parametrize("preset", ["quick", "paper"])
@pytest.mark.parametrize("switch", SWITCHES)
def test_a_row_of_the_readme_is_one_switch(preset: str, switch: str) -> None:
    given = dict(each.split("=", 1) for each in switch.split())
    config, recipe = override("tcfdnet", TcfdNetConfig, PRESETS[preset], given)
    assert (config, recipe) != override("tcfdnet", TcfdNetConfig, PRESETS[preset], {})
    assert isinstance(config, TcfdNetConfig)
    with torch.device("meta"):
        TcfdNet(config)


@pytest.mark.skipif(not README.is_file(), reason="a wheel's tests come without the README")
def test_the_readme_says_every_switch() -> None:
    text = README.read_text()
    assert [switch for switch in SWITCHES if f"`{switch}`" not in text] == []


def test_mixed_precision_trains(small: Callable[..., TcfdNet]) -> None:
    check_recipe(small(), PRESETS["quick"].recipe, num_frames=2)


def test_padding_and_company_change_nothing(small: Callable[..., TcfdNet]) -> None:
    for name in ("whole", "no-bypass", "no-mf"):
        check_lengths(small(**ABLATIONS[name]), (5, 2, 1))


@pytest.mark.parametrize("name", [*ABLATIONS, "private-stem", "private-bypass", "clip-space"])
def test_an_embedding_stands_alone(name: str, small: Callable[..., TcfdNet]) -> None:
    check_apart(small(**{**ABLATIONS, **OPEN_POINTS}[name]))


def test_training_steps_tell_two_subjects_apart(small: Callable[..., TcfdNet]) -> None:
    check_learning(small(exchange=0.0), num_steps=15, share=0.9)


def test_what_is_missing_is_said(small: Callable[..., TcfdNet]) -> None:
    check_modality_needed(small())
    check_labels_needed(small(), num_frames=2)
