"""Label-based metrics of attributes: every label is judged over all sequences, then labels are averaged.

Axes: N sequences, L labels, ``...`` further axes such as bootstrap resamples.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import ShapeError

__all__ = [
    "EmptyRule",
    "LabelCounts",
    "element_accuracy",
    "element_accuracy_of",
    "label_accuracy_of",
    "label_counts",
    "mean_accuracy",
    "mean_accuracy_of",
]

EmptyRule = Literal["skip", "zero"]
"""What becomes of an empty denominator. ``skip``: whatever it belongs to is left out of the mean. ``zero``: the ratio
counts as 0 and stays in the mean."""

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


class LabelCounts(NamedTuple):
    """Known cells of each label, counted, or weighed."""

    true_positive: FloatArray
    """``[..., L]`` positive cells that are predicted positive."""
    positive: FloatArray
    """``[..., L]`` positive cells."""
    true_negative: FloatArray
    """``[..., L]`` negative cells that are predicted negative."""
    negative: FloatArray
    """``[..., L]`` negative cells."""


def label_counts(truth: BoolArray, predicted: BoolArray, known: BoolArray | None = None) -> LabelCounts:
    """Count the cells of each label.

    Args:
        truth: ``[N, L]``.
        predicted: ``[N, L]``.
        known: ``[N, L]``, false where the truth is not known; None when all of it is.

    Returns:
        Four arrays ``[L]``.

    Raises:
        ShapeError: The arrays differ in shape.

    Example:
        >>> truth = np.array([[1, 0], [1, 1], [0, 0]], dtype=bool)
        >>> label_counts(truth, np.array([[1, 0], [0, 1], [0, 1]], dtype=bool)).true_positive
        array([1., 1.])
    """
    truth, predicted, known = checked(truth, predicted, known)
    cells = (truth & predicted & known, truth & known, ~truth & ~predicted & known, ~truth & known)
    return LabelCounts(*(cell.sum(axis=0).astype(np.float64) for cell in cells))


def mean_accuracy(
    truth: BoolArray, predicted: BoolArray, known: BoolArray | None = None, *, empty: EmptyRule = "skip"
) -> float:
    """mA: the mean over labels of ``(TPR + TNR) / 2``; whoever predicts the same of everybody has 0.5.

    Args:
        truth: ``[N, L]``.
        predicted: ``[N, L]``.
        known: ``[N, L]``, false where the truth is not known; such cells do not count.
        empty: Of a label that nobody or everybody has. ``skip`` leaves the label out; ``zero``, the published way, has
            the missing one of TPR and TNR count as 0.

    Returns:
        A fraction; NaN when no label is left.

    Raises:
        ShapeError: The arrays differ in shape.

    Source:
        Deng et al., "Pedestrian Attribute Recognition at Far Distance", ACM MM 2014 (mA). Evaluation code of RAP and
        its descendants have the rule ``zero``; ``skip`` is ours.

    Example:
        >>> truth = np.array([[1, 0], [1, 0], [0, 0]], dtype=bool)
        >>> predicted = np.array([[1, 0], [0, 0], [0, 0]], dtype=bool)
        >>> mean_accuracy(truth, predicted), mean_accuracy(truth, predicted, empty="zero")
        (0.75, 0.625)
    """
    return float(mean_accuracy_of(label_counts(truth, predicted, known), empty=empty))


def mean_accuracy_of(counts: LabelCounts, *, empty: EmptyRule = "skip") -> FloatArray:
    """Average accuracy from counts ``[..., L]``; see :func:`mean_accuracy`.

    Returns:
        ``[...]`` float64.
    """
    return known_mean(label_accuracy_of(counts, empty=empty))


def label_accuracy_of(counts: LabelCounts, *, empty: EmptyRule = "skip") -> FloatArray:
    """``(TPR + TNR) / 2`` of each label.

    Args:
        counts: ``[..., L]``.
        empty: See :func:`mean_accuracy`.

    Returns:
        ``[..., L]`` float64; with ``skip`` NaN where a label has no positive or no negative cell, with ``zero`` NaN
        where nothing of it is known.
    """
    tpr = ratio(counts.true_positive, counts.positive)
    tnr = ratio(counts.true_negative, counts.negative)
    if empty == "zero":
        is_known = counts.positive + counts.negative > 0
        return np.where(is_known, (np.nan_to_num(tpr) + np.nan_to_num(tnr)) / 2, np.nan)
    return np.asarray((tpr + tnr) / 2)


def element_accuracy(truth: BoolArray, predicted: BoolArray, known: BoolArray | None = None) -> float:
    """Share of all cells of the label matrix that are right; not the Jaccard accuracy of pedestrian benchmarks.

    Args:
        truth: ``[N, L]``.
        predicted: ``[N, L]``.
        known: ``[N, L]``, false where the truth is not known; such cells do not count.

    Returns:
        A fraction; NaN when nothing is known.

    Raises:
        ShapeError: The arrays differ in shape.

    Source:
        What "ACC" of RA-GAR (AAAI 2025), Table 3, must be, as its precision and recall leave no room for another.

    Example:
        >>> element_accuracy(np.array([[True, False, False, True]]), np.array([[True, False, True, False]]))
        0.5
    """
    return float(element_accuracy_of(label_counts(truth, predicted, known)))


def element_accuracy_of(counts: LabelCounts) -> FloatArray:
    """Element-wise accuracy from counts ``[..., L]``.

    Returns:
        ``[...]`` float64.
    """
    right = (counts.true_positive + counts.true_negative).sum(axis=-1)
    return ratio(right, (counts.positive + counts.negative).sum(axis=-1))


def ratio(total: FloatArray, count: FloatArray) -> FloatArray:
    """Division that gives NaN where nothing was counted."""
    out = np.full(np.broadcast(total, count).shape, np.nan)
    np.divide(total, count, out=out, where=np.asarray(count) > 0)
    return out


def known_mean(values: FloatArray) -> FloatArray:
    """Mean over the last axis of what is not NaN; NaN where nothing is left."""
    is_known = ~np.isnan(values)
    return ratio(np.where(is_known, values, 0.0).sum(axis=-1), is_known.sum(axis=-1).astype(np.float64))


def checked(truth: BoolArray, predicted: BoolArray, known: BoolArray | None) -> tuple[BoolArray, BoolArray, BoolArray]:
    """Boolean arrays of one shape ``[N, L]``.

    Raises:
        ShapeError: They differ in shape, or are not boolean.
    """
    known = np.ones_like(truth, dtype=np.bool_) if known is None else known
    arrays = (truth, predicted, known)
    if len({array.shape for array in arrays}) != 1 or truth.ndim != 2:
        shapes = [list(array.shape) for array in arrays]
        raise ShapeError(f"truth, predicted and known must be [N, L] of one shape, got {shapes}")
    if any(array.dtype != np.bool_ for array in arrays):
        raise ShapeError(f"truth, predicted and known must be bool, got {[str(array.dtype) for array in arrays]}")
    return arrays
