"""DeepGaitV2: sizes, what tells the variants apart, published names, recipes."""

import pytest
import torch
from gaitbench_baselines import deepgaitv2, gaitbase
from gaitbench_baselines.deepgaitv2 import DeepGaitV2, DeepGaitV2Config
from pydantic import ValidationError

from gaitbench.errors import ModelError, ShapeError
from gaitbench.layers import rename_published
from gaitbench.model import GaitBatch
from gaitbench.recipe import Stage
from gaitbench.testing import check_model

SHALLOW = (1, 1, 1, 1)
SMALL = {"channels": (4, 6, 8, 10), "num_blocks": SHALLOW, "embedding_width": 12, "num_classes": 3}


def small(**fields: object) -> DeepGaitV2:
    torch.manual_seed(0)
    return DeepGaitV2(DeepGaitV2Config(**{**SMALL, **fields})).eval()


def batch_of(clips: torch.Tensor, modality: str = "silhouette") -> GaitBatch:
    lengths = torch.full((len(clips),), clips.shape[2])
    return GaitBatch({modality: clips}, {modality: lengths}, labels=torch.arange(len(clips)) // 2)


def test_sizes_are_those_published() -> None:
    def count(**fields: object) -> int:
        with torch.device("meta"):
            return sum(weight.numel() for weight in DeepGaitV2(DeepGaitV2Config(**fields)).parameters())

    assert count(mode="2d", num_blocks=SHALLOW, num_classes=74) == 7_305_408
    assert count(mode="p3d", num_blocks=SHALLOW, num_classes=74) == 7_305_408 + 1_033_984
    assert count(mode="p3d") == 25_492_160
    assert count(mode="3d") == 41_855_680
    rounded = {"2d": 11.73, "p3d": 13.51, "3d": 29.87}
    assert {mode: round(count(mode=mode, num_classes=74) / 1e6, 2) for mode in rounded} == rounded
    assert round(count(mode="3d", num_blocks=SHALLOW, num_classes=74) / 1e6, 2) == 16.6


@pytest.mark.parametrize("mode", ["2d", "p3d", "3d"])
def test_contract(mode: str) -> None:
    check_model(small(mode=mode))
    check_model(small(mode=mode, stem_stride=2, bins=(8, 4), in_channels=3, embedding="neck"), num_frames=3)


def test_2d_is_gaitbase() -> None:
    ours = small(mode="2d")
    sizes = {key: value for key, value in SMALL.items() if key != "num_blocks"}
    base = gaitbase.GaitBase(gaitbase.GaitBaseConfig(**sizes)).eval()
    # They differ in the shape of the shortcut's weights alone: 1x1 here as there, for both are 2D blocks.
    base.load_state_dict(
        {(f"trunk.{k}" if k.startswith(("stem", "stages")) else k): v for k, v in ours.state_dict().items()}
    )
    batch = batch_of(torch.rand(2, 1, 4, 64, 44).round())
    with torch.no_grad():
        torch.testing.assert_close(ours(batch).embedding, base(batch).embedding, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("modality", ["silhouette", "lidar-depth"])
def test_channels_of_the_input(modality: str) -> None:
    model = small(modality=modality, in_channels=3)
    (spec,) = model.inputs
    assert (spec.modality, spec.channels) == (modality, 3)
    assert spec.colour_map == ("jet" if modality == "lidar-depth" else "none")
    with torch.no_grad():
        assert model(batch_of(torch.rand(2, 3, 2, 64, 44), modality)).embedding.shape == (2, 12, 16)


def test_plain_range_images_are_scaled() -> None:
    (spec,) = small(modality="lidar-depth").inputs
    assert (spec.channels, spec.scale, spec.colour_map) == (1, 255.0, "none")
    with pytest.raises(ValidationError, match="must be 1, or 3 for false colour, got 2"):
        DeepGaitV2Config(modality="lidar-depth", in_channels=2)


def test_the_neck_can_be_compared_and_triplets_still_see_the_head() -> None:
    head, neck = small(), small(embedding="neck")
    batch = batch_of(torch.rand(4, 1, 2, 64, 44).round())
    with torch.no_grad():
        before, after = head(batch), neck(batch)
    torch.testing.assert_close(after.embedding.norm(dim=1), torch.ones(4, 16))
    assert torch.equal(before.logits, after.logits)
    losses = [model.losses(output, batch, Stage()) for model, output in ((head, before), (neck, after))]
    assert losses[0]["triplet"] == losses[1]["triplet"] > 0


def test_published_names_of_every_variant() -> None:
    names = {
        "layer0.forward_block.0.weight": "stem.0.weight",
        "layer1.forward_block.0.bn2.running_var": "stages.0.0.norm2.running_var",
        "layer2.0.conv1.forward_block.0.weight": "stages.1.0.conv1.weight",
        "layer2.3.conv2.forward_block.1.bias": "stages.1.3.norm2.bias",
        "layer3.1.shortcut3d.weight": "stages.2.1.temporal.weight",
        "layer3.1.sbn.num_batches_tracked": "stages.2.1.temporal_norm.num_batches_tracked",
        "layer4.0.downsample.1.weight": "stages.3.0.shortcut.1.weight",
        "FCs.fc_bin": "head.weight",
        "BNNecks.bn1d.weight": "neck.norm.weight",
    }
    assert rename_published(names, deepgaitv2.PUBLISHED_KEYS) == names
    assert set(names.values()) <= set(small(mode="p3d", num_blocks=(1, 4, 4, 1)).state_dict())
    wrapped = {"layer3.forward_block.1.conv2.weight": "stages.2.1.conv2.weight"}  # 2D stages run frame by frame
    assert rename_published(wrapped, deepgaitv2.PUBLISHED_KEYS) == wrapped
    with pytest.raises(ModelError, match=r"layer2\.0\.conv3d\.weight"):
        rename_published(["layer2.0.conv3d.weight"], deepgaitv2.PUBLISHED_KEYS)


def test_recipes_are_those_published() -> None:
    def facts(dataset: str) -> tuple[object, ...]:
        preset = deepgaitv2.PRESETS[f"paper@{dataset}"]
        (stage,) = preset.recipe.stages
        clips, config = stage.clips, DeepGaitV2Config(**preset.config)
        assert (clips.order, clips.skip, stage.optimizer.name, stage.optimizer.lr) == ("ordered", 4, "sgd", 0.1)
        return (
            (clips.subjects_per_batch, clips.sequences_per_subject, clips.num_frames),
            stage.schedule.milestones,
            stage.iterations,
            config.num_blocks,
        )

    deep = (1, 4, 4, 1)
    assert facts("casia-b") == ((8, 16, 30), (20_000, 40_000, 50_000), 60_000, SHALLOW)
    assert facts("ccpg") == facts("casia-b")
    assert facts("ou-mvlp") == ((32, 8, 30), (60_000, 80_000, 100_000), 120_000, SHALLOW)
    assert facts("sustech1k") == ((8, 8, 10), (20_000, 30_000, 40_000), 50_000, SHALLOW)
    assert facts("gait3d") == ((32, 4, 30), (20_000, 40_000, 50_000), 60_000, deep)
    assert facts("grew") == ((32, 4, 30), (80_000, 120_000, 150_000), 180_000, deep)


def test_clips_must_have_five_axes() -> None:
    with pytest.raises(ShapeError, match=r"got \[2, 3, 64, 44\]"):
        small()(GaitBatch({"silhouette": torch.zeros(2, 3, 64, 44)}, {"silhouette": torch.tensor([3, 3])}))
