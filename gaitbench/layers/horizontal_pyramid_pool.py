"""Cut feature maps into horizontal strips at several scales.

Axes: N batch, C channels, H rows, W columns, P parts.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gaitbench.errors import ShapeError

__all__ = ["horizontal_pyramid_pool"]


def horizontal_pyramid_pool(x: Tensor, bins: Sequence[int]) -> Tensor:
    """Describe each horizontal strip by its mean plus its maximum.

    The pixels of a map, row by row, are cut into b runs of equal length for each b of ``bins``. Where b divides
    H these are whole rows; the published code asks no more than that b divides H * W, and so do we.

    Args:
        x: ``[N, C, H, W]``.
        bins: Strips per scale.

    Returns:
        ``[N, C, P]`` with P = sum(bins): scales in the order given, strips from top to bottom.

    Raises:
        ShapeError: A number of bins does not divide H * W.

    Source:
        Fu et al., "Horizontal Pyramid Matching for Person Re-identification", AAAI 2019; for gait: Chao et al.,
        "GaitSet", AAAI 2019, section "Horizontal Pyramid Mapping".

    Example:
        >>> x = torch.tensor([[0.0, 2.0], [4.0, 8.0]]).reshape(1, 1, 2, 2)
        >>> horizontal_pyramid_pool(x, [2, 1])
        tensor([[[ 3.0000, 14.0000, 11.5000]]])
    """
    height, width = x.shape[-2:]
    if x.dim() != 4 or not bins or any(count < 1 or height * width % count for count in bins):
        raise ShapeError(f"maps {list(x.shape)} cannot be cut into {list(bins)} equal strips; choose other bins")
    # Contiguous strips: reductions along strided memory cost more than this copy.
    pixels = x.flatten(2).contiguous()  # [N, C, H*W]
    mean: dict[int, Tensor] = {}
    maximum: dict[int, Tensor] = {}
    for count in sorted(set(bins), reverse=True):
        # A strip made of whole finer strips is described from theirs; only the finest scale reads all pixels.
        finer = min((known for known in mean if known % count == 0), default=None)
        shape = (*pixels.shape[:2], count, -1)
        mean[count] = (pixels if finer is None else mean[finer]).view(shape).mean(dim=3)
        maximum[count] = (pixels if finer is None else maximum[finer]).view(shape).amax(dim=3)
    return torch.cat([mean[count] + maximum[count] for count in bins], dim=2)
