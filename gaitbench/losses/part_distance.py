"""Euclidean distances between the part embeddings of a batch, with gradients.

Axes: N and M batches, D embedding width, P parts. (Evaluation has its own, chunked: gaitbench.metrics.distance.)
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gaitbench.errors import ShapeError

__all__ = ["part_distance"]

_LARGEST = 2.0**48
"""Larger numbers are scaled down first: the sum of their squares might leave the range of float32."""


def part_distance(a: Tensor, b: Tensor) -> Tensor:
    """Measure the Euclidean distance of every pair, part by part.

    Computed from differences in float32 or better, also under autocast: |a|^2 + |b|^2 - 2ab would lose the distances of
    near points that lie far from the origin, or from the rest of the batch. Where two points coincide the gradient is
    zero, not NaN.

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
        x, y = (part.to(dtype).permute(2, 0, 1).contiguous() for part in (a, b))  # [P, N, D], [P, M, D]
        distance: Tensor = _Distance.apply(x, y)
        return distance


class _Distance(torch.autograd.Function):
    """``torch.cdist`` from differences, with a backward pass of matrix products: half its time, little memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        unit = x.new_ones(())
        if x.numel() and y.numel():
            unit = torch.maximum(x.abs().amax(), y.abs().amax()).div_(_LARGEST).clamp_min_(1)
        # Asking whether anything is huge stalls a GPU for longer than dividing by 1 takes.
        is_plain = not x.is_cuda and bool(unit == 1)
        near, far = (x, y) if is_plain else (x / unit, y / unit)
        distance = torch.cdist(near, far, compute_mode="donot_use_mm_for_euclid_dist")
        distance = distance if is_plain else distance * unit
        ctx.save_for_backward(x, y, distance)
        return distance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, y, distance = ctx.saved_tensors
        # A common shift leaves differences alone, and small numbers lose fewer digits.
        centre = y.mean(dim=1, keepdim=True)
        x, y = x - centre, y - centre
        weight = (grad / distance).masked_fill(distance == 0, 0)  # [P, N, M]
        to_x = weight.sum(dim=2, keepdim=True) * x - weight @ y
        to_y = weight.sum(dim=1)[:, :, None] * y - weight.transpose(1, 2) @ x
        return to_x, to_y
