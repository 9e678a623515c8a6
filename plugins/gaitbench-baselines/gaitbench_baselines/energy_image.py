"""The gait energy image: the mean of all frames of a sequence.

Axes: N batch, C channels, T frames, H rows, W columns.
"""

import torch
from torch import Tensor

from gaitbench.errors import ShapeError

__all__ = ["energy_image"]


def energy_image(x: Tensor, num_frames: Tensor) -> Tensor:
    """Average the real frames of each sequence.

    Args:
        x: ``[N, C, T, H, W]``, padded at the end of T; padding values are ignored.
        num_frames: ``[N]`` int64, real frames per sequence, between 1 and T.

    Returns:
        ``[N, C, H, W]`` float32.

    Raises:
        ShapeError: The axes of ``x`` or the length of ``num_frames`` do not fit.

    Source:
        Han and Bhanu, "Individual Recognition Using Gait Energy Image", TPAMI 2006, equation 1. The average is over
        the whole sequence, not over one detected cycle.

    Example:
        >>> x = torch.tensor([1.0, 0.0, 7.0]).reshape(1, 1, 3, 1, 1)
        >>> energy_image(x, torch.tensor([2])).item()
        0.5
    """
    if x.dim() != 5 or num_frames.shape != x.shape[:1]:
        raise ShapeError(
            f"an energy image needs [N, C, T, H, W] and [N], got {list(x.shape)}, {list(num_frames.shape)}"
        )
    is_padding = torch.arange(x.shape[2], device=x.device) >= num_frames[:, None]  # [N, T]
    total = x.float().masked_fill(is_padding[:, None, :, None, None], 0).sum(dim=2)
    return total / num_frames[:, None, None, None]
