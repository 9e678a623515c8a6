"""Pose models with the head that tells attributes: their graph features, and no change of left and right."""

import pytest
import torch

from gaitbench.card import Attribute
from gaitbench.cells.wearing import preset_for_head
from gaitbench.registry import load_registry, resolve
from gaitbench.specs import ModelSpec
from gaitbench.testing import check_model, load_presets
from gaitbench.with_attributes import WithAttributes, WithAttributesConfig

SCHEMA = (
    Attribute(name="gender", title="Gender", classes=("male", "female")),
    Attribute(name="toe", title="Toe", classes=("straight", "in", "out")),
)
SMALL: dict[str, dict[str, object]] = {
    "gaitgraph": {"branch_channels": (3, 8, 4), "main_channels": (4, 8), "reduction": 2, "num_frames": 8},
    "gaitgraph2": {"branch_channels": (5, 8, 4), "main_channels": (4, 8), "reduction": 2, "num_frames": 8},
    "gaittr": {"channels": (10, 32)},
    "gpgait": {"channels": (4, 8), "num_shared": 1, "embedding_width": 16},
}


def spec_of(name: str) -> ModelSpec:
    spec = load_registry().get("model", name)
    assert isinstance(spec, ModelSpec)
    return spec


@pytest.mark.parametrize("name", SMALL)
def test_contract(name: str) -> None:
    spec = spec_of(name)
    config = WithAttributesConfig(target=spec.target, config_target=spec.config, config=SMALL[name], attributes=SCHEMA)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        check_model(WithAttributes(config))


@pytest.mark.parametrize("preset", ["quick", "paper"])
@pytest.mark.parametrize("name", [*SMALL, "gaitmixer", "gpgait++"])
def test_no_preset_exchanges_left_and_right(name: str, preset: str) -> None:
    spec = spec_of(name)
    config_class = resolve(spec.config)
    found = preset_for_head(spec, resolve(spec.target), config_class, load_presets(name)[preset], preset)
    augment = config_class(**found.config).augment
    own = config_class(**load_presets(name)[preset].config).augment
    assert own.mirror or own.swap_sides or name.startswith("gpgait")
    assert augment == own.model_copy(update={"mirror": 0.0, "swap_sides": 0.0})
