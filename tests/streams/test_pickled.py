"""Pickles with the frames of one sequence."""

import pickle
import resource
from pathlib import Path

import numpy as np
import pytest

from gaitbench.errors import DatasetError
from gaitbench.sequence import Absent
from gaitbench.streams.pickled import first_frame, read_array, read_list

FRAMES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.pkl"


@pytest.mark.parametrize("value", [FRAMES, list(FRAMES), tuple(FRAMES)], ids=["array", "list", "tuple"])
def test_frames_of_one_shape(path: Path, value: object) -> None:
    path.write_bytes(pickle.dumps(value))
    np.testing.assert_array_equal(read_array(path), FRAMES)


def test_plain_numbers_are_frames_of_one_value(path: Path) -> None:
    path.write_bytes(pickle.dumps([0.5, 0.25]))
    np.testing.assert_array_equal(read_array(path), [0.5, 0.25])


def test_frames_of_several_shapes_are_a_list_only(path: Path) -> None:
    path.write_bytes(pickle.dumps([FRAMES[0], FRAMES[0, :2]]))
    assert [frame.shape for frame in read_list(path)] == [(3, 4), (2, 4)]
    with pytest.raises(DatasetError, match=r"a\.pkl holds frames of different .*uint8 \[2, 4\].*uint8 \[3, 4\]"):
        read_array(path)


@pytest.mark.parametrize("value", [FRAMES[:0], [], ()])
def test_no_frames_are_no_defect(path: Path, value: object) -> None:
    path.write_bytes(pickle.dumps(value))
    found = read_array(path)
    assert isinstance(found, Absent)
    assert not found.is_defect
    assert "a.pkl" in found.reason


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"frames": FRAMES}, "holds a dict"),
        ([FRAMES[0], None], "holds NoneType among its frames"),
        ([[1, 2]], "holds list among its frames"),
        (np.array(3), "single number"),
        (exit, "not loaded"),
    ],
)
def test_anything_else_is_refused_with_the_file(path: Path, value: object, message: str) -> None:
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(DatasetError, match=rf"a\.pkl.*{message}"):
        read_array(path)


@pytest.mark.parametrize("value", [np.ones((3, 17, 2)), [np.ones((17, 2)), np.zeros((5, 2))]])
def test_first_frame_is_read_apart_from_the_program(tmp_path: Path, value: object) -> None:
    path = tmp_path / "000.pkl"
    path.write_bytes(pickle.dumps(value))
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    np.testing.assert_array_equal(first_frame(path), np.ones((17, 2)))
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime > before


def test_first_frame_of_nothing_and_of_a_gadget(tmp_path: Path) -> None:
    path = tmp_path / "000.pkl"
    path.write_bytes(pickle.dumps([]))
    assert first_frame(path) is None
    path.write_bytes(pickle.dumps(print))
    with pytest.raises(DatasetError, match=r"builtins\.print"):
        first_frame(path)
