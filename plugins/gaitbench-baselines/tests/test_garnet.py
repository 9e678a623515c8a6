"""GAR-Net: motion and loss by definition, attention for each attribute, every ablation."""

from typing import Any

import pytest
import torch
from gaitbench_baselines.garnet import PRESETS, FeatureSelection, GarNet, GarNetConfig, MotionEncoder
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from gaitbench.card import Attribute
from gaitbench.errors import ModelError
from gaitbench.flops import count_flops
from gaitbench.model import GaitBatch
from gaitbench.recipe import Stage
from gaitbench.testing import check_learning, check_lengths, check_model, check_recipe, synthetic_batch

SCHEMA = (
    Attribute(name="gender", title="Gender", classes=("male", "female")),
    Attribute(name="toe", title="Toe", classes=("straight", "in", "out")),
)
SMALL: dict[str, Any] = {"channels": (4, 6, 8, 8), "attributes": SCHEMA, "bins": (4,)}
ABLATIONS: dict[str, dict[str, Any]] = {
    "whole": {},
    "static": {"has_dynamic": False},
    "dynamic": {"has_static": False, "steps": (1,)},
    "mean": {"selection": "mean"},
    "unweighted": {"weighting": "none", "decision": "argmax", "dropout": 0.1},
}


def small(**fields: Any) -> GarNet:
    torch.manual_seed(0)
    return GarNet(GarNetConfig(**{**SMALL, **fields}))


def clips(model: GarNet, **fields: Any) -> GaitBatch:
    return synthetic_batch(model.inputs, **{"num_frames": 6, "attribute_classes": (2, 3), **fields})


@pytest.mark.parametrize("name", ABLATIONS)
def test_contract(name: str) -> None:
    model = small(**ABLATIONS[name])
    check_model(model, num_frames=6)
    # A single frame shows no motion.
    check_lengths(model, (1, 2, 5, 7) if model.config.has_static else (2, 5, 7))


@pytest.mark.parametrize("preset", PRESETS)
def test_recipes(preset: str) -> None:
    check_recipe(small(), PRESETS[preset].recipe, num_frames=5)
    (stage,) = PRESETS[preset].recipe.stages
    assert stage.augment.flip == 0


def test_it_learns() -> None:
    model = small()
    check_learning(model, batch=clips(model), num_steps=12)


def test_sizes() -> None:
    with torch.device("meta"):
        model = GarNet(GarNetConfig(attributes=SCHEMA))
    assert model.motion is not None
    # Three convolutions of 3 with their norms, and the merging map.
    assert sum(w.numel() for w in model.motion.parameters()) == 3 * (3 * 512**2 + 2 * 512) + 3 * 512**2 + 512
    assert sum(w.numel() for w in model.heads.parameters()) == 513 * 5


def test_its_operations_are_counted() -> None:
    model = small().eval()
    assert count_flops(model, clips(model)) > 0


def test_motion_by_definition() -> None:
    torch.manual_seed(1)
    motion = MotionEncoder(3, (1, 2)).eval()
    strips = torch.randn(1, 3, 5, 2)
    scales = []
    for step, conv, norm in zip((1, 2), motion.convs, motion.norms, strict=True):
        parts = []
        for part in range(2):
            difference = torch.stack(
                [strips[0, :, t + step, part] - strips[0, :, t, part] for t in range(5 - step)], dim=1
            )
            parts.append(functional.relu(norm(conv(difference[None]))).amax(dim=2)[0])
        scales.append(torch.stack(parts, dim=1))
    expected = motion.merge(torch.cat(scales)[None])
    torch.testing.assert_close(motion(strips, torch.tensor([5])), expected)


def test_nothing_moves_in_a_clip_of_one_frame_or_of_equal_frames() -> None:
    motion = MotionEncoder(3, (1, 4)).eval()
    still = torch.randn(1, 3, 1, 2).expand(-1, -1, 6, -1)
    bias = motion.merge.bias[None, :, None].expand(1, -1, 2)
    for frames in (still, still[:, :, :1]):
        torch.testing.assert_close(motion(frames, torch.tensor([frames.shape[2]])), bias)


