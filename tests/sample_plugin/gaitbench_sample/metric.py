"""Reciprocal rank.

Axes: Q probes, G gallery.
"""

import torch
from torch import Tensor

__all__ = ["reciprocal_rank"]


def reciprocal_rank(distance: Tensor, match: Tensor, valid: Tensor) -> Tensor:
    """One over the rank of the nearest match, ``[Q]``; ties count against the probe, absent probes are NaN."""
    genuine = match & valid
    nearest = distance.masked_fill(~genuine, torch.inf).amin(dim=1, keepdim=True)  # [Q, 1]
    ahead = (valid & ~match & (distance <= nearest)).sum(dim=1)
    return (1 / (1 + ahead.float())).masked_fill(~genuine.any(dim=1), torch.nan)
