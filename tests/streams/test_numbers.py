"""Joints in space and body values."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from gaitbench.errors import DatasetError
from gaitbench.streams.numbers import pickled_numbers

JOINTS = np.random.default_rng(0).normal(size=(4, 24, 3))


def read(path: Path, value: object, shape: tuple[int, int]):
    path.write_bytes(pickle.dumps(value))
    return pickled_numbers("*.pkl", shape, 10, modality="skeleton3d").read([path])


def test_joints_and_values_of_a_body(tmp_path: Path) -> None:
    single = JOINTS.astype(np.float32)
    np.testing.assert_array_equal(read(tmp_path / "a.pkl", JOINTS, (24, 3)), single)
    np.testing.assert_array_equal(read(tmp_path / "a.pkl", JOINTS.reshape(4, 72), (24, 3)), single)
    np.testing.assert_array_equal(read(tmp_path / "a.pkl", list(JOINTS), (1, 72)), single.reshape(4, 1, 72))


@pytest.mark.parametrize("value", [JOINTS[:, :23], np.where(JOINTS > 2, np.nan, JOINTS), JOINTS.astype(bool)])
def test_other_content_is_refused_with_the_file(tmp_path: Path, value: object) -> None:
    with pytest.raises(DatasetError, match=r"a\.pkl"):
        read(tmp_path / "a.pkl", value, (24, 3))
