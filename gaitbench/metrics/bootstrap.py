"""Confidence intervals from a bootstrap over subjects.

Sequences of one person are not independent, so whole subjects are drawn. The gallery stays as it is: drawing a subject
means drawing all its probes.

Axes: B resamples, S subjects.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "percentile_interval", "subject_weights"]


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    """Lower end."""
    high: float
    """Upper end."""


def subject_weights(num_subjects: int, num_resamples: int = 1000, *, seed: int = 0) -> NDArray[np.float64]:
    """How often each subject is drawn in each resample, S draws with replacement.

    The same resamples serve all metrics, so that differences between metrics and models are paired.

    Args:
        num_subjects: S, 1 or more.
        num_resamples: B, 1 or more.
        seed: Same seed, same resamples.

    Returns:
        ``[B, S]`` float64 whole numbers; every row sums to S.

    Raises:
        ValueError: A count is below 1.

    Source:
        Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (percentile intervals); the
        resampled unit is the subject.

    Example:
        >>> subject_weights(4, 2, seed=1).sum(axis=1)
        array([4., 4.])
    """
    if num_subjects < 1 or num_resamples < 1:
        raise ValueError(f"a bootstrap needs subjects and resamples, got {num_subjects} and {num_resamples}")
    drawn = np.random.default_rng(seed).integers(0, num_subjects, size=(num_resamples, num_subjects))
    cell = drawn + np.arange(num_resamples)[:, None] * num_subjects
    count = np.bincount(cell.ravel(), minlength=num_resamples * num_subjects)
    return count.reshape(num_resamples, num_subjects).astype(np.float64)


def percentile_interval(samples: NDArray[np.float64], *, level: float = 0.95) -> Interval:
    """Interval that holds the middle ``level`` of the resampled values.

    Args:
        samples: ``[B]``; NaN entries, where a resample could not be scored, are left out.
        level: Coverage in (0, 1).

    Returns:
        Two ends; both NaN when no sample is left.

    Raises:
        ValueError: ``level`` lies outside (0, 1).

    Example:
        >>> percentile_interval(np.arange(101.0), level=0.5)
        Interval(low=25.0, high=75.0)
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    known = samples[~np.isnan(samples)]
    if known.size == 0:
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))
