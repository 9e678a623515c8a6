"""A user's points become the depth stream, from files to a run."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gaitbench_lidar.depth_maps import depth_maps
from gaitbench_lidar.points_folder import PointsFolder, PointsFolderOptions
from pydantic import ValidationError

from gaitbench.cli import main
from gaitbench.dataset import GaitDataset
from gaitbench.errors import DatasetError
from gaitbench.prepare import prepare
from gaitbench.sequence import Absent, PointFrames
from gaitbench.testing import check_dataset

NUM_FRAMES = 4


def cloud(person: int, frame: int) -> Any:
    """A slab as high and broad as the person is."""
    rng = np.random.default_rng([person, frame])
    size = [0.1, 0.3 + 0.05 * person, 1.2 + 0.1 * person]
    return (rng.uniform(-0.5, 0.5, (300, 3)) * size + [7 - 0.1 * frame, 0.5, 0.2]).astype(np.float32)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Four people, two walks each, with points and masks."""
    root = tmp_path / "source"
    for person in range(4):
        for condition in ("nm-01", "nm-02"):
            walk = root / f"{person:03d}" / condition / "090"
            for name in ("lidar", "silhouette"):
                (walk / name).mkdir(parents=True)
            for frame in range(NUM_FRAMES):
                np.save(walk / f"lidar/{frame}.npy", cloud(person, frame))
            masks = np.zeros((3 * NUM_FRAMES, 64, 64), np.uint8)
            masks[:, :, 32 - 5 - person : 32 + 5 + person] = 255
            masks[:, 0, 0] = np.arange(3 * NUM_FRAMES)
            np.save(walk / "silhouette/all.npy", masks)
    return root


def options(**more: object) -> PointsFolderOptions:
    return PointsFolderOptions.model_validate({"align": False, **more})


def write_times(source: Path, camera_hz: float = 30.0) -> None:
    for walk in source.glob("*/*/*"):
        (walk / "lidar/times.txt").write_text("".join(f"{i / 10:.3f}\n" for i in range(NUM_FRAMES)))
        stamps = 0.01 + np.arange(3 * NUM_FRAMES) / camera_hz
        (walk / "silhouette/times.txt").write_text("".join(f"{stamp:.4f}\n" for stamp in stamps))


def test_contract(source: Path) -> None:
    check_dataset(PointsFolder(options(), source))
    check_dataset(PointsFolder(options(encoding="metric1", projection="dense", depth_px=32), source))


@pytest.mark.parametrize("projection", ["angular", "spherical", "dense"])
@pytest.mark.parametrize(
    ("encoding", "name"), [("jet3", "lidar-depth"), ("gray1", "lidar-depth"), ("metric1", "lidar-range")]
)
def test_range_images_are_those_of_the_points(source: Path, projection: Any, encoding: Any, name: str) -> None:
    builder = PointsFolder(options(projection=projection, encoding=encoding, depth_px=48), source)
    first = builder.sequences()[0]
    (images,) = builder.frames([first], name)
    (points,) = builder.frames([first], "lidar")
    assert isinstance(points, PointFrames)
    np.testing.assert_array_equal(points.points, np.concatenate([cloud(0, i) for i in range(NUM_FRAMES)]))
    expected = depth_maps(
        torch.from_numpy(points.points),
        torch.from_numpy(points.offsets),
        projection=projection,
        encoding=encoding,
        size=48,
    )
    np.testing.assert_array_equal(images, expected.numpy())
    stream = builder.card().streams[name]
    assert stream.frame_shape == images.shape[1:]
    assert stream.colour_map == ("jet" if encoding == "jet3" else None)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["lidar_shift_s", "largest_gap_s", "outlier_std", "outlier_radius_m", "voxel_m"])
def test_seconds_and_metres_are_finite(name: str, value: object) -> None:
    more = {name: value} if name.endswith("_s") else {"cleaning": {name: value}}
    with pytest.raises(ValidationError, match=f"{name}\n.*(finite number|greater than)"):
        options(**more)


