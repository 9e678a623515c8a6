"""FreeGait: people in crowded public places, seen by a LiDAR and a camera.

Axes: T frames, H rows, W columns, C channels, V joints.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import DatasetError
from gaitbench.sequence import SequenceInfo
from gaitbench.streams.depth import pickled_depth
from gaitbench.streams.numbers import pickled_numbers
from gaitbench.streams.pickled import first_frame
from gaitbench.streams.points import pickled_points
from gaitbench.streams.rasters import pickled_rasters
from gaitbench.streams.silhouettes import Edges, pickled_silhouettes
from gaitbench.tree import Layout, StreamFiles, TreeBuilder, TreeOptions
from gaitbench_lidar.records import FREEGAIT

__all__ = ["FreeGait", "FreeGaitOptions"]

_RATE_HZ = 10.0
_LEVELS = (r"(?P<subject>\d{4})", r"(?P<condition>devid_?\d+)", r"(?P<view>seq_\d+(?:_new)?)")
_KINDS = ("image", "kp3d", "lidar", "range_pkl", "smpl")
_SIZE, _SKELETON, _BODY = (64, 64), (17, 3), (1, 85)
_MOST_CHANNELS = 8

Peek = Callable[[str], NDArray[np.generic] | None]


class FreeGaitOptions(TreeOptions):
    """How frames are stored, and what is not published about the range images."""

    edges: Edges = "soft"
    """``soft`` keeps the grey edges of silhouettes; ``binary`` cuts them at 128 and takes an eighth of the space."""
    range_colours: Literal["jet", "other"] = "jet"
    """Of range images of three channels of bytes: ``jet``, as in SUSTech1K, or colours that nobody can turn back into
    distances. The release does not say."""


class FreeGait(TreeBuilder):
    """Reads FreeGait with its five pickles per walk, each in a folder of its own or side by side.

    ``pickles``
        ``0001/devid_1/seq_00_new/`` with ``image.pkl``, ``kp3d.pkl``, ``lidar.pkl``, ``range_pkl.pkl``, ``smpl.pkl``,
        which is what the common loader reads.
    ``folders``
        ``0001/devid_1/seq_00_new/image/image.pkl`` and so on, as given out.

    ``image`` holds silhouettes, not colours. The sizes of silhouettes and range images and the numbers of joints and
    body values are not documented: they are those of the first file that can be read, and the others must agree. Range
    images of bytes become ``lidar-depth``, those of other numbers ``lidar-range``, whose unit is not known. The rate
    of 10 Hz is nominal.

    Source:
        Han et al., "Gait Recognition in Large-scale Free Environment via Single LiDAR", ACM MM 2024, and the data's
        release.
    """

    spec = FREEGAIT
    options: FreeGaitOptions

    def layouts(self) -> Sequence[Layout]:
        """Pickles side by side, pickles in folders."""
        return (
            self._layout("pickles", "image.pkl, kp3d.pkl, lidar.pkl, range_pkl.pkl, smpl.pkl", is_nested=False),
            self._layout("folders", "image/image.pkl, kp3d/kp3d.pkl, lidar/lidar.pkl and so on", is_nested=True),
        )

    def _layout(self, name: str, files: str, *, is_nested: bool) -> Layout:
        bare = Layout(name=name, title=f"SUBJECT/DEVICE/SEQUENCE/ with {files}", levels=_LEVELS, streams=())
        pattern = {kind: "*.pkl" if is_nested else f"{kind}.pkl" for kind in _KINDS}
        places = {kind: _inner(kind) if is_nested else bare.folder for kind in _KINDS}

        def peek(kind: str) -> NDArray[np.generic] | None:
            """The first frame of the first walk that has one; none where there is no source yet."""
            for info in self._first(bare) if self.source is not None else ():
                for path in sorted((self._root() / places[kind](info)).glob(pattern[kind])):
                    try:
                        frame = first_frame(path)
                    except DatasetError:  # told when this sequence is read
                        continue
                    if frame is not None:
                        return frame
            return None

        mask, joints, body = peek("image"), peek("kp3d"), peek("smpl")
        size = _SIZE if mask is None or mask.ndim < 2 else mask.shape[-2:]
        streams = (
            pickled_silhouettes(
                pattern["image"], (size[0], size[1]), _RATE_HZ, edges=self.options.edges, folder=places["image"]
            ),
            pickled_points(pattern["lidar"], _RATE_HZ, folder=places["lidar"]),
            self._range_images(pattern["range_pkl"], peek("range_pkl"), places["range_pkl"]),
            pickled_numbers(
                pattern["kp3d"],
                _SKELETON if joints is None or joints.size % 3 else (joints.size // 3, 3),
                _RATE_HZ,
                modality="skeleton3d",
                folder=places["kp3d"],
            ),
            pickled_numbers(
                pattern["smpl"],
                _BODY if body is None or not body.size else (1, body.size),
                _RATE_HZ,
                modality="smpl",
                folder=places["smpl"],
            ),
        )
        return Layout(name=name, title=bare.title, levels=_LEVELS, streams=streams)

    def _range_images(
        self, pattern: str, frame: NDArray[np.generic] | None, folder: Callable[[SequenceInfo], str]
    ) -> StreamFiles:
        channels, height, width = _shape_of(frame)
        if frame is not None and frame.dtype != np.uint8:
            return pickled_rasters(
                pattern,
                (channels, height, width),
                _RATE_HZ,
                modality="lidar-range",
                dtype=np.float32,
                folder=folder,
            )
        if channels == 3 and self.options.range_colours == "other":
            shape = (channels, height, width)
            return pickled_rasters(pattern, shape, _RATE_HZ, modality="lidar-depth", folder=folder)
        return pickled_depth(pattern, (height, width), _RATE_HZ, is_coloured=channels == 3, folder=folder)


def _inner(kind: str) -> Callable[[SequenceInfo], str]:
    return lambda info: f"{info.subject_id}/{info.condition}/{info.view}/{kind}"


def _shape_of(frame: NDArray[np.generic] | None) -> tuple[int, int, int]:
    """C, H and W of a range image, whose channels may stand before or behind the pixels."""
    if frame is None or frame.ndim not in (2, 3) or math.prod(frame.shape) == 0:
        return (3, *_SIZE)
    if frame.ndim == 2:
        return (1, frame.shape[0], frame.shape[1])
    if frame.shape[0] <= _MOST_CHANNELS:
        return (frame.shape[0], frame.shape[1], frame.shape[2])
    return (frame.shape[2], frame.shape[0], frame.shape[1])
