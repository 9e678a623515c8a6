"""Convolutions that see one horizontal strip at a time, as in GaitPart and in GaitGL's local branch.

Axes: N batch, C channels, T frames, H rows, W columns, S strips.
"""

from collections.abc import Callable

from torch import Tensor

from gaitbench.errors import ShapeError

__all__ = ["strip_wise"]


def strip_wise(function: Callable[[Tensor], Tensor], x: Tensor, num_strips: int) -> Tensor:
    """Apply a function to each horizontal strip alone, so that nothing crosses a border between strips.

    All strips go through at once, as rows of a larger batch.

    Args:
        function: Maps ``[M, C, (T,) h, W]`` to ``[M, C', (T',) h', W']``, each row for itself; a convolution pads
            every strip with zeros of its own.
        x: ``[N, C, H, W]`` or ``[N, C, T, H, W]``.
        num_strips: S.

    Returns:
        ``[N, C', (T',) S*h', W']``, strips from top to bottom.

    Raises:
        ShapeError: S does not divide H.

    Source:
        Fan et al., "GaitPart", CVPR 2020, section "Focal Convolution Layer".

    Example:
        >>> import torch
        >>> box = torch.ones(1, 1, 3, 3)
        >>> x = torch.tensor([1.0, 1.0, 10.0, 10.0]).reshape(1, 1, 4, 1)
        >>> strip_wise(lambda strip: torch.conv2d(strip, box, padding=1), x, 2).flatten()
        tensor([ 2.,  2., 20., 20.])
    """
    if x.shape[-2] % num_strips:
        raise ShapeError(f"maps {list(x.shape)} have {x.shape[-2]} rows, which {num_strips} strips do not divide")
    if num_strips == 1:
        return function(x)
    # Channels are moved last in memory, where convolutions are fastest; 2D maps that have them there are only viewed.
    rows = x.movedim(1, -1).unflatten(-3, (num_strips, -1)).movedim(-4, 1)  # [N, S, (T,) h, W, C]
    done = function(rows.flatten(0, 1).movedim(-1, 1)).movedim(1, -1)  # [N*S, (T',) h', W', C']
    return done.unflatten(0, (-1, num_strips)).movedim(1, -4).flatten(-4, -3).movedim(-1, 1)
