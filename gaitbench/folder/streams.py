"""What each modality of one's own data is: which files, which frames, and how they are read."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gaitbench.card import StreamInfo
from gaitbench.errors import DatasetError
from gaitbench.folder.clouds import read_points
from gaitbench.folder.files import frame_kind, pattern_parts, suffixes_of
from gaitbench.folder.joints import read_joints
from gaitbench.folder.options import FolderOptions
from gaitbench.folder.rasters import Pixels, Treatment, first_size, needs_opencv, read_rasters
from gaitbench.sequence import Absent, Frames

__all__ = ["FolderStream", "make_stream"]

_TRIED = 20
"""Walks that may be broken before the one whose first frame tells the size of all."""
_PIXELS: dict[str, Pixels] = {"silhouette": "grey", "rgb": "rgb", "parsing": "labels", "depth": "depth"}
_NUM_VALUES = 3

Reader = Callable[[Sequence[Path]], Frames | Absent]
"""From the files of a walk to its frames, or why there are none."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderStream:
    """A modality of the source."""

    modality: str
    """Its name."""
    parts: tuple[str, ...]
    """Pattern of its files; see :func:`gaitbench.folder.files.pattern_parts`."""
    suffixes: frozenset[str]
    """That its files have."""
    info: StreamInfo
    """Frame shape, rate and storage."""
    read: Reader
    """From files to frames."""


def make_stream(
    options: FolderOptions, modality: str, pattern: str, walks: Callable[[tuple[str, ...]], Iterable[Sequence[Path]]]
) -> FolderStream:
    """Describe a modality.

    Args:
        options: Of the dataset.
        modality: Its name.
        pattern: Where its files lie in the folder of a walk.
        walks: From the parts of a pattern to the files of each walk that has some. The first tell that there are any,
            and the size of frames where no option gives it.

    Raises:
        DatasetError: No walk has such files, none of the first ones can be read, or OpenCV is needed and missing.
    """
    parts = pattern_parts(pattern)
    first = iter(walks(parts))
    make = {"raster": _raster, "joints": _joints, "points": _points}[frame_kind(modality)]
    info, read = make(options, modality, first)
    return FolderStream(modality=modality, parts=parts, suffixes=suffixes_of(modality), info=info, read=read)


def _raster(options: FolderOptions, modality: str, first: Iterator[Sequence[Path]]) -> tuple[StreamInfo, Reader]:
    pixels, given = _PIXELS[modality], options.size_px(modality)
    if given is not None:
        needs_opencv()
    treatment = Treatment(
        modality=modality,
        pixels=pixels,
        size_px=_first(first, modality, lambda paths: given or first_size(paths, modality, pixels)),
        how="align" if options.is_aligned(modality) else "resize" if given else "keep",
        edges=options.edges,
    )
    shape, rate = (3 if pixels == "rgb" else 1, *treatment.size_px), options.rate_hz(modality)
    if pixels == "grey" and options.edges == "soft":
        info = StreamInfo(
            frame_shape=shape, frame_rate_hz=rate, codec="raw", value_range=(0, 255), scale_to_unit=1 / 255
        )
    else:
        info = StreamInfo(frame_shape=shape, frame_rate_hz=rate, codec=options.rgb if pixels == "rgb" else None)
    return info, lambda paths: read_rasters(paths, treatment)


def _joints(options: FolderOptions, modality: str, first: Iterator[Sequence[Path]]) -> tuple[StreamInfo, Reader]:
    def seen(paths: Sequence[Path]) -> int:
        frames = read_joints(paths, modality, options.joints)
        if isinstance(frames, Absent):
            raise DatasetError(frames.reason)
        return int(frames.shape[1])

    num_joints = _first(first, modality, seen)

    def read(paths: Sequence[Path]) -> Frames | Absent:
        frames = read_joints(paths, modality, options.joints)
        if not isinstance(frames, Absent) and frames.shape[1] != num_joints:
            raise DatasetError(
                f"{paths[0]} has {frames.shape[1]} joints, and the first walk of the dataset {num_joints}; all need "
                "the same"
            )
        return frames

    return StreamInfo(frame_shape=(num_joints, _NUM_VALUES), frame_rate_hz=options.rate_hz(modality)), read


def _points(options: FolderOptions, modality: str, first: Iterator[Sequence[Path]]) -> tuple[StreamInfo, Reader]:
    _first(first, modality, lambda paths: paths)
    info = StreamInfo(frame_shape=(_NUM_VALUES,), frame_rate_hz=options.rate_hz(modality))
    return info, lambda paths: read_points(paths, options.bin_values)


def _first(walks: Iterator[Sequence[Path]], modality: str, look: Callable[[Sequence[Path]], _T]) -> _T:
    """What the first walk shows that can be read."""
    errors = []
    for paths in itertools.islice(walks, _TRIED):
        try:
            return look(paths)
        except DatasetError as error:
            errors.append(str(error))
        except OSError as error:
            errors.append(f"{paths[0]} cannot be read: {error.strerror or error}")
    if not errors:
        raise DatasetError(
            f"no walk has files of {modality} ({', '.join(sorted(suffixes_of(modality)))}); check the options levels, "
            "modality and patterns"
        )
    raise DatasetError(f"the {modality} of none of the first {len(errors)} walks can be read. The first: {errors[0]}")
