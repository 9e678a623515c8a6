import math

import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.losses import channel_diversity, spatial_entropy


def test_from_even_use_to_a_single_channel() -> None:
    even = torch.ones(2, 16, 4, 2)
    single = torch.zeros(2, 16, 4, 2)
    single[:, 7] = 1
    half = torch.zeros(2, 16, 4, 2)
    half[:, :8] = 0.3
    assert channel_diversity(even) == pytest.approx(0, abs=1e-6)
    assert channel_diversity(single) == pytest.approx(4)
    assert channel_diversity(half) == pytest.approx(1)


def test_images_are_judged_one_by_one() -> None:
    # Together they use all channels, each by itself uses one.
    maps = torch.zeros(2, 2, 3, 3)
    maps[0, 0] = maps[1, 1] = 1
    assert channel_diversity(maps) == pytest.approx(1)


def test_an_empty_image_does_not_count() -> None:
    maps = torch.rand(3, 4, 5, 5)
    torch.testing.assert_close(channel_diversity(torch.cat([maps, torch.zeros(2, 4, 5, 5)])), channel_diversity(maps))
    assert channel_diversity(torch.zeros(2, 4, 5, 5)) == 0


def test_gradients_are_finite_where_channels_are_unused() -> None:
    maps = torch.zeros(2, 4, 3, 3)
    maps[0, 1] = 1
    for loss in (channel_diversity, spatial_entropy):
        leaf = maps.clone().requires_grad_()
        loss(leaf).backward()
        assert leaf.grad is not None
        assert bool(leaf.grad.isfinite().all())


def test_spatial_entropy_by_hand() -> None:
    maps = torch.zeros(1, 2, 2, 2)
    maps[0, 0] = 0.25
    maps[0, 1, 0, 0] = 3
    assert spatial_entropy(maps) == pytest.approx(math.log(4) / 2)
    assert spatial_entropy(torch.zeros(0, 2, 2, 2)) == 0


def test_shapes_are_checked() -> None:
    for loss in (channel_diversity, spatial_entropy):
        with pytest.raises(ShapeError, match=r"\[M, C, H, W\], got \[2, 3\]"):
            loss(torch.zeros(2, 3))
