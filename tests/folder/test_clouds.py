"""Point clouds of every kind of file; Open3D itself is not needed here."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from gaitbench.errors import DatasetError
from gaitbench.folder.clouds import read_points
from gaitbench.testing import check_dataset

from .conftest import save_array

CLOUDS = [np.random.default_rng(t).uniform(-5, 5, (4 + t, 4)).astype(np.float32) for t in range(11)]


def write_bins(folder: Path, clouds: Sequence[np.ndarray]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{t}.bin" for t in range(len(clouds))]
    for path, cloud in zip(paths, clouds, strict=True):
        path.write_bytes(cloud.astype("<f4").tobytes())
    return sorted(paths)


@pytest.mark.parametrize("num_values", [3, 4])
def test_kitti(tmp_path: Path, num_values: int) -> None:
    found = read_points(write_bins(tmp_path, [cloud[:, :num_values] for cloud in CLOUDS]), num_values)
    np.testing.assert_array_equal(found.points, np.concatenate(CLOUDS)[:, :3])
    np.testing.assert_array_equal(np.diff(found.offsets), [len(cloud) for cloud in CLOUDS])


def test_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "walk.npz", *CLOUDS)
    save_array(tmp_path / "single.npy", CLOUDS[0])
    save_array(tmp_path / "even.npy", np.stack([CLOUDS[0], CLOUDS[0]]))
    np.testing.assert_array_equal(read_points([tmp_path / "walk.npz"]).points, np.concatenate(CLOUDS)[:, :3])
    assert read_points([tmp_path / "single.npy"]).offsets.tolist() == [0, 4]
    assert read_points([tmp_path / "even.npy"]).offsets.tolist() == [0, 4, 8]


def test_pcd_and_ply_go_to_open3d_in_order(tmp_path: Path) -> None:
    asked: list[str] = []

    def read(paths: Sequence[Path]) -> list[np.ndarray]:
        asked.extend(path.name for path in paths)
        return [CLOUDS[int(path.stem)][:, :3].astype(np.float64) for path in paths]

    found = read_points([tmp_path / "10.pcd", tmp_path / "2.pcd"], clouds=read)
    assert asked == ["2.pcd", "10.pcd"]
    np.testing.assert_array_equal(found.points, np.concatenate([CLOUDS[2], CLOUDS[10]])[:, :3])


def test_open3d_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(DatasetError, match=r"pip install 'gaitbench-lidar\[open3d\]'"):
        read_points([tmp_path / "0.ply"])


def test_pcd_through_open3d(tmp_path: Path) -> None:
    pytest.importorskip("open3d", reason="Open3D is an extra of gaitbench-lidar")
    head = "VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 2\nHEIGHT 1\nPOINTS 2\nDATA ascii\n"
    (tmp_path / "0.pcd").write_text(head + "1 2 3\n4 5 6\n")
    np.testing.assert_array_equal(read_points([tmp_path / "0.pcd"]).points, [[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize("ascii_", [True, False])
@pytest.mark.parametrize("suffix", ["ply", "pcd"])
def test_what_open3d_writes_is_read(tmp_path: Path, suffix: str, ascii_: bool) -> None:
    open3d = pytest.importorskip("open3d", reason="Open3D is an extra of gaitbench-lidar")
    for number, points in enumerate(CLOUDS[:3]):
        cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points[:, :3].astype(np.float64)))
        assert open3d.io.write_point_cloud(str(tmp_path / f"{number}.{suffix}"), cloud, write_ascii=ascii_)
    found = read_points(sorted(tmp_path.iterdir()))
    assert np.diff(found.offsets).tolist() == [len(points) for points in CLOUDS[:3]]
    np.testing.assert_allclose(found.points, np.concatenate(CLOUDS[:3])[:, :3], atol=1e-5)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\0" * 15, "no whole points of 4 float32"),
        (b"", "is empty"),
        (np.full(4, np.nan, np.float32).tobytes(), "3 NaN"),
    ],
)
def test_broken_bins(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "0.bin").write_bytes(content)
    with pytest.raises(DatasetError, match=reason):
        read_points([tmp_path / "0.bin"])


@pytest.mark.parametrize("suffix", ["bin", "npy"])
def test_of_many_files_the_broken_one_is_named(tmp_path: Path, suffix: str) -> None:
    paths = [tmp_path / f"{number:03d}.{suffix}" for number in range(1, 13)]
    for number, path in enumerate(paths, 1):
        points = np.full((5, 4), number, np.float32)
        points[3, 1] = np.nan if number == 11 else 0
        points[3, 3] = np.nan  # the intensity is not read
        path.write_bytes(points.tobytes()) if suffix == "bin" else np.save(path, points)
    with pytest.raises(
        DatasetError, match=rf"011\.{suffix} has 1 NaN and 0 infinite of 15 values, the first in row 3 of 5"
    ):
        read_points(paths)
    paths[10].unlink()
    assert read_points([path for path in paths if path.exists()]).offsets.tolist() == [*range(0, 56, 5)]


def test_as_a_dataset(source: Path, build: Callable) -> None:
    write_bins(source / "001/nm/090", CLOUDS)
    builder = build(source, modality="lidar", frame_rate_hz=10)
    assert builder.card().streams["lidar"].frame_rate_hz == 10
    check_dataset(builder)
