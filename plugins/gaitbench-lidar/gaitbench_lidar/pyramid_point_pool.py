"""Cut clouds of features into slices of height at several scales.

Axes: F clouds, S points, D channels, P parts, L slices of the finest common scale.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.layers import widen

__all__ = ["pyramid_point_pool", "slices_by_count", "slices_by_extent", "slices_by_height"]


def pyramid_point_pool(features: Tensor, fine: Tensor, bins: Sequence[int]) -> Tensor:
    """Describe each slice by the mean plus the maximum of its points; an empty slice is 0.

    Args:
        features: ``[F, S, D]``.
        fine: ``[F, S]`` int64 slice of each point at the finest common scale, in [0, lcm(bins)), from one of the
            functions below; each scale merges neighbouring slices.
        bins: Slices per scale.

    Returns:
        ``[F, D, P]`` with P = sum(bins), float32 or better: scales in the order given, slices from the ground up.

    Raises:
        ShapeError: The axes do not fit, or ``bins`` is empty.

    Source:
        Shen et al., "LidarGait++", CVPR 2025 (pyramid point pooling).

    Example:
        >>> pyramid_point_pool(torch.tensor([[[1.0], [3.0]]]), torch.tensor([[0, 0]]), [1, 2])
        tensor([[[5., 5., 0.]]])
    """
    if features.dim() != 3 or fine.shape != features.shape[:2] or not bins:
        raise ShapeError(
            f"pyramid_point_pool needs features [F, S, D], slices [F, S] and bins, got {list(features.shape)}, "
            f"{list(fine.shape)} and {list(bins)}"
        )
    x = widen(features)
    num_clouds, _, width = x.shape
    num_fine = math.lcm(*bins)
    with torch.autocast(x.device.type, enabled=False):
        is_inside = functional.one_hot(fine, num_fine).to(x.dtype)  # [F, S, L]
        count, total = is_inside.sum(dim=1), is_inside.transpose(1, 2) @ x  # [F, L], [F, L, D]
    row = (fine + num_fine * torch.arange(num_clouds, device=fine.device)[:, None]).reshape(-1, 1).expand(-1, width)
    largest = x.new_full((num_clouds * num_fine, width), -torch.inf)
    largest = largest.scatter_reduce(0, row, x.reshape(-1, width), "amax").view(num_clouds, num_fine, width)
    parts = []
    for slices in bins:
        by_slice = (num_clouds, slices, num_fine // slices)
        here = count.view(by_slice).sum(dim=2)[..., None]  # [F, b, 1]
        mean = total.view(*by_slice, width).sum(dim=2) / here.clamp_min(1)
        parts.append(mean + largest.view(*by_slice, width).amax(dim=2).masked_fill(here == 0, 0))
    return torch.cat(parts, dim=1).transpose(1, 2)


def slices_by_height(height: Tensor, bins: Sequence[int], height_range: tuple[float, float]) -> Tensor:
    """Cut a fixed range of heights into equal slices: a taller body reaches higher ones.

    Args:
        height: ``[F, S]`` in metres. A value on an inner edge belongs to the lower slice, one outside to the end.
        bins: Slices per scale.
        height_range: Lower and upper end.

    Returns:
        ``[F, S]`` int64 in [0, lcm(bins)).

    Example:
        >>> slices_by_height(torch.tensor([[-0.5, 0.3, 1.0, 1.1, 7.0]]), [2], (0.0, 2.0))
        tensor([[0, 0, 0, 1, 1]])
    """
    low, high = height_range
    num_fine = math.lcm(*bins)
    edges = [low + (high - low) * index / num_fine for index in range(1, num_fine)]
    return torch.bucketize(height.contiguous(), torch.tensor(edges, dtype=height.dtype, device=height.device))


def slices_by_extent(height: Tensor, bins: Sequence[int]) -> Tensor:
    """Cut the range from each cloud's lowest to its highest point into equal slices.

    Args:
        height: ``[F, S]``. A cloud without extent lies in slice 0.
        bins: Slices per scale.

    Returns:
        ``[F, S]`` int64 in [0, lcm(bins)).

    Example:
        >>> slices_by_extent(torch.tensor([[4.0, 5.0, 8.0], [1.0, 1.0, 1.0]]), [2])
        tensor([[0, 0, 1],
                [0, 0, 0]])
    """
    low, high = height.amin(dim=1, keepdim=True), height.amax(dim=1, keepdim=True)
    extent = (high - low).masked_fill(high == low, 1)
    return slices_by_height((height - low) / extent, bins, (0.0, 1.0))


def slices_by_count(height: Tensor, bins: Sequence[int]) -> Tensor:
    """Cut each cloud, sorted by height, into slices of equally many points.

    Args:
        height: ``[F, S]``. Points at one height keep their order.
        bins: Slices per scale; where they do not divide S, slices differ by one point.

    Returns:
        ``[F, S]`` int64 in [0, lcm(bins)).

    Example:
        >>> slices_by_count(torch.tensor([[0.1, 9.0, 0.2, 0.3]]), [2])
        tensor([[0, 1, 0, 1]])
    """
    num_points = height.shape[1]
    rank = height.argsort(dim=1, stable=True).argsort(dim=1)
    return rank * math.lcm(*bins) // num_points
