"""The contract of the plugin and of its models: every model, every preset."""

import importlib
import subprocess
import sys
from typing import Any

import pytest
import torch
from gaitbench_lidar import plugin

from gaitbench.recipe import Preset, Stage
from gaitbench.specs import API_VERSION, ModelSpec
from gaitbench.testing import check_model
from gaitbench.testing.synthetic import synthetic_batch

SMALL: dict[str, dict[str, Any]] = {
    "lidargait++": {
        "num_points": 40,
        "channels": 2,
        "num_centres": (24, 16, 8),
        "num_neighbours": 4,
        "point_width": 12,
        "embedding_width": 6,
        "num_classes": 3,
    },
}
"""Sizes at which a test takes milliseconds."""
SPECS = {spec.name: spec for spec in plugin.MODELS}
by_name = pytest.mark.parametrize("name", SPECS)


def load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


class Recorder:
    def __init__(self) -> None:
        self.specs: list[ModelSpec] = []

    def add(self, spec: ModelSpec) -> None:
        self.specs.append(spec)


def test_registers_every_model_once() -> None:
    recorder = Recorder()
    plugin.gaitbench_register(recorder)
    assert tuple(recorder.specs) == plugin.MODELS
    assert len(SPECS) == len(plugin.MODELS)
    assert plugin.api_version == API_VERSION


def test_listing_imports_no_model_code() -> None:
    code = "import sys, gaitbench_lidar.plugin; print(sorted({'torch', 'numpy', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@by_name
def test_contract(name: str) -> None:
    spec = SPECS[name]
    torch.manual_seed(0)
    check_model(load(spec.target)(load(spec.config)(**SMALL[name])), num_frames=3)


@by_name
def test_presets_are_complete_and_buildable(name: str) -> None:
    spec = SPECS[name]
    presets: dict[str, Preset] = load(spec.presets)
    assert {"quick", "paper"} <= set(presets)
    for preset in presets.values():
        config = load(spec.config)(**preset.config)
        with torch.device("meta"):
            model = load(spec.target)(config)
        assert {entry.modality for entry in model.inputs} <= set(spec.inputs)
        # What a record stores must build the same model again, also after a trip through JSON.
        assert load(spec.config).model_validate_json(config.model_dump_json()) == config


@by_name
def test_loss_weights_name_losses_that_exist(name: str) -> None:
    spec = SPECS[name]
    torch.manual_seed(0)
    model = load(spec.target)(load(spec.config)(**SMALL[name]))
    batch = synthetic_batch(model.inputs, num_frames=2, num_classes=3)
    losses = model.losses(model(batch), batch, Stage())
    presets: dict[str, Preset] = load(spec.presets)
    for preset in presets.values():
        for stage in preset.recipe.stages:
            assert set(stage.loss_weights) <= set(losses)
