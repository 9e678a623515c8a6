"""Diversity of channels: whether a soft assignment of pixels to channels uses all of them.

Axes: M images, C channels, H rows, W columns.
"""

import math

import torch
from torch import Tensor

from gaitbench.errors import ShapeError
from gaitbench.layers.widen import widen

__all__ = ["channel_diversity", "spatial_entropy"]


def channel_diversity(maps: Tensor) -> Tensor:
    """Measure how far the use of channels is from even: log2 C minus the entropy of their shares, mean over images.

    Args:
        maps: ``[M, C, H, W]``, 0 or more, such as a softmax over channels on the person and 0 elsewhere. An image
            without anything is left out.

    Returns:
        Scalar in bits, from 0 (all channels are used alike) to log2 C (a single one is); 0 when nothing is left. In
        float32 or better also under autocast.

    Raises:
        ShapeError: The axes are others.

    Source:
        Ye et al., "BigGait: Learning Gait Representation You Want by Large Vision Models", CVPR 2024, the diversity
        term of the denoising branch.

    Example:
        >>> even, single = torch.ones(1, 16, 4, 2), torch.zeros(1, 16, 4, 2)
        >>> single[:, 3] = 1
        >>> channel_diversity(even), channel_diversity(single)
        (tensor(0.), tensor(4.))
    """
    with torch.autocast(maps.device.type, enabled=False):
        mass = _checked(maps).sum(dim=(2, 3))  # [M, C]
        is_shown = mass.sum(dim=1) > 0
        share = _shares(mass, dim=1)
        lacking = math.log2(maps.shape[1]) - _entropy(share, dim=1) / math.log(2)  # [M]
        return (lacking * is_shown).sum() / is_shown.sum().clamp_min(1)


def spatial_entropy(maps: Tensor) -> Tensor:
    """Measure how spread out each channel is over the image: the entropy over pixels, mean over channels and images.

    The other reading of "diversity": it is lowest when every channel looks at one pixel.

    Args:
        maps: ``[M, C, H, W]``, 0 or more. A channel without anything counts as 0.

    Returns:
        Scalar in nats, from 0 to log(H * W); 0 of no images.

    Raises:
        ShapeError: The axes are others.

    Source:
        Wu et al., "Language-Guided and Motion-Aware Gait Representation for Generalizable Recognition", arXiv
        2601.11931, the diversity loss as printed.
    """
    with torch.autocast(maps.device.type, enabled=False):
        x = _checked(maps).flatten(2)  # [M, C, H*W]
        entropy = _entropy(_shares(x, dim=2), dim=2)
        return entropy.sum() / max(1, entropy.numel())


def _checked(maps: Tensor) -> Tensor:
    if maps.dim() != 4:
        raise ShapeError(f"diversity needs maps [M, C, H, W], got {list(maps.shape)}")
    return widen(maps)


def _shares(mass: Tensor, dim: int) -> Tensor:
    """What adds up to 1, or to 0 where there is no mass; gradients are finite there, too."""
    total = mass.sum(dim=dim, keepdim=True)
    return mass / torch.where(total > 0, total, torch.ones_like(total))


def _entropy(share: Tensor, dim: int) -> Tensor:
    """In nats; the gradient at a share of 0, which is infinite, counts as that at a tiny one."""
    logarithm = share.clamp_min(torch.finfo(share.dtype).tiny).log()
    return -(share * logarithm).sum(dim=dim)
