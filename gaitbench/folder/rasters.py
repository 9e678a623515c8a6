"""Frames that are pictures, from image files, arrays or a video, to the one size and form of their stream.

Axes: T frames, C channels, H rows, W columns.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import DatasetError
from gaitbench.folder.files import kind_of
from gaitbench.folder.video import read_video
from gaitbench.reading.arrays import read_npy, read_npz
from gaitbench.reading.frames import stack_frames, to_masks, to_rgb
from gaitbench.reading.images import ImageLimits, in_order, read_depth_image, read_image
from gaitbench.sequence import Absent
from gaitbench.silhouettes import align_silhouette, resize
from gaitbench.streams.silhouettes import Edges, mask_values

__all__ = ["Pixels", "Treatment", "first_size", "frames_in_arrays", "needs_opencv", "read_rasters", "treated"]

Pixels = Literal["grey", "rgb", "labels", "depth"]
"""What a pixel is: a mask's brightness, a colour, the id of a body part, a distance."""

_LIMITS = ImageLimits()
_LOSSY = (".jpg", ".jpeg")
_NOISE = 48
"""Compression leaves shades of black around people, below this; where the body ends would be told by them."""
_MOST_GREY = 0.6
"""Share of a mask's pixels that may be neither black nor white."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """What is done to the frames of a stream."""

    modality: str
    """Its name."""
    pixels: Pixels
    """What a pixel is."""
    size_px: tuple[int, int]
    """H and W that come out."""
    how: Literal["align", "resize", "keep"]
    """Cut the person out; scale the whole frame; or insist that frames have their size."""
    edges: Edges = "soft"
    """How masks are kept."""


def needs_opencv() -> None:
    """Stop where OpenCV is not installed.

    Raises:
        DatasetError: It is not.
    """
    if find_spec("cv2") is None:
        raise DatasetError(
            "cutting people out, scaling frames and reading videos need OpenCV: pip install 'gaitbench[images]'; "
            "frames in files that have their size need none, with align=false and without height_px and width_px"
        )


def read_rasters(paths: Sequence[Path], treatment: Treatment) -> NDArray[np.generic] | Absent:
    """Read the frames of a walk.

    Args:
        paths: Its files: images, one array of all frames or one for each, or one video.
        treatment: What is done to a frame.

    Returns:
        ``[T, C, H, W]``: uint8, distances uint16; or that nobody is seen.

    Raises:
        DatasetError: A file cannot be read, or frames differ in size and are not to be scaled.
    """
    kind, where = kind_of(paths), paths[0] if len(paths) == 1 else paths[0].parent
    if kind == "video":
        if treatment.pixels in ("labels", "depth"):
            raise DatasetError(
                f"{where} is a video, whose compression changes {treatment.modality}; save PNG or arrays"
            )
        needs_opencv()
        decoded, num_frames = read_video(where, treatment)
        return _finished(decoded, num_frames, where, treatment)
    if kind == "image":
        paths = in_order(paths)
        is_lossy = any(path.suffix.lower() in _LOSSY for path in paths)
        frames, num_frames = treated(_images(paths, treatment.pixels), map(str, paths), treatment, is_lossy=is_lossy)
    else:
        pictures = _pictures(frames_in_arrays(paths, treatment.modality), str(where), treatment.pixels)
        names = (f"{where}: frame {number}" for number in range(len(pictures)))
        frames, num_frames = treated(pictures, names, treatment)
    return _finished(frames, num_frames, where, treatment)


def treated(
    frames: Iterable[NDArray[Any]], names: Iterable[str], treatment: Treatment, *, is_lossy: bool = False
) -> tuple[list[NDArray[Any]], int]:
    """Treat frames one by one, so that no more than one of the original size is held.

    Args:
        frames: ``[H, W]``, or ``[3, H, W]`` for colours.
        names: Of the frames, for messages.
        treatment: What is done.
        is_lossy: Whether they were compressed as photographs are.

    Returns:
        Frames of one size, those that show nobody dropped; and how many there were.

    Raises:
        DatasetError: A frame has another size and is not to be scaled, there are too many, or they are no masks.
    """
    kept: list[NDArray[Any]] = []
    number = 0
    for number, (frame, name) in enumerate(zip(frames, names, strict=False), 1):
        if number > _LIMITS.num_frames:
            raise DatasetError(f"{name} is beyond the limit of {_LIMITS.num_frames:,} frames; split the walk")
        if treatment.pixels == "grey":
            frame = _checked_mask(frame, name, is_lossy=is_lossy and treatment.how == "align")
        found = _treat(frame, name, treatment)
        if found is None:
            continue
        if found.nbytes * (len(kept) + 1) > _LIMITS.num_bytes:
            raise DatasetError(
                f"{name} is where frames exceed {_LIMITS.num_bytes:,} bytes; give a smaller height_px and width_px, or "
                "split the walk"
            )
        kept.append(found)
    return kept, number


def first_size(paths: Sequence[Path], modality: str, pixels: Pixels) -> tuple[int, int]:
    """H and W of a walk's first frame.

    Raises:
        DatasetError: It cannot be read.
    """
    kind = kind_of(paths)
    if kind == "video":
        needs_opencv()
        frames, _ = read_video(paths[0], None)
        frame: NDArray[Any] = frames[0]
    elif kind == "image":
        frame = next(_images(in_order(paths)[:1], pixels))
    else:
        frame = _pictures(frames_in_arrays(paths, modality), str(paths[0]), pixels)[0]
    return int(frame.shape[-2]), int(frame.shape[-1])


def frames_in_arrays(paths: Sequence[Path], modality: str) -> NDArray[np.generic] | list[NDArray[np.generic]]:
    """The arrays of ``.npy`` and ``.npz`` files: of one file all frames; of several files, a frame each.

    Args:
        paths: Files of one folder.
        modality: Whose array is taken of an ``.npz`` file that has one of this name. Another one with several arrays
            has a frame in each, in the order of the numbers in their names.

    Raises:
        DatasetError: A file cannot be read, or a file of several has several arrays.
    """
    found = [_arrays(path, modality) for path in in_order(paths)]
    if len(found) == 1:
        return found[0][0] if len(found[0]) == 1 else found[0]
    for path, arrays in zip(in_order(paths), found, strict=True):
        if len(arrays) != 1:
            raise DatasetError(f"{path} has {len(arrays)} arrays beside other files, each of which is a frame")
    return [arrays[0] for arrays in found]


def _arrays(path: Path, modality: str) -> list[NDArray[np.generic]]:
    if path.suffix.lower() == ".npy":
        return [read_npy(path)]
    arrays = read_npz(path)
    if not arrays:
        raise DatasetError(f"{path} holds no array")
    if modality in arrays:
        return [arrays[modality]]

    def by_number(name: str) -> list[tuple[bool, int, str]]:
        return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name)]

    return [arrays[name] for name in sorted(arrays, key=by_number)]


def _images(paths: Sequence[Path], pixels: Pixels) -> Iterator[NDArray[Any]]:
    if pixels == "depth":
        return (read_depth_image(path) for path in paths)
    images: Iterator[NDArray[Any]] = (read_image(path, pixels) for path in paths)
    if pixels != "grey":
        return images
    # Masks of 0 and 1 look black, and would count as empty. One brighter pixel anywhere tells that they are not.
    seen = list(itertools.takewhile(lambda image: image.max() <= 1, images))
    if len(seen) == len(paths):
        return (image * np.uint8(255) for image in seen)
    del seen
    return (read_image(path, "grey") for path in paths)


def _pictures(value: NDArray[Any] | list[NDArray[Any]], where: str, pixels: Pixels) -> list[NDArray[Any]]:
    """Frames ``[H, W]`` or ``[3, H, W]`` of arrays, in the stream's type."""
    if isinstance(value, list) and len({frame.shape for frame in value}) > 1:
        return [_pictures(frame[None], f"{where}: frame {i}", pixels)[0] for i, frame in enumerate(value)]
    if pixels == "grey":
        return list(to_masks(value, where))
    if pixels == "rgb":
        return list(to_rgb(value, where))
    frames = stack_frames(value, where)
    if frames.ndim == 4 and frames.shape[1] == 1:
        frames = frames[:, 0]
    dtype, what = (np.uint8, "ids of body parts") if pixels == "labels" else (np.uint16, "distances in millimetres")
    if frames.ndim != 3 or 0 in frames.shape or frames.dtype.kind not in "iufb":
        raise DatasetError(f"{where} holds {frames.dtype} {list(frames.shape)}; {what} are whole numbers [T, H, W]")
    with np.errstate(invalid="ignore"):  # NaN is refused below
        whole: NDArray[Any] = frames.astype(dtype, copy=False)
    if not np.array_equal(whole, frames):
        raise DatasetError(f"{where} holds values that are no {what} (whole numbers, 0 to {np.iinfo(dtype).max})")
    return list(whole)


