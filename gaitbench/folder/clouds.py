"""Point clouds, a file per frame: KITTI's ``.bin``, arrays, and PCD or PLY, which Open3D reads.

Axes: T frames, N points of a frame, D values of a point.
"""

import importlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import DatasetError
from gaitbench.folder.cloud_files import check_cloud
from gaitbench.folder.files import kind_of
from gaitbench.folder.rasters import frames_in_arrays
from gaitbench.reading.child import in_child
from gaitbench.reading.frames import to_points
from gaitbench.reading.images import in_order
from gaitbench.reading.limits import check_regular_file, read_regular_file, reading
from gaitbench.sequence import PointFrames

__all__ = ["load_clouds", "read_bin", "read_clouds", "read_points"]

_MOST_BYTES = 2**30
"""Of one frame."""


def read_clouds(paths: Sequence[Path]) -> list[NDArray[np.generic]]:
    """Read PCD and PLY files with Open3D, in a process of its own.

    Returns:
        ``[N, 3]`` of each file; points without a position are dropped.

    Raises:
        DatasetError: Open3D is not installed, or a file cannot be read.
    """
    if find_spec("open3d") is None:
        raise DatasetError(
            f"{paths[0]} is read by Open3D, which is not installed: pip install 'gaitbench-lidar[open3d]'; .bin and "
            ".npy files need nothing"
        )
    found: list[NDArray[np.generic]] = in_child(
        "gaitbench.folder.clouds:load_clouds", paths[0].parent, [path.name for path in paths]
    )
    return found


def load_clouds(folder: str, names: Sequence[str]) -> list[NDArray[Any]]:
    """Run as the child of :func:`read_clouds`."""
    open3d: Any = importlib.import_module("open3d")
    clouds = []
    for name in names:
        path = Path(folder, name)
        with reading(path):
            check_regular_file(path, _MOST_BYTES)
            num_points = check_cloud(path)
            cloud = open3d.io.read_point_cloud(str(path), remove_nan_points=False, remove_infinite_points=False)
            points = np.asarray(cloud.points, np.float64)
            if len(points) != num_points:
                # Open3D gives an empty cloud for what it cannot read.
                raise DatasetError(
                    f"{path} has {num_points:,} points, of which Open3D reads {len(points):,}; convert it"
                )
            points = points[np.isfinite(points).all(axis=1)]
            if not len(points):
                raise DatasetError(f"{path} has no points, or none with a position")
            clouds.append(points)
    return clouds


def read_points(
    paths: Sequence[Path],
    bin_values: int = 4,
    *,
    clouds: Callable[[Sequence[Path]], Sequence[NDArray[np.generic]]] = read_clouds,
) -> PointFrames:
    """Read the point clouds of a walk.

    Args:
        paths: Files of one kind, a frame each, in the order of the numbers in their names. One ``.npy`` or ``.npz``
            file can hold all frames: ``[T, N, D]``, or an array ``[N, D]`` for each.
        bin_values: Numbers per point of a ``.bin`` file.
        clouds: What reads PCD and PLY files.

    Returns:
        x, y and z of every point; further values are cut off.

    Raises:
        DatasetError: A file cannot be read, or holds no points.
    """
    kind, where = kind_of(paths), str(paths[0] if len(paths) == 1 else paths[0].parent)
    ordered = in_order(paths)
    if kind == "array":
        value = frames_in_arrays(paths, "lidar")
        single = isinstance(value, np.ndarray) and value.ndim == 2
        return to_points([value] if single else value, where, files=ordered if len(ordered) > 1 else ())
    frames = [read_bin(path, bin_values) for path in ordered] if kind == "bin" else list(clouds(ordered))
    return to_points(frames, where, files=ordered)


def read_bin(path: Path, num_values: int) -> NDArray[np.float32]:
    """Read a frame as KITTI writes it: little-endian single floats, point after point.

    Args:
        path: The file.
        num_values: Numbers per point.

    Returns:
        ``[N, num_values]``.

    Raises:
        DatasetError: The file cannot be read, or does not hold whole points.
    """
    with reading(path):
        data = read_regular_file(path, _MOST_BYTES)
        if len(data) % (4 * num_values):
            raise DatasetError(
                f"{path} has {len(data):,} bytes, which are no whole points of {num_values} float32 numbers; say how "
                "many a point has with the option bin_values, or copy it again"
            )
        return np.frombuffer(data, "<f4").reshape(-1, num_values).astype(np.float32, copy=False)