def test_training_does_not_count_padding() -> None:
    torch.manual_seed(0)
    strips, num_frames = torch.randn(2, 3, 5, 2), torch.tensor([5, 3])
    found = []
    for padding in (0, 4):
        torch.manual_seed(1)
        motion = MotionEncoder(3, (1, 2)).train()
        longer = torch.cat([strips, torch.full((2, 3, padding, 2), 9.0)], dim=2)
        longer[1, :, 3:] = padding
        found.append((motion(longer, num_frames), motion.state_dict()))
    torch.testing.assert_close(found[0], found[1])
    # The statistics are those of the moments that there are: (4 + 2) * 2 of step 1.
    torch.manual_seed(1)
    motion = MotionEncoder(3, (1,)).train()
    motion(strips, num_frames)
    with torch.no_grad():
        moments = [
            motion.convs[0](torch.diff(strips[n, :, :count], dim=1).permute(2, 0, 1)).transpose(1, 2).flatten(0, 1)
            for n, count in enumerate(num_frames.tolist())
        ]
    mean = torch.cat(moments).mean(dim=0)
    assert len(torch.cat(moments)) == 12
    torch.testing.assert_close(motion.norms[0].running_mean, 0.1 * mean)


def test_clips_without_a_moment_leave_the_statistics_alone() -> None:
    motion = MotionEncoder(3, (4,)).train()
    before = {name: value.clone() for name, value in motion.state_dict().items()}
    motion(torch.randn(2, 3, 4, 2), torch.tensor([4, 2])).sum().backward()
    torch.testing.assert_close(motion.state_dict(), before)
    assert all(weight.grad is not None for weight in motion.merge.parameters())


def test_each_attribute_chooses_by_itself() -> None:
    torch.manual_seed(0)
    selection = FeatureSelection(8, 4, 2, 2, 0.0)
    tokens = torch.randn(3, 4, 8)
    chosen = selection(tokens)
    assert chosen.shape == (3, 2, 8)
    with torch.no_grad():
        selection.query[1] += 5.0
    changed = selection(tokens)
    torch.testing.assert_close(changed[:, 0], chosen[:, 0])
    assert not torch.allclose(changed[:, 1], chosen[:, 1])


def test_loss_by_definition() -> None:
    model = small().train()
    batch = clips(model)
    batch.attributes = torch.tensor([[0, 2], [1, -1], [0, 0], [0, 2]])
    output = model(batch)
    logits = torch.cat([output.attributes["gender"], output.attributes["toe"]], dim=1)
    found = model.losses(output, batch, Stage())["bce"]
    share = [3 / 4, 1 / 4, 1 / 3, 0.0, 2 / 3]
    terms: list[Tensor] = []
    for row, labels in enumerate(batch.attributes.tolist()):
        for label in range(5):
            attribute, cls = (0, label) if label < 2 else (1, label - 2)
            if labels[attribute] < 0:
                continue
            probability = logits[row, label].sigmoid()
            if labels[attribute] == cls:
                terms.append(-probability.log() * torch.tensor(1 - share[label]).exp())
            else:
                terms.append(-(1 - probability).log() * torch.tensor(share[label]).exp())
    torch.testing.assert_close(found, torch.stack(terms).mean())
    # Evaluation counts nothing.
    model.eval()
    before = model.shares.num_known.clone()
    model.losses(model(batch), batch, Stage())
    assert torch.equal(model.shares.num_known, before)


def test_what_cannot_be_is_refused() -> None:
    for fields, message in (
        ({"has_static": False, "has_dynamic": False}, "nothing is left"),
        ({"steps": ()}, "dynamic features need steps"),
        ({"heads": 3}, "heads 3 must divide the width 8"),
        ({"channels": (4, 8)}, r"channels \[4, 8\], strides .* must name the same stages"),
        ({"channels": (), "strides": (), "num_blocks": ()}, "must name the same stages"),
        ({"bins": (5,)}, "maps of 64x44 end as 16x11, which bins .5. do not cut"),
        ({"bins": ()}, "do not cut into equal strips"),
    ):
        with pytest.raises(ValidationError, match=message):
            GarNetConfig(**{**SMALL, **fields})
    model = small()
    batch = clips(model)
    batch.attributes = None
    with pytest.raises(ModelError, match="losses need attributes"):
        model.losses(model(batch), batch, Stage())
    bare = small(attributes=())
    output = bare(clips(bare))
    assert not output.attributes
    with pytest.raises(ModelError, match="its config names no attributes"):
        bare.losses(output, clips(bare), Stage())
