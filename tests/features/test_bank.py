"""Batches that carry kept features are the batches without them, but for what the tower has done already."""

import contextlib

import numpy as np
import pytest
import torch
from frozen_plugin import FrozenConfig, FrozenNet

from gaitbench.clips import ClipSampler, test_batches
from gaitbench.dataset import GaitDataset
from gaitbench.features.bank import FeatureBank
from gaitbench.features.cache import FeatureCache, Wanted
from gaitbench.model import GaitBatch, InputSpec
from gaitbench.recipe import AugmentConfig, ClipConfig

NET = FrozenNet(FrozenConfig())
SILHOUETTE = InputSpec(modality="silhouette", height_px=64, width_px=44)
INPUTS = (*NET.inputs, SILHOUETTE)
CLIPS = ClipConfig(subjects_per_batch=3, sequences_per_subject=2, num_frames=4, max_frames=7, order="ordered", skip=2)


def bank_of(dataset: GaitDataset, *, is_mirrored: bool) -> FeatureBank:
    cache = FeatureCache(NET, device="cpu", autocast=contextlib.nullcontext, precision="32-true")
    return cache.bank(Wanted(dataset, is_mirrored))


def assert_agree(carried: GaitBatch, direct: GaitBatch) -> None:
    """Where frames are real, features are those of the frames; everything else is the same."""
    assert list(carried.inputs) == ["rgb:features", "silhouette"]
    torch.testing.assert_close(carried.inputs["silhouette"], direct.inputs["silhouette"], rtol=0, atol=0)
    lengths = direct.num_frames["rgb"]
    for name in ("rgb", "rgb:features", "silhouette"):
        assert carried.num_frames[name].tolist() == lengths.tolist()
    features = NET.frozen_features
    assert features is not None
    found, expected = features.of(carried), features.of(direct)
    is_real = torch.arange(found.shape[2]) < lengths[:, None]
    torch.testing.assert_close(
        found.movedim(2, 1)[is_real], expected.movedim(2, 1)[is_real].contiguous(), rtol=1e-6, atol=1e-6
    )
    assert not found.movedim(2, 1)[~is_real].any()


@pytest.mark.parametrize("flip", [0.0, 0.5, 1.0])
def test_training_batches_agree(dataset: GaitDataset, flip: float) -> None:
    labels = torch.from_numpy(np.unique(dataset.table.subject_id, return_inverse=True)[1])
    arguments = (dataset, labels, CLIPS, INPUTS, AugmentConfig(flip=flip), 3)
    direct = ClipSampler(*arguments)
    carried = ClipSampler(*arguments, features=bank_of(dataset, is_mirrored=flip > 0))
    for step in (0, 1, 17):
        a, b = carried.batch(step), direct.batch(step)
        assert a.labels is not None
        assert b.labels is not None
        assert a.labels.tolist() == b.labels.tolist()
        assert_agree(a, b)


def test_test_batches_agree(dataset: GaitDataset) -> None:
    some = dataset.take(np.arange(len(dataset))[::-1][:9])
    bank = bank_of(some, is_mirrored=False)
    settings = {"max_frames": 15, "frames_per_batch": 40, "padding": "masked"}
    pairs = zip(
        test_batches(some, INPUTS, features=bank, **settings),  # type: ignore[arg-type]
        test_batches(some, INPUTS, **settings),  # type: ignore[arg-type]
        strict=True,
    )
    for (rows_a, carried), (rows_b, direct) in pairs:
        assert rows_a.tolist() == rows_b.tolist()
        assert_agree(carried, direct)
