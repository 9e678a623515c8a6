"""Choosing points of clouds: well-spread centres, and the neighbours of each.

Nothing here has a gradient: what comes out are indices. Distances are squared differences in float32 or better, also
under autocast, because |a|^2 + |b|^2 - 2ab would confuse near neighbours. Clouds are independent of each other, and
memory stays bounded whatever their number.

Axes: F clouds, M points, S centres, K neighbours, C values of a point, the first three of which are x, y, z.
"""

import torch
from torch import Tensor

from gaitbench.errors import ShapeError
from gaitbench.layers.widen import widen

__all__ = ["farthest_points", "gather_points", "nearest_points"]

_CHUNK = 1 << 22
"""Distances held at a time: 16 MiB in float32."""
_CACHED = 1 << 15
"""Points visited together on a CPU, so that the many passes over them read from its cache."""


@torch.no_grad()
def farthest_points(points: Tensor, num_centres: int) -> Tensor:
    """Choose centres one by one, each as far as possible from those chosen before; the first is point 0.

    The first n of S centres are the n centres: a hierarchy of sets needs one call, and prefixes of its result. Where a
    cloud has fewer distinct points than asked for, all of them come first and point 0 fills the rest.

    Args:
        points: ``[F, M, C]``. Of points equally far away the first counts.
        num_centres: S, 1 or more; it may exceed M.

    Returns:
        ``[F, S]`` int64 indices of points.

    Raises:
        ShapeError: ``points`` is no ``[F, M, 3 or more]`` with a point at least, or S is below 1.

    Source:
        Eldar et al., "The Farthest Point Strategy for Progressive Image Sampling", TIP 1997; for clouds: Qi et al.,
        "PointNet++", NeurIPS 2017, section 3.2 ("Sampling layer").

    Example:
        >>> line = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [9, 0, 0]]])
        >>> farthest_points(line, 3)
        tensor([[0, 3, 2]])
    """
    _check_cloud(points)
    if num_centres < 1:
        raise ShapeError(f"farthest_points needs 1 centre or more, got {num_centres}")
    planes = _coordinates(points).permute(2, 0, 1).contiguous()  # [3, F, M]
    at_once = max(1, _CACHED // points.shape[1]) if planes.device.type == "cpu" else len(points)
    chosen = [_spread(part.contiguous(), num_centres) for part in torch.split(planes, max(1, at_once), dim=1)]
    return torch.cat(chosen, dim=1).T.contiguous()


def _spread(planes: Tensor, num_centres: int) -> Tensor:
    """``[S, F]`` indices from coordinates ``[3, F, M]``."""
    _, num_clouds, _ = planes.shape
    away = torch.full_like(planes[0], torch.inf)  # squared distance to the nearest centre so far
    offset = torch.empty_like(planes)
    chosen = torch.zeros((num_centres, num_clouds), dtype=torch.int64, device=planes.device)
    for index in range(1, num_centres):
        centre = planes.gather(2, chosen[index - 1].expand(3, -1)[:, :, None])  # [3, F, 1]
        torch.sub(planes, centre, out=offset).square_()
        squared = offset[0].add_(offset[1]).add_(offset[2])
        torch.minimum(away, squared, out=away)
        torch.argmax(away, dim=1, out=chosen[index])
    return chosen


@torch.no_grad()
def nearest_points(points: Tensor, centres: Tensor, num_neighbours: int) -> Tensor:
    """Find the points nearest to each centre.

    Args:
        points: ``[F, M, C]``.
        centres: ``[F, S, C]`` places, points of the cloud or not.
        num_neighbours: K, 1 or more; a cloud with fewer points gives all of them.

    Returns:
        ``[F, S, min(K, M)]`` int64 indices of points, the nearest first. A centre that is a point of the cloud is its
        own first neighbour, up to points at the same place.

    Raises:
        ShapeError: ``points`` and ``centres`` do not fit together, or K is below 1.

    Example:
        >>> line = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [3, 0, 0]]])
        >>> nearest_points(line, line[:, :2], 2)
        tensor([[[0, 1],
                 [1, 0]]])
    """
    _check_cloud(points)
    if centres.dim() != 3 or len(centres) != len(points) or centres.shape[2] < 3:
        raise ShapeError(f"centres must be [{len(points)}, S, 3 or more], got {list(centres.shape)}")
    if num_neighbours < 1:
        raise ShapeError(f"nearest_points needs 1 neighbour or more, got {num_neighbours}")
    count = min(num_neighbours, points.shape[1])
    per_cloud = points.shape[1] * centres.shape[1]
    at_once = max(1, _CHUNK // max(1, per_cloud))
    rows_at_once = max(1, _CHUNK // points.shape[1])
    chosen = [
        torch.cat([_nearest(place, around, count) for around in torch.split(near, rows_at_once, dim=1)], dim=1)
        for place, near in zip(
            torch.split(_coordinates(points), at_once), torch.split(_coordinates(centres), at_once), strict=True
        )
    ]
    return torch.cat(chosen)


def _nearest(points: Tensor, centres: Tensor, count: int) -> Tensor:
    (x, y, z), (u, v, w) = points[:, None].unbind(3), centres[:, :, None].unbind(3)
    squared = (x - u).square_().add_((y - v).square_()).add_((z - w).square_())  # [F, S, M]
    return squared.topk(count, dim=2, largest=False).indices


def gather_points(values: Tensor, index: Tensor) -> Tensor:
    """Take chosen points out of each cloud.

    Args:
        values: ``[F, M, C]`` coordinates or features; the gradient flows back to them.
        index: ``[F, ...]`` int64 below M.

    Returns:
        ``[F, ..., C]``.

    Raises:
        ShapeError: The numbers of clouds differ.

    Example:
        >>> gather_points(torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]]), torch.tensor([[1, 1, 0], [0, 0, 1]]))[..., 0]
        tensor([[2., 2., 1.],
                [3., 3., 4.]])
    """
    if values.dim() != 3 or index.dim() < 1 or len(index) != len(values):
        raise ShapeError(f"gather_points needs [F, M, C] and [F, ...], got {list(values.shape)}, {list(index.shape)}")
    num_clouds, num_points, width = values.shape
    first = torch.arange(num_clouds, device=index.device).mul_(num_points).view(-1, *[1] * (index.dim() - 1))
    rows = values.reshape(-1, width).index_select(0, (index + first).flatten())
    return rows.view(*index.shape, width)


def _coordinates(points: Tensor) -> Tensor:
    return widen(points[..., :3])


def _check_cloud(points: Tensor) -> None:
    if points.dim() != 3 or points.shape[1] < 1 or points.shape[2] < 3:
        raise ShapeError(f"clouds must be [F, M, 3 or more] with a point at least, got {list(points.shape)}")
