"""The nearest gallery sequences of each probe, in an order that does not depend on luck.

Axes: Q probes, G gallery sequences.
"""

import torch
from torch import Tensor

from gaitbench.errors import ModelError, ShapeError

__all__ = ["nearest"]


def nearest(distance: Tensor, k: int) -> Tensor:
    """Find the k nearest columns of each row; of equal distances the first column comes first.

    Args:
        distance: ``[Q, G]`` float.
        k: Columns per row, 1 to G.

    Returns:
        ``[Q, k]`` int64, nearest first.

    Raises:
        ShapeError: ``distance`` is no matrix, or has fewer than k columns.
        ModelError: ``distance`` holds NaN.

    Example:
        >>> nearest(torch.tensor([[0.2, 0.1, 0.1, 0.3]]), 3)
        tensor([[1, 2, 0]])
    """
    if distance.ndim != 2 or not 1 <= k <= distance.shape[1]:
        raise ShapeError(f"the {k} nearest need distances [Q, G] with G of {k} or more, got {list(distance.shape)}")
    if num_nan := int(distance.isnan().sum()):
        raise ModelError(f"{num_nan} of {distance.numel()} distances are NaN; check the embeddings")
    # topk alone breaks ties as it likes: it only tells the distance at which a row has its k columns.
    last = torch.topk(distance, k, dim=1, largest=False).values.amax(dim=1, keepdim=True)  # [Q, 1]
    is_nearer, is_at = distance < last, distance == last
    room = k - is_nearer.sum(dim=1, keepdim=True)
    chosen = is_nearer | (is_at & (is_at.cumsum(dim=1, dtype=torch.int32) <= room))
    column = chosen.nonzero()[:, 1].view(-1, k)  # ascending within a row
    order = distance.gather(1, column).argsort(dim=1, stable=True)
    return column.gather(1, order)
