"""Masks of the walking person, and maps of body parts: pickled as models read them, or raw as cameras saw them.

Published models were trained on masks whose edges scaling has made soft, values 0 to 255; they are kept so unless
somebody asks for black and white, which takes an eighth of the space.

Axes: T frames, H rows, W columns.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from gaitbench.card import StreamInfo
from gaitbench.errors import DatasetError
from gaitbench.reading.frames import to_masks
from gaitbench.reading.images import read_image
from gaitbench.sequence import Absent, SequenceInfo
from gaitbench.silhouettes import align_all, resize
from gaitbench.streams.pickled import read_array
from gaitbench.tree import StreamFiles, TreeOptions

__all__ = [
    "Edges",
    "SilhouetteOptions",
    "mask_values",
    "pickled_parsing",
    "pickled_silhouettes",
    "raw_parsing",
    "raw_silhouettes",
]

Edges = Literal["soft", "binary"]
"""``soft``: values 0 to 255, bit for bit as they are. ``binary``: a pixel is the person's from 128 on."""
Treatment = Literal["align", "resize", "keep"]
"""``align``: cut the person out, see :mod:`gaitbench.silhouettes`. ``resize``: scale the whole frame. ``keep``: the
frames have their size."""


class SilhouetteOptions(TreeOptions):
    """Options of every dataset of silhouettes in folders."""

    edges: Edges = "soft"
    """``soft`` keeps values 0 to 255, as published models were trained; ``binary`` takes an eighth of the space."""
    height_px: PositiveInt = 64
    """Rows of a frame: what pickles have, or what raw frames are scaled to."""
    width_px: PositiveInt = 64
    """Columns of a frame; aligned frames are cut to their middle where this is less than the height."""

    @property
    def size_px(self) -> tuple[int, int]:
        """H and W."""
        return self.height_px, self.width_px


def pickled_silhouettes(
    pattern: str,
    size_px: tuple[int, int],
    frame_rate_hz: float,
    *,
    edges: Edges = "soft",
    modality: str = "silhouette",
    folder: Callable[[SequenceInfo], str] | None = None,
    clock: str | None = None,
) -> StreamFiles:
    """Masks in a pickle, all of one size.

    Args:
        pattern: Glob of the file.
        size_px: H and W.
        frame_rate_hz: Frames per second.
        edges: How values are kept.
        modality: What it is the stream of.
        folder: See :class:`gaitbench.tree.StreamFiles`.
        clock: See :class:`gaitbench.card.StreamInfo`.
    """

    def read(paths: Sequence[Path]) -> NDArray[np.uint8] | Absent:
        frames = read_array(paths[0])
        return frames if isinstance(frames, Absent) else mask_values(frames, paths[0], size_px, edges)

    info = _info(size_px, frame_rate_hz, edges, clock)
    return StreamFiles(modality=modality, info=info, pattern=pattern, read=read, folder=folder)


def raw_silhouettes(
    pattern: str,
    size_px: tuple[int, int],
    frame_rate_hz: float,
    *,
    edges: Edges = "soft",
    treatment: Treatment = "align",
    min_frames: int = 1,
    folder: Callable[[SequenceInfo], str] | None = None,
    may_lack: bool = False,
) -> StreamFiles:
    """Masks in an image file per frame, in the order of their names; energy images (``gei.png``) are passed over.

    Args:
        pattern: Glob of the files.
        size_px: H and W that come out.
        frame_rate_hz: Frames per second.
        edges: How values are kept.
        treatment: What is done to a frame. Aligned, those that show nobody are dropped.
        min_frames: Sequences with fewer frames are left out, as the published pre-treatment of some datasets does.
        folder: See :class:`gaitbench.tree.StreamFiles`.
        may_lack: See :class:`gaitbench.tree.StreamFiles`.
    """

    def read(paths: Sequence[Path]) -> NDArray[np.uint8] | Absent:
        wanted = [path for path in paths if "gei.png" not in path.name]
        if not wanted:
            return Absent(f"{paths[0].parent} has no frame, only {paths[0].name}", is_defect=not may_lack)
        images = (read_image(path, "grey") for path in wanted)
        if treatment == "align":
            frames = _cut_columns(align_all(_not_dark(images, wanted), size_px[0]).frames, size_px[1])
        else:
            frames = _same_size(list(images), wanted, size_px, may_scale=treatment == "resize")
        if not len(frames):
            return Absent(f"{wanted[0].parent} shows nobody in any of its {len(wanted)} frames", is_defect=False)
        if len(frames) < min_frames:
            return Absent(
                f"{wanted[0].parent} has {len(frames)} frames, and sequences of less than {min_frames} are left out",
                is_defect=False,
            )
        return mask_values(frames, wanted[0].parent, size_px, edges)

    return StreamFiles(
        modality="silhouette",
        info=_info(size_px, frame_rate_hz, edges),
        pattern=pattern,
        read=read,
        is_single=False,
        folder=folder,
        may_lack=may_lack,
    )


