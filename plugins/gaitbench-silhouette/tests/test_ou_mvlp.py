"""OU-MVLP: masks and poses, as archives unpack, rearranged and pickled."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gaitbench_silhouette.ou_mvlp import OuMvlp

from gaitbench.protocols.ou_mvlp import OU_MVLP
from gaitbench.sequence import Absent
from gaitbench.silhouettes import align_all
from gaitbench.streams.joints import COCO_OF_18
from gaitbench.streams.silhouettes import SilhouetteOptions
from gaitbench.table import SequenceTable
from gaitbench.testing import check_dataset

SUBJECTS = ("00001", "00002", "10305", "10306", "10307")
WALKS, VIEWS = ("00", "01"), ("000", "090", "270")


def build(source: Path, **options: object) -> OuMvlp:
    return OuMvlp(SilhouetteOptions(**options), source)


def people(*poses: np.ndarray) -> str:
    return json.dumps({"version": 1.0, "people": [{"pose_keypoints_2d": pose.ravel().tolist()} for pose in poses]})


def test_odd_numbers_train_even_ones_and_10307_are_tested(
    tmp_path: Path, aligned: Callable, write_pickle: Callable
) -> None:
    for number, subject in enumerate(SUBJECTS):
        for walk in WALKS:
            for view in VIEWS[: 3 - number % 2]:  # many combinations do not exist
                write_pickle(tmp_path / subject / walk / view / f"{view}.pkl", aligned(number, int(walk)))
    builder = build(tmp_path)
    infos = builder.sequences()
    assert len(infos) == 26
    assert builder.layout.name == "pickles"
    assert infos[0].sequence_id == "00001-00-000"
    (got,) = builder.frames(infos[:1], "silhouette")
    np.testing.assert_array_equal(got[:, 0], aligned(0, 0))
    table = SequenceTable.from_infos(infos)
    division = OU_MVLP.divide(table, allow_partial=True)
    assert set(table.subject_id[division.train].tolist()) == {"00001", "10305"}
    assert set(table.subject_id[division.test].tolist()) == {"00002", "10306", "10307"}
    assert set(table.condition[division.gallery].tolist()) == {"01"}
    check_dataset(builder)


@pytest.mark.parametrize("layout", ["official", "frames"])
def test_silhouettes_of_the_archives(tmp_path: Path, raw: Callable, write_images: Callable, layout: str) -> None:
    for view in VIEWS:
        for walk in WALKS:
            folder = f"Silhouette_{view}-{walk}/00002" if layout == "official" else f"00002/{walk}/{view}"
            write_images(tmp_path / folder, raw(2, int(walk) + int(view)))
    builder = build(tmp_path)
    assert builder.layout.name == layout
    infos = builder.sequences()
    expected = [f"00002-{walk}-{view}" for walk in WALKS for view in VIEWS]
    assert [info.sequence_id for info in infos] == expected, "one order, however the folders lie"
    (got,) = builder.frames(infos[4:5], "silhouette")
    np.testing.assert_array_equal(got[:, 0], align_all(raw(2, 91)).frames)
    check_dataset(builder)


@pytest.mark.parametrize("joints", [17, 18])
def test_pickled_poses_become_coco(tmp_path: Path, write_pickle: Callable, joints: int) -> None:
    poses = np.random.default_rng(0).uniform(0, 900, (5, joints, 3))
    write_pickle(tmp_path / "00001" / "00" / "000" / "000.pkl", poses)
    builder = build(tmp_path)
    assert builder.layout.name == "poses"
    (got,) = builder.frames(builder.sequences(), "skeleton2d")
    order = [0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10] if joints == 18 else list(range(17))
    np.testing.assert_array_equal(got, poses[:, order].astype(np.float32))


def pose_files(root: Path, folder: str, index: dict[str, int] | None, write_pickle: Callable) -> np.ndarray:
    """Four frames: one person, nobody, two people twice. Gives all people ``[4, 2, 18, 3]``."""
    poses = np.random.default_rng(1).uniform(0, 900, (4, 2, 18, 3)).round(2)
    leaf = root / folder
    leaf.mkdir(parents=True)
    for number, several in enumerate(([0], [], [0, 1], [0, 1])):
        (leaf / f"{number + 1:04d}.json").write_text(people(*poses[number, several]))
    if index is not None:
        write_pickle(leaf / "pose_selection_idx.pkl", {frame: np.int64(who) for frame, who in index.items()})
    return poses


@pytest.mark.parametrize(
    ("folder", "layout"), [("00003/00/015", "pose-files"), ("00003/015_00", "pose-files-official")]
)
@pytest.mark.parametrize(
    ("index", "chosen"),
    [
        pytest.param(None, (0, 0, 0), id="no-index"),
        pytest.param({"0003": 1, "0004": 0}, (0, 1, 0), id="index"),
        pytest.param({"0004": 1}, (0, 0, 1), id="index-of-some-frames"),
    ],
)
def test_the_walker_among_several_people(
    tmp_path: Path,
    write_pickle: Callable,
    folder: str,
    layout: str,
    index: dict[str, int] | None,
    chosen: tuple[int, ...],
) -> None:
    poses = pose_files(tmp_path, folder, index, write_pickle)
    builder = build(tmp_path)
    assert builder.layout.name == layout
    (info,) = builder.sequences()
    assert (info.subject_id, info.condition, info.view) == ("00003", "00", "015")
    (got,) = builder.frames([info], "skeleton2d")
    expected = np.stack([poses[frame, who][list(COCO_OF_18)] for frame, who in zip((0, 2, 3), chosen, strict=True)])
    np.testing.assert_array_equal(got, expected.astype(np.float32))
    assert "pose_selection_idx.pkl" in builder.card().description
    check_dataset(builder)


def test_names_of_subject_00001_have_their_number_elsewhere(tmp_path: Path, write_pickle: Callable) -> None:
    poses = np.random.default_rng(2).uniform(0, 900, (2, 18, 3)).round(2)
    leaf = tmp_path / "00001" / "000_00"
    leaf.mkdir(parents=True)
    (leaf / "0007_keypoints.json").write_text(people(*poses))
    write_pickle(leaf / "pose_selection_idx.pkl", {"0007": 1})
    builder = build(tmp_path)
    (got,) = builder.frames(builder.sequences(), "skeleton2d")
    np.testing.assert_array_equal(got[0], poses[1][list(COCO_OF_18)].astype(np.float32))


def test_nobody_in_any_frame_is_no_defect(tmp_path: Path) -> None:
    leaf = tmp_path / "00001" / "000_00"
    leaf.mkdir(parents=True)
    (leaf / "0001.json").write_text(people())
    builder = build(tmp_path)
    (found,) = builder.frames(builder.sequences(), "skeleton2d")
    assert found == Absent(f"{leaf} shows nobody in any of its 1 frames", is_defect=False)


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        pytest.param({"0003": 2}, "names person 2 of 0003.json, which has 2", id="nobody-of-that-number"),
        pytest.param({"0003": -1}, "names person -1", id="negative"),
        pytest.param({"0003": 0.5}, "must be a dict from frame numbers to whole numbers", id="no-number"),
        pytest.param([1, 2], "must be a dict", id="list"),
    ],
)
def test_a_wrong_index_is_a_broken_sequence(tmp_path: Path, write_pickle: Callable, index: object, reason: str) -> None:
    pose_files(tmp_path, "00003/015_00", None, write_pickle)
    write_pickle(tmp_path / "00003/015_00/pose_selection_idx.pkl", index)
    builder = build(tmp_path)
    (found,) = builder.frames(builder.sequences(), "skeleton2d")
    assert isinstance(found, Absent)
    assert found.is_defect
    assert reason in found.reason


def test_from_the_official_files_to_a_table(
    tmp_path: Path, raw: Callable, write_images: Callable, through_the_command_line: Callable
) -> None:
    for subject in ("00001", "00002", "00003", "10307"):
        for walk in WALKS:
            for view in VIEWS[:2]:
                take = int(walk) * 1000 + int(view)
                write_images(tmp_path / f"s/Silhouette_{view}-{walk}/{subject}", raw(int(subject), take))
    said = through_the_command_line("ou-mvlp", tmp_path / "s", "--allow-partial")
    (record,) = said["records"]
    assert record["data"]["options"]["layout"] == "official"
    assert record["data"]["num_test_subjects"] == 2
    assert record["data"]["num_train_subjects"] == 2
