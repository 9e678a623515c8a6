"""The contract of a plugin and of its models: every model, every preset."""

import importlib
import subprocess
import sys
from typing import Any

import pytest
import torch
from gaitbench_baselines import plugin
from pydantic import BaseModel

from gaitbench.errors import ModelError
from gaitbench.model import ClosedFormModel, GaitBatch, GaitModel, InputSpec
from gaitbench.recipe import Preset, Stage
from gaitbench.specs import API_VERSION, ModelSpec

SMALL: dict[str, dict[str, Any]] = {
    "nearest-raw": {},
    "gei": {"pool": 4, "num_components": 8},
    "gaitset": {"channels": (4, 6, 8), "embedding_width": 12},
    "gaitpart": {"channels": ((4,), (6,), (8,)), "embedding_width": 12},
    "gaitgl": {"channels": (4, 4, 6, 8), "embedding_width": 12},
    "gln": {"height_px": 64, "width_px": 44, "channels": (4, 6, 8), "lateral_width": 8, "embedding_width": 12},
    "gaitbase": {"channels": (4, 6, 8, 10), "embedding_width": 12},
    "lidargait": {"channels": (4, 6, 8, 10), "embedding_width": 12},
    "deepgaitv2-2d": {"channels": (4, 6, 8, 10), "num_blocks": (1, 2, 1, 1), "embedding_width": 12},
    "deepgaitv2-p3d": {"channels": (4, 6, 8, 10), "num_blocks": (1, 2, 1, 1), "embedding_width": 12},
    "deepgaitv2-3d": {"channels": (4, 6, 8, 10), "num_blocks": (1, 2, 1, 1), "embedding_width": 12},
    "swingait": {
        "channels": (4, 6),
        "num_blocks": (1, 1),
        "widths": (8, 12),
        "depths": (2, 2),
        "heads": (2, 2),
        "embedding_width": 12,
    },
    "sconet": {"channels": (4, 6, 8, 10), "embedding_width": 12},
    "skeletongait": {"channels": (4, 6, 8, 10), "num_blocks": (1, 1, 1, 1), "embedding_width": 12, "canvas_px": 64},
    "skeletongait++": {"channels": (4, 6, 8, 10), "num_blocks": (1, 1, 1, 1), "embedding_width": 12, "canvas_px": 64},
    "two-stream": {"channels": (4, 6, 8, 10), "embedding_width": 12},
    "parsinggait": {"channels": (4, 6, 8, 10), "embedding_width": 12},
    "smplgait": {"channels": (4, 6, 8), "embedding_width": 12, "smpl_widths": (8, 8)},
    "multigait++": {"channels": (4, 6, 8, 10), "embedding_width": 12},
}
"""Sizes at which a test takes milliseconds."""
ORDERED = frozenset(
    {
        "gaitpart",
        "gaitgl",
        "multigait++",
        "deepgaitv2-p3d",
        "deepgaitv2-3d",
        "swingait",
        "skeletongait",
        "skeletongait++",
    }
)
"""Models that see frames in their order; all others see a set, whose order and repetition must not matter. Whether
sequences of different lengths share a batch is said by the model itself, as ``padding``."""
SPECS = {spec.name: spec for spec in plugin.MODELS}
by_name = pytest.mark.parametrize("name", SPECS)


def load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def small(name: str, **fields: object) -> GaitModel:
    spec = SPECS[name]
    config_class: type[BaseModel] = load(spec.config)
    if "num_classes" in config_class.model_fields:
        fields["num_classes"] = 3
    torch.manual_seed(0)
    model: GaitModel = load(spec.target)(config_class(**SMALL[name], **fields))
    if isinstance(model, ClosedFormModel):
        batch = random_batch(model.inputs, num_clips=9, seed=5)
        model.fit(model.features(batch), torch.arange(9) % 3)
    return model.eval()


