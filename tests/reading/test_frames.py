"""From what datasets have to what modalities want."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gaitbench.errors import DatasetError
from gaitbench.reading.frames import stack_frames, to_joints, to_masks, to_numbers, to_points, to_rgb

GREY = np.array([[[0, 51, 255]], [[255, 0, 102]]], np.uint8)
BINARY = np.array([[[0, 1, 1]], [[1, 0, 0]]], np.uint8)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(GREY, GREY, id="grey"),
        pytest.param(BINARY, BINARY * 255, id="zero-and-one"),
        pytest.param(BINARY.astype(bool), BINARY * 255, id="truth"),
        pytest.param(BINARY.astype(np.int64), BINARY * 255, id="int64"),
        pytest.param(GREY / 255, GREY, id="floats-to-one"),
        pytest.param(GREY.astype(np.float64), GREY, id="floats-to-255"),
        pytest.param(GREY.astype(np.float32) / np.float32(255), GREY, id="single-floats"),
        pytest.param(GREY[:, None], GREY, id="with-channel"),
        pytest.param(list(GREY), GREY, id="list"),
        pytest.param(np.zeros((2, 3, 4)), np.zeros((2, 3, 4)), id="nobody"),
        pytest.param(np.array([[[0, 1.0005]]]), np.array([[[0, 255]]]), id="overshoot"),
    ],
)
def test_masks(value: Any, expected: Any) -> None:
    masks = to_masks(value, "000.pkl")
    assert masks.dtype == np.uint8
    np.testing.assert_array_equal(masks, expected)


def test_a_view_of_a_file_is_left_alone() -> None:
    frozen = BINARY.copy()
    frozen.flags.writeable = False
    assert to_masks(frozen, "000.pkl").max() == 255
    assert frozen.max() == 1


def test_colours() -> None:
    frames = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    np.testing.assert_array_equal(to_rgb(frames, "000.pkl"), frames.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(to_rgb(frames.transpose(0, 3, 1, 2), "000.pkl"), frames.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(to_rgb(frames / 255, "000.pkl"), frames.transpose(0, 3, 1, 2))
    assert to_rgb(np.zeros((2, 3, 9, 3), np.uint8), "000.pkl").shape == (2, 3, 9, 3)


def test_joints() -> None:
    flat = np.arange(102, dtype=np.float64).reshape(2, 51)
    joints = to_joints(flat, "000.pkl", num_joints=17, num_values=3)
    assert joints.dtype == np.float32
    np.testing.assert_array_equal(joints, flat.reshape(2, 17, 3))
    np.testing.assert_array_equal(to_joints(list(joints), "000.pkl", num_joints=17, num_values=3), joints)


def test_points() -> None:
    clouds = [np.arange(8, dtype=np.float64).reshape(2, 4), np.empty(0), np.ones((1, 3), np.float32)]
    points, offsets = to_points(clouds, "000.pkl")
    assert points.dtype == np.float32
    np.testing.assert_array_equal(points, [[0, 1, 2], [4, 5, 6], [1, 1, 1]])
    np.testing.assert_array_equal(offsets, [0, 2, 2, 3])
    np.testing.assert_array_equal(to_points(np.ones((2, 5, 3)), "000.pkl").offsets, [0, 5, 10])


def test_numbers() -> None:
    assert to_numbers([0.5, 1], "000.pkl", num_values=1).tolist() == [[0.5], [1.0]]
    assert to_numbers(np.ones((4, 85)), "000.pkl", num_values=85).shape == (4, 85)


def joints(value: object, where: str) -> object:
    return to_joints(value, where, num_joints=17, num_values=3)


def numbers(value: object, where: str) -> object:
    return to_numbers(value, where, num_values=2)


@pytest.mark.parametrize("convert", [stack_frames, to_masks, to_rgb, to_points, joints, numbers])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param([], "has no frames", id="empty-list"),
        pytest.param(np.zeros((0, 64, 64)), "has no frames", id="zero-frames"),
        pytest.param(np.array(3.0), r"no frames", id="number"),
        pytest.param({"a": 1, "b": 2}, "holds a dict with a, b", id="dict"),
        pytest.param([np.zeros((2, 3)), None], "1 of 2 frames are None", id="missing-frame"),
        pytest.param([np.zeros((2, 3)), "x"], "frame 1 is a str", id="word"),
        pytest.param("word", "holds a str, no frames", id="text"),
        pytest.param(None, "holds a NoneType, no frames", id="nothing"),
    ],
)
def test_what_is_no_sequence(convert: Callable[[object, str], object], value: object, message: str) -> None:
    with pytest.raises(DatasetError, match=f"000.pkl.*{message}"):
        convert(value, "000.pkl")


@pytest.mark.parametrize(
    ("convert", "value", "message"),
    [
        (to_masks, np.zeros((2, 3)), r"has shape \[2, 3\]; silhouettes are \[T, H, W\]"),
        (to_masks, np.zeros((2, 3, 0)), r"has shape \[2, 3, 0\]"),
        (to_masks, np.zeros((2, 3, 4, 3)), r"has shape \[2, 3, 4, 3\]"),
        (to_masks, np.full((1, 2, 2), 256), "values from 256 to 256"),
        (to_masks, np.full((1, 2, 2), -1), "values from -1 to -1"),
        (to_masks, np.full((1, 2, 2), -0.5), "values from -0.5"),
        (to_masks, np.full((1, 2, 2), np.nan), "4 NaN and 0 infinite of 4 values"),
        (
            to_masks,
            [np.zeros((2, 2)), np.zeros((2, 3))],
            r"frame 1 is float64 \[2, 3\], but frame 0 is float64 \[2, 2\]",
        ),
        (to_masks, [np.zeros((2, 2)), np.zeros((2, 2), int)], "frame 1 is int64"),
        (to_rgb, np.zeros((2, 4, 5, 4)), r"has shape \[2, 4, 5, 4\]; colour frames are"),
        (to_rgb, np.zeros((2, 4, 5, 3), bool), "holds truth values"),
        (to_rgb, np.full((2, 4, 5, 3), 300), "values from 300 to 300"),
        (to_rgb, np.full((2, 4, 5, 3), np.inf), "0 NaN and 120 infinite"),
        (joints, np.zeros((2, 18, 3)), r"\[T, 17, 3\] or \[T, 51\]"),
        (joints, np.full((2, 17, 3), np.nan), "102 NaN"),
        (joints, np.full((2, 17, 3), 1e300), "as float32, has 0 NaN and 102 infinite"),
        (joints, np.zeros((2, 17, 3), bool), "holds bool, no numbers"),
        (to_points, [np.zeros((5, 2))], r"frame 0 is float64 \[5, 2\]; a cloud is \[points, 3\]"),
        (to_points, [np.zeros(6)], r"frame 0 is float64 \[6\]"),
        (to_points, [np.zeros((0, 3))] * 4, "has 4 frames and not one point"),
        (to_points, [np.zeros((2, 3)), np.array([[1, np.nan, np.inf]])], "1 NaN and 1 infinite of 9.*row 2 of 3"),
        (numbers, np.zeros((3, 3)), r"has shape \[3, 3\]; it should be \[T, 2\]"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
def test_what_does_not_fit(convert: Callable[[object, str], object], value: object, message: str) -> None:
    with pytest.raises(DatasetError, match=f"000.pkl.*{message}"):
        convert(value, "000.pkl")
