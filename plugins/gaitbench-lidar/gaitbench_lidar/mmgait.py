"""MMGait: thirteen streams of a colour, an infrared, a depth and an event camera, a LiDAR and a radar."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from gaitbench.sequence import Absent, Frames
from gaitbench.streams.depth import pickled_depth
from gaitbench.streams.joints import pickled_joints
from gaitbench.streams.points import pickled_points
from gaitbench.streams.rasters import pickled_rasters
from gaitbench.streams.rgb import RgbStorage, pickled_rgb
from gaitbench.streams.silhouettes import Edges, pickled_silhouettes
from gaitbench.tree import Layout, StreamFiles, TreeBuilder, TreeOptions
from gaitbench_lidar.records import MMGAIT

__all__ = ["EMPTY_BYTES", "MMGait", "MMGaitOptions"]

EMPTY_BYTES = 10
"""A file of so many bytes or fewer stands for a stream that the walk does not have."""
_RATE_HZ = 10.0
_SIZE = (64, 64)


class MMGaitOptions(TreeOptions):
    """How frames are stored, and what is not published about the range images."""

    edges: Edges = "soft"
    """``soft`` keeps the grey edges of silhouettes; ``binary`` cuts them at 128 and takes an eighth of the space."""
    rgb: RgbStorage = "raw"
    """``raw`` keeps every value of the colour crops; ``jpeg`` takes about a tenth of the space."""
    range_colours: Literal["jet", "other"] = "jet"
    """Of the range images of LiDAR and radar, which have three channels: ``jet``, as in SUSTech1K, or colours that
    nobody can turn back into distances. The release does not say."""


class MMGait(TreeBuilder):
    """Reads the pickles of a walk, ``0001/NM-01/VIEW/`` with ``depth.pkl``, ``event.pkl``, ... ``rgb_sils.pkl``.

    Walks lack streams: a file that is missing, or has 10 bytes or fewer, is no defect. What counts in a run is a walk
    that has all streams that the model reads, so the tests of different models differ.

    Not published, and assumed here: one common clock, at a nominal 10 Hz; 64 x 64 pixels in all rasters; the first
    channel of the heat maps shows limbs, the second joints, as in skeleton maps.

    Source:
        MMGait, CVPR 2026 (arXiv 2604.15979), and the public loader of the data.
    """

    spec = MMGAIT
    options: MMGaitOptions

    def layouts(self) -> Sequence[Layout]:
        """The one form in which the dataset is given out."""
        edges, rgb = self.options.edges, self.options.rgb
        streams = (
            pickled_silhouettes("rgb_sils.pkl", _SIZE, _RATE_HZ, edges=edges),
            self._range_images("lidar_depth.pkl", "lidar-depth"),
            pickled_points("lidar_points.pkl", _RATE_HZ),
            pickled_rgb("rgb.pkl", _SIZE, _RATE_HZ, storage=rgb),
            pickled_rgb("ir.pkl", _SIZE, _RATE_HZ, storage=rgb, modality="infrared"),
            pickled_silhouettes("ir_sils.pkl", _SIZE, _RATE_HZ, edges=edges, modality="infrared-silhouette"),
            pickled_rgb("event.pkl", _SIZE, _RATE_HZ, storage=rgb, modality="event"),
            pickled_rgb("depth.pkl", _SIZE, _RATE_HZ, storage=rgb, modality="depth-colour"),
            pickled_points("radar4d.pkl", _RATE_HZ, modality="radar"),
            self._range_images("radar_depth.pkl", "radar-depth"),
            pickled_joints("pose2d.pkl", _RATE_HZ),
            pickled_joints("pose3d.pkl", _RATE_HZ, modality="skeleton3d"),
            pickled_rasters("heatmap.pkl", (2, *_SIZE), _RATE_HZ, modality="skeleton-map"),
        )
        return (
            Layout(
                name="pickles",
                title="SUBJECT/CONDITION/VIEW/ with up to thirteen pickles depth.pkl, event.pkl, heatmap.pkl, ir.pkl, "
                "ir_sils.pkl, lidar_depth.pkl, ... rgb_sils.pkl, such as 0001/NM-01/",
                levels=(r"(?P<subject>\d{4})", r"(?P<condition>(?:NM|BG|CL)-\d\d)", r"(?P<view>.+)"),
                streams=tuple(map(_may_be_empty, streams)),
            ),
        )

    def _range_images(self, name: str, modality: str) -> StreamFiles:
        if self.options.range_colours == "jet":
            return pickled_depth(name, _SIZE, _RATE_HZ, modality=modality)
        return pickled_rasters(name, (3, *_SIZE), _RATE_HZ, modality=modality)


def _may_be_empty(files: StreamFiles) -> StreamFiles:
    """The same stream, whose files may be missing or stand there empty."""

    def read(paths: Sequence[Path]) -> Frames | Absent:
        size = paths[0].stat().st_size
        if size <= EMPTY_BYTES:
            return Absent(f"{paths[0]} is empty ({size} bytes): the walk has no {files.modality}", is_defect=False)
        return files.read(paths)

    return dataclasses.replace(files, read=read, may_lack=True)
