"""Stray points and thinning, with Open3D where it is installed and with a slow stand-in for it everywhere."""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gaitbench_lidar.clean_clouds import CleaningOptions, clean
from gaitbench_lidar.points_folder import PointsFolder, PointsFolderOptions
from pydantic import ValidationError

from gaitbench.errors import UsageError
from gaitbench.sequence import PointFrames


class Cloud:
    """What is used of Open3D's clouds, written out."""

    def __init__(self, points: Any = ()) -> None:
        self.points = np.asarray(points, np.float64).reshape(-1, 3)

    def _distances(self) -> Any:
        return np.linalg.norm(self.points[:, None] - self.points[None], axis=-1)

    def remove_statistical_outlier(self, nb_neighbors: int, std_ratio: float) -> tuple["Cloud", list[int]]:
        mean = np.sort(self._distances(), axis=1)[:, 1 : nb_neighbors + 1].mean(axis=1)
        kept = np.flatnonzero(mean <= mean.mean() + std_ratio * mean.std())
        return Cloud(self.points[kept]), kept.tolist()

    def remove_radius_outlier(self, nb_points: int, radius: float) -> tuple["Cloud", list[int]]:
        kept = np.flatnonzero((self._distances() < radius).sum(axis=1) - 1 >= nb_points)
        return Cloud(self.points[kept]), kept.tolist()

    def voxel_down_sample(self, voxel_size: float) -> "Cloud":
        cubes: dict[tuple[int, ...], list[Any]] = {}
        for point in self.points:
            cubes.setdefault(tuple((point // voxel_size).astype(int).tolist()), []).append(point)
        return Cloud([np.mean(cube, axis=0) for cube in cubes.values()])


@pytest.fixture(params=["stand-in", "Open3D"])
def open3d(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "Open3D":
        pytest.importorskip("open3d", reason="Open3D is an extra of gaitbench-lidar")
        return
    fake = types.ModuleType("open3d")
    fake.geometry = types.SimpleNamespace(PointCloud=Cloud)  # type: ignore[attr-defined]
    fake.utility = types.SimpleNamespace(Vector3dVector=np.asarray)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "open3d", fake)


def body(seed: int, num: int = 60) -> Any:
    return np.random.default_rng(seed).uniform(-0.3, 0.3, (num, 3)).astype(np.float32) + np.float32([6, 0, 0])


def frames_of(*clouds: Any) -> PointFrames:
    return PointFrames(np.concatenate(clouds).astype(np.float32), np.cumsum([0, *map(len, clouds)]))


@pytest.mark.usefixtures("open3d")
@pytest.mark.parametrize("outliers", ["statistical", "radius"])
def test_stray_points_go_and_the_body_stays(outliers: str) -> None:
    stray = np.array([[9.0, 3, 0], [6, 0, 5]], np.float32)
    frames = frames_of(np.concatenate([stray, body(0)]), body(1), np.zeros((0, 3)))
    found = clean(frames, CleaningOptions(outliers=outliers, outlier_neighbours=4))
    assert len(found.offsets) == 4
    assert found.points.dtype == np.float32
    first = found.points[: found.offsets[1]]
    assert 50 <= len(first) <= 60
    assert np.abs(first - [6, 0, 0]).max() < 0.31
    assert found.offsets[3] == found.offsets[2], "an empty frame stays one"


@pytest.mark.usefixtures("open3d")
def test_a_cube_becomes_one_point() -> None:
    corners = np.array([[0.01, 0.01, 0.01], [0.03, 0.01, 0.01], [0.31, 0, 0]], np.float32)
    found = clean(frames_of(corners, corners[:1]), CleaningOptions(voxel_m=0.1))
    assert found.offsets.tolist() == [0, 2, 3]
    np.testing.assert_allclose(np.sort(found.points[:2, 0]), [0.02, 0.31], atol=1e-6)


@pytest.mark.usefixtures("open3d")
@pytest.mark.parametrize("outliers", ["statistical", "radius"])
def test_frames_of_nothing_and_of_little_are_left(outliers: str) -> None:
    broken = np.array([[np.nan, 0, 0], [6, np.inf, 0]], np.float32)
    frames = frames_of(np.zeros((0, 3)), body(0, 1), body(0, 4), broken)
    found = clean(frames, CleaningOptions(outliers=outliers, voxel_m=0.001))
    assert np.diff(found.offsets).tolist() == [0, 1, 4, 0]
    assert len(clean(PointFrames(np.zeros((0, 3), np.float32), np.zeros(1, np.int64)), CleaningOptions()).points) == 0


def test_open3d_is_asked_for_when_it_is_needed_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    frames = frames_of(body(0))
    assert clean(frames, CleaningOptions()) is frames
    with pytest.raises(UsageError, match=r"pip install 'gaitbench-lidar\[open3d\]'"):
        clean(frames, CleaningOptions(voxel_m=0.1))
    walk = tmp_path / "001/nm/090/lidar"
    walk.mkdir(parents=True)
    np.save(walk / "0.npy", body(0))
    builder = PointsFolder(PointsFolderOptions(cleaning=CleaningOptions(outliers="radius")), tmp_path)
    with pytest.raises(UsageError, match=r"pip install 'gaitbench-lidar\[open3d\]'"):
        builder.card()


def test_options_that_mean_nothing_are_refused() -> None:
    for wrong in ({"voxel_m": -1}, {"outliers": "all"}, {"outlier_radius_m": 0}, {"outlier_neighbours": 0}):
        with pytest.raises(ValidationError):
            CleaningOptions(**wrong)  # type: ignore[arg-type]
