"""The metrics of a ranking by the names they have in results, as functions of distances alone.

Axes: Q probes, G gallery.
"""

from torch import Tensor

from gaitbench.metrics.rank_k import rank_k

__all__ = ["rank_1", "rank_5", "rank_10"]


def rank_1(distance: Tensor, match: Tensor, valid: Tensor) -> Tensor:
    """:func:`gaitbench.metrics.rank_k` for k = 1: ``[Q, G]`` each to ``[Q]``."""
    return rank_k(distance, match, valid, k=1)


def rank_5(distance: Tensor, match: Tensor, valid: Tensor) -> Tensor:
    """:func:`gaitbench.metrics.rank_k` for k = 5: ``[Q, G]`` each to ``[Q]``."""
    return rank_k(distance, match, valid, k=5)


def rank_10(distance: Tensor, match: Tensor, valid: Tensor) -> Tensor:
    """:func:`gaitbench.metrics.rank_k` for k = 10: ``[Q, G]`` each to ``[Q]``."""
    return rank_k(distance, match, valid, k=10)
