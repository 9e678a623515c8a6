"""Skeletons of every form become the same joints."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gaitbench.errors import DatasetError
from gaitbench.folder.joints import COCO_OF_25, read_joints
from gaitbench.sequence import Absent
from gaitbench.streams.joints import COCO_OF_18
from gaitbench.testing import check_dataset

from .conftest import save_array

JOINTS = np.random.default_rng(0).uniform(1, 99, (3, 17, 3)).round(2).astype(np.float32)


def poses_of(frames: np.ndarray, folder: Path, *others: np.ndarray) -> list[Path]:
    """OpenPose's files; the others are further people, before the one who is meant."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, frame in enumerate(frames):
        people = [{"pose_keypoints_2d": person[number].ravel().tolist()} for person in (*others, frames)]
        paths.append(folder / f"walk_{number}_keypoints.json")
        paths[-1].write_text(json.dumps({"version": 1.3, "people": people if frame.any() else []}))
    return paths


def spread(frames: np.ndarray, order: tuple[int, ...], num_joints: int) -> np.ndarray:
    """OpenPose's joints of COCO's."""
    whole = np.zeros((len(frames), num_joints, frames.shape[2]), frames.dtype)
    whole[:, list(order)] = frames
    return whole


@pytest.mark.parametrize(("order", "num_joints"), [(range(17), 17), (COCO_OF_18, 18), (COCO_OF_25, 25)])
def test_openpose_files(tmp_path: Path, order: tuple[int, ...], num_joints: int) -> None:
    frames = spread(JOINTS, tuple(order), num_joints)
    paths = poses_of(frames, tmp_path, frames * 0.5)
    np.testing.assert_array_equal(read_joints(paths, "skeleton2d"), JOINTS)
    assert read_joints(paths, "skeleton2d", "keep").shape == (3, num_joints, 3)


def test_body_25_by_name() -> None:
    names = {0: "nose", 2: "r-shoulder", 5: "l-shoulder", 9: "r-hip", 12: "l-hip", 11: "r-ankle", 14: "l-ankle"}
    names |= {
        15: "r-eye",
        16: "l-eye",
        17: "r-ear",
        18: "l-ear",
        10: "r-knee",
        13: "l-knee",
        4: "r-wrist",
        7: "l-wrist",
    }
    names |= {3: "r-elbow", 6: "l-elbow"}
    coco = ["nose", *(f"{side}-{part}" for part in ("eye", "ear", "shoulder", "elbow", "wrist") for side in "lr")]
    coco += [f"{side}-{part}" for part in ("hip", "knee", "ankle") for side in "lr"]
    assert [names[i] for i in COCO_OF_25] == coco


def test_frames_without_people(tmp_path: Path) -> None:
    frames = JOINTS.copy()
    frames[0] = 0
    np.testing.assert_array_equal(read_joints(poses_of(frames, tmp_path), "skeleton2d"), JOINTS[1:])
    nobody = read_joints(poses_of(frames[:1], tmp_path / "nobody"), "skeleton2d")
    assert isinstance(nobody, Absent)
    assert not nobody.is_defect


@pytest.mark.parametrize("is_whole", [True, False])
def test_list_in_the_form_of_coco(tmp_path: Path, is_whole: bool) -> None:
    items = [
        {"image_id": f"{number}.jpg", "keypoints": frame.ravel().tolist(), "score": score}
        for number, frame in ((10, JOINTS[2]), (2, JOINTS[1]), (1, JOINTS[0]))
        for score in (0.9,)
    ]
    items.append({"image_id": "2.jpg", "keypoints": [0.0] * 51, "score": 0.1})
    path = tmp_path / "walk.json"
    path.write_text(json.dumps({"annotations": items} if is_whole else items))
    np.testing.assert_array_equal(read_joints([path], "skeleton2d"), JOINTS)


@pytest.mark.parametrize("header", ["", "frame," + ",".join(f"{a}{j}" for j in range(17) for a in "xyc") + "\n"])
@pytest.mark.parametrize("modality", ["skeleton2d", "skeleton3d"])
def test_tables(tmp_path: Path, header: str, modality: str) -> None:
    path = tmp_path / "walk.csv"
    lines = [",".join(map(str, ([float(n)] if header else []) + row.ravel().tolist())) for n, row in enumerate(JOINTS)]
    path.write_text(header + "\n".join(lines))
    np.testing.assert_allclose(read_joints([path], modality), JOINTS)


def test_a_word_in_the_first_row_does_not_make_it_a_header(tmp_path: Path) -> None:
    path = tmp_path / "walk.csv"
    lines = [",".join(map(str, row.ravel().tolist())) for row in JOINTS]
    path.write_text("\n".join(["abc" + lines[0].lstrip("-.0123456789"), *lines[1:]]))
    with pytest.raises(DatasetError, match=r"walk\.csv, line 1: 'abc,.* is not made of numbers"):
        read_joints([path], "skeleton2d")


def test_joints_without_a_confidence(tmp_path: Path) -> None:
    save_array(tmp_path / "walk.npy", JOINTS[..., :2])
    found = read_joints([tmp_path / "walk.npy"], "skeleton2d")
    np.testing.assert_array_equal(found[..., :2], JOINTS[..., :2])
    assert (found[..., 2] == 1).all()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.json", "{", "is no JSON"),
        ("a.json", '{"bodies": []}', "no list of people"),
        ("a.json", '{"people": [{"pose_keypoints_2d": [1, 2]}]}', "three numbers per joint"),
        ("a.json", '[{"image_id": 1, "keypoints": ["x", 1, 2]}]', "something else than numbers"),
        ("a.json", '[{"image_id": 1, "keypoints": [1, 2, 3]}, {"image_id": 2, "keypoints": [1]}]', "annotation 1"),
        ("a.json", '[{"image_id": 1, "keypoints": [1e999, 2, 3]}]', "infinite"),
        ("a.json", '[{"image_id": 1, "keypoints": [1' + "0" * 400 + ", 2, 3]}]", "damaged"),
        ("a.csv", "x,y\n1,nan\n", "NaN"),
        ("a.csv", "1\n2\n", "no joints of 2 values"),
        ("a.csv", "x,y\n1\n", "no joints of 2 values"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, content: str, reason: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DatasetError, match=reason):
        read_joints([tmp_path / name], "skeleton2d")


def test_joints_in_space_and_walks_that_differ(source: Path, build: Callable) -> None:
    save_array(source / "001/nm/000/a.npy", JOINTS)
    save_array(source / "001/nm/090/a.npy", JOINTS[:, :9])
    save_array(source / "001/nm/180/a.npy", JOINTS[..., :2])
    builder = build(source, modality="skeleton3d")
    whole, short, flat = builder.frames(builder.sequences(), "skeleton3d")
    np.testing.assert_array_equal(whole, JOINTS)
    assert "has 9 joints, and the first walk of the dataset 17" in short.reason
    assert "[frames, joints, 3]" in flat.reason
    for view in ("090", "180"):
        (source / "001/nm" / view / "a.npy").unlink()
    check_dataset(build(source, modality="skeleton3d"))
