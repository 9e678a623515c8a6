"""What guessing scores on attributes in expectation: each class of an attribute is told with the same probability.

One class is told of every attribute, of each by itself and whatever the sequence shows. No simulation: means of counts
are exact, and so are the expected values of the instance-based metrics, by the distribution of right guesses.

Axes: N sequences, A attributes, L labels, K trials.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaitbench.metrics.instance_based import InstanceMeans, harmonic_mean
from gaitbench.metrics.label_based import LabelCounts, label_counts
from gaitbench.metrics.label_encoding import LabelEncoding

__all__ = ["GuessedInstances", "chance_instances", "chance_label_counts"]

FloatArray = NDArray[np.float64]


class GuessedInstances(NamedTuple):
    """Expected means by the rule for empty denominators."""

    zero: InstanceMeans
    skip: InstanceMeans


def chance_label_counts(classes: ArrayLike, encoding: LabelEncoding) -> LabelCounts:
    """Expected counts of each label.

    Args:
        classes: ``[N, A]`` ints, -1 where unknown.
        encoding: The label vector.

    Returns:
        Four arrays ``[L]``, for :func:`gaitbench.metrics.mean_accuracy_of` and the like.

    Raises:
        ShapeError: The classes do not fit the encoding.

    Example:
        >>> from gaitbench.metrics.label_encoding import label_encoding
        >>> chance_label_counts([[0], [1], [1], [1]], label_encoding((4,))).true_positive
        array([0.25, 0.75, 0.  , 0.  ])
    """
    truth = encoding.of_classes(classes)
    counts = label_counts(truth.value, truth.value, truth.known)
    told = 1 / np.array(encoding.num_classes, dtype=np.float64)[encoding.attribute]
    return counts._replace(true_positive=counts.positive * told, true_negative=counts.negative * (1 - told))


def chance_instances(classes: ArrayLike, encoding: LabelEncoding) -> GuessedInstances:
    """Expected instance-based means.

    Args:
        classes: ``[N, A]`` ints, -1 where unknown.
        encoding: The label vector.

    Returns:
        Means with both rules; NaN where no sequence has a known attribute.

    Raises:
        ShapeError: The classes do not fit the encoding.

    Source:
        The number of right guesses among independent attributes is Poisson-binomial.

    Example:
        >>> from gaitbench.metrics.label_encoding import label_encoding
        >>> chance_instances([[0, 2], [1, 0]], label_encoding((2, 4))).zero.precision  # (1/2 + 1/4) / 2
        0.375
    """
    index = np.asarray(classes)
    encoding.of_classes(index)  # refuses classes that do not exist
    is_bit = np.array([encoding.kind == "binary" and count == 2 for count in encoding.num_classes])
    # Sequences differ only in what is known of the others, and in how many single labels are positive and negative.
    others = (index >= 0) & ~is_bit
    single = np.stack([((index == value) & is_bit).sum(axis=1) for value in (0, 1)], axis=1)
    patterns, count = np.unique(np.concatenate([others, single], axis=1), axis=0, return_counts=True)
    rates = 1 / np.array(encoding.num_classes, dtype=np.float64)
    found = [
        (_expected(rates[pattern[:-2].astype(bool)], int(pattern[-2]), int(pattern[-1])), number)
        for pattern, number in zip(patterns, count.tolist(), strict=True)
        if pattern.any()
    ]
    total, share = np.zeros(4), np.zeros(4)
    for (value, counted), number in found:
        total += number * value
        share += number * counted
    num_asked = sum(number for _, number in found)
    if not num_asked:
        nothing = InstanceMeans(*[float("nan")] * 5)
        return GuessedInstances(nothing, nothing)
    with np.errstate(invalid="ignore"):
        return GuessedInstances(_means(total / num_asked), _means(total / share))


def _means(values: FloatArray) -> InstanceMeans:
    precision, recall, f1, jaccard = values.tolist()
    return InstanceMeans(precision, recall, f1, float(harmonic_mean(values[0], values[1])), jaccard)


def _expected(rates: FloatArray, num_negative: int, num_positive: int) -> tuple[FloatArray, FloatArray]:
    """Expected precision, recall, F1 and Jaccard, 0 where empty, and the probabilities that they are not empty.

    Args:
        rates: Probability of a right guess of each attribute with a label per class.
        num_negative: Attributes of one label that is not positive.
        num_positive: Attributes of one label that is positive.
    """
    # Right guesses of a class, single labels that are rightly and wrongly told.
    right, hit, wrong = (_successes(p) for p in (rates.tolist(), [0.5] * num_positive, [0.5] * num_negative))
    chance = right[:, None, None] * hit[None, :, None] * wrong[None, None, :]
    classes, hits, misses = np.meshgrid(*map(np.arange, chance.shape), indexing="ij")
    both = (classes + hits).astype(np.float64)
    true, told = len(rates) + num_positive, len(rates) + hits + misses
    values = [(both, told), (both, np.full_like(both, true)), (2 * both, true + told), (both, true + told - both)]
    expected = [float((chance * np.where(of > 0, part / np.maximum(of, 1), 0)).sum()) for part, of in values]
    counted = [float(chance[of > 0].sum()) for _, of in values]
    return np.array(expected), np.array(counted)


def _successes(rates: Sequence[float]) -> FloatArray:
    """``[K + 1]`` probability of 0 to K successes of K independent trials."""
    chance = np.ones(1)
    for rate in rates:
        chance = np.convolve(chance, [1 - rate, rate])
    return chance
