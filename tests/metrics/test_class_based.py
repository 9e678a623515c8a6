import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from gaitbench.errors import ShapeError
from gaitbench.metrics.class_based import class_accuracy, class_counts, class_recall
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
