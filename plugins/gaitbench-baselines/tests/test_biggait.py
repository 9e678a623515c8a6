"""BigGait: sizes, the mask that is learned without labels, the two streams, what training does to them."""

from typing import Any

import pytest
import torch
from gaitbench_baselines.biggait import PRESETS, BigGait, BigGaitConfig, MaskBranch
from pydantic import ValidationError
from torch import Tensor

from gaitbench.layers import RealFrames
from gaitbench.model import GaitBatch
from gaitbench.recipe import Stage
from gaitbench.testing import check_model, synthetic_batch

SMALL: dict[str, Any] = {
    "image": {
        "architecture": "vit_small_patch14_dinov2",
        "overrides": {"patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2, "img_size": (32, 16)},
    },
    "image_px": (32, 16),
    "layers": (1, 2),
    "rgb_px": (64, 32),
    "ratio": "frame",
    "map_px": (16, 8),
    "border_rows": 2,
    "hidden_channels": 8,
    "out_channels": 4,
    "channels": (4, 6, 8, 10),
    "strides": (1, 1, 1, 1),
    "embedding_width": 12,
    "num_classes": 2,
}


def small(**fields: Any) -> BigGait:
    torch.manual_seed(0)
    return BigGait(BigGaitConfig(**{**SMALL, **fields})).eval()


def walk(num_frames: int = 4) -> GaitBatch:
    """Bright people before a dark background, so that the mask branch has something to find."""
    model = small()
    batch = synthetic_batch(model.inputs, num_frames=num_frames)
    person = torch.zeros(1, 1, 1, 64, 32)
    person[..., 12:52, 10:22] = 1
    batch.inputs["rgb"] = 0.2 * batch.inputs["rgb"] + 0.8 * person * batch.inputs["rgb"].mean(dim=1, keepdim=True)
    return batch


def streams(model: BigGait, batch: GaitBatch) -> Any:
    return model._streams(batch, model.encoder.real_frames(batch))


def count(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_sizes_are_those_published() -> None:
    with torch.device("meta"):
        model = BigGait(BigGaitConfig(**PRESETS["paper"].config))
    assert count(model.mask) == 1_922
    assert count(model.denoise) == 1_192_720
    assert count(model.appearance) == 24_592
    assert count(model.trunk) + count(model.head) + count(model.neck) == 7_505_056
    assert count(model) == 8_724_290
    assert not model.encoder.tower.is_built


def test_embeddings_have_the_published_shape() -> None:
    config = BigGaitConfig(**{**SMALL, "embedding_width": 256, "map_px": (64, 32), "strides": (1, 2, 2, 1)})
    model = BigGait(config).eval()
    with torch.no_grad():
        assert model(walk()).embedding.shape == (4, 256, 16)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"mask_use": "soft"}, id="padded"),
        pytest.param({"mask_use": "soft", "rgb_form": "stretched", "ratio": "stream"}, id="stretched"),
        pytest.param({"is_image_trained": True}, id="tower-trained"),
        pytest.param({"has_mask": False, "is_image_trained": True}, id="no-mask"),
    ],
)
def test_contract(fields: dict[str, Any]) -> None:
    model = small(**fields)
    if model.mask is not None:
        torch.nn.init.normal_(model.mask.classes.linear.weight, std=3)
    check_model(model, num_frames=3)


def test_denoised_classes_add_up_to_one_on_the_person_and_to_nothing_elsewhere() -> None:
    model = small()
    torch.nn.init.normal_(model.mask.classes.linear.weight, std=3)
    with torch.no_grad():
        found = streams(model, walk())
    is_person = found.mask > 0
    assert 0 < is_person.float().mean() < 1
    total = found.denoised.sum(dim=1, keepdim=True)
    torch.testing.assert_close(total, is_person.float())
    assert not found.appearance[~is_person.expand_as(found.appearance)].any()
    assert bool((found.mask[is_person] <= 1).all())


def test_the_mask_is_looked_for_inside_the_video_only() -> None:
    branch = MaskBranch(6).eval()
    area = torch.zeros(2, 1, 8, 4, dtype=torch.bool)
    area[..., 1:3] = True
    share, error = branch(torch.randn(2, 6, 4, 2), area)
    torch.testing.assert_close(share.sum(dim=1, keepdim=True), area.float())
    assert error == 0


