"""Aspect ratios: one stream, whatever the files have."""

from pathlib import Path

import numpy as np
import pytest

from gaitbench.errors import DatasetError
from gaitbench.streams.ratio import width_over_height

FILE = Path("ratios.pkl")


@pytest.mark.parametrize(
    "values",
    [
        np.array([0.5, 0.25]),
        np.array([[0.5], [0.25]], np.float32),
        np.array([[200, 100], [400, 100]]),
        np.array([[200.0, 100.0], [400.0, 100.0]]),
    ],
    ids=["ratio", "column", "height-and-width", "floats"],
)
def test_width_over_height(values: np.ndarray) -> None:
    found = width_over_height(values, FILE)
    assert (found.shape, found.dtype) == ((2, 1, 1), np.float32)
    assert found.ravel().tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([0.5, 0.0]), "frame 1 has"),
        (np.array([[0, 100]]), "frame 0 has"),
        (np.array([0.5, np.nan]), "frame 1 has"),
        (np.ones((2, 3)), r"\[2, 3\]"),
        (np.ones((2, 2, 1)), r"\[2, 2, 1\]"),
    ],
)
def test_other_content_is_refused_with_the_file(values: np.ndarray, message: str) -> None:
    with pytest.raises(DatasetError, match=rf"ratios\.pkl.*{message}"):
        width_over_height(values, FILE)
