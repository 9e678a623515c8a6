"""Masks of people from a network's probabilities: which of two channels is the person, and closing its gaps.

Axes: M images, H rows, W columns.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ShapeError

__all__ = ["MaskUse", "choose_foreground", "clean_mask", "dilate", "erode"]

MaskUse = Literal["closed", "core", "rounded", "soft"]
"""``closed``: 1 in the core, the probability in the seam around it, 0 elsewhere. ``core``: 1 in the core, 0 elsewhere.
``rounded``: 0 or 1. ``soft``: the probability as it is."""


def dilate(mask: Tensor, size: int) -> Tensor:
    """Grow a mask: the largest value within a square window.

    Args:
        mask: ``[M, 1, H, W]`` float.
        size: Side of the window, odd. What lies outside the image does not count.

    Returns:
        ``[M, 1, H, W]``.

    Example:
        >>> dilate(torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0]).view(1, 1, 1, 5), 3).flatten()
        tensor([0., 1., 1., 1., 0.])
    """
    _check(mask)
    if size < 1 or size % 2 == 0:
        raise ValueError(f"the window's side must be odd, got {size}")
    return functional.max_pool2d(mask, size, stride=1, padding=size // 2)


def erode(mask: Tensor, size: int) -> Tensor:
    """Shrink a mask: the smallest value within a square window.

    Args:
        mask: ``[M, 1, H, W]`` float.
        size: Side of the window, odd. What lies outside the image does not count, so that a person cut off by the
            image's edge is not eaten away from there.

    Returns:
        ``[M, 1, H, W]``.
    """
    return -dilate(-mask, size)


def clean_mask(probability: Tensor, use: MaskUse = "closed", *, grow: int = 3, shrink: int = 5) -> Tensor:
    """Turn the probability of the person into a mask.

    The probability is rounded and grown; the core is what is left when that is shrunk, the seam what is not.

    Args:
        probability: ``[M, 1, H, W]`` in [0, 1].
        use: Which mask.
        grow: Side of the window that the rounded mask grows by.
        shrink: Side of the window that it shrinks by.

    Returns:
        ``[M, 1, H, W]`` in [0, 1]. Gradients flow where values are those of ``probability``.

    Raises:
        ShapeError: The axes are others.

    Source:
        Ye et al., "BigGait: Learning Gait Representation You Want by Large Vision Models", CVPR 2024, section "Mask
        Branch" (windows of 3 and 5).

    Example:
        >>> row = torch.tensor([0.1, 0.1, 0.4, 0.8, 0.9, 0.7, 0.6, 0.2, 0.1]).view(1, 1, 1, 9)
        >>> clean_mask(row).flatten()
        tensor([0.0000, 0.0000, 0.4000, 0.8000, 1.0000, 1.0000, 0.6000, 0.2000, 0.0000])
    """
    _check(probability)
    if use == "soft":
        return probability
    rounded = probability.detach().round()
    if use == "rounded":
        return rounded
    grown = dilate(rounded, grow)
    core = erode(grown, shrink)
    if use == "core":
        return core
    return torch.where(core > 0, torch.ones_like(probability), probability * grown)


def choose_foreground(probability: Tensor, *, border_rows: int = 5) -> Tensor:
    """Tell of two classes that were learned without labels which is the person: not the one that fills the border.

    Args:
        probability: ``[M, 2, H, W]``; the two add up to 1 inside the image.
        border_rows: Rows at the top and as many at the bottom.

    Returns:
        ``[M, 1, H, W]``: of each image the first channel, or the second one where more than half of the border rows,
        rounded, belong to the first.

    Raises:
        ShapeError: There are not two channels, or fewer rows than the borders have.

    Source:
        Ye et al., "BigGait", CVPR 2024, and its published code: the first channel is given up when more than
        ``border_rows * W`` of its rounded values lie in the border.
    """
    if probability.dim() != 4 or probability.shape[1] != 2 or probability.shape[2] < 2 * border_rows:
        raise ShapeError(
            f"two classes must be [M, 2, H, W] with {2 * border_rows} rows or more, got {list(probability.shape)}"
        )
    first = probability[:, :1]
    rounded = first.detach().round()
    mass = rounded[:, :, :border_rows].sum((1, 2, 3)) + rounded[:, :, -border_rows:].sum((1, 2, 3))  # [M]
    is_background = mass > border_rows * probability.shape[3]
    return torch.where(is_background[:, None, None, None], probability[:, 1:], first)


def _check(mask: Tensor) -> None:
    if mask.dim() != 4 or mask.shape[1] != 1:
        raise ShapeError(f"masks must be [M, 1, H, W], got {list(mask.shape)}")
