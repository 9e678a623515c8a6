from collections.abc import Sequence

import pytest
import torch
from gaitbench_lidar.pyramid_point_pool import (
    pyramid_point_pool,
    slices_by_count,
    slices_by_extent,
    slices_by_height,
)

from gaitbench.errors import ShapeError

BINS = (1, 2, 4, 8, 16)


def slow_by_height(features: torch.Tensor, height: torch.Tensor, bins: Sequence[int], top: float) -> torch.Tensor:
    parts = []
    for count in bins:
        for index in range(count):
            low, high = top * index / count, top * (index + 1) / count
            is_inside = (height > low) | (index == 0)
            is_inside &= (height <= high) | (index == count - 1)
            rows = [cloud[chosen] for cloud, chosen in zip(features, is_inside, strict=True)]
            parts.append(
                torch.stack([x.mean(dim=0) + x.amax(dim=0) if len(x) else torch.zeros(x.shape[1]) for x in rows])
            )
    return torch.stack(parts, dim=2)


def test_by_hand() -> None:
    height = torch.tensor([[0.2, 1.0, 1.5, 2.5]])
    features = torch.tensor([[[1.0], [2.0], [-4.0], [-6.0]]])
    fine = slices_by_height(height, [2, 1, 4], (0.0, 2.0))
    got = pyramid_point_pool(features, fine, [2, 1, 4])
    lower, upper, whole = 1.5 + 2, -5 - 4, -1.75 + 2
    assert got.flatten().tolist() == [lower, upper, whole, 1 + 1, 2 + 2, -4 - 4, -6 - 6]


@pytest.mark.parametrize("bins", [BINS, (3, 1, 6), (5,)], ids=str)
def test_height_agrees_with_a_loop(bins: tuple[int, ...]) -> None:
    rng = torch.Generator().manual_seed(0)
    features, height = torch.randn(7, 40, 3, generator=rng), 3 * torch.rand(7, 40, generator=rng) - 0.5
    height[0] = 0.3  # most slices empty
    got = pyramid_point_pool(features, slices_by_height(height, bins, (0.0, 2.0)), bins)
    torch.testing.assert_close(got, slow_by_height(features, height, bins, 2.0))
    assert got.shape == (7, 3, sum(bins))


def test_an_inner_edge_belongs_to_the_lower_slice() -> None:
    edges = torch.arange(17)[None] / 8
    expected = (torch.arange(17) - 1).clamp_min(0)
    assert torch.equal(slices_by_height(edges, BINS, (0.0, 2.0))[0], expected)
    above = torch.nextafter(edges, torch.tensor(9.0))
    assert torch.equal(slices_by_height(above, BINS, (0.0, 2.0))[0], torch.arange(17).clamp_max(15))


def test_every_point_lies_in_one_slice_of_each_scale() -> None:
    height = 4 * torch.rand(3, 50) - 1
    one = torch.ones(3, 50, 1)
    for fine in (
        slices_by_height(height, BINS, (0.0, 2.0)),
        slices_by_extent(height, BINS),
        slices_by_count(height, BINS),
    ):
        assert fine.min() >= 0
        assert fine.max() < 16
        # Mean plus maximum of ones is 2 in a slice with points: the slices that are not empty are those with points.
        pooled = pyramid_point_pool(one, fine, BINS)
        assert set(pooled.unique().tolist()) <= {0.0, 2.0}
        assert (pooled[:, 0, 0] == 2).all()


def test_extent_stretches_with_the_cloud() -> None:
    height = torch.rand(4, 30)
    torch.testing.assert_close(slices_by_extent(8 * height - 2, BINS), slices_by_extent(height, BINS))
    assert slices_by_extent(torch.full((1, 5), 0.7), BINS).tolist() == [[0] * 5]


def test_count_cuts_equally() -> None:
    height = torch.rand(4, 48)
    fine = slices_by_count(height, BINS)
    assert (torch.nn.functional.one_hot(fine).sum(dim=1) == 3).all()
    assert torch.equal(fine.gather(1, height.argsort(dim=1)), torch.arange(48).expand(4, -1) // 3)


def test_gradient_reaches_means_and_maxima() -> None:
    features = torch.randn(2, 6, 2, dtype=torch.float64, requires_grad=True)
    fine = torch.tensor([[0, 0, 3, 3, 3, 1], [2, 2, 2, 2, 2, 2]])
    assert torch.autograd.gradcheck(lambda x: pyramid_point_pool(x, fine, [1, 2, 4]), features)


def test_half_precision_is_not_used() -> None:
    features, fine = torch.rand(2, 300, 3).bfloat16(), torch.randint(0, 4, (2, 300))
    with torch.autocast("cpu", torch.bfloat16):
        got = pyramid_point_pool(features, fine, [4])
    torch.testing.assert_close(got, pyramid_point_pool(features.float(), fine, [4]))


def test_what_does_not_fit() -> None:
    fine = torch.zeros(2, 4, dtype=torch.int64)
    with pytest.raises(ShapeError, match=r"features \[F, S, D\], slices \[F, S\]"):
        pyramid_point_pool(torch.zeros(2, 5, 3), fine, [1])
    with pytest.raises(ShapeError, match=r"and bins, got \[2, 4, 3\], \[2, 4\] and \[\]"):
        pyramid_point_pool(torch.zeros(2, 4, 3), fine, [])
