import numpy as np
import pytest

from gaitbench.errors import ShapeError
from gaitbench.metrics.label_encoding import label_encoding
from gaitbench.walkers.attributes import ATTRIBUTES

RA_GAR = tuple(len(attribute.classes) for attribute in ATTRIBUTES)


def test_ra_gars_schema_has_the_two_published_lengths() -> None:
    assert label_encoding(RA_GAR, "onehot").name == "onehot45"
    assert label_encoding(RA_GAR, "binary").name == "binary38"


def test_one_hot_has_one_positive_label_per_known_attribute() -> None:
    classes = np.array([[0, 2], [1, 0], [-1, 1]])
    truth = label_encoding((2, 3)).of_classes(classes)
    assert truth.value.astype(int).tolist() == [[1, 0, 0, 0, 1], [0, 1, 1, 0, 0], [0, 0, 0, 1, 0]]
    assert truth.known.astype(int).tolist() == [[1] * 5, [1] * 5, [0, 0, 1, 1, 1]]


def test_a_binary_attribute_is_its_second_class() -> None:
    truth = label_encoding((3, 2), "binary").of_classes([[0, 0], [1, 1], [2, -1]])
    assert truth.value[:, 3].tolist() == [False, True, False]
    assert truth.known[:, 3].tolist() == [True, True, False]


def test_sets_are_read_by_the_same_labels() -> None:
    binary = label_encoding((2, 3), "binary")
    sets = np.array([[True, False, False, True, True]])
    assert binary.of_sets(sets).astype(int).tolist() == [[0, 0, 1, 1]]
    assert label_encoding((2, 3)).of_sets(sets).tolist() == sets.tolist()


@pytest.mark.parametrize("kind", ["onehot", "binary"])
def test_classes_and_their_sets_are_the_same_labels(kind: str) -> None:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, [2, 5, 2, 3], size=(20, 4))
    sets = label_encoding((2, 5, 2, 3)).of_classes(classes).value
    encoding = label_encoding((2, 5, 2, 3), kind)  # type: ignore[arg-type]
    assert np.array_equal(encoding.of_sets(sets), encoding.of_classes(classes).value)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        pytest.param([[0, 3]], r"row 0 has class 3 of attribute 1, which has 3 classes", id="too-large"),
        pytest.param([[0, -2]], r"class -2 of attribute 1", id="below-unknown"),
        pytest.param([[0]], r"integers \[N, 2\], got int64 \[1, 1\]", id="too-few"),
        pytest.param([[0.0, 1.0]], r"got float64", id="no-integers"),
    ],
)
def test_classes_that_do_not_exist(classes: list[list[int]], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        label_encoding((2, 3)).of_classes(np.array(classes))


def test_a_schema_needs_a_choice() -> None:
    with pytest.raises(ShapeError, match=r"two or more classes, got \[2, 1\]"):
        label_encoding((2, 1))
    with pytest.raises(ShapeError, match=r"label sets must be \[N, 5\]"):
        label_encoding((2, 3)).of_sets(np.zeros((2, 4), dtype=bool))
