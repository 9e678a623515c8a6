"""Smoothness of maps: how steep they are.

Axes: M images, C channels, H rows, W columns.
"""

import torch
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.layers.widen import widen

__all__ = ["sobel_smoothness"]


def sobel_smoothness(maps: Tensor) -> Tensor:
    """Average the absolute Sobel responses, those along rows plus those along columns, over all pixels and channels.

    The border is repeated outwards, so that a constant map is perfectly smooth.

    Args:
        maps: ``[M, C, H, W]``; none at all are perfectly smooth too.

    Returns:
        Scalar, 0 or more, in float32 or better also under autocast.

    Raises:
        ShapeError: The axes are others.

    Source:
        Wu et al., "Language-Guided and Motion-Aware Gait Representation for Generalizable Recognition", arXiv
        2601.11931, the smoothness loss (L1 of Sobel responses); Ye et al., "BigGait", CVPR 2024. What happens at the
        border is ours.

    Example:
        >>> ramp = torch.arange(6.0).expand(1, 1, 4, 6)
        >>> sobel_smoothness(ramp)  # 8 inside, 4 at both ends, where the border repeats
        tensor(6.6667)
    """
    if maps.dim() != 4:
        raise ShapeError(f"smoothness needs maps [M, C, H, W], got {list(maps.shape)}")
    with torch.autocast(maps.device.type, enabled=False):
        x = widen(maps)
        if not x.numel():
            return x.sum()
        x = functional.pad(x, (1, 1, 1, 1), mode="replicate")
        # The kernels are products of a difference one way and a blur the other way.
        across, down = x[..., 2:] - x[..., :-2], x[..., 2:, :] - x[..., :-2, :]
        steep_across = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
        steep_down = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
        return steep_across.abs().mean() + steep_down.abs().mean()
