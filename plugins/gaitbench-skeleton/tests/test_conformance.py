"""The contract of a plugin and of its models: every model, every preset."""

import importlib
import subprocess
import sys
from typing import Any

import pytest
import torch
from gaitbench_skeleton import plugin
from pydantic import BaseModel

from gaitbench.errors import ModelError, ShapeError
from gaitbench.model import GaitBatch, GaitModel
from gaitbench.recipe import Preset, Stage
from gaitbench.specs import API_VERSION, ModelSpec
from gaitbench.testing import check_model

GRAPH = {"main_channels": (4, 8, 8), "reduction": 2, "num_frames": 6, "embedding_width": 12}
GPGAIT = {"channels": (8, 12), "num_shared": 1, "embedding_width": 8, "num_classes": 3}
SMALL: dict[str, dict[str, Any]] = {
    "gaitgraph": {"branch_channels": (3, 8, 4), **GRAPH},
    "gaitgraph2": {"branch_channels": (5, 8, 4), **GRAPH},
    "gaittr": {"channels": (10, 16, 24), "num_heads": 2, "embedding_width": 12, "margin": 5.0},
    "gaitmixer": {
        "num_frames": 6,
        "kernel_size": 5,
        "joint_width": 8,
        "num_heads": 2,
        "num_joint_blocks": 2,
        "channels": (8, 12),
        "embedding_width": 10,
        "mining_tolerance": 2.0,
    },
    "gpgait": GPGAIT,
    "gpgait++": GPGAIT,
}
"""Sizes at which a test takes milliseconds."""
SPECS = {spec.name: spec for spec in plugin.MODELS}
by_name = pytest.mark.parametrize("name", SPECS)


def load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def small(name: str, **fields: object) -> GaitModel:
    config_class: type[BaseModel] = load(SPECS[name].config)
    torch.manual_seed(0)
    model: GaitModel = load(SPECS[name].target)(config_class.model_validate({**SMALL[name], **fields}))
    return model.eval()


def a_batch(num_clips: int = 4, num_frames: int = 9, seed: int = 0) -> GaitBatch:
    """Jittering people in pixels, each at a place of their own."""
    rng = torch.Generator().manual_seed(seed)
    body = 100 * torch.randn(num_clips, 3, 1, 17, generator=rng)
    joints = 500 + body + 10 * torch.randn(num_clips, 3, num_frames, 17, generator=rng)
    joints[:, 2] = torch.rand(num_clips, num_frames, 17, generator=rng)
    lengths = torch.full((num_clips,), num_frames)
    return GaitBatch({"skeleton2d": joints}, {"skeleton2d": lengths}, labels=torch.arange(num_clips) // 2)


def embed(model: GaitModel, batch: GaitBatch) -> torch.Tensor:
    with torch.no_grad():
        return model(batch).embedding


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
    code = "import sys, gaitbench_skeleton.plugin; print(sorted({'torch', 'numpy', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@by_name
def test_presets_are_complete_and_buildable(name: str) -> None:
    spec = SPECS[name]
    presets: dict[str, Preset] = load(spec.presets)
    assert {"quick", "paper"} <= set(presets)
    assert presets["quick"].note
    for preset in presets.values():
        config = load(spec.config)(**preset.config)
        with torch.device("meta"):
            model = load(spec.target)(config)
        assert {entry.modality for entry in model.inputs} <= set(spec.inputs)
        # What a record stores must build the same model again, also after a trip through JSON.
        assert load(spec.config).model_validate_json(config.model_dump_json()) == config


@by_name
def test_quick_preset_takes_a_step(name: str) -> None:
    spec = SPECS[name]
    model = load(spec.target)(load(spec.config)(**load(spec.presets)["quick"].config)).train()
    batch = a_batch(num_frames=18)
    sum(model.losses(model(batch), batch, Stage()).values()).backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


@by_name
def test_contract(name: str) -> None:
    check_model(small(name), num_frames=11)


@by_name
def test_padding_and_company_change_nothing(name: str) -> None:
    model = small(name)
    assert model.padding == "masked"
    batch, lengths = a_batch(), [9, 2, 6, 1]
    joints = batch.inputs["skeleton2d"]
    for row, length in enumerate(lengths):
        joints[row, :, length:] = 7.0
    together = embed(model, GaitBatch({"skeleton2d": joints}, {"skeleton2d": torch.tensor(lengths)}))
    for row, length in enumerate(lengths):
        clip = joints[row : row + 1, :, :length]
        alone = embed(model, GaitBatch({"skeleton2d": clip}, {"skeleton2d": torch.tensor([length])}))
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-5)


@by_name
@pytest.mark.parametrize("num_frames", [1, 2, 720])
def test_sequences_of_any_length_are_embedded(name: str, num_frames: int) -> None:
    embedding = embed(small(name), a_batch(2, num_frames))
    assert embedding.isfinite().all()
    assert not torch.equal(embedding[0], embedding[1])


@by_name
def test_mixed_precision_trains(name: str) -> None:
    model, batch = small(name).train(), a_batch()
    with torch.autocast("cpu", torch.bfloat16):
        output = model(batch)
        losses = model.losses(output, batch, Stage())
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    assert all(weight.grad.isfinite().all() for weight in model.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        assert embed(model.eval(), batch).dtype == torch.float32


@pytest.mark.parametrize("name", ["gaitgraph", "gaitgraph2", "gaittr", "gaitmixer"])
def test_training_repeats_for_a_seed_and_step(name: str) -> None:
    model = small(name).train()

    def losses(seed: int, step: int) -> list[float]:
        batch = a_batch()
        batch.step = step
        torch.manual_seed(seed)
        state = {key: value.clone() for key, value in model.state_dict().items()}
        found = [loss.item() for loss in model.losses(model(batch), batch, Stage()).values()]
        model.load_state_dict(state)
        return found

    assert losses(1, 5) == losses(1, 5)
    assert losses(1, 5) != losses(1, 6)
    assert losses(1, 5) != losses(2, 5)


@by_name
def test_a_batch_without_skeletons_is_refused(name: str) -> None:
    batch = GaitBatch({"silhouette": torch.zeros(1, 1, 5, 64, 44)}, {"silhouette": torch.tensor([5])})
    with pytest.raises(ModelError, match="holds silhouette, but the model reads skeleton2d"):
        small(name)(batch)


@by_name
@pytest.mark.parametrize("shape", [(1, 2, 5, 17), (1, 3, 5, 18), (3, 5, 17)])
def test_other_skeletons_are_refused(name: str, shape: tuple[int, ...]) -> None:
    batch = GaitBatch({"skeleton2d": torch.zeros(shape)}, {"skeleton2d": torch.tensor([5])})
    with pytest.raises(ShapeError, match=r"skeleton2d must be \[N, 3, T, 17\]"):
        small(name)(batch)


@by_name
def test_losses_without_labels_are_refused(name: str) -> None:
    model, batch = small(name), a_batch()
    batch.labels = None
    with pytest.raises(ModelError, match="losses need labels"):
        model.losses(model(batch), batch, Stage())


@by_name
def test_training_steps_tell_subjects_apart(name: str) -> None:
    model, batch = small(name).train(), a_batch()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    history = []
    for _ in range(15):
        loss = sum(model.losses(model(batch), batch, Stage()).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert min(history[-3:]) < 0.8 * history[0]
