"""Instance-based metrics of attributes: every sequence is judged over its labels, then sequences are averaged.

Of one sequence, with G its true and Y its predicted positive labels among those that are known::

    precision = |G & Y| / |Y|          recall = |G & Y| / |G|
    f1 = 2 |G & Y| / (|G| + |Y|)       jaccard = |G & Y| / |G | Y|

Axes: N sequences, L labels.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gaitbench.metrics.label_based import EmptyRule, checked, ratio

__all__ = ["InstanceMeans", "InstanceScores", "instance_means", "instance_scores"]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


class InstanceScores(NamedTuple):
    """Each sequence's own; NaN where its denominator is empty."""

    precision: FloatArray
    """``[N]``; NaN where nothing is predicted."""
    recall: FloatArray
    """``[N]``; NaN where no label is positive."""
    f1: FloatArray
    """``[N]``; NaN where both are empty."""
    jaccard: FloatArray
    """``[N]``; NaN where both are empty."""
    is_asked: BoolArray
    """``[N]``, false for sequences of which nothing is known; they are in no mean."""


class InstanceMeans(NamedTuple):
    """Means over sequences; NaN when none is left."""

    precision: float
    recall: float
    f1: float
    """Mean of the sequences' own F1."""
    f1_of_means: float
    """Harmonic mean of ``precision`` and ``recall``."""
    jaccard: float


def instance_scores(truth: BoolArray, predicted: BoolArray, known: BoolArray | None = None) -> InstanceScores:
    """Judge every sequence by itself.

    Args:
        truth: ``[N, L]``.
        predicted: ``[N, L]``.
        known: ``[N, L]``, false where the truth is not known; such cells do not count, predicted or not.

    Raises:
        ShapeError: The arrays differ in shape.

    Example:
        >>> truth = np.array([[1, 1, 0], [0, 0, 0]], dtype=bool)
        >>> instance_scores(truth, np.array([[1, 0, 1], [0, 0, 0]], dtype=bool)).jaccard.round(3)
        array([0.333,   nan])
    """
    truth, predicted, known = checked(truth, predicted, known)
    both, true, told = (
        (cells & known).sum(axis=1).astype(np.float64) for cells in (truth & predicted, truth, predicted)
    )
    return InstanceScores(
        precision=ratio(both, told),
        recall=ratio(both, true),
        f1=ratio(2 * both, true + told),
        jaccard=ratio(both, true + told - both),
        is_asked=known.sum(axis=1) > 0,
    )


def instance_means(
    truth: BoolArray, predicted: BoolArray, known: BoolArray | None = None, *, empty: EmptyRule = "zero"
) -> InstanceMeans:
    """Average over sequences.

    Args:
        truth: ``[N, L]``.
        predicted: ``[N, L]``.
        known: ``[N, L]``, false where the truth is not known. A sequence of which nothing is known is left out.
        empty: Of a sequence without a prediction (precision), without a positive label (recall), or without either (F1,
            Jaccard). ``zero`` counts it as 0, as most evaluation code does; ``skip`` leaves it out of that one mean, as
            the reference routine of RAP does.

    Raises:
        ShapeError: The arrays differ in shape.

    Source:
        Li et al., "A Richly Annotated Pedestrian Dataset for Person Retrieval in Real Surveillance Scenarios", TIP
        2019: instance-based accuracy (here ``jaccard``), precision, recall and F1, the last one there being
        ``f1_of_means`` with ``skip``.

    Example:
        >>> truth = np.array([[1, 1, 0], [1, 0, 0]], dtype=bool)
        >>> predicted = np.array([[1, 0, 1], [0, 0, 0]], dtype=bool)
        >>> [round(instance_means(truth, predicted, empty=rule).precision, 2) for rule in ("zero", "skip")]
        [0.25, 0.5]
    """
    scores = instance_scores(truth, predicted, known)
    precision, recall, f1, jaccard = (mean_of(values, scores.is_asked, empty) for values in scores[:4])
    return InstanceMeans(precision, recall, f1, float(harmonic_mean(np.array(precision), np.array(recall))), jaccard)


def mean_of(values: FloatArray, is_asked: BoolArray, empty: EmptyRule) -> float:
    """Mean over the sequences asked of ``[N]`` values, empty ones as the rule says."""
    chosen = values[is_asked]
    if empty == "zero":
        chosen = np.nan_to_num(chosen)
    chosen = chosen[~np.isnan(chosen)]
    return float(chosen.mean()) if chosen.size else float("nan")


def harmonic_mean(a: FloatArray, b: FloatArray) -> FloatArray:
    """``2ab / (a + b)``: 0 where both are 0, NaN where one is."""
    return np.where((a == 0) & (b == 0), 0.0, ratio(2 * a * b, a + b))
