from typing import Any

import pytest
import torch
from gaitbench_lidar.point_augment import PointAugmentConfig, augment_points
from pydantic import ValidationError

from gaitbench.errors import ShapeError

POINTS = torch.rand(64, 3, 20, 4, generator=torch.Generator().manual_seed(0)) + 0.5


def changed(seed: int = 0, **fields: Any) -> torch.Tensor:
    return augment_points(POINTS, PointAugmentConfig(**fields), torch.Generator().manual_seed(seed))


def test_nothing_is_done_by_default() -> None:
    assert torch.equal(changed(), POINTS)


def test_same_generator_same_change() -> None:
    every = {"flip": 0.5, "shift": 0.5, "jitter": 0.5, "scale": 0.5, "dropout": 0.5}
    assert torch.equal(changed(**every), changed(**every))
    assert not torch.equal(changed(**every), changed(seed=1, **every))


def test_flip_mirrors_whole_clips_as_often_as_asked() -> None:
    got = changed(flip=0.5)
    mirror = torch.tensor([1.0, -1, 1, 1])
    is_flipped = (got == POINTS * mirror).flatten(1).all(dim=1)
    assert (is_flipped ^ (got == POINTS).flatten(1).all(dim=1)).all()
    assert 16 <= is_flipped.sum() <= 48


def test_shift_moves_whole_clips_within_the_range() -> None:
    moved = changed(shift=1.0, shift_range=0.3) - POINTS
    torch.testing.assert_close(moved, moved[:, :1, :1].expand_as(moved))
    assert (moved[..., 3] == 0).all()
    assert moved.abs().max() <= 0.3001
    assert moved[..., :3].amax() > 0.25
    assert moved[..., :3].amin() < -0.25


def test_scale_keeps_the_height_in_metres() -> None:
    factor = changed(scale=1.0) / POINTS
    torch.testing.assert_close(factor[..., :3], factor[:, :1, :1, :1].expand(-1, 3, 20, 3))
    assert torch.equal(changed(scale=1.0)[..., 3], POINTS[..., 3])
    assert factor[..., 0].min() >= 0.799
    assert factor[..., 0].max() <= 1.251
    assert factor[..., 0].max() > 1.15


def test_jitter_is_small_and_new_for_every_point() -> None:
    noise = (changed(jitter=1.0) - POINTS)[..., :3]
    assert noise.abs().max() <= 0.0501
    assert noise.std().item() == pytest.approx(0.01, rel=0.1)
    assert noise.unique().numel() > noise.numel() * 0.5


def test_dropout_puts_copies_of_the_first_point_in_place() -> None:
    got = changed(dropout=1.0)
    is_lost = (got != POINTS).any(dim=3)
    assert torch.equal(got[is_lost], POINTS[:, :, :1].expand_as(POINTS)[is_lost])
    share = is_lost.float().mean(dim=(1, 2))
    assert share.max() <= 0.95
    assert share.min() < 0.1
    assert share.max() > 0.7
    assert changed(dropout=1.0, dropout_share=0.0).equal(POINTS)


def test_switching_one_on_leaves_the_others_as_they_were() -> None:
    flipped, both = changed(flip=0.5), changed(flip=0.5, dropout=1.0, jitter=1.0, jitter_sigma=0.0)
    is_kept = (both != flipped[:, :, :1]).any(dim=3)
    torch.testing.assert_close(both[is_kept], flipped[is_kept])


def test_what_does_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"clips \[N, T, M, 3 or more\]"):
        augment_points(POINTS[0], PointAugmentConfig(), torch.Generator())
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        PointAugmentConfig(flip=1.5)
