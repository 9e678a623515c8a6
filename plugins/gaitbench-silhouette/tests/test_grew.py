"""GREW: official, rearranged and pickled folders; the numbering of the gallery; poses in text."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gaitbench_silhouette.grew import Grew

from gaitbench.errors import DatasetError
from gaitbench.protocols.grew import GREW, GREW_VALIDATION
from gaitbench.sequence import Absent
from gaitbench.streams.silhouettes import SilhouetteOptions
from gaitbench.table import SequenceTable
from gaitbench.testing import check_dataset

OFFICIAL = {
    "train/00001/4XPn5Z28": "00001train/00/4XPn5Z28",
    "train/00001/5TXe8svE": "00001train/00/5TXe8svE",
    "train/00002/aaaaaaaa": "00002train/00/aaaaaaaa",
    "train/00002/bbbbbbbb": "00002train/00/bbbbbbbb",
    "test/gallery/00001/t16VLaQf": "00001/02/t16VLaQf",
    "test/gallery/00001/79XJefi8": "00001/01/79XJefi8",
    "test/gallery/00002/zzzzzzzz": "00002/02/zzzzzzzz",
    "test/gallery/00002/AAAAAAAA": "00002/01/AAAAAAAA",
    "test/probe/etaGVnWf": "probe/03/etaGVnWf",
}
"""As delivered, and as the public scripts rearrange it."""


def build(source: Path, **options: object) -> Grew:
    return Grew(SilhouetteOptions(**options), source)


def poses_of(take: int, num_frames: int = 6) -> np.ndarray:
    return np.random.default_rng(take).uniform(0, 500, (num_frames, 17, 3)).round(3)


@pytest.fixture
def official(tmp_path: Path, aligned: Callable, write_images: Callable) -> Path:
    return make(tmp_path / "GREW", list(OFFICIAL), aligned, write_images)


def make(root: Path, folders: list[str], aligned: Callable, write_images: Callable) -> Path:
    for take, folder in enumerate(folders):
        leaf = root / folder
        write_images(leaf, aligned(take % 7, take), "{:05d}.png")
        write_images(leaf, aligned(take % 7, take)[:1], f"{leaf.name}_gei.png")
        for number, pose in enumerate(poses_of(take)):
            values = ",".join(map(str, [float(number), 0.5, *pose.ravel().tolist()]))
            (leaf / f"{number + 1:05d}_2d_pose.txt").write_text(values + "\n")
            (leaf / f"{number + 1:05d}_3d_pose.txt").write_text("1,2,3\n")
    return root


def test_official_parts_are_named_as_the_protocol_names_them(official: Path, aligned: Callable) -> None:
    (official / "distractor" / "xyz").mkdir(parents=True)
    builder = build(official)
    assert builder.layout.name == "official"
    infos = builder.sequences()
    ids = [info.sequence_id for info in infos]
    assert ids == sorted(folder.replace("/", "-") for folder in OFFICIAL.values())
    assert [item.examples for item in builder.left_out()] == [("distractor",)]
    for take, (folder, name) in enumerate(OFFICIAL.items()):
        info = infos[ids.index(name.replace("/", "-"))]
        assert info.view == folder.rpartition("/")[2]
        (masks,), (joints,) = (builder.frames([info], modality) for modality in ("silhouette", "skeleton2d"))
        np.testing.assert_array_equal(masks[:, 0], aligned(take % 7, take)), "as delivered"
        np.testing.assert_array_equal(joints, poses_of(take).astype(np.float32))
    assert "01 and 02 in the order of their names" in builder.card().description
    check_dataset(builder)


def test_protocols_find_their_parts(official: Path) -> None:
    table = SequenceTable.from_infos(build(official).sequences())
    division = GREW.divide(table, allow_partial=True, needs_matches=False)
    assert table.view[division.probes["all"]].tolist() == ["etaGVnWf"], "a probe is named by its view"
    assert len(division.gallery) == 4
    assert set(table.subject_id[division.train].tolist()) == {"00001train", "00002train"}
    local = GREW_VALIDATION.divide(table, allow_partial=True)
    assert table.view[local.gallery].tolist() == ["79XJefi8", "AAAAAAAA"]
    assert table.view[local.probes["all"]].tolist() == ["t16VLaQf", "zzzzzzzz"]


def test_rearranged_folders_are_the_same_dataset(
    official: Path, tmp_path: Path, aligned: Callable, write_images: Callable
) -> None:
    rearranged = make(tmp_path / "r", list(OFFICIAL.values()), aligned, write_images)
    one, other = build(official), build(rearranged)
    assert other.layout.name == "frames"
    assert repr(one.sequences()) == repr(other.sequences())
    for modality in ("silhouette", "skeleton2d"):
        pairs = zip(one.frames(one.sequences(), modality), other.frames(other.sequences(), modality), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("content", ["masks", "poses"])
def test_pickles(tmp_path: Path, aligned: Callable, write_pickle: Callable, content: str) -> None:
    for take, folder in enumerate(OFFICIAL.values()):
        frames = aligned(1, take) if content == "masks" else poses_of(take)
        write_pickle(tmp_path / folder / f"{folder.rpartition('/')[2]}.pkl", frames)
    builder = build(tmp_path)
    modality = "silhouette" if content == "masks" else "skeleton2d"
    assert list(builder.card().streams) == [modality]
    info = next(info for info in builder.sequences() if info.sequence_id == "probe-03-etaGVnWf")
    (got,) = builder.frames([info], modality)
    np.testing.assert_array_equal(
        got[:, 0] if content == "masks" else got,
        aligned(1, 8) if content == "masks" else poses_of(8).astype(np.float32),
    )
    check_dataset(builder)


def test_a_third_gallery_sequence_is_refused(official: Path, aligned: Callable, write_images: Callable) -> None:
    make(official, ["test/gallery/00001/cccccccc"], aligned, write_images)
    with pytest.raises(DatasetError, match=r"subject 00001 has 3 gallery sequences, the release has 2.*cccccccc"):
        build(official).sequences()


def test_a_pose_of_other_length_is_a_broken_sequence(official: Path) -> None:
    path = official / "test/probe/etaGVnWf/00002_2d_pose.txt"
    path.write_text(",".join(["1.0"] * 51))
    builder = build(official)
    (found,) = builder.frames([info for info in builder.sequences() if info.subject_id == "probe"], "skeleton2d")
    assert isinstance(found, Absent)
    assert found.is_defect
    assert f"{path} has 51 values a line where a pose takes 53" in found.reason


def test_frames_of_another_size_say_what_to_do(tmp_path: Path, aligned: Callable, write_images: Callable) -> None:
    write_images(tmp_path / "train/00001/4XPn5Z28", aligned(1)[:, ::2, ::2])
    (found,) = build(tmp_path).frames(build(tmp_path).sequences(), "silhouette")
    assert isinstance(found, Absent)
    assert "has 32 x 32 pixels where 64 x 64 are expected" in found.reason
    (masks,) = build(tmp_path, height_px=32, width_px=32).frames(build(tmp_path).sequences(), "silhouette")
    assert masks.shape == (6, 1, 32, 32)


def test_from_the_official_files_to_a_table(official: Path, through_the_command_line: Callable) -> None:
    said = through_the_command_line("grew", official, "--allow-partial", "--protocol", "grew-validation")
    (record,) = said["records"]
    assert record["data"]["num_probes"] == 2
    assert record["data"]["num_train_sequences"] == 4
