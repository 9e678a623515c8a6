"""What a random ranking scores in expectation, probe by probe. Closed forms, no simulation.

A random ranking is a uniform permutation of the probe's valid gallery, without ties. Axes: Q probes.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["chance_average_precision", "chance_inverse_negative_penalty", "chance_rank_k"]

FloatArray = NDArray[np.float64]


def chance_rank_k(num_matches: ArrayLike, num_valid: ArrayLike, *, k: int = 1) -> FloatArray:
    """Probability that a match is among k gallery sequences drawn without replacement: ``1 - C(N-n, k) / C(N, k)``.

    Args:
        num_matches: ``[Q]`` ints n, valid matches of each probe.
        num_valid: ``[Q]`` ints N, valid gallery sequences of each probe, at least n.
        k: Rank, 1 or more.

    Returns:
        ``[Q]`` float64; NaN for an absent probe (n = 0).

    Raises:
        ValueError: ``k`` is below 1, or a count is negative or larger than N.

    Source:
        Hypergeometric distribution.

    Example:
        >>> chance_rank_k([1, 2], [40, 80])
        array([0.025, 0.025])
    """
    if k < 1:
        raise ValueError(f"k must be 1 or more, got {k}")
    n, total = _counts(num_matches, num_valid)
    miss = np.ones_like(total)
    for drawn in range(k):
        left = total - drawn
        miss *= np.clip(left - n, 0, None) / np.maximum(left, 1)
    return np.where(n > 0, 1 - miss, np.nan)


def chance_average_precision(num_matches: ArrayLike, num_valid: ArrayLike) -> FloatArray:
    """Expected average precision of a random ranking: ``(H_N + (n-1)/(N-1) (N - H_N)) / N``, exactly.

    H_N is the N-th harmonic number. Rank i holds a match with probability n/N, and then (n-1)/(N-1) of the i - 1
    ranks before it hold one too in expectation; summing over ranks gives the formula.

    Args:
        num_matches: ``[Q]`` ints n, valid matches of each probe.
        num_valid: ``[Q]`` ints N, valid gallery sequences of each probe, at least n.

    Returns:
        ``[Q]`` float64; NaN for an absent probe (n = 0).

    Raises:
        ValueError: A count is negative or larger than N.

    Source:
        Bestgen, "Exact expected average precision of the random baseline for system evaluation", The Prague
        Bulletin of Mathematical Linguistics 103, 2015; derived above.

    Example:
        >>> chance_average_precision([1], [2])  # (1 + 1/2) / 2
        array([0.75])
    """
    n, total = _counts(num_matches, num_valid)
    longest = int(total.max(initial=0))
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, longest + 1))])[total.astype(np.int64)]
    before = (n - 1) / np.maximum(total - 1, 1)
    return np.where(n > 0, (harmonic + before * (total - harmonic)) / np.maximum(total, 1), np.nan)


def chance_inverse_negative_penalty(num_matches: ArrayLike, num_valid: ArrayLike) -> FloatArray:
    """Expected inverse negative penalty of a random ranking: ``sum_r n/r C(r-1, n-1) / C(N, n)`` over r = n to N.

    Args:
        num_matches: ``[Q]`` ints n, valid matches of each probe.
        num_valid: ``[Q]`` ints N, valid gallery sequences of each probe, at least n.

    Returns:
        ``[Q]`` float64; NaN for an absent probe (n = 0).

    Raises:
        ValueError: A count is negative or larger than N.

    Source:
        Distribution of the largest of n ranks drawn without replacement.

    Example:
        >>> chance_inverse_negative_penalty([1], [2])
        array([0.75])
    """
    n, total = _counts(num_matches, num_valid)
    one_more = total.max(initial=0) + 1
    pairs, index = np.unique(n * one_more + total, return_inverse=True)
    expected = np.array([_expected_inp(*map(int, divmod(pair, one_more))) for pair in pairs.tolist()])
    return expected[index.reshape(-1)].reshape(n.shape)


def _expected_inp(n: int, total: int) -> float:
    if n == 0:
        return float("nan")
    # P(last = r) by a downward recurrence from P(last = N) = n / N: no factorials, no overflow.
    rank = np.arange(total, n, -1, dtype=np.float64)
    chance = n / total * np.concatenate([[1.0], np.cumprod((rank - n) / np.maximum(rank - 1, 1))])
    return float((chance * n / np.arange(total, n - 1, -1)).sum())


def _counts(num_matches: ArrayLike, num_valid: ArrayLike) -> tuple[FloatArray, FloatArray]:
    n, total = np.asarray(num_matches, dtype=np.float64), np.asarray(num_valid, dtype=np.float64)
    if n.shape != total.shape:
        raise ValueError(f"num_matches {list(n.shape)} and num_valid {list(total.shape)} differ in shape")
    if n.size and (n.min() < 0 or (n > total).any()):
        raise ValueError("num_matches must lie between 0 and num_valid for every probe")
    return n, total
