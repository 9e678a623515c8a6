"""One's own LiDAR points in folders become the depth stream that models of range images read.

Axes: T frames.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt

from gaitbench.card import DatasetCard, StreamInfo
from gaitbench.errors import DatasetError
from gaitbench.folder.builder import FolderBuilder
from gaitbench.folder.options import FolderOptions
from gaitbench.folder.protocol import folder_protocol
from gaitbench.open3d_extra import needs_open3d
from gaitbench.protocol import Protocol
from gaitbench.reading.limits import read_regular_file, reading
from gaitbench.sequence import Absent, Frames, PointFrames, SequenceInfo
from gaitbench_lidar.clean_clouds import NEEDS_OPEN3D, CleaningOptions, clean
from gaitbench_lidar.depth_maps import Encoding, Projection, depth_maps
from gaitbench_lidar.synchronised import LARGEST_GAP_S, LIDAR_SHIFT_S, synchronise

__all__ = ["PROTOCOL", "PointsFolder", "PointsFolderOptions"]

_NAME = "lidar-folder"
_MOST_STAMP_BYTES = 2**24


class PointsFolderOptions(FolderOptions):
    """Options of one's own data, and how points become range images."""

    projection: Projection = "angular"
    """``angular`` as SUSTech1K, ``spherical`` as SpheriGait, ``dense`` as CL-Gait with filled holes."""
    encoding: Encoding = "jet3"
    """``jet3``: the published colours. ``gray1``: one channel. Both are the stream ``lidar-depth``. ``metric1``: metres
    in the stream ``lidar-range``."""
    depth_px: int = Field(64, ge=8, le=512)
    """Rows and columns of range images."""
    fill_px: PositiveInt | None = None
    """``dense``: how far from a point holes are filled; without it the whole hull of the body is, the space between the
    legs too."""
    cleaning: CleaningOptions = CleaningOptions()
    """Stray points removed and dense clouds thinned, before anything else: {"outliers": "statistical"}."""
    times: str = ""
    """Name of a text file with the seconds of each frame, a line each, in the folder of every modality of a walk
    (001/nm/090/lidar/times.txt). Then only LiDAR frames are kept for which every other stream has one at the same
    moment, and these with them."""
    largest_gap_s: PositiveFloat = LARGEST_GAP_S
    """With ``times``: frames that are closer are of one moment."""
    lidar_shift_s: float = LIDAR_SHIFT_S
    """With ``times``: added to the LiDAR's seconds; 0 where a stamp marks the middle of a turn."""


