"""Joints out of pickles, text and JSON; who is meant among several people; what tells joints from masks."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gaitbench.errors import DatasetError
from gaitbench.sequence import Absent
from gaitbench.streams.joints import (
    COCO_OF_18,
    POSE_INDEX_FILE,
    coco_joints,
    frame_number,
    holds_joints,
    people_joints,
    pickled_joints,
    text_joints,
)

COCO = ("nose", "l-eye", "r-eye", "l-ear", "r-ear", "l-shoulder", "r-shoulder", "l-elbow", "r-elbow", "l-wrist")
COCO += ("r-wrist", "l-hip", "r-hip", "l-knee", "r-knee", "l-ankle", "r-ankle")
OPENPOSE = ("nose", "neck", "r-shoulder", "r-elbow", "r-wrist", "l-shoulder", "l-elbow", "l-wrist", "r-hip", "r-knee")
OPENPOSE += ("r-ankle", "l-hip", "l-knee", "l-ankle", "r-eye", "l-eye", "r-ear", "l-ear")


def joints(*shape: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(0, 500, shape).round(2)


def test_18_joints_are_brought_to_the_17_of_coco_by_name() -> None:
    assert tuple(OPENPOSE[at] for at in COCO_OF_18) == COCO
    frames = joints(4, 18, 3)
    got = coco_joints(frames, Path("090.pkl"))
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got[:, COCO.index("l-knee")], frames[:, OPENPOSE.index("l-knee")].astype(np.float32))


def test_joints_without_a_confidence_get_1() -> None:
    got = coco_joints(joints(4, 17, 2), Path("090.pkl"))
    assert got.shape == (4, 17, 3)
    assert (got[..., 2] == 1).all()


@pytest.mark.parametrize("shape", [(4, 64, 64), (4, 16, 3), (4, 17), (4, 17, 4), (4, 19, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DatasetError, match=r"090\.pkl holds an array .* where joints"):
        coco_joints(np.zeros(shape), Path("090.pkl"))


def test_nan_is_refused() -> None:
    frames = joints(4, 17, 3)
    frames[2, 3, 0] = np.nan
    with pytest.raises(DatasetError, match="NaN"):
        coco_joints(frames, Path("090.pkl"))


def test_pickles(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    files = pickled_joints("*.pkl", 25, modality="skeleton3d")
    assert files.modality == "skeleton3d"
    assert files.info.frame_shape == (17, 3)
    for content in (joints(4, 17, 3), list(joints(4, 17, 3))):
        path.write_bytes(pickle.dumps(content))
        np.testing.assert_array_equal(files.read([path]), joints(4, 17, 3).astype(np.float32))
    path.write_bytes(pickle.dumps(np.zeros((0, 17, 3))))
    assert isinstance(files.read([path]), Absent)


def test_lines_of_text_are_frames_and_the_first_two_values_go(tmp_path: Path) -> None:
    poses = joints(3, 17, 3)
    lines = [",".join(map(str, [7.0, 8.0, *pose.ravel()])) for pose in poses]
    (tmp_path / "1.txt").write_text(lines[0] + "\n")
    (tmp_path / "2.txt").write_text("\n".join(lines[1:]))
    got = text_joints("*.txt", 25).read([tmp_path / "1.txt", tmp_path / "2.txt"])
    np.testing.assert_array_equal(got, poses.astype(np.float32))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (",".join(["1"] * 51), "has 51 values a line where a pose takes 53"),
        ("", "empty"),
        (",".join(["1"] * 52 + ["x"]), "line 1"),
        (",".join(["1"] * 52 + ["nan"]), "NaN"),
    ],
)
def test_text_of_another_kind_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "1.txt").write_text(content)
    with pytest.raises(DatasetError, match=message):
        text_joints("*.txt", 25).read([tmp_path / "1.txt"])


def people(folder: Path, name: str, poses: NDArray[np.float64]) -> Path:
    content = {"people": [{"pose_keypoints_2d": pose.ravel().tolist()} for pose in poses]}
    (folder / name).write_text(json.dumps(content))
    return folder / name


def test_frames_without_people_go_and_the_index_chooses(tmp_path: Path) -> None:
    poses = joints(3, 2, 18, 3)
    paths = [people(tmp_path, f"{n:04d}.json", poses[n, :count]) for n, count in enumerate((1, 0, 2))]
    order = list(COCO_OF_18)
    files = people_joints("*.json", 25)
    np.testing.assert_array_equal(files.read(paths), poses[[0, 2], 0][:, order].astype(np.float32))
    # The index of a frame with one person is not looked at.
    (tmp_path / POSE_INDEX_FILE).write_bytes(pickle.dumps({"0000": np.int64(1), "0002": np.int64(1)}))
    np.testing.assert_array_equal(files.read(paths), poses[[0, 2], [0, 1]][:, order].astype(np.float32))


def test_a_hostile_index_is_not_loaded(tmp_path: Path) -> None:
    path = people(tmp_path, "0000.json", joints(2, 18, 3))
    (tmp_path / POSE_INDEX_FILE).write_bytes(pickle.dumps(print))
    with pytest.raises(DatasetError, match="not loaded"):
        people_joints("*.json", 25).read([path])


@pytest.mark.parametrize(
    ("name", "number"),
    [("0042.json", "0042"), ("a_12_0007.json", "0007"), ("0001_keypoints.json", "0001"), ("f000123x.json", "0001")],
)
def test_the_number_of_a_frame(name: str, number: str) -> None:
    assert frame_number(Path(name)) == number


def test_a_frame_without_a_number_is_refused(tmp_path: Path) -> None:
    path = people(tmp_path, "first.json", joints(2, 18, 3))
    with pytest.raises(DatasetError, match="has no frame number in its name"):
        people_joints("*.json", 25).read([path])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(np.zeros((4, 17, 3)), True, id="joints"),
        pytest.param(np.zeros((4, 18, 2)), True, id="18-joints"),
        pytest.param([np.zeros((17, 3))], True, id="list"),
        pytest.param(np.zeros((4, 64, 64)), False, id="masks"),
        pytest.param([np.zeros((64, 64))], False, id="list-of-masks"),
        pytest.param([], False, id="nothing"),
        pytest.param({"a": 1}, False, id="dict"),
        pytest.param([1, 2], False, id="numbers"),
        pytest.param(print, False, id="hostile"),
    ],
)
def test_joints_are_told_from_masks(tmp_path: Path, content: object, expected: bool) -> None:
    (tmp_path / "090.pkl").write_bytes(pickle.dumps(content))
    (tmp_path / "mapping.txt").write_text("0 1\n")
    assert holds_joints(tmp_path) is expected


def test_a_folder_without_pickles_holds_no_joints(tmp_path: Path) -> None:
    assert not holds_joints(tmp_path)