def random_batch(inputs: tuple[InputSpec, ...], *, num_clips: int = 4, num_frames: int = 6, seed: int = 0) -> GaitBatch:
    rng = torch.Generator().manual_seed(seed)
    clips = {
        spec.modality: (
            torch.rand(num_clips, spec.channels, num_frames, spec.height_px, spec.width_px, generator=rng) > 0.6
        ).float()
        if spec.height_px
        else torch.randn(
            num_clips, spec.channels, num_frames, 17 if spec.modality == "skeleton2d" else 1, generator=rng
        )
        for spec in inputs
    }
    lengths = {name: torch.full((num_clips,), num_frames) for name in clips}
    classes = (torch.arange(num_clips) % 2)[:, None].expand(-1, 8)
    return GaitBatch(clips, lengths, labels=torch.arange(num_clips) // 2, attributes=classes)


def only(batch: GaitBatch, modalities: tuple[str, ...], rows: slice, frames: int | None = None) -> GaitBatch:
    clips = {name: batch.inputs[name][rows, :, :frames] for name in modalities}
    return GaitBatch(
        clips, {name: batch.num_frames[name][rows].clamp_max(clip.shape[2]) for name, clip in clips.items()}
    )


def shown_together(model: GaitModel, batch: GaitBatch) -> list[tuple[str, ...]]:
    """The modalities that a model is shown at a time: each alone, unless it fuses them."""
    with torch.no_grad():
        is_apart = bool(model(batch).by_modality)
    return [(name,) for name in batch.inputs] if is_apart else [tuple(batch.inputs)]


class Recorder:
    def __init__(self) -> None:
        self.specs: list[ModelSpec] = []

    def add(self, spec: ModelSpec) -> None:
        self.specs.append(spec)


def test_registers_every_model_once() -> None:
    recorder = Recorder()
    plugin.gaitbench_register(recorder)
    assert tuple(recorder.specs) == (*plugin.MODALITIES, *plugin.MODELS)
    assert len(SPECS) == len(plugin.MODELS)
    assert plugin.api_version == API_VERSION


def test_listing_imports_no_model_code() -> None:
    code = "import sys, gaitbench_baselines.plugin; print(sorted({'torch', 'numpy', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@by_name
def test_presets_are_complete_and_buildable(name: str) -> None:
    spec = SPECS[name]
    presets: dict[str, Preset] = load(spec.presets)
    assert {"quick", "paper"} <= set(presets)
    for preset in presets.values():
        config = load(spec.config)(**preset.config)
        with torch.device("meta"):
            model = load(spec.target)(config)
        inputs = {entry.modality for entry in model.inputs}
        assert inputs <= set(spec.inputs)
        # What a record stores must build the same model again, also after a trip through JSON.
        assert load(spec.config).model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("spec", plugin.MODELS, ids=lambda spec: spec.name)
def test_quick_presets_fit_their_input_size(spec: ModelSpec) -> None:
    for key, preset in load(spec.presets).items():
        if key.startswith("quick"):
            model = load(spec.target)(load(spec.config)(**preset.config)).eval()
            num_frames = getattr(model.config, "num_frames", 2)
            with torch.no_grad():
                assert model(random_batch(model.inputs, num_clips=1, num_frames=num_frames)).embedding.isfinite().all()


@by_name
def test_quick_preset_trains_on_what_it_says(name: str) -> None:
    spec = SPECS[name]
    preset: Preset = load(spec.presets)["quick"]
    model = load(spec.target)(load(spec.config)(**preset.config))
    batch = random_batch(model.inputs)
    if isinstance(model, ClosedFormModel):
        model.fit(model.features(batch), batch.labels)
    losses = model.losses(model(batch), batch, Stage())
    trained = {key: weight for key, weight in model.named_parameters() if weight.requires_grad}
    if trained:
        sum(losses.values()).backward()
        without = [key for key, weight in trained.items() if weight.grad is None]
        assert not without
        assert all(weight.grad.isfinite().all() for weight in trained.values())
    assert all(loss.shape == () and loss.isfinite() for loss in losses.values())


@by_name
def test_output_has_the_axes_of_the_contract(name: str) -> None:
    model = small(name)
    batch = random_batch(model.inputs)
    with torch.no_grad():
        output = model(batch)
    assert output.embedding.dim() == 3
    assert len(output.embedding) == 4
    assert output.embedding.dtype == torch.float32
    assert output.embedding.isfinite().all()
    assert (output.embedding[0] - output.embedding[1]).abs().max() > 0
    for modality in output.by_modality:
        with torch.no_grad():
            alone = model(only(batch, (modality,), slice(None)))
        torch.testing.assert_close(alone.embedding, output.by_modality[modality].embedding, rtol=1e-4, atol=1e-6)


@by_name
def test_padding_and_company_change_nothing(name: str) -> None:
    model = small(name)
    batch = random_batch(model.inputs)
    lengths = [6, 2, 5, 1] if model.padding == "masked" else [6, 6, 6, 6]
    for modality, clip in batch.inputs.items():
        batch.num_frames[modality] = torch.tensor(lengths)
        for row, length in enumerate(lengths):
            clip[row, :, length:] = 0.7
    for modalities in shown_together(model, batch):
        with torch.no_grad():
            together = model(only(batch, modalities, slice(None))).embedding
            singles = [only(batch, modalities, slice(n, n + 1), length) for n, length in enumerate(lengths)]
            alone = torch.cat([model(single).embedding for single in singles])
        torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


@by_name
@pytest.mark.parametrize("num_frames", [1, 2, 3, 4])
def test_sequences_of_a_few_frames_are_embedded(name: str, num_frames: int) -> None:
    model = small(name)
    with torch.no_grad():
        embedding = model(random_batch(model.inputs, num_frames=num_frames)).embedding
    assert embedding.isfinite().all()
    assert (embedding[0] - embedding[1]).abs().max() > 0


@pytest.mark.parametrize("name", sorted(set(SPECS) - ORDERED))
def test_order_and_repetition_of_frames_do_not_matter(name: str) -> None:
    model = small(name)
    batch = random_batch(model.inputs)
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    twice = GaitBatch(
        {key: torch.cat([clip[:, :, order], clip], dim=2) for key, clip in batch.inputs.items()},
        {key: 2 * length for key, length in batch.num_frames.items()},
    )
    with torch.no_grad():
        torch.testing.assert_close(model(twice).embedding, model(batch).embedding, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sorted(ORDERED))
def test_order_of_frames_matters(name: str) -> None:
    model = small(name)
    batch = random_batch(model.inputs)
    backwards = GaitBatch({key: clip.flip(2) for key, clip in batch.inputs.items()}, batch.num_frames)
    with torch.no_grad():
        forth, back = model(batch).embedding, model(backwards).embedding
    assert (forth - back).abs().max() > 1e-3 * forth.abs().max()


@by_name
def test_mixed_precision_trains(name: str) -> None:
    model = small(name).train()
    batch = random_batch(model.inputs)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(batch)
    losses = model.losses(output, batch, Stage())
    assert all(loss.isfinite() for loss in losses.values())
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    if trained:
        sum(losses.values()).backward()
        assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in trained)


