"""Class-based metrics of attributes: one class is told of each attribute, without any label vector.

Axes: N sequences, A attributes, ``...`` further axes such as bootstrap resamples.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import ShapeError
from gaitbench.metrics.label_based import known_mean, ratio

__all__ = [
    "ClassCounts",
    "MacroScores",
    "class_accuracy",
    "class_counts",
    "class_recall",
    "class_recall_of",
    "macro_scores",
    "macro_scores_of",
    "sensitivity_of",
    "specificity_of",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.integer]


class ClassCounts(NamedTuple):
    """The sequences of one attribute, counted by class, or weighed."""

    right: FloatArray
    """``[..., classes]`` sequences of the class that are told to be of it."""
    total: FloatArray
    """``[..., classes]`` sequences of the class."""
    told: FloatArray
    """``[..., classes]`` sequences that are told to be of the class, and whose own class is known."""


class MacroScores(NamedTuple):
    """Means over the classes of one attribute."""

    precision: FloatArray
    """``[...]``."""
    recall: FloatArray
    """``[...]``."""
    f1: FloatArray
    """``[...]`` mean of the classes' own F1."""


def class_counts(truth: IntArray, predicted: IntArray, num_classes: int) -> ClassCounts:
    """Count the sequences of one attribute by class; unknown ones are passed over.

    Args:
        truth: ``[N]`` ints, -1 where unknown.
        predicted: ``[N]`` ints; -1 tells no class.
        num_classes: Of the attribute.

    Returns:
        Three arrays ``[classes]``.

    Raises:
        ShapeError: The arrays differ in shape, or hold a class that does not exist.
    """
    if truth.shape != predicted.shape or truth.ndim != 1:
        raise ShapeError(f"truth and predicted must be [N], got {list(truth.shape)} and {list(predicted.shape)}")
    for name, values in (("truth", truth), ("predicted", predicted)):
        if values.size and not -1 <= int(values.min()) <= int(values.max()) < num_classes:
            raise ShapeError(f"{name} holds classes {values.min()} to {values.max()}; there are {num_classes}")
    is_known = truth >= 0
    total = np.bincount(truth[is_known], minlength=num_classes).astype(np.float64)
    right = np.bincount(truth[is_known & (truth == predicted)], minlength=num_classes).astype(np.float64)
    told = np.bincount(predicted[is_known & (predicted >= 0)], minlength=num_classes).astype(np.float64)
    return ClassCounts(right, total, told)


def class_accuracy(truth: IntArray, predicted: IntArray, num_classes: int) -> float:
    """Share of the sequences whose class is told right; NaN when none is known.

    Example:
        >>> class_accuracy(np.array([0, 0, 2, -1]), np.array([0, 1, 2, 2]), 3)
        0.6666666666666666
    """
    counts = class_counts(truth, predicted, num_classes)
    return float(ratio(counts.right.sum(), counts.total.sum()))


def class_recall(truth: IntArray, predicted: IntArray, num_classes: int) -> float:
    """Mean over classes of the share that is told right: mA of an attribute of any number of classes.

    With two classes this is the mA of the attribute as one label. Whoever tells the same class of everybody has one
    over the number of classes.

    Args:
        truth: ``[N]`` ints, -1 where unknown.
        predicted: ``[N]`` ints; -1 tells no class.
        num_classes: Of the attribute.

    Returns:
        A fraction. Classes of which there is no sequence are left out; NaN where fewer than two are left, as nothing
        can be told apart then.

    Raises:
        ShapeError: The arrays differ in shape, or hold a class that does not exist.

    Source:
        Balanced accuracy: Brodersen et al., "The Balanced Accuracy and Its Posterior Distribution", ICPR 2010.

    Example:
        >>> class_recall(np.array([0, 0, 0, 0, 1]), np.array([0, 0, 0, 0, 0]), 2)
        0.5
    """
    return float(class_recall_of(class_counts(truth, predicted, num_classes)))


def class_recall_of(counts: ClassCounts) -> FloatArray:
    """Mean recall from counts ``[..., classes]``.

    Returns:
        ``[...]`` float64.
    """
    recall = ratio(counts.right, counts.total)
    return np.where((counts.total > 0).sum(axis=-1) >= 2, known_mean(recall), np.nan)


def macro_scores(truth: IntArray, predicted: IntArray, num_classes: int) -> MacroScores:
    """Average precision, recall and F1 of the classes of one attribute, each class counting alike.

    Args:
        truth: ``[N]`` ints, -1 where unknown.
        predicted: ``[N]`` ints; -1 tells no class.
        num_classes: Of the attribute.

    Returns:
        Fractions; NaN when no sequence is known. A class that nobody has and nobody is told to have is left out; of the
        others an empty denominator counts as 0, so that recall is below :func:`class_recall` where a class is told that
        nobody has.

    Raises:
        ShapeError: The arrays differ in shape, or hold a class that does not exist.

    Source:
        scikit-learn's ``average="macro", zero_division=0``, which the published code for Scoliosis1K reports.

    Example:
        >>> [float(x) for x in macro_scores(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]), 3)[:2]]
        [0.8333333333333333, 0.75]
    """
    return macro_scores_of(class_counts(truth, predicted, num_classes))


def macro_scores_of(counts: ClassCounts) -> MacroScores:
    """Macro averages from counts ``[..., classes]``; see :func:`macro_scores`."""
    is_there = counts.total + counts.told > 0

    def mean(total: FloatArray, count: FloatArray) -> FloatArray:
        return known_mean(np.where(is_there, np.nan_to_num(ratio(total, count)), np.nan))

    return MacroScores(
        precision=mean(counts.right, counts.told),
        recall=mean(counts.right, counts.total),
        f1=mean(2 * counts.right, counts.total + counts.told),
    )


def sensitivity_of(counts: ClassCounts) -> FloatArray:
    """Share of the sequences of each class that are told to be of it, ``[..., classes]``; NaN where there is none."""
    return ratio(counts.right, counts.total)


def specificity_of(counts: ClassCounts) -> FloatArray:
    """Share of the sequences of all other classes that are not told to be of the class, ``[..., classes]``.

    Returns:
        ``[..., classes]`` float64, NaN where all sequences are of the class.
    """
    others = counts.total.sum(axis=-1, keepdims=True) - counts.total
    return ratio(others - (counts.told - counts.right), others)
