"""Run a 2D network on every frame of a clip.

Axes: N batch, C channels, T frames, H rows, W columns.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gaitbench.errors import ShapeError

__all__ = ["fold_frames", "frame_wise", "unfold_frames"]


def fold_frames(x: Tensor) -> Tensor:
    """Make one batch of all frames, with the channels last in memory, where convolutions are fastest.

    Args:
        x: ``[N, C, T, H, W]``.

    Returns:
        ``[N*T, C, H, W]`` in ``torch.channels_last``; frame t of sequence n is row ``n * T + t``.

    Raises:
        ShapeError: ``x`` does not have five axes.

    Example:
        >>> fold_frames(torch.zeros(2, 3, 10, 64, 44)).shape
        torch.Size([20, 3, 64, 44])
    """
    if x.dim() != 5:
        raise ShapeError(f"clips must be [N, C, T, H, W], got {list(x.shape)}")
    num_clips, channels, num_frames, height, width = x.shape
    shape = (num_clips * num_frames, channels, height, width)
    # With one channel, .contiguous() finds nothing to do and leaves strides that convolutions take for channels-first.
    folded = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    return folded.copy_(x.transpose(1, 2).reshape(shape))


def unfold_frames(x: Tensor, num_frames: int) -> Tensor:
    """Undo :func:`fold_frames`, as a view.

    Args:
        x: ``[N*T, C, H, W]``.
        num_frames: T.

    Returns:
        ``[N, C, T, H, W]``.

    Raises:
        ShapeError: The rows of ``x`` are no multiple of T.

    Example:
        >>> x = torch.arange(12.0).reshape(1, 2, 3, 1, 2)
        >>> torch.equal(unfold_frames(fold_frames(x), 3), x)
        True
    """
    if num_frames < 1 or x.shape[0] % num_frames:
        raise ShapeError(f"{x.shape[0]} frames are no multiple of {num_frames} frames per sequence")
    return x.view(-1, num_frames, *x.shape[1:]).transpose(1, 2)


def frame_wise(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a function of images to every frame.

    Args:
        function: Maps ``[M, C, H, W]`` to ``[M, C', H', W']``, each row for itself.
        x: ``[N, C, T, H, W]``. Padding frames are computed like any other.

    Returns:
        ``[N, C', T, H', W']``.

    Raises:
        ShapeError: ``x`` does not have five axes.

    Source:
        The "set block" wrapper of the field's code bases.

    Example:
        >>> pool = torch.nn.MaxPool2d(2)
        >>> frame_wise(pool, torch.zeros(2, 3, 10, 64, 44)).shape
        torch.Size([2, 3, 10, 32, 22])
    """
    return unfold_frames(function(fold_frames(x)), x.shape[2])
