"""The mean of embeddings that point somewhere with different force.

Axes: M embeddings of a sequence, N batch, D embedding width, P parts.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["mean_direction"]


def mean_direction(embeddings: Sequence[Tensor]) -> Tensor:
    """Average several embeddings of one sequence part by part, each brought to length 1 before.

    Lengths differ between sensors for reasons that say nothing of the person, and the longer would outvote the shorter
    in a plain mean. The result has their mean length, as it is compared with embeddings of single sensors as these are:
    among shorter or longer ones, distances would tell lengths instead of people.

    Args:
        embeddings: ``[N, D, P]`` each, one or more.

    Returns:
        ``[N, D, P]`` float32. Equal embeddings give themselves.

    Example:
        >>> far, near = torch.tensor([[[3.0], [0.0]]]), torch.tensor([[[0.0], [1.0]]])
        >>> mean_direction([far, near]).flatten().tolist()
        [1.4142135381698608, 1.4142135381698608]
    """
    stacked = torch.stack([one.float() for one in embeddings])  # [M, N, D, P]
    length = stacked.norm(dim=2, keepdim=True).mean(dim=0)  # [N, 1, P]
    return functional.normalize(functional.normalize(stacked, dim=2).mean(dim=0), dim=1) * length
