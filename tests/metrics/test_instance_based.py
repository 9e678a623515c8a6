import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics
from torchmetrics.functional import classification as torchmetrics_metrics

from gaitbench.metrics.instance_based import instance_means, instance_scores
from gaitbench.metrics.label_based import element_accuracy


def random_labels(seed: int, *, num: int = 30, labels: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.random((num, labels)) < 0.25
    predicted = truth ^ (rng.random((num, labels)) < 0.2)
    return truth, predicted, rng.random((num, labels)) < 0.7


def slow_means(truth: np.ndarray, predicted: np.ndarray, known: np.ndarray, *, zero: bool) -> list[float]:
    columns: list[list[float]] = [[], [], [], []]
    for row in range(len(truth)):
        labels = [label for label in range(truth.shape[1]) if known[row, label]]
        if not labels:
            continue
        true = {label for label in labels if truth[row, label]}
        told = {label for label in labels if predicted[row, label]}
        parts = [
            (len(true & told), len(told)),
            (len(true & told), len(true)),
            (2 * len(true & told), len(true) + len(told)),
            (len(true & told), len(true | told)),
        ]
        for column, (part, of) in zip(columns, parts, strict=True):
            if of:
                column.append(part / of)
            elif zero:
                column.append(0.0)
    return [sum(column) / len(column) for column in columns]


def test_by_hand() -> None:
    truth = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]], dtype=bool)
    predicted = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=bool)
    means = instance_means(truth, predicted)
    assert means.precision == pytest.approx(0.5 / 3)
    assert means.recall == pytest.approx(0.5 / 3)
    assert means.f1 == pytest.approx(0.5 / 3)
    assert means.jaccard == pytest.approx(1 / 9)
    left = instance_means(truth, predicted, empty="skip")
    assert left.precision == 0.5  # of the one sequence with a prediction
    assert left.recall == 0.25  # of the two with a positive label
    assert left.f1_of_means == pytest.approx(1 / 3)
    assert left.jaccard == pytest.approx(1 / 6)


def test_element_wise_and_jaccard_accuracy_differ() -> None:
    truth = np.array([[1, 0, 0, 0, 0]], dtype=bool)
    predicted = np.array([[0, 1, 0, 0, 0]], dtype=bool)
    assert element_accuracy(truth, predicted) == 0.6
    assert instance_means(truth, predicted).jaccard == 0.0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rule", ["zero", "skip"])
def test_a_slow_version_agrees(seed: int, rule: str) -> None:
    truth, predicted, known = random_labels(seed)
    known[0] = False
    found = instance_means(truth, predicted, known, empty=rule)  # type: ignore[arg-type]
    precision, recall, f1, jaccard = slow_means(truth, predicted, known, zero=rule == "zero")
    assert (found.precision, found.recall, found.f1, found.jaccard) == pytest.approx((precision, recall, f1, jaccard))
    assert found.f1_of_means == pytest.approx(2 * precision * recall / (precision + recall))


@pytest.mark.parametrize("seed", range(3))
def test_scikit_learn_agrees(seed: int) -> None:
    truth, predicted, _ = random_labels(seed)
    found = instance_means(truth, predicted)
    theirs = {"average": "samples", "zero_division": 0}
    assert found.precision == pytest.approx(sklearn_metrics.precision_score(truth, predicted, **theirs))
    assert found.recall == pytest.approx(sklearn_metrics.recall_score(truth, predicted, **theirs))
    assert found.f1 == pytest.approx(sklearn_metrics.f1_score(truth, predicted, **theirs))
    assert found.jaccard == pytest.approx(sklearn_metrics.jaccard_score(truth, predicted, **theirs))


def test_torchmetrics_agrees() -> None:
    truth, predicted, _ = random_labels(0)
    truth[:, 0] = predicted[:, 0] = True  # torchmetrics has other rules for empty sequences
    told, true = (torch.from_numpy(x.astype(int))[..., None] for x in (predicted, truth))
    options = {"num_labels": truth.shape[1], "average": "micro", "multidim_average": "samplewise"}
    scores = instance_scores(truth, predicted)
    for name, function in (
        ("precision", torchmetrics_metrics.multilabel_precision),
        ("recall", torchmetrics_metrics.multilabel_recall),
        ("f1", torchmetrics_metrics.multilabel_f1_score),
    ):
        np.testing.assert_allclose(getattr(scores, name), function(told, true, **options).numpy(), atol=1e-6)


def test_one_class_of_each_attribute_makes_precision_recall_and_f1_one_number() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = (np.eye(4, dtype=bool)[rng.integers(0, 4, 20)] for _ in range(2))
    means = instance_means(truth, predicted)
    assert means.precision == means.recall == means.f1


def test_nothing_known_is_no_number() -> None:
    nothing = np.zeros((3, 2), dtype=bool)
    assert all(math.isnan(value) for value in instance_means(nothing, nothing, nothing))
    # Known to be negative and told so: nothing to divide by.
    assert instance_means(nothing, nothing).f1 == 0.0
    assert math.isnan(instance_means(nothing, nothing, empty="skip").f1)