def pickled_parsing(
    pattern: str,
    size_px: tuple[int, int],
    frame_rate_hz: float,
    *,
    folder: Callable[[SequenceInfo], str] | None = None,
) -> StreamFiles:
    """Maps of body parts in a pickle: whole numbers, 0 for the background.

    Args:
        pattern: Glob of the file.
        size_px: H and W.
        frame_rate_hz: Frames per second.
        folder: See :class:`gaitbench.tree.StreamFiles`.
    """

    def read(paths: Sequence[Path]) -> NDArray[np.uint8] | Absent:
        frames = read_array(paths[0])
        return frames if isinstance(frames, Absent) else _labels(_without_channel(frames, paths[0], size_px), paths[0])

    info = StreamInfo(frame_shape=(1, *size_px), frame_rate_hz=frame_rate_hz)
    return StreamFiles(modality="parsing", info=info, pattern=pattern, read=read, folder=folder)


def raw_parsing(
    pattern: str,
    size_px: tuple[int, int],
    frame_rate_hz: float,
    *,
    folder: Callable[[SequenceInfo], str] | None = None,
) -> StreamFiles:
    """Maps of body parts in an image file per frame; people are cut out as from masks, part ids stay as they are.

    Args:
        pattern: Glob of the files.
        size_px: H and W that come out.
        frame_rate_hz: Frames per second.
        folder: See :class:`gaitbench.tree.StreamFiles`.

    Source:
        The pre-treatment of Gait3D-Parsing: whatever is not background is the mask, scaled to the nearest pixel.
    """

    def read(paths: Sequence[Path]) -> NDArray[np.uint8] | Absent:
        maps = [read_image(path, "labels") for path in paths]
        masks = ((image > 0).astype(np.uint8) * np.uint8(255) for image in maps)
        found = align_all(masks, size_px[0], images=maps, interpolation="nearest").frames
        if not len(found):
            return Absent(f"{paths[0].parent} shows nobody in any of its {len(paths)} frames", is_defect=False)
        return _cut_columns(found, size_px[1])[:, None]

    info = StreamInfo(frame_shape=(1, *size_px), frame_rate_hz=frame_rate_hz)
    return StreamFiles(modality="parsing", info=info, pattern=pattern, read=read, is_single=False, folder=folder)


def mask_values(
    frames: NDArray[np.generic], where: Path, size_px: tuple[int, int], edges: Edges = "soft"
) -> NDArray[np.uint8]:
    """Bring masks of any type to bytes; see :func:`gaitbench.reading.frames.to_masks`.

    Args:
        frames: ``[T, H, W]``, or with a channel axis of length 1: truth values, or numbers in [0, 1] or [0, 255].
        where: The file, for messages.
        size_px: H and W that the frames must have.
        edges: How values are kept.

    Returns:
        ``[T, 1, H, W]``, soft in [0, 255], binary in {0, 1}. Soft bytes are given back as they are, not copied.

    Raises:
        DatasetError: The frames have another shape, or values that no mask has.

    Example:
        >>> mask_values(np.array([[[0.0, 0.6, 1.0]]]), Path("090.pkl"), (1, 3)).ravel()
        array([  0, 153, 255], dtype=uint8)
        >>> mask_values(np.array([[[0, 127, 128]]], np.uint8), Path("090.pkl"), (1, 3), "binary").ravel()
        array([0, 0, 1], dtype=uint8)
    """
    masks = to_masks(_without_channel(frames, where, size_px), str(where))[:, None]
    return masks if edges == "soft" else masks >> np.uint8(7)


