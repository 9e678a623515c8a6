"""Where each probe's matches stand in its ranked gallery: what CMC, AP and INP are computed from.

Axes: Q probes, G gallery sequences, M matches of the probe that has most.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gaitbench.errors import ModelError, ShapeError

__all__ = ["MatchRanks", "rank_matches"]


class MatchRanks(NamedTuple):
    """The valid matches of every probe, nearest first."""

    impostors_ahead: Tensor
    """``[Q, M]`` int64: valid impostors at most as far as the probe's i-th nearest match; 0 behind the last one."""
    num_matches: Tensor
    """``[Q]`` int64 valid matches; 0 for an absent probe."""
    num_valid: Tensor
    """``[Q]`` int64 valid gallery sequences, matches included."""


def rank_matches(distance: Tensor, match: Tensor, valid: Tensor) -> MatchRanks:
    """Count the impostors in front of every match, ties against the probe.

    The gallery is never sorted: each impostor is put into the interval between two matches it falls in, which
    costs G log M per probe, and M is small.

    Args:
        distance: ``[Q, G]`` float, smaller means more alike. Only the order is used; infinity is the farthest.
        match: ``[Q, G]`` bool, true where probe and gallery show the same subject.
        valid: ``[Q, G]`` bool, false where the protocol excludes the pair.

    Returns:
        Counts per probe and match.

    Raises:
        ShapeError: The three tensors differ in shape or are not ``[Q, G]``, or match and valid are not bool.
        ModelError: ``distance`` holds NaN.

    Example:
        >>> distance = torch.tensor([[0.1, 0.2, 0.3, 0.3]])
        >>> match = torch.tensor([[True, False, True, False]])
        >>> rank_matches(distance, match, torch.ones_like(match)).impostors_ahead
        tensor([[0, 2]])
    """
    if not distance.shape == match.shape == valid.shape or distance.ndim != 2:
        shapes = [list(t.shape) for t in (distance, match, valid)]
        raise ShapeError(f"a ranking needs distance, match and valid of one shape [Q, G], got {shapes}")
    if match.dtype is not torch.bool or valid.dtype is not torch.bool:
        raise ShapeError(f"match and valid must be bool tensors, got {match.dtype} and {valid.dtype}")
    if num_nan := int(distance.isnan().sum()):
        raise ModelError(f"{num_nan} of {distance.numel()} distances are NaN; check the embeddings")

    genuine = match & valid
    num_matches = genuine.sum(dim=1)
    num_valid = valid.sum(dim=1)
    most = int(num_matches.max()) if num_matches.numel() else 0
    if most == 0:
        return MatchRanks(torch.zeros(distance.shape[0], 0, dtype=torch.int64), num_matches, num_valid)
    at = distance.masked_fill(~genuine, torch.inf).topk(most, dim=1, largest=False, sorted=True).values  # [Q, M]
    # An impostor with j matches strictly nearer is ahead of match j and of all later ones.
    interval = torch.searchsorted(at.contiguous(), distance.contiguous(), out_int32=True)  # [Q, G], 0..M
    row = torch.arange(distance.shape[0], device=distance.device)[:, None] * (most + 1)
    impostor = valid & ~match
    count = torch.bincount((row + interval)[impostor], minlength=distance.shape[0] * (most + 1))
    ahead = count.view(-1, most + 1)[:, :most].cumsum(dim=1)  # [Q, M]
    is_real = torch.arange(most, device=distance.device) < num_matches[:, None]
    return MatchRanks(ahead * is_real, num_matches, num_valid)
