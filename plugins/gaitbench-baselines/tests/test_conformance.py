"""The contract of a plugin and of its models: every model, every preset."""

from typing import Any

import pytest
import torch
from gaitbench_baselines import plugin

from gaitbench.model import ClosedFormModel, GaitBatch, GaitModel, InputSpec
from gaitbench.recipe import Recipe, Stage
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
    load_presets,
    synthetic_batch,
)

SMALL: dict[str, dict[str, Any]] = {
    "nearest-raw": {},
    "gei": {"pool": 2, "num_components": 8, "num_frames": 8},
    "gaitset": {"channels": (4, 6, 8), "embedding_width": 12},
    "gaitpart": {"channels": ((4,), (6,), (8,)), "num_strips": (1, 4, 8), "embedding_width": 12},
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
    "shared-encoder": {"channels": (4, 6, 8, 10), "embedding_width": 12},
    "cl-gait": {"channels": (4, 6, 8, 10), "embedding_width": 12},
    "unicrossgait": {"channels": (4, 6, 8, 10), "embedding_width": 12, "heads": 2},
    "crossgait": {"channels": (4, 6, 8, 10), "embedding_width": 12, "num_prototypes": 5, "adapter_width": 6},
    "omnigait": {"token_widths": (4, 6), "channels": (6, 8, 10), "gate_width": 3, "embedding_width": 12},
    "parsinggait": {"channels": (4, 6, 8, 10), "embedding_width": 12},
    "smplgait": {"channels": (4, 6, 8), "embedding_width": 12, "smpl_widths": (8, 8)},
    "multigait++": {"channels": (4, 6, 8, 10), "embedding_width": 12},
    "biggait": {
        "image": {
            "architecture": "vit_small_patch14_dinov2",
            "overrides": {"patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2, "img_size": (32, 16)},
        },
        "image_px": (32, 16),
        "layers": (1, 2),
        "rgb_px": (64, 32),
        "rgb_form": "padded",
        "map_px": (16, 8),
        "mask_use": "soft",
        "border_rows": 2,
        "hidden_channels": 8,
        "out_channels": 4,
        "channels": (4, 6, 8, 10),
        "strides": (1, 1, 1, 1),
        "embedding_width": 12,
    },
    "garnet": {
        "channels": (4, 6, 8, 8),
        "attributes": (
            {"name": "gender", "title": "Gender", "classes": ("male", "female")},
            {"name": "toe", "title": "Toe", "classes": ("straight", "in", "out")},
        ),
    },
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
        "garnet",
    }
)
"""Models that see frames in their order; all others see a set, whose order and repetition must not matter. Whether
sequences of different lengths share a batch is said by the model itself, as ``padding``."""
NAMES = [spec.name for spec in plugin.MODELS]
PRESETS = [(name, preset) for name in NAMES for preset in load_presets(name)]
FITTED = ("nearest-raw", "gei")
UNLABELLED = ("garnet",)
"""Models that learn attributes, whoever shows them."""
by_name = pytest.mark.parametrize("name", NAMES)


def small(name: str, **fields: object) -> GaitModel:
    model = load_preset(name, "paper", config={**SMALL[name], **fields}, num_classes=3).model
    if isinstance(model, ClosedFormModel):
        model.fit(model.features(synthetic_batch(model.inputs, num_sequences=9, seed=5)), torch.arange(9) % 3)
    return model.eval()


def noise(inputs: tuple[InputSpec, ...]) -> GaitBatch:
    """Frames that differ from one to the next all over, other than those of a walk."""
    batch, rng = synthetic_batch(inputs, num_frames=6), torch.Generator().manual_seed(0)
    for key, clip in batch.inputs.items():
        if clip.dim() == 5:
            batch.inputs[key] = (torch.rand(clip.shape, generator=rng) > 0.6).float()
    return batch


def test_plugin() -> None:
    info = check_plugin("gaitbench-baselines")
    assert info.components == tuple((spec.kind, spec.name) for spec in plugin.MODELS)


@by_name
def test_has_the_presets_that_users_ask_for(name: str) -> None:
    assert {"quick", "paper"} <= set(load_presets(name))


@by_name
@pytest.mark.parametrize("preset", ["paper", "quick"])
def test_contract(name: str, preset: str) -> None:
    check_model(load_preset(name, preset, config=SMALL[name], num_classes=3).model, num_frames=6)


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_recipe_can_be_trained(name: str, preset: str) -> None:
    check_recipe(*load_preset(name, preset, config=SMALL[name], num_classes=3))


@pytest.mark.parametrize(("name", "preset"), [(name, preset) for name, preset in PRESETS if preset.startswith("quick")])
def test_quick_preset_trains_at_its_own_size(name: str, preset: str) -> None:
    known = {field: SMALL[name][field] for field in ("attributes",) if field in SMALL[name]}
    model, recipe = load_preset(name, preset, config=known)
    check_recipe(model, recipe, num_frames=getattr(model.config, "num_frames", 2))


@by_name
def test_mixed_precision_trains(name: str) -> None:
    stage = Stage(kind="closed-form") if name == "gei" else Stage()
    stages = () if name == "nearest-raw" else (stage,)
    check_recipe(small(name), Recipe(stages=stages, precision="bf16-mixed"))


@by_name
def test_padding_and_company_change_nothing(name: str) -> None:
    check_lengths(small(name), (6, 2, 5, 1))


@by_name
@pytest.mark.parametrize("num_frames", [1, 2, 3, 4])
def test_sequences_of_a_few_frames_are_embedded(name: str, num_frames: int) -> None:
    check_lengths(small(name), (num_frames,))


@pytest.mark.parametrize("name", [spec.name for spec in plugin.MODELS if "crossmodal" in spec.tasks])
def test_an_embedding_of_one_sensor_stands_alone(name: str) -> None:
    model = small(name, **({"modalities": ("silhouette", "lidar-depth")} if name == "nearest-raw" else {}))
    check_apart(model, noise(model.inputs))


@pytest.mark.parametrize("name", sorted(set(NAMES) - ORDERED))
def test_order_and_repetition_of_frames_do_not_matter(name: str) -> None:
    model = small(name)
    batch = noise(model.inputs)
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
    batch = noise(model.inputs)
    backwards = GaitBatch({key: clip.flip(2) for key, clip in batch.inputs.items()}, batch.num_frames)
    with torch.no_grad():
        forth, back = model(batch).embedding, model(backwards).embedding
    assert (forth - back).abs().max() > 1e-3 * forth.abs().max()


@by_name
def test_a_batch_without_its_modality_is_refused(name: str) -> None:
    check_modality_needed(small(name))


@by_name
def test_weights_are_drawn_from_the_seed_alone(name: str) -> None:
    one, two = small(name).state_dict(), small(name).state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize(
    ("name", "fields"),
    [("gaitset", {}), ("gaitbase", {"strides": (1, 2, 1, 1)}), ("two-stream", {"strides": (1, 2, 1, 1)})],
)
def test_training_steps_tell_two_subjects_apart(name: str, fields: dict[str, Any]) -> None:
    model = small(name, height_px=32, width_px=22, stem_stride=2, bins=(8,), **fields)
    check_learning(model, batch=synthetic_batch(model.inputs, num_frames=2), num_steps=12, share=0.7)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in (*FITTED, *UNLABELLED)])
def test_losses_without_labels_are_refused(name: str) -> None:
    check_labels_needed(small(name))
