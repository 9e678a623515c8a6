"""The cumulative match characteristic: rank-k for every k at once.

Axes: Q probes, G gallery sequences, K ranks.
"""

import torch
from torch import Tensor

from gaitbench.metrics.ranking import rank_matches

__all__ = ["cmc", "first_rank"]


def first_rank(distance: Tensor, match: Tensor, valid: Tensor) -> Tensor:
    """Rank of each probe's nearest match, ties against the probe.

    Args:
        distance: ``[Q, G]`` float, smaller means more alike. Only the order is used.
        match: ``[Q, G]`` bool, true where probe and gallery show the same subject.
        valid: ``[Q, G]`` bool, false where the protocol excludes the pair.

    Returns:
        ``[Q]`` int64, 1 for the best; 0 for an absent probe.

    Raises:
        ShapeError: The three tensors differ in shape, or match and valid are not bool.
        ModelError: ``distance`` holds NaN.

    Example:
        >>> distance = torch.tensor([[0.2, 0.1, 0.9]])
        >>> match = torch.tensor([[True, False, False]])
        >>> first_rank(distance, match, torch.ones_like(match))
        tensor([2])
    """
    ranks = rank_matches(distance, match, valid)
    if ranks.impostors_ahead.shape[1] == 0:
        return torch.zeros_like(ranks.num_matches)
    return (ranks.impostors_ahead[:, 0] + 1).masked_fill(ranks.num_matches == 0, 0)


def cmc(distance: Tensor, match: Tensor, valid: Tensor, *, max_rank: int = 20) -> Tensor:
    """Rank-k of each probe for k = 1 to ``max_rank``; column k - 1 equals ``rank_k(..., k=k)``.

    Args:
        distance: ``[Q, G]`` float, smaller means more alike. Only the order is used.
        match: ``[Q, G]`` bool, true where probe and gallery show the same subject.
        valid: ``[Q, G]`` bool, false where the protocol excludes the pair.
        max_rank: Last rank K of the curve, 1 or more. It may exceed G.

    Returns:
        ``[Q, K]`` float32: 0 or 1, rising along K; NaN for an absent probe.

    Raises:
        ShapeError: The three tensors differ in shape, or match and valid are not bool.
        ModelError: ``distance`` holds NaN.
        ValueError: ``max_rank`` is below 1.

    Source:
        Phillips et al., "The FERET Evaluation Methodology for Face-Recognition Algorithms", TPAMI 2000
        (cumulative match score).

    Example:
        >>> distance = torch.tensor([[0.2, 0.1, 0.9]])
        >>> match = torch.tensor([[True, False, False]])
        >>> cmc(distance, match, torch.ones_like(match), max_rank=3)
        tensor([[0., 1., 1.]])
    """
    if max_rank < 1:
        raise ValueError(f"max_rank must be 1 or more, got {max_rank}")
    rank = first_rank(distance, match, valid)[:, None]  # [Q, 1]
    hit = (rank <= torch.arange(1, max_rank + 1, device=rank.device)).float()
    return hit.masked_fill(rank == 0, torch.nan)
