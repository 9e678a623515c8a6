"""SkeletonGait and SkeletonGait++: sizes, fusion, joints and maps, what training does to both inputs."""

from typing import Any

import pytest
import torch
from gaitbench_baselines import skeletongait
from gaitbench_baselines.skeletongait import (
    AttentionFusion,
    SkeletonGait,
    SkeletonGaitConfig,
    SkeletonGaitPlusPlus,
    SkeletonGaitPlusPlusConfig,
)
from pydantic import ValidationError
from torch import Tensor

from gaitbench.errors import ModelError, ShapeError
from gaitbench.layers import rename_published, skeleton_map
from gaitbench.model import GaitBatch
from gaitbench.recipe import AugmentConfig
from gaitbench.testing import check_model

SHALLOW = (1, 1, 1, 1)
SMALL = {"channels": (4, 6, 8, 10), "num_blocks": SHALLOW, "embedding_width": 12, "num_classes": 3}


def small(**fields: object) -> SkeletonGait:
    torch.manual_seed(0)
    return SkeletonGait(SkeletonGaitConfig(**{**SMALL, **fields})).eval()


def small_plus_plus(**fields: object) -> SkeletonGaitPlusPlus:
    torch.manual_seed(0)
    return SkeletonGaitPlusPlus(SkeletonGaitPlusPlusConfig(**{**SMALL, **fields})).eval()


def batch_of(**inputs: Tensor) -> GaitBatch:
    clips = {name.replace("_", "-"): value for name, value in inputs.items()}
    shape = next(iter(clips.values())).shape
    return GaitBatch(clips, dict.fromkeys(clips, torch.full((shape[0],), shape[2])))


def joints(num_clips: int = 2, num_frames: int = 3) -> Tensor:
    return torch.rand(num_clips, 3, num_frames, 17, generator=torch.Generator().manual_seed(2))


def silhouettes(num_clips: int = 2, num_frames: int = 3) -> Tensor:
    return torch.rand(num_clips, 1, num_frames, 64, 44, generator=torch.Generator().manual_seed(3)).round()


def count(model_class: type, config: Any) -> int:
    with torch.device("meta"):
        return sum(weight.numel() for weight in model_class(config).parameters())


def test_sizes_are_those_published() -> None:
    assert count(SkeletonGait, SkeletonGaitConfig()) == 25_492_736
    assert count(SkeletonGait, SkeletonGaitConfig(num_blocks=SHALLOW, num_classes=250)) == 9_060_864
    assert count(SkeletonGaitPlusPlus, SkeletonGaitPlusPlusConfig()) == 25_568_608
    assert count(SkeletonGaitPlusPlus, SkeletonGaitPlusPlusConfig(num_blocks=SHALLOW, num_classes=250)) == 9_136_736


@pytest.mark.parametrize("modality", ["skeleton2d", "skeleton-map"])
@pytest.mark.parametrize("make", [small, small_plus_plus])
def test_contract(make: Any, modality: str) -> None:
    check_model(make(modality=modality, augment=AugmentConfig(flip=0.5, rotate=0.5), canvas_px=64), num_frames=4)


def test_joints_are_drawn_on_the_way() -> None:
    drawn, stored = small(), small(modality="skeleton-map")
    with torch.no_grad():
        one = drawn(batch_of(skeleton2d=joints())).embedding
        two = stored(batch_of(skeleton_map=skeleton_map(joints()))).embedding
    torch.testing.assert_close(one, two)
    assert stored.inputs[0].channels == 2
    assert stored.inputs[0].scale == 255


def test_map_and_silhouette_may_come_as_one_raster() -> None:
    model = small_plus_plus(modality="skeleton-map")
    maps, masks = skeleton_map(joints()), silhouettes()
    with torch.no_grad():
        apart = model(batch_of(skeleton_map=maps, silhouette=masks)).embedding
        stacked = model.embed_stack(torch.cat([maps, masks], dim=1), torch.tensor([3, 3])).embedding
        swapped = model.embed_stack(torch.cat([maps.flip(1), masks], dim=1), torch.tensor([3, 3])).embedding
    assert torch.equal(apart, stacked)
    assert not torch.allclose(apart, swapped)


def test_fusion_by_the_formula() -> None:
    torch.manual_seed(0)
    fusion = AttentionFusion(32, squeeze=16).eval()
    silhouette, maps = torch.randn(2, 2, 32, 3, 5, 4)
    scores = fusion.scores(torch.cat([silhouette, maps], dim=1).transpose(1, 2).flatten(0, 1))
    weight = scores.view(2, 3, 2, 32, 5, 4).softmax(dim=2)  # the stream is the slowest of the scores' channels
    expected = weight[:, :, 0].transpose(1, 2) * silhouette + weight[:, :, 1].transpose(1, 2) * maps
    torch.testing.assert_close(fusion(silhouette, maps), expected)
    assert (fusion(maps, silhouette) - expected).abs().max() > 1e-3
    assert torch.equal(fusion(maps, maps), maps)
    assert [fusion.scores[i].weight.shape for i in (0, 3, 6)] == [(2, 64, 1, 1), (2, 2, 3, 3), (64, 2, 1, 1)]
    assert AttentionFusion(4, squeeze=16).scores[0].out_channels == 1