def _info(size_px: tuple[int, int], frame_rate_hz: float, edges: Edges, clock: str | None = None) -> StreamInfo:
    if edges == "binary":
        return StreamInfo(frame_shape=(1, *size_px), frame_rate_hz=frame_rate_hz, clock=clock)
    return StreamInfo(
        frame_shape=(1, *size_px),
        frame_rate_hz=frame_rate_hz,
        codec="raw",
        value_range=(0, 255),
        scale_to_unit=1 / 255,
        clock=clock,
    )


def _without_channel(frames: NDArray[np.generic], where: Path, size_px: tuple[int, int]) -> NDArray[np.generic]:
    """``[T, H, W]`` of the right size."""
    shape = frames.shape
    if shape[1:] == size_px:
        return frames
    if shape[1:] in ((1, *size_px), (*size_px, 1)):
        return frames.reshape(len(frames), *size_px)
    wanted = f"[T, {size_px[0]}, {size_px[1]}]"
    if len(shape) == 3 and shape[2] in (2, 3):
        raise DatasetError(f"{where} holds an array {list(shape)}, as joints are, where masks {wanted} are expected")
    if len(shape) == 3:
        raise DatasetError(
            f"{where} holds frames {list(shape)} where {wanted} is expected; if the whole dataset has this size, give "
            f"its options height_px={shape[1]} and width_px={shape[2]}"
        )
    raise DatasetError(f"{where} holds an array {list(shape)} where masks {wanted} are expected")


def _labels(maps: NDArray[np.generic], where: Path) -> NDArray[np.uint8]:
    """``[T, 1, H, W]``: part ids as bytes."""
    with np.errstate(invalid="ignore"):  # NaN is refused below
        ids = maps.astype(np.uint8, copy=False)
    if maps.dtype != np.uint8 and not np.array_equal(ids, maps):
        raise DatasetError(
            f"{where} holds values from {maps.min():g} to {maps.max():g}, not ids of body parts (whole, 0 to 255)"
        )
    return ids[:, None]


def _not_dark(images: Iterable[NDArray[np.uint8]], paths: Sequence[Path]) -> Iterator[NDArray[np.uint8]]:
    """The same images, unless nothing in any of them is brighter than 1: such masks would pass for empty frames."""
    brightest = 0
    for image in images:
        brightest = max(brightest, int(image.max()))
        yield image
    if brightest == 1:
        raise DatasetError(
            f"{paths[0].parent} holds masks of 0 and 1, where 0 to 255 are expected; multiply their pixels by 255"
        )


def _cut_columns(frames: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """``[T, S, width]``, the middle of square frames ``[T, S, S]``."""
    size = frames.shape[2]
    if width > size:
        raise DatasetError(f"aligned frames have {size} columns; give a width_px of that or less, not {width}")
    left = (size - width) // 2
    return frames[:, :, left : left + width]


def _same_size(
    images: Sequence[NDArray[np.uint8]], paths: Sequence[Path], size_px: tuple[int, int], *, may_scale: bool
) -> NDArray[np.uint8]:
    """``[T, H, W]`` of whole frames."""
    if may_scale:
        images = [image if image.shape == size_px else resize(image, *size_px[::-1], "linear") for image in images]
    for image, path in zip(images, paths, strict=True):
        if image.shape != size_px:
            raise DatasetError(
                f"{path} has {image.shape[0]} x {image.shape[1]} pixels where {size_px[0]} x {size_px[1]} are expected;"
                f" if the whole dataset has this size, give its options height_px={image.shape[0]} and "
                f"width_px={image.shape[1]}"
            )
    return np.stack(images)