class PointsFolder(FolderBuilder):
    """Reads folders as ``folder`` does, and makes range images of their points.

    The options levels, modality and patterns say where points lie: frames right in the folder of a walk need
    ``modality=lidar``.
    """

    options: PointsFolderOptions

    def card(self) -> DatasetCard:
        """Describe the data, with the streams that it has and the one that is made.

        Raises:
            DatasetError: There are no points, or what :class:`gaitbench.folder.builder.FolderBuilder` raises.
            UsageError: Open3D is needed and not installed.
        """
        card = super().card()
        if "lidar" not in card.streams:
            raise DatasetError(
                f"{self.source} has {', '.join(card.streams)} and no points; say where they lie with the options "
                "modality and patterns, or prepare the dataset folder instead"
            )
        if self.options.cleaning.is_needed:
            needs_open3d(NEEDS_OPEN3D)
        rate, size = card.streams["lidar"].frame_rate_hz, self.options.depth_px
        is_coloured = self.options.encoding == "jet3"
        made = StreamInfo(
            frame_shape=(3 if is_coloured else 1, size, size),
            frame_rate_hz=rate,
            colour_map="jet" if is_coloured else None,
        )
        streams = {**card.streams, self._made: made}
        if self.options.times:
            streams = {name: info.model_copy(update={"frame_rate_hz": rate}) for name, info in streams.items()}
        return card.model_copy(
            update={
                "name": _NAME,
                "title": "One's own LiDAR data",
                "description": f"{card.description} Range images: {self.options.projection}, {self.options.encoding}.",
                "streams": streams,
            }
        )

    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames | Absent]:
        """Read the files of these sequences, or project their points; broken ones say why.

        Raises:
            DatasetError: The source has no such stream.
        """
        read = "lidar" if modality == self._made else modality
        for info, found in zip(sequences, super().frames(sequences, read), strict=True):
            try:
                yield self._made_of(info, found, modality)
            except DatasetError as error:
                yield Absent(f"{info.sequence_id}: {error}")

    def fit_protocol(self, protocol: Protocol) -> Protocol:
        """Give the protocol that the options ask for."""
        return _protocol(self.options) if protocol.name == _NAME else protocol

    @property
    def _made(self) -> str:
        return "lidar-range" if self.options.encoding == "metric1" else "lidar-depth"

    def _made_of(self, info: SequenceInfo, found: Frames | Absent, modality: str) -> Frames | Absent:
        if isinstance(found, Absent):
            return found
        if self.options.times:
            found = self._of_one_moment(info, found, "lidar" if modality == self._made else modality)
        if not isinstance(found, PointFrames):
            return found
        found = clean(found, self.options.cleaning)
        if modality != self._made:
            return found
        images = depth_maps(
            torch.from_numpy(np.ascontiguousarray(found.points)),
            torch.from_numpy(found.offsets),
            projection=self.options.projection,
            encoding=self.options.encoding,
            size=self.options.depth_px,
            fill_px=self.options.fill_px,
        )
        return images.numpy()

    def _of_one_moment(self, info: SequenceInfo, found: Frames, modality: str) -> Frames:
        """The frames that every stream has one of, at the same moment."""
        try:
            files = {name: self._files(info.sequence_id, name) for name in self._streams}
        except OSError as error:
            raise DatasetError(f"{error.filename} cannot be read: {error.strerror or error}") from error
        if not files["lidar"]:
            raise DatasetError(
                "there are no points, and the option times pairs other frames with theirs; complete it, "
                "or prepare without times"
            )
        stamped = {name: self._times_of(paths) for name, paths in files.items() if paths}
        lidar = _stamps(stamped["lidar"])
        others = {name: _stamps(path) for name, path in stamped.items() if name != "lidar" and path.exists()}
        if modality != "lidar" and modality not in others:
            raise DatasetError(f"{stamped[modality].parent} has no {self.options.times}")
        pairs = {
            name: synchronise(
                lidar, stamps, largest_gap_s=self.options.largest_gap_s, lidar_shift_s=self.options.lidar_shift_s
            )
            for name, stamps in others.items()
        }
        kept = np.arange(len(lidar))
        for pair in pairs.values():
            kept = np.intersect1d(kept, pair.lidar)
        if modality != "lidar":
            pair = pairs[modality]
            return _taken(found, pair.other[np.isin(pair.lidar, kept)], len(others[modality]), self.options.times)
        return _taken(found, kept, len(lidar), self.options.times)

    def _times_of(self, paths: Sequence[Path]) -> Path:
        """Where the seconds of these frames are told: beside them."""
        folders = list(dict.fromkeys(path.parent for path in paths))
        if len(folders) > 1:
            raise DatasetError(
                f"frames lie in {len(folders)} folders (first: {folders[0]}, {folders[1]}), and the option times needs "
                "them in one, with the file of their seconds"
            )
        return folders[0] / self.options.times

    def _is_known(self, path: Path) -> bool:
        return path.name == self.options.times


def _stamps(path: Path) -> NDArray[np.float64]:
    with reading(path):
        words = read_regular_file(path, _MOST_STAMP_BYTES).decode("ascii", "replace").split()
        try:
            return np.array([float(word) for word in words])
        except ValueError as error:
            raise DatasetError(f"{path} must hold a number of seconds in each line: {error}") from error


def _taken(found: Frames, chosen: NDArray[np.int64], num: int, file: str) -> Frames:
    have = len(found.offsets) - 1 if isinstance(found, PointFrames) else len(found)
    if have != num:
        raise DatasetError(
            f"there are {have} frames and {num} lines in {file}; frames in which nobody is seen are dropped where "
            "people are cut out (option align)"
        )
    if not len(chosen):
        raise DatasetError(f"no two sensors have a frame at the same moment, by {file}")
    if not isinstance(found, PointFrames):
        return found[chosen]
    counts = np.diff(found.offsets)[chosen]
    parts = [found.points[found.offsets[frame] : found.offsets[frame + 1]] for frame in chosen.tolist()]
    return PointFrames(np.concatenate(parts), np.cumsum([0, *counts.tolist()]).astype(np.int64))


def _protocol(options: FolderOptions) -> Protocol:
    return folder_protocol(options).model_copy(update={"name": _NAME, "dataset": _NAME})


PROTOCOL = _protocol(PointsFolderOptions())
"""Without options: as that of ``folder``."""
