"""JSON and tables of numbers."""

import json
from pathlib import Path

import hostile
import numpy as np
import pytest

from gaitbench.errors import DatasetError
from gaitbench.reading.text import TextLimits, read_json, read_people, read_table


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "0001_keypoints.json"


def test_people_of_a_frame(path: Path) -> None:
    path.write_bytes(hostile.poses())
    (pose,) = read_people(path, num_joints=18)
    assert (pose.shape, pose.dtype) == ((18, 3), np.float32)
    path.write_text('\ufeff{"people": []}')
    assert read_people(path, num_joints=18) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "has no list of people"),
        ('{"people": 3}', "has no list of people"),
        ('{"people": [3]}', "person 0 has no numbers"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', "has 2 numbers in pose_keypoints_2d; 2 joints take 6"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, 3, 4, "5", 6]}]}', "something else than numbers"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, 3, 4, true, 6]}]}', "something else than numbers"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, 3, 4, 1e300, 6]}]}', "1 of 6 numbers of person 0"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, 3, 4, NaN, 6]}]}', "has NaN, which JSON does not know"),
        ('{"a": 1, "b": 2, "a": 3}', "has the key 'a' twice"),
        ("{", "is no JSON: .* in line 1, column 2"),
        ("[" * 100 + "]" * 100, "nested more than 64 deep"),
    ],
)
def test_what_is_no_pose(path: Path, content: str, message: str) -> None:
    path.write_text(content)
    with pytest.raises(DatasetError, match=f"0001_keypoints.json.*{message}"):
        read_people(path, num_joints=2)


def test_nesting_up_to_the_limit(path: Path) -> None:
    path.write_text("[" * 64 + "1" + "]" * 64)
    assert json.dumps(read_json(path)) == path.read_text()


def test_tables(path: Path) -> None:
    path.write_text("frame,x,y\n\n1,2,3.5\n4,5e0,-6\n")
    table = read_table(path, has_header=True)
    assert table.dtype == np.float32
    assert table.tolist() == [[1, 2, 3.5], [4, 5, -6]]
    path.write_text("1 2\n3 4")
    assert read_table(path, delimiter=" ").tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2\n3\n", "line 2: 1 values, but 2 in the first row"),
        ("1,2\n3,x\n", "line 2: '3,x' is not made of numbers"),
        ("\n\n", "has no rows"),
        ("1,nan\n", "1 of 2 numbers of the table are NaN"),
        ("1," * 20 + "1", "more than 10 values"),
        ("1,2\n" * 100, "more than the limit of 300"),
    ],
)
def test_what_is_no_table(path: Path, content: str, message: str) -> None:
    path.write_text(content)
    with pytest.raises(DatasetError, match=message):
        read_table(path, limits=TextLimits(num_bytes=300, num_values=10))
