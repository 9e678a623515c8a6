"""Tell the frames that only fill up a batch.

Axes: N batch, C channels, T frames, H rows, W columns.
"""

import torch
from torch import Tensor

from gaitbench.errors import ShapeError

__all__ = ["clear_padding", "padding_mask"]


def padding_mask(num_frames: Tensor, clip_frames: int) -> Tensor | None:
    """Mark padded frames.

    Args:
        num_frames: ``[N]`` int64, real frames per clip.
        clip_frames: T.

    Returns:
        ``[N, T]`` bool, true for padding. None when no frame is padded; on a GPU, where asking would make the device
        wait, the mask comes in any case.

    Example:
        >>> padding_mask(torch.tensor([3, 1]), 3)
        tensor([[False, False, False],
                [False,  True,  True]])
        >>> padding_mask(torch.tensor([3, 3]), 3) is None
        True
    """
    frame = torch.arange(clip_frames, device=num_frames.device)
    is_padding = frame >= num_frames[:, None]
    if not is_padding.is_cuda and not bool(is_padding.any()):
        return None
    return is_padding


def clear_padding(x: Tensor, is_padding: Tensor | None) -> Tensor:
    """Set padded frames to zero, which is what a convolution sees behind the end of a clip that is not padded.

    Args:
        x: ``[N, C, T, H, W]``; whatever padded frames hold is gone, NaN too.
        is_padding: ``[N, T]`` bool as :func:`padding_mask` gives it; None leaves ``x`` as it is.

    Returns:
        ``[N, C, T, H, W]``.

    Raises:
        ShapeError: The axes do not fit.

    Example:
        >>> clear_padding(torch.ones(1, 1, 2, 1, 1), torch.tensor([[False, True]])).flatten()
        tensor([1., 0.])
    """
    if is_padding is None:
        return x
    if x.dim() != 5 or is_padding.shape != (x.shape[0], x.shape[2]):
        raise ShapeError(
            f"clear_padding needs x [N, C, T, H, W] and is_padding [N, T], got {list(x.shape)} "
            f"and {list(is_padding.shape)}"
        )
    return x.masked_fill(is_padding.to(x.device)[:, None, :, None, None], 0)
