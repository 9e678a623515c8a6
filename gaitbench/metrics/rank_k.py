"""Rank-k identification rate, one point of the CMC curve.

Axes: Q probes, G gallery sequences. Scores are fractions in [0, 1]; only tables show percent.
"""

from functools import partial

import torch
from torch import Tensor

from gaitbench.errors import ModelError, ShapeError

__all__ = ["rank_1", "rank_5", "rank_10", "rank_k"]


def rank_k(distance: Tensor, match: Tensor, valid: Tensor, *, k: int = 1) -> Tensor:
    """Tell for each probe whether its subject is among the k nearest valid gallery sequences.

    A tie counts against the probe, so a model that maps everybody to one point scores 0, not 1.

    Args:
        distance: ``[Q, G]`` float, smaller means more alike. Only the order is used.
        match: ``[Q, G]`` bool, true where probe and gallery show the same subject.
        valid: ``[Q, G]`` bool, false where the protocol excludes the pair.
        k: Rank to report, 1 or more.

    Returns:
        ``[Q]`` float32: 1 for a hit, 0 for a miss, NaN for an absent probe. How absent
        probes enter the mean is the protocol's decision, not this function's.

    Raises:
        ShapeError: The three tensors differ in shape, or are not ``[Q, G]``.
        ModelError: ``distance`` holds NaN.
        ValueError: ``k`` is below 1.

    Source:
        Phillips et al., "The FERET Evaluation Methodology for Face-Recognition Algorithms",
        TPAMI 2000 (cumulative match score). The tie rule is ours.

    Example:
        >>> distance = torch.tensor([[0.2, 0.1, 0.9]])
        >>> match = torch.tensor([[True, False, False]])
        >>> rank_k(distance, match, torch.ones_like(match), k=2)
        tensor([1.])
    """
    if not distance.shape == match.shape == valid.shape or distance.ndim != 2:
        shapes = [list(t.shape) for t in (distance, match, valid)]
        raise ShapeError(f"rank_k needs distance, match and valid of one shape [Q, G], got {shapes}")
    if k < 1:
        raise ValueError(f"k must be 1 or more, got {k}")
    # NaN compares false with everything, so a broken model would have nobody ahead of it and score 1.
    if num_nan := int(distance.isnan().sum()):
        raise ModelError(f"{num_nan} of {distance.numel()} distances are NaN; check the embeddings")
    if distance.shape[1] == 0:
        return torch.full((distance.shape[0],), torch.nan)

    genuine = match & valid
    nearest = distance.masked_fill(~genuine, torch.inf).amin(dim=1, keepdim=True)  # [Q, 1]
    ahead = (valid & ~match & (distance <= nearest)).sum(dim=1)  # [Q] impostors in front
    hit = (ahead < k).float()
    return hit.masked_fill(~genuine.any(dim=1), torch.nan)


rank_1 = partial(rank_k, k=1)
"""Rank-1, as registered."""

rank_5 = partial(rank_k, k=5)
"""Rank-5, as registered."""

rank_10 = partial(rank_k, k=10)
"""Rank-10, as registered."""