def _checked_mask(frame: NDArray[np.uint8], name: str, *, is_lossy: bool) -> NDArray[np.uint8]:
    """A mask without the noise of compression; photographs are no masks."""
    if (grey := float(((frame > 31) & (frame < 224)).mean())) > _MOST_GREY:
        raise DatasetError(
            f"{name} is no silhouette: {grey:.0%} of its pixels are neither black nor white; if these are pictures of "
            "people, say so with the option modality=rgb"
        )
    return np.where(frame < _NOISE, np.uint8(0), frame) if is_lossy else frame


def _treat(frame: NDArray[Any], name: str, treatment: Treatment) -> NDArray[Any] | None:
    height, width = treatment.size_px
    if treatment.how == "align":
        is_map = treatment.pixels == "labels"
        mask = (frame > 0).astype(np.uint8) * np.uint8(255) if is_map else frame
        how: Literal["nearest", "cubic"] = "nearest" if is_map else "cubic"
        found = align_silhouette(mask, height, image=frame if is_map else None, interpolation=how)
        left = (height - width) // 2
        return None if found is None else found[:, left : left + width]
    if frame.shape[-2:] == (height, width):
        return frame
    if treatment.how == "keep":
        raise DatasetError(
            f"{name} has {frame.shape[-2]} x {frame.shape[-1]} pixels, and the first frame of the dataset {height} x "
            f"{width}; to scale all of them to one size, give the options height_px and width_px"
        )
    if treatment.pixels in ("labels", "depth"):
        return resize(frame, width, height, "nearest")  # between two ids or distances there is no third
    is_shrunk = height * width < frame.shape[-2] * frame.shape[-1]
    picture = frame if frame.ndim == 2 else frame.transpose(1, 2, 0)
    picture = resize(picture, width, height, "area" if is_shrunk else "linear")
    return picture if frame.ndim == 2 else np.ascontiguousarray(picture.transpose(2, 0, 1))


def _finished(
    frames: Sequence[NDArray[Any]] | NDArray[Any], num_frames: int, where: Path, treatment: Treatment
) -> NDArray[np.generic] | Absent:
    """Put treated frames together, ``[T, C, H, W]``."""
    if not len(frames):
        return Absent(f"{where} shows nobody in any of its {num_frames} frames", is_defect=False)
    stacked = frames if isinstance(frames, np.ndarray) else np.stack(frames)
    if treatment.pixels == "grey":
        return mask_values(stacked, where, treatment.size_px, treatment.edges)
    return stacked if treatment.pixels == "rgb" else stacked[:, None]