@by_name
def test_a_batch_without_its_modality_is_refused(name: str) -> None:
    batch = GaitBatch({"rgb": torch.zeros(1, 3, 5, 64, 44)}, {"rgb": torch.tensor([5])})
    with pytest.raises(ModelError, match=r"rgb|holds none of"):
        small(name)(batch)


@by_name
def test_weights_are_drawn_from_the_seed_alone(name: str) -> None:
    one, two = small(name).state_dict(), small(name).state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize(
    ("name", "fields"),
    [("gaitset", {}), ("gaitbase", {"strides": (1, 2, 1, 1)}), ("two-stream", {"strides": (1, 2, 1, 1)})],
)
def test_training_steps_tell_two_subjects_apart(name: str, fields: dict[str, Any]) -> None:
    model = small(name, height_px=32, width_px=22, stem_stride=2, bins=(8,), **fields).train()
    batch = random_batch(model.inputs, num_clips=4, num_frames=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    history = []
    for _ in range(12):
        loss = sum(model.losses(model(batch), batch, Stage()).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.7 * history[0]


@pytest.mark.parametrize("name", ["gaitset", "gaitpart", "gaitgl", "gln", "gaitbase", "two-stream"])
def test_losses_without_labels_are_refused(name: str) -> None:
    model = small(name)
    batch = random_batch(model.inputs)
    batch.labels = None
    with pytest.raises(ModelError, match="losses need labels"):
        model.losses(model(batch), batch, Stage())
