"""A window in which the point clouds of a walk play as a film, to be turned with the mouse.

Open3D draws it; it is loaded when a window is asked for. Axes: M points of a frame, T frames.
"""

import os
import sys
import time
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gaitbench.dataset import GaitDataset
from gaitbench.errors import DatasetError, UsageError
from gaitbench.open3d_extra import load_open3d, needs_open3d
from gaitbench.registry import nearest
from gaitbench.sequence import PointFrames

__all__ = ["ViewedSequence", "check_viewer", "height_colours", "view_points"]

_WHAT = "3D views"
_POINT_PX = 4.0
# From where a walk is looked at: over the sensor's shoulder, which stands at the origin and looks along x.
_TOWARDS_CAMERA = (-0.9, -0.35, 0.25)
_LOW, _HIGH = np.array([0.13, 0.33, 0.66]), np.array([0.98, 0.78, 0.24])


class ViewedSequence(NamedTuple):
    """What was shown."""

    sequence_id: str
    modality: str
    num_frames: int
    num_points: int
    """Of all frames together."""


def check_viewer() -> None:
    """Stop where no window can be opened, before any data is read.

    Raises:
        UsageError: Open3D is missing, or there is no display.
    """
    needs_open3d(_WHAT)
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise _no_display()


def view_points(dataset: GaitDataset, sequence: str | None = None, *, is_once: bool = False) -> ViewedSequence:
    """Show the points of one walk until the window is closed.

    Args:
        dataset: With a stream of points.
        sequence: Id; None for the first walk that has points.
        is_once: Close the window after the last frame instead of beginning again.

    Raises:
        UsageError: Open3D is missing, there is no display, or no such sequence.
        DatasetError: The dataset has no points, or the walk has none.
    """
    check_viewer()
    modality = _points_of(dataset)
    row = _row(dataset, modality, sequence)
    frames = dataset[row].frames[modality]
    assert isinstance(frames, PointFrames)
    name = str(dataset.table.sequence_id[row])
    if not len(frames.points):
        raise DatasetError(f"{dataset.root}: {name} has {len(frames.offsets) - 1} frames without any point")
    info = dataset.card.streams[modality]
    _play(frames, f"{name} - {modality}", 1 / info.frame_rate_hz, is_once=is_once)
    return ViewedSequence(name, modality, len(frames.offsets) - 1, len(frames.points))


def height_colours(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Colour points from blue at the lowest to yellow at the highest.

    Args:
        points: ``[M, 3]``.

    Returns:
        ``[M, 3]`` red, green, blue in [0, 1].

    Example:
        >>> height_colours(np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]])).tolist()
        [[0.13, 0.33, 0.66], [0.98, 0.78, 0.24]]
    """
    height = points[:, 2].astype(np.float64)
    low, high = (float(height.min()), float(height.max())) if len(height) else (0.0, 0.0)
    share = ((height - low) / (high - low) if high > low else np.zeros(len(height)))[:, None]
    return np.asarray((1 - share) * _LOW + share * _HIGH)


def _points_of(dataset: GaitDataset) -> str:
    kinds = [name for name in dataset.modalities if dataset.stream(name).kind == "points"]
    if not kinds:
        raise DatasetError(
            f"{dataset.root} has {', '.join(dataset.modalities)} and no points; 'gaitbench prepare {dataset.card.name} "
            f"--out {dataset.root} --modalities lidar' adds them where the dataset has some"
        )
    return "lidar" if "lidar" in kinds else kinds[0]


def _row(dataset: GaitDataset, modality: str, sequence: str | None) -> int:
    names: list[str] = dataset.table.sequence_id.tolist()
    if sequence is None:
        there = dataset.present([modality]).table.sequence_id.tolist()
        if not there:
            raise DatasetError(f"{dataset.root}: none of {len(names)} sequences has frames of {modality}")
        return names.index(there[0])
    if sequence not in names:
        near = nearest(sequence, names)
        raise UsageError(
            f"{dataset.root} has no sequence {sequence!r}" + (f"; did you mean {near!r}?" if near else ".")
        )
    if (absent := dataset.absent(modality)).get(sequence) is not None:
        raise DatasetError(f"{sequence} has no {modality}: {absent[sequence].reason}")
    return names.index(sequence)


def _play(frames: PointFrames, title: str, seconds: float, *, is_once: bool) -> None:
    open3d = load_open3d(_WHAT)
    window = open3d.visualization.Visualizer()
    # Without a display this returns False, or None in old versions, and says why on the terminal.
    if window.create_window(window_name=title, width=960, height=720) is False:
        raise _no_display()
    try:
        edges = frames.offsets.tolist()
        parts = [frames.points[start:end, :3] for start, end in pairwise(edges)]
        cloud = open3d.geometry.PointCloud()
        _fill(open3d, cloud, frames.points[:, :3])
        window.add_geometry(cloud)  # with all points, so that the camera sees the whole walk
        if (options := window.get_render_option()) is not None:
            options.point_size = _POINT_PX
        if (camera := window.get_view_control()) is not None:  # its own camera has y above
            camera.set_front(_TOWARDS_CAMERA)
            camera.set_up((0.0, 0.0, 1.0))
        while True:
            for part in parts:
                until = time.monotonic() + seconds
                _fill(open3d, cloud, part)
                window.update_geometry(cloud)
                while True:
                    if not window.poll_events():
                        return
                    window.update_renderer()
                    if time.monotonic() >= until:
                        break
                    time.sleep(0.005)
            if is_once:
                return
    finally:
        window.destroy_window()


def _fill(open3d: Any, cloud: Any, points: NDArray[np.floating]) -> None:
    cloud.points = open3d.utility.Vector3dVector(points.astype(np.float64))
    cloud.colors = open3d.utility.Vector3dVector(height_colours(points))


def _no_display() -> UsageError:
    return UsageError(
        "3D views open a window, and there is no display here: run it on a machine with one, or over ssh -X; "
        "'gaitbench info DATASET --preview sheet.png' draws a picture of some datasets instead"
    )
