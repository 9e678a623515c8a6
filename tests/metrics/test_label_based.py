import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics
from torchmetrics.functional import classification as torchmetrics_metrics

from gaitbench.errors import ShapeError
from gaitbench.metrics.label_based import element_accuracy, label_accuracy_of, label_counts, mean_accuracy


def random_labels(seed: int, *, num: int = 40, labels: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.random((num, labels)) < rng.uniform(0.1, 0.6, labels)
    predicted = truth ^ (rng.random((num, labels)) < 0.3)
    return truth, predicted, rng.random((num, labels)) < 0.8


def slow_mean_accuracy(truth: np.ndarray, predicted: np.ndarray, known: np.ndarray, *, zero: bool) -> float:
    values = []
    for label in range(truth.shape[1]):
        hits: dict[bool, list[bool]] = {True: [], False: []}
        for t, p, k in zip(truth[:, label], predicted[:, label], known[:, label], strict=True):
            if k:
                hits[bool(t)].append(bool(t) == bool(p))
        if not hits[True] and not hits[False]:
            continue
        if not zero and not (hits[True] and hits[False]):
            continue
        values.append(sum(sum(h) / len(h) if h else 0.0 for h in hits.values()) / 2)
    return sum(values) / len(values)


def test_by_hand() -> None:
    truth = np.array([[1, 0, 1], [1, 0, 0], [0, 0, 1], [0, 1, 1]], dtype=bool)
    predicted = np.array([[1, 0, 1], [0, 0, 1], [0, 1, 1], [0, 1, 0]], dtype=bool)
    assert label_accuracy_of(label_counts(truth, predicted)).tolist() == pytest.approx([0.75, 5 / 6, 1 / 3])
    assert mean_accuracy(truth, predicted) == pytest.approx((0.75 + 5 / 6 + 1 / 3) / 3)
    assert element_accuracy(truth, predicted) == pytest.approx(8 / 12)


@pytest.mark.parametrize("seed", range(5))
def test_a_slow_version_agrees(seed: int) -> None:
    truth, predicted, known = random_labels(seed)
    truth[:, 0] = False  # a label that nobody has
    truth[:, 1] = True  # and one that everybody has
    for rule in ("skip", "zero"):
        expected = slow_mean_accuracy(truth, predicted, known, zero=rule == "zero")
        assert mean_accuracy(truth, predicted, known, empty=rule) == pytest.approx(expected)  # type: ignore[arg-type]
    right = [t == p for t, p, k in zip(truth.flat, predicted.flat, known.flat, strict=True) if k]
    assert element_accuracy(truth, predicted, known) == pytest.approx(sum(right) / len(right))


@pytest.mark.parametrize("seed", range(3))
def test_scikit_learn_agrees(seed: int) -> None:
    truth, predicted, _ = random_labels(seed)
    balanced = [
        sklearn_metrics.balanced_accuracy_score(truth[:, label], predicted[:, label]) for label in range(truth.shape[1])
    ]
    assert mean_accuracy(truth, predicted) == pytest.approx(float(np.mean(balanced)))
    assert element_accuracy(truth, predicted) == pytest.approx(1 - sklearn_metrics.hamming_loss(truth, predicted))


@pytest.mark.parametrize("seed", range(3))
def test_torchmetrics_agrees(seed: int) -> None:
    truth, predicted, _ = random_labels(seed)
    told, true = torch.from_numpy(predicted.astype(int)), torch.from_numpy(truth.astype(int))
    num_labels = truth.shape[1]
    plain = torchmetrics_metrics.multilabel_accuracy(told, true, num_labels=num_labels, average="micro")
    assert element_accuracy(truth, predicted) == pytest.approx(plain.item())
    tpr = torchmetrics_metrics.multilabel_recall(told, true, num_labels=num_labels, average="none")
    tnr = torchmetrics_metrics.multilabel_specificity(told, true, num_labels=num_labels, average="none")
    assert mean_accuracy(truth, predicted) == pytest.approx(((tpr + tnr) / 2).mean().item())


@pytest.mark.parametrize("value", [False, True])
def test_whoever_says_the_same_of_everybody_has_a_half(value: bool) -> None:
    truth, _, known = random_labels(0)
    same = np.full_like(truth, value)
    assert mean_accuracy(truth, same, known) == 0.5


def test_unknown_cells_do_not_count() -> None:
    truth, predicted, known = random_labels(1)
    other = predicted ^ ~known  # wrong wherever nobody knows
    assert mean_accuracy(truth, predicted, known) == mean_accuracy(truth, other, known)
    assert element_accuracy(truth, predicted, known) == element_accuracy(truth, other, known)


def test_nothing_known_is_no_number() -> None:
    nothing = np.zeros((3, 2), dtype=bool)
    assert math.isnan(mean_accuracy(nothing, nothing, nothing))
    assert math.isnan(mean_accuracy(nothing, nothing, nothing, empty="zero"))
    assert math.isnan(element_accuracy(nothing, nothing, nothing))


def test_shapes() -> None:
    with pytest.raises(ShapeError, match=r"of one shape, got \[\[2, 3\], \[2, 2\], \[2, 3\]\]"):
        label_counts(np.zeros((2, 3), bool), np.zeros((2, 2), bool))
    with pytest.raises(ShapeError, match="must be bool"):
        label_counts(np.zeros((2, 3), int), np.zeros((2, 3), bool))