@pytest.mark.parametrize("make", [small, small_plus_plus])
def test_training_changes_maps_and_silhouettes_alike(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make(augment=AugmentConfig(flip=1.0)).train()
    seen = []
    first = model.stem if make is small else model.map_stem
    first.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    if make is small_plus_plus:
        model.silhouette_stem.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    inputs = {"skeleton2d": joints()} | ({"silhouette": silhouettes()} if make is small_plus_plus else {})
    model(batch_of(**inputs))
    expected = [value.flip(-1) for value in (skeleton_map(joints()), silhouettes())]
    if make is small_plus_plus:
        seen.sort(key=lambda x: -x.shape[1])
    for got, wanted in zip(seen, expected, strict=False):
        torch.testing.assert_close(got, wanted)
    assert len(seen) == len(inputs)


def test_augmentation_depends_on_the_seeded_generator_alone() -> None:
    model = small(augment=AugmentConfig(rotate=1.0, shift=1.0)).train()
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(model(batch_of(skeleton2d=joints())).embedding)
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ModelError, match="holds silhouette, but the model reads skeleton2d"):
        small_plus_plus()(batch_of(silhouette=silhouettes()))
    with pytest.raises(ModelError, match="holds skeleton2d, but the model reads silhouette"):
        small_plus_plus()(batch_of(skeleton2d=joints()))
    batch = batch_of(skeleton2d=joints(num_frames=4), silhouette=silhouettes())
    batch.num_frames["silhouette"] = torch.tensor([3, 3])
    with pytest.raises(ShapeError, match=r"maps \[2, 2, 4, 64, 44\] and silhouettes \[2, 1, 3, 64, 44\]"):
        small_plus_plus()(batch)
    with pytest.raises(ValidationError, match="45 columns cannot be cut equally out of a square of 64"):
        SkeletonGaitConfig(width_px=45)


def test_published_names_of_plus_plus() -> None:
    names = {
        "sil_layer0.forward_block.0.weight": "silhouette_stem.0.weight",
        "map_layer0.forward_block.1.bias": "map_stem.1.bias",
        "sil_layer1.forward_block.0.conv1.weight": "silhouette_stage.0.conv1.weight",
        "map_layer1.forward_block.0.bn2.weight": "map_stage.0.norm2.weight",
        "fusion.conv.forward_block.6.weight": "fusion.scores.6.weight",
        "layer2.0.sbn.weight": "stages.0.0.temporal_norm.weight",
        "layer4.0.downsample.0.weight": "stages.2.0.shortcut.0.weight",
    }
    assert rename_published(names, skeletongait.PLUS_PLUS_KEYS) == names
    assert set(names.values()) <= set(small_plus_plus().state_dict())


def test_recipes_are_those_published() -> None:
    def facts(presets: Any, dataset: str) -> tuple[object, ...]:
        preset = presets[f"paper@{dataset}"]
        (stage,) = preset.recipe.stages
        clips = stage.clips
        assert stage.augment == AugmentConfig()  # the model does it
        return (
            (clips.subjects_per_batch, clips.sequences_per_subject, clips.num_frames, clips.order, clips.skip),
            stage.schedule.milestones,
            stage.iterations,
            preset.config.get("num_blocks", (1, 4, 4, 1)),
        )

    gait3d = ((32, 4, 30, "ordered", 4), (20_000, 30_000, 40_000), 60_000, (1, 4, 4, 1))
    ccpg = ((8, 16, 30, "ordered", 4), (20_000, 30_000, 40_000), 60_000, SHALLOW)
    for presets in (skeletongait.PRESETS, skeletongait.PLUS_PLUS_PRESETS):
        assert facts(presets, "gait3d") == gait3d
        assert facts(presets, "ccpg") == ccpg
    steps = ((20_000, 30_000, 40_000), 50_000, SHALLOW)
    assert facts(skeletongait.PRESETS, "sustech1k") == ((8, 8, 10, "unordered", 0), *steps)
    assert facts(skeletongait.PLUS_PLUS_PRESETS, "sustech1k") == ((8, 8, 10, "ordered", 4), *steps)
    assert skeletongait.PRESETS["paper@ccpg"].config["embedding"] == "neck"
    assert "embedding" not in skeletongait.PLUS_PLUS_PRESETS["paper@ccpg"].config
