import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from gaitbench.errors import ShapeError
from gaitbench.metrics.class_based import (
    class_accuracy,
    class_counts,
    class_recall,
    macro_scores,
    sensitivity_of,
    specificity_of,
)
from gaitbench.metrics.label_based import mean_accuracy


@pytest.mark.parametrize("seed", range(5))
def test_scikit_learn_agrees(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, 4, 30), rng.integers(0, 4, 30)
    assert class_accuracy(truth, predicted, 4) == pytest.approx(sklearn_metrics.accuracy_score(truth, predicted))
    expected = sklearn_metrics.balanced_accuracy_score(truth, predicted)
    assert class_recall(truth, predicted, 4) == pytest.approx(expected)
    # A class that nobody in the test has is left out.
    assert class_recall(truth, predicted, 7) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(8))
def test_scikit_learn_agrees_on_macro_averages(seed: int) -> None:
    """Also where a class is told that nobody has (3), had and never told (4), or neither (5)."""
    rng = np.random.default_rng(seed)
    truth, predicted = rng.choice([0, 1, 2, 4], 12), rng.choice([0, 1, 2, 3], 12)
    expected = sklearn_metrics.precision_recall_fscore_support(truth, predicted, average="macro", zero_division=0)
    assert macro_scores(truth, predicted, 6) == pytest.approx(expected[:3])


def test_macro_averages_by_hand() -> None:
    # Of class 0 two of three are told, and one too many; of class 1 one of two, and one too many; 2 is unknown to all.
    truth, predicted = np.array([0, 0, 0, 1, 1, -1]), np.array([0, 0, 1, 1, 0, 2])
    assert macro_scores(truth, predicted, 3) == pytest.approx(((2 / 3 + 1 / 2) / 2,) * 3)
    assert all(math.isnan(value) for value in macro_scores(truth[5:], predicted[5:], 3))


@pytest.mark.parametrize("seed", range(4))
def test_sensitivity_and_specificity_are_those_of_each_class_against_the_others(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, 3, 40), rng.integers(0, 3, 40)
    counts = class_counts(truth, predicted, 3)
    for cls in range(3):
        tn, fp, fn, tp = sklearn_metrics.confusion_matrix(truth == cls, predicted == cls).ravel()
        assert sensitivity_of(counts)[cls] == pytest.approx(tp / (tp + fn))
        assert specificity_of(counts)[cls] == pytest.approx(tn / (tn + fp))


def test_of_a_class_that_nobody_or_everybody_has() -> None:
    counts = class_counts(np.array([0, 0]), np.array([0, 1]), 2)
    np.testing.assert_array_equal(sensitivity_of(counts), [0.5, np.nan])
    np.testing.assert_array_equal(specificity_of(counts), [np.nan, 0.5])


def test_of_two_classes_it_is_the_ma_of_one_label() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 2, 30), rng.integers(0, 2, 30)
    as_label = mean_accuracy((truth == 1)[:, None], (predicted == 1)[:, None])
    assert class_recall(truth, predicted, 2) == pytest.approx(as_label)


def test_unknown_sequences_do_not_count() -> None:
    truth = np.array([0, 1, -1, -1])
    assert class_recall(truth, np.array([0, 0, 1, 0]), 2) == 0.5
    assert class_accuracy(truth, np.array([0, 0, 1, 0]), 2) == 0.5


def test_telling_nothing_is_wrong() -> None:
    assert class_accuracy(np.array([0, 1]), np.array([-1, 1]), 2) == 0.5


@pytest.mark.parametrize("truth", [[], [-1, -1], [1, 1]], ids=["none", "unknown", "one-class"])
def test_without_two_classes_nothing_can_be_told_apart(truth: list[int]) -> None:
    told = np.array(truth, dtype=np.int64) * 0
    assert math.isnan(class_recall(np.array(truth, dtype=np.int64), told, 2))


def test_wrong_classes() -> None:
    with pytest.raises(ShapeError, match="predicted holds classes 0 to 2; there are 2"):
        class_counts(np.array([0, 1]), np.array([0, 2]), 2)
    with pytest.raises(ShapeError, match=r"must be \[N\]"):
        class_counts(np.array([0, 1]), np.array([0]), 2)
