"""Euclidean distances between the part embeddings of a batch, with gradients.

Axes: N and M batches, D embedding width, P parts. (Evaluation has its own, chunked: gaitbench.metrics.distance.)
"""

import torch
from torch import Tensor

from gaitbench.errors import ShapeError

__all__ = ["part_distance"]


def part_distance(a: Tensor, b: Tensor) -> Tensor:
    """Measure the Euclidean distance of every pair, part by part.

    Computed in float32 or better, also under autocast. Where two points coincide the gradient is zero, not NaN.

    Args:
        a: ``[N, D, P]``.
        b: ``[M, D, P]``.

    Returns:
        ``[P, N, M]``.

    Raises:
        ShapeError: ``a`` and ``b`` differ in D or P.

    Example:
        >>> a = torch.tensor([[[0.0], [0.0]], [[3.0], [4.0]]])
        >>> part_distance(a, a)
        tensor([[[0., 5.],
                 [5., 0.]]])
    """
    if a.dim() != 3 or b.dim() != 3 or a.shape[1:] != b.shape[1:]:
        raise ShapeError(
            f"distances need two batches [N, D, P] of equal D and P, got {list(a.shape)} and {list(b.shape)}"
        )
    with torch.autocast(a.device.type, enabled=False):
        dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
        x, y = a.to(dtype).permute(2, 0, 1), b.to(dtype).permute(2, 0, 1)  # [P, N, D], [P, M, D]
        # A common shift leaves distances alone; without it, |x|^2 + |y|^2 - 2xy loses digits far from the origin.
        centre = y.detach().mean(dim=1, keepdim=True)
        x, y = x - centre, y - centre
        squared = x.square().sum(2)[:, :, None] + y.square().sum(2)[:, None, :] - 2 * x @ y.transpose(1, 2)
        is_zero = squared <= 0
        return squared.masked_fill(is_zero, 1).sqrt().masked_fill(is_zero, 0)