def test_reconstruction_is_learned_from_the_two_classes() -> None:
    torch.manual_seed(0)
    branch = MaskBranch(6, dropout=0.0).train()
    # Two kinds of pixels, three standard deviations apart.
    features = torch.randn(3, 6, 8, 4) * 0.3
    features[..., :2] += 2
    area = torch.ones(3, 1, 8, 4, dtype=torch.bool)
    optimizer = torch.optim.Adam(branch.parameters(), lr=0.05)
    for _ in range(60):
        share, error = branch(features, area)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    assert error < 0.3
    first = share[:, 0].detach().round()
    assert abs(float(first[..., :2].mean() - first[..., 2:].mean())) > 0.95


def test_a_frozen_mask_asks_for_nothing() -> None:
    model, batch = small().train(), walk()
    assert {"mask_smoothness", "reconstruction", "smoothness", "diversity"} == set(streams(model, batch).losses)
    for weight in model.mask.parameters():
        weight.requires_grad_(requires_grad=False)
    model.mask.eval()
    assert {"smoothness", "diversity"} == set(streams(model, batch).losses)
    assert "reconstruction" not in model.losses(model(batch), batch, Stage())


def test_black_sequences_lose_one_stream_whole() -> None:
    model = small(black=1.0).train()
    frames = RealFrames.of(torch.full((40,), 3), 3)
    one = torch.ones(120, 4, 2, 2)
    torch.manual_seed(0)
    first, second = model._blacken(one, 2 * one, frames)
    kept = torch.stack([first[:, 0, 0, 0], second[:, 0, 0, 0] / 2]).view(2, 40, 3)
    assert torch.equal(kept.sum(dim=0), torch.ones(40, 3))
    assert 5 < kept[0, :, 0].sum() < 35
    assert torch.equal(kept[..., :1].expand(-1, -1, 3), kept)
    none = small(black=0.0).train()
    assert torch.equal(none._blacken(one, one, frames)[0], one)


def test_raw_crops_embed_like_batches() -> None:
    model, batch = small(mask_use="soft"), walk()
    rgb: Tensor = batch.inputs["rgb"]
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    raw = (rgb.transpose(1, 2) - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(model.embed_raw(raw), model(batch).embedding, rtol=1e-4, atol=1e-5)
    reader = small(mask_use="soft", ratio="stream")
    with torch.no_grad():
        slim = reader.embed_raw(raw, torch.full((4, 4), 0.25))
        torch.testing.assert_close(reader.embed_raw(raw), model.embed_raw(raw), rtol=1e-4, atol=1e-5)
    assert (slim - reader.embed_raw(raw)).abs().max() > 1e-4


def test_explains_itself() -> None:
    model, batch = small(), walk()
    with torch.no_grad():
        person, classes = model.explain(batch)
    assert person.values.shape == classes.values.shape == (4, 4, 16, 8)
    assert classes.values.max() <= 4


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bins": (7,)}, r"16x8 end as 16x8, which bins \[7\]"),
        ({"channels": (4, 6)}, "must name the same stages"),
        ({"border_rows": 9}, "border_rows 9 at the top and bottom are more than the 16 rows"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        BigGaitConfig(**{**SMALL, **fields})


def test_recipe_is_the_published_one() -> None:
    for dataset in ("ccpg", "sustech1k", "ccgr-mini", "walkers"):
        first, second = PRESETS[f"paper@{dataset}"].recipe.stages
        assert first.iterations + second.iterations == 40_000
        assert tuple(500 + step for step in second.schedule.milestones) == (15_000, 25_000, 30_000, 35_000)
        assert second.freeze == ("mask.*",)
        for stage in (first, second):
            clips = stage.clips
            assert (clips.subjects_per_batch, clips.sequences_per_subject, clips.num_frames) == (8, 8, 30)
            assert clips.order == "unordered"
            assert (stage.optimizer.lr, stage.optimizer.weight_decay, stage.augment.flip) == (0.1, 5e-4, 0.5)
        assert first.loss_weights == {
            "mask_smoothness": 0.02,
            "reconstruction": 1.0,
            "smoothness": 0.01,
            "diversity": 5.0,
        }
    assert PRESETS["paper@sustech1k"].config["rgb_px"] == (64, 64)
