"""The contract of the plugin and of its models: every model, every preset."""

from typing import Any

import pytest
import torch
from gaitbench_skeleton import plugin

from gaitbench.errors import ShapeError
from gaitbench.model import GaitBatch, GaitModel, InputSpec
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
    load_presets,
    synthetic_batch,
)

GRAPH = {"main_channels": (4, 8, 8), "reduction": 2, "num_frames": 6, "embedding_width": 12}
GPGAIT = {"channels": (8, 12), "num_shared": 1, "embedding_width": 8}
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
NAMES = [spec.name for spec in plugin.MODELS]
PRESETS = [(name, preset) for name in NAMES for preset in load_presets(name)]
JOINTS = (InputSpec(modality="skeleton2d", channels=3),)
by_name = pytest.mark.parametrize("name", NAMES)


def small(name: str) -> GaitModel:
    return load_preset(name, "paper", config=SMALL[name], num_classes=3).model


def test_plugin() -> None:
    info = check_plugin("gaitbench-skeleton")
    assert info.components == tuple((spec.kind, spec.name) for spec in plugin.MODELS)


@by_name
def test_has_the_presets_that_users_ask_for(name: str) -> None:
    presets = load_presets(name)
    assert {"quick", "paper"} <= set(presets)
    assert presets["quick"].note


@by_name
def test_contract(name: str) -> None:
    check_model(small(name), num_frames=11)


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_recipe_can_be_trained(name: str, preset: str) -> None:
    check_recipe(*load_preset(name, preset, config=SMALL[name], num_classes=3))


@by_name
def test_quick_preset_trains_at_its_own_size(name: str) -> None:
    check_recipe(*load_preset(name, "quick"), num_frames=18)


@by_name
def test_mixed_precision_trains(name: str) -> None:
    check_recipe(small(name), Recipe(precision="bf16-mixed"))


@by_name
def test_mixed_precision_leaves_losses_and_embeddings_whole(name: str) -> None:
    model, batch = small(name), synthetic_batch(JOINTS)
    with torch.autocast("cpu", torch.bfloat16):
        losses = model.losses(model(batch), batch, Stage())
        with torch.no_grad():
            embedding = model.eval()(batch).embedding
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())
    assert embedding.dtype == torch.float32


@by_name
def test_padding_and_company_change_nothing(name: str) -> None:
    model = small(name)
    assert model.padding == "masked"
    check_lengths(model, (9, 2, 6, 1))


@by_name
@pytest.mark.parametrize("num_frames", [1, 2, 720])
def test_sequences_of_any_length_are_embedded(name: str, num_frames: int) -> None:
    check_lengths(small(name), (num_frames,))


@pytest.mark.parametrize("name", ["gaitgraph", "gaitgraph2", "gaittr", "gaitmixer"])
def test_training_repeats_for_a_seed_and_step(name: str) -> None:
    model = small(name)

    def losses(seed: int, step: int) -> list[float]:
        batch = synthetic_batch(JOINTS, num_frames=9)
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
    check_modality_needed(small(name))


@by_name
@pytest.mark.parametrize("shape", [(1, 2, 5, 17), (1, 3, 5, 18), (3, 5, 17)])
def test_other_skeletons_are_refused(name: str, shape: tuple[int, ...]) -> None:
    batch = GaitBatch({"skeleton2d": torch.zeros(shape)}, {"skeleton2d": torch.tensor([5])})
    with pytest.raises(ShapeError, match=r"skeleton2d must be \[N, 3, T, 17\]"):
        small(name)(batch)


@by_name
def test_losses_without_labels_are_refused(name: str) -> None:
    check_labels_needed(small(name))


@by_name
def test_training_steps_tell_subjects_apart(name: str) -> None:
    check_learning(small(name), batch=synthetic_batch(JOINTS, num_frames=9))