def test_prepare_and_run(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "prepared"
    chosen = ["--option", "align=false", "--option", "projection=dense", "--option", "test_subjects=002..003"]
    words = ["prepare", "lidar-folder", "--source", str(source), "--out", str(out), "--workers", "1", *chosen]
    assert main([*words, "--modalities", "silhouette", "lidar-depth"]) == 0, capsys.readouterr().err
    capsys.readouterr()
    dataset = GaitDataset.open(out)
    assert dataset.modalities == ("lidar-depth", "silhouette")
    assert dataset.card.options["projection"] == "dense"
    runs = ["--allow-partial", "--out", str(tmp_path / "runs"), "--json"]
    words = ["run", "--task", "crossmodal", "--dataset", "lidar-folder", "--data", str(out), "--model", "nearest-raw"]
    assert main([*words, *runs]) == 0, capsys.readouterr().err
    (record,) = json.loads(capsys.readouterr().out)["records"]
    assert record["data"]["modalities"] == ["silhouette", "lidar-depth"]
    assert record["data"]["protocol"]["name"] == "lidar-folder"


def test_options_tell_datasets_apart(source: Path, tmp_path: Path) -> None:
    prints = set()
    for number, more in enumerate(({}, {"projection": "dense"}, {"cleaning": {"outlier_neighbours": 3}})):
        dataset = prepare(
            PointsFolder, options(**more), source, tmp_path / str(number), ["lidar-depth"], workers=1, progress=False
        )
        prints.add(dataset.fingerprint(["lidar-depth"]))
    assert len(prints) == 3


def test_frames_of_one_moment(source: Path) -> None:
    write_times(source)
    builder = PointsFolder(options(times="times.txt"), source)
    first = builder.sequences()[0]
    (masks,) = builder.frames([first], "silhouette")
    (images,) = builder.frames([first], "lidar-depth")
    (points,) = builder.frames([first], "lidar")
    # 50 ms after a LiDAR frame the nearest of the camera's is 7 ms away.
    assert masks[:, 0, 0, 0].tolist() == [1, 4, 7, 10]
    assert len(images) == len(points.offsets) - 1 == NUM_FRAMES
    rates = {stream.frame_rate_hz for stream in builder.card().streams.values()}
    assert len(rates) == 1


@pytest.mark.parametrize(
    ("place", "more"),
    [
        pytest.param(
            "{walk}/{sensor}",
            {"patterns": {"lidar": "velodyne/*.npy", "silhouette": "cam/*.npy"}},
            id="patterns",
        ),
        pytest.param("{sensor}/{walk}", {"levels": "modality/subject/condition/view"}, id="level"),
    ],
)
def test_stamps_lie_beside_the_frames_wherever_these_are(
    source: Path, tmp_path: Path, place: str, more: dict[str, Any]
) -> None:
    write_times(source)
    names = {"lidar": "velodyne", "silhouette": "cam"} if "patterns" in more else {}
    moved = tmp_path / "moved"
    for folder in source.glob("*/*/*/*"):
        walk = folder.parent.relative_to(source)
        shutil.copytree(folder, moved / place.format(walk=walk, sensor=names.get(folder.name, folder.name)))
    builder = PointsFolder(options(times="times.txt", **more), moved)
    (masks,) = builder.frames(builder.sequences()[:1], "silhouette")
    assert not isinstance(masks, Absent), masks
    assert masks[:, 0, 0, 0].tolist() == [1, 4, 7, 10]
    assert not builder.left_out(), "the stamps are read"


def test_frames_in_two_folders_have_no_stamps(source: Path) -> None:
    write_times(source)
    for walk in source.glob("*/*/*"):
        (walk / "later").mkdir()
        (walk / "lidar/3.npy").rename(walk / "later/3.npy")
    patterns = {"lidar": "l*/*.npy", "silhouette": "silhouette/*.npy"}
    builder = PointsFolder(options(times="times.txt", patterns=patterns), source)
    (absent,) = builder.frames(builder.sequences()[:1], "silhouette")
    assert isinstance(absent, Absent)
    assert "frames lie in 2 folders" in absent.reason


def test_lidar_frames_without_a_partner_go(source: Path) -> None:
    write_times(source)
    first = source / "000/nm-01/090"
    stamps = (first / "silhouette/times.txt").read_text().split()
    stamps[4:6] = ["0.124", "0.125"]
    (first / "silhouette/times.txt").write_text("\n".join(stamps))
    builder = PointsFolder(options(times="times.txt"), source)
    info = builder.sequences()[0]
    (masks,) = builder.frames([info], "silhouette")
    (points,) = builder.frames([info], "lidar")
    assert masks[:, 0, 0, 0].tolist() == [1, 7, 10]
    np.testing.assert_array_equal(points.points, np.concatenate([cloud(0, i) for i in (0, 2, 3)]))


@pytest.mark.parametrize(
    ("times", "message"),
    [
        pytest.param("0.0\n0.1\n", r"12 frames and 2 lines in times\.txt", id="too-few"),
        pytest.param("0.0\nx\n", "must hold a number of seconds in each line", id="words"),
        pytest.param("0.1\n0.0\n", "must be finite numbers of seconds that grow", id="falling"),
        pytest.param("nan\n", "must be finite numbers", id="nan"),
        pytest.param("".join(f"{100 + i}\n" for i in range(12)), "no two sensors have a frame", id="never"),
    ],
)
def test_broken_stamps_are_one_broken_walk(source: Path, times: str, message: str) -> None:
    write_times(source)
    (source / "000/nm-01/090/silhouette/times.txt").write_text(times)
    builder = PointsFolder(options(times="times.txt"), source)
    first, second = builder.sequences()[:2]
    absent, good = builder.frames([first, second], "silhouette")
    assert isinstance(absent, Absent)
    assert absent.is_defect
    assert "000" in absent.reason
    assert re.search(message, absent.reason), absent.reason
    assert not isinstance(good, Absent)


def test_stamps_that_are_missing_are_told(source: Path) -> None:
    write_times(source)
    (source / "000/nm-01/090/lidar/times.txt").unlink()
    builder = PointsFolder(options(times="times.txt"), source)
    (absent,) = builder.frames([builder.sequences()[0]], "lidar-depth")
    assert isinstance(absent, Absent)
    assert "times.txt" in absent.reason


def test_a_walk_without_points_has_nothing_to_be_paired_with(source: Path) -> None:
    write_times(source)
    shutil.rmtree(source / "000/nm-01/090/lidar")
    builder = PointsFolder(options(times="times.txt"), source)
    first, second = builder.sequences()[:2]
    absent, fine = builder.frames([first, second], "silhouette")
    assert isinstance(absent, Absent)
    assert "there are no points, and the option times pairs other frames with theirs" in absent.reason
    assert not isinstance(fine, Absent)
    (unpaired,) = PointsFolder(options(), source).frames([first], "silhouette")
    assert not isinstance(unpaired, Absent)


def test_a_scene_is_one_broken_walk(source: Path) -> None:
    angle = np.linspace(0, 6.2, 60)
    ring = np.stack([8 * np.cos(angle), 8 * np.sin(angle), 0 * angle], axis=1).astype(np.float32)
    np.save(source / "000/nm-01/090/lidar/0.npy", ring)
    builder = PointsFolder(options(), source)
    (absent,) = builder.frames([builder.sequences()[0]], "lidar-depth")
    assert isinstance(absent, Absent)
    assert "000/nm-01/090: points of frame 0 lie" in absent.reason


def test_folders_without_points_are_refused(source: Path) -> None:
    builder = PointsFolder(options(modality="silhouette"), source)
    with pytest.raises(DatasetError, match="has silhouette and no points; say where they lie"):
        builder.card()
