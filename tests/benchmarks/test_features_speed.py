"""How long a step waits for frozen features: the tower in every step, and features kept on disk, on the same clips.

The tower is a vision transformer of 12 layers and width 192 with drawn weights, on crops of 112x56 pixels, of which the
last map is kept: 192x8x4 values, 24 KiB per frame in float32. The batches and what the model is given are the same.

Run with ``pytest tests/benchmarks --benchmark-only``; the rows of the table are one comparison.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import BaseModel
from torch import Tensor

from gaitbench.clips import ClipSampler
from gaitbench.dataset import GaitDataset
from gaitbench.features.cache import FeatureCache, Wanted
from gaitbench.frozen import FeatureDtype, FrozenFeatures
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec
from gaitbench.recipe import AugmentConfig, ClipConfig
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.image import ImageTower
from tests.support.tiny_dataset import prepare_tiny

pytest.importorskip("timm")

CLIPS = ClipConfig(subjects_per_batch=4, sequences_per_subject=4, num_frames=8)
FLIP = AugmentConfig(flip=0.5)
SIZE = (112, 56)
SMALL = {"embed_dim": 192, "depth": 12, "num_heads": 3, "img_size": SIZE[0]}


class Config(BaseModel):
    dtype: FeatureDtype


class Net(GaitModel):
    """A frozen tower and nothing behind it."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.dtype = config.dtype
        self.tower = ImageTower(TowerConfig(architecture="vit_small_patch14_dinov2", overrides=SMALL), image_size=SIZE)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return (InputSpec(modality="rgb", height_px=SIZE[0], width_px=SIZE[1], channels=3, scale=255.0),)

    @property
    def frozen_features(self) -> FrozenFeatures:
        return Maps(self)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        return GaitOutput(self.frozen_features.of(batch).mean(dim=(2, 3))[..., :1])

    def losses(self, *_: object) -> dict[str, Tensor]:
        raise NotImplementedError


class Maps(FrozenFeatures):
    def __init__(self, net: Net) -> None:
        super().__init__(modality="rgb", name="rgb:maps", shape=(192, 8, 4), key={"tower": SMALL}, dtype=net.dtype)
        self.tower = net.tower

    def compute(self, frames: Tensor, *beside: Tensor) -> Tensor:
        return self.tower(frames).last


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> GaitDataset:
    """24 sequences of 8 to 20 frames."""
    return prepare_tiny(
        tmp_path_factory.mktemp("speed") / "d", ["rgb"], height_px=SIZE[0], width_px=SIZE[1], workers=None
    )


@pytest.mark.benchmark(group="frozen features of 16 clips of 8 frames")
@pytest.mark.parametrize("kept", [None, "float32", "float16"], ids=["direct", "kept", "kept-float16"])
def test_a_step_waits(
    benchmark: Callable[[Callable[[], Tensor]], Tensor],
    dataset: GaitDataset,
    kept: FeatureDtype | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path))
    labels = torch.from_numpy(np.unique(dataset.table.subject_id, return_inverse=True)[1])
    net = Net(Config(dtype=kept or "float32")).eval()
    features = None
    if kept is not None:
        cache = FeatureCache(net, device="cpu", autocast=contextlib.nullcontext, precision="32-true")
        features = cache.bank(Wanted(dataset, is_mirrored=True))
    source = ClipSampler(dataset, labels, CLIPS, net.inputs, FLIP, features=features)
    steps = iter(range(10**9))

    def step() -> Tensor:
        return net.frozen_features.of(source.batch(next(steps)))

    found = benchmark(step)
    assert found.shape == (16, 192, 8, 8, 4)
    same = net.frozen_features.of(ClipSampler(dataset, labels, CLIPS, net.inputs, FLIP).batch(0))
    rounding = 1e-2 if kept == "float16" else 1e-4
    torch.testing.assert_close(net.frozen_features.of(source.batch(0)), same, rtol=rounding, atol=rounding)
