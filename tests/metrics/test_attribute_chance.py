import itertools
import math

import numpy as np
import pytest

from gaitbench.metrics.attribute_chance import chance_instances, chance_label_counts
from gaitbench.metrics.instance_based import instance_scores
from gaitbench.metrics.label_based import element_accuracy, element_accuracy_of, mean_accuracy_of
from gaitbench.metrics.label_encoding import EncodingKind, label_encoding

NUM_CLASSES = (2, 3, 2, 4)
CLASSES = np.array([[0, 2, 1, 3], [1, -1, 1, 0], [0, 0, -1, -1], [-1, -1, 0, -1], [-1, -1, -1, -1]])


@pytest.mark.parametrize("kind", ["onehot", "binary"])
def test_all_guesses_tried(kind: EncodingKind) -> None:
    encoding = label_encoding(NUM_CLASSES, kind)
    truth = encoding.of_classes(CLASSES)
    sums, counts = np.zeros(4), np.zeros(4)
    accuracies = []
    for guess in itertools.product(*map(range, NUM_CLASSES)):
        told = encoding.of_classes(np.tile(guess, (len(CLASSES), 1))).value
        scores = instance_scores(truth.value, told, truth.known)
        for at, values in enumerate(scores[:4]):
            sums[at] += np.nansum(values[scores.is_asked])
            counts[at] += (~np.isnan(values[scores.is_asked])).sum()
        accuracies.append(element_accuracy(truth.value, told, truth.known))
    num_guesses = math.prod(NUM_CLASSES)
    guessed = chance_instances(CLASSES, encoding)
    expected = sums / (num_guesses * 4)  # four sequences of which something is known
    found = (guessed.zero.precision, guessed.zero.recall, guessed.zero.f1, guessed.zero.jaccard)
    assert found == pytest.approx(expected.tolist())
    found = (guessed.skip.precision, guessed.skip.recall, guessed.skip.f1, guessed.skip.jaccard)
    assert found == pytest.approx((sums / counts).tolist())
    counted = chance_label_counts(CLASSES, encoding)
    assert float(element_accuracy_of(counted)) == pytest.approx(float(np.mean(accuracies)))
    assert float(mean_accuracy_of(counted)) == pytest.approx(0.5)


def test_nothing_known_is_no_number() -> None:
    unknown = np.full((2, 4), -1)
    assert all(math.isnan(value) for value in chance_instances(unknown, label_encoding(NUM_CLASSES)).zero)
