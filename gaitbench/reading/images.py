"""A folder of PNG or JPEG frames as one array.

Axes: T frames, H rows, W columns.
"""

import itertools
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import DatasetError
from gaitbench.reading.limits import check_regular_file, reading

__all__ = ["ImageLimits", "PixelKind", "frame_files", "in_order", "read_depth_image", "read_frames", "read_image"]

PixelKind = Literal["grey", "rgb", "labels"]
"""``grey``: brightness. ``rgb``: colours. ``labels``: stored numbers as they are, palette or not."""

_FORMATS = ("PNG", "JPEG")
_SUFFIXES = (".png", ".jpg", ".jpeg")
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I")
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """What one image, and one sequence of them, may hold."""

    num_pixels: int = 32 * 2**20
    """Rows times columns of one image; the largest cameras of gait datasets have 9 million."""
    num_file_bytes: int = 128 * 2**20
    """Size of one file."""
    num_frames: int = 100_000
    """Files of one sequence."""
    num_bytes: int = 4 * 2**30
    """All frames of a sequence together, decoded."""


def frame_files(folder: Path | str, *, limits: ImageLimits | None = None) -> list[Path]:
    """The PNG and JPEG files of a folder, in the order of the numbers in their names.

    ``2.png`` comes before ``10.png``, and ``a-002.png`` before ``a-010.png``. Hidden files are passed over.

    Raises:
        DatasetError: The folder cannot be read, has no such files or too many, or the names do not tell an order, as
            ``1.png`` and ``01.png`` do not.
    """
    folder = Path(folder)
    limits = limits or ImageLimits()
    with reading(folder):
        files = [
            path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
        ]
    if not files:
        raise DatasetError(f"{folder} has no PNG or JPEG files")
    if len(files) > limits.num_frames:
        raise DatasetError(
            f"{folder} has {len(files):,} frames, more than the limit of {limits.num_frames:,}; split it"
        )
    return in_order(files)


def in_order(files: Iterable[Path]) -> list[Path]:
    """Files of one folder in the order of the numbers in their names.

    Raises:
        DatasetError: The names do not tell an order, as ``1.png`` and ``01.png`` do not.
    """
    ordered = sorted(files, key=lambda path: (_natural(path.stem), path.name))
    for earlier, later in itertools.pairwise(ordered):
        if _natural(earlier.stem) == _natural(later.stem):
            raise DatasetError(
                f"{earlier.parent}: {earlier.name} and {later.name} claim the same place; remove one of them"
            )
    return ordered


def read_frames(
    files: Path | str | Sequence[Path], pixels: PixelKind, *, limits: ImageLimits | None = None
) -> NDArray[np.uint8]:
    """Read frames of one size.

    Args:
        files: A folder, whose :func:`frame_files` are taken, or the files in their order.
        pixels: What a pixel is.
        limits: None for the defaults.

    Returns:
        ``[T, H, W]`` uint8 for ``grey`` and ``labels``, ``[T, 3, H, W]`` uint8 for ``rgb``.

    Raises:
        DatasetError: There are no files, one of them cannot be read, or two differ in size.
    """
    limits = limits or ImageLimits()
    if isinstance(files, Path | str):
        files = frame_files(files, limits=limits)
    if not files:
        raise DatasetError("no files of frames are given")
    frames: list[NDArray[np.uint8]] = []
    for path, frame in zip(files, _images(files, pixels, limits), strict=True):
        if frames and frame.shape != frames[0].shape:
            raise DatasetError(
                f"{path} is {_size(frame)} pixels, but {files[0]} is {_size(frames[0])}; all frames of a sequence need "
                "one size"
            )
        if frame.nbytes * (len(frames) + 1) > limits.num_bytes:
            raise DatasetError(
                f"{path.parent}: its frames take more than {limits.num_bytes:,} bytes; split the sequence"
            )
        frames.append(frame)
    return np.stack(frames)


def read_image(path: Path | str, pixels: PixelKind, *, limits: ImageLimits | None = None) -> NDArray[np.uint8]:
    """Read one PNG or JPEG file.

    Args:
        path: The file; its content, not its name, says what it is.
        pixels: What a pixel is.
        limits: None for the defaults.

    Returns:
        ``[H, W]`` uint8 for ``grey`` and ``labels``, ``[3, H, W]`` uint8 for ``rgb``.

    Raises:
        DatasetError: The file is missing, damaged, cut short or too large, is of another format, has several pictures
            or more than eight bits, or colours where labels are wanted.
    """
    return _read(Path(path), lambda image: _pixels(Path(path), image, pixels), _EIGHT_BITS, limits or ImageLimits())


def read_depth_image(path: Path | str, *, limits: ImageLimits | None = None) -> NDArray[np.uint16]:
    """Read one PNG file of distances, of eight or sixteen bits.

    Args:
        path: The file; its content, not its name, says what it is.
        limits: None for the defaults.

    Returns:
        ``[H, W]`` uint16, the stored numbers.

    Raises:
        DatasetError: As for :func:`read_image`, or the file has colours.
    """
    path = Path(path)

    def distances(image: Any) -> NDArray[np.uint16]:
        numbers = np.asarray(image)
        if numbers.min() < 0 or numbers.max() > 65535:
            raise DatasetError(f"{path} has values from {numbers.min()} to {numbers.max()}; distances are 0 to 65535")
        return numbers.astype(np.uint16)

    return _read(path, distances, (*_SIXTEEN_BITS, "L"), limits or ImageLimits())


def _read(
    path: Path, pixels: Callable[[Any], NDArray[Any]], modes: tuple[str, ...], limits: ImageLimits
) -> NDArray[Any]:
    from PIL import Image, UnidentifiedImageError

    with reading(path), warnings.catch_warnings():
        # Pillow only warns of images that are up to twice its own limit.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        check_regular_file(path, limits.num_file_bytes)
        try:
            with Image.open(path, formats=_FORMATS) as image:
                _check_image(path, image, modes, limits)
                return pixels(image)
        except UnidentifiedImageError:
            raise DatasetError(f"{path} is no PNG or JPEG image; copy it again, or convert it") from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise DatasetError(f"{path} has more pixels than the limit of {limits.num_pixels:,}: {error}") from error
        except (SyntaxError, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise DatasetError(f"{path} is damaged or cut short: {error}; copy or download it again") from error


def _images(files: Sequence[Path], pixels: PixelKind, limits: ImageLimits) -> Iterator[NDArray[np.uint8]]:
    return (read_image(path, pixels, limits=limits) for path in files)


def _check_image(path: Path, image: Any, modes: tuple[str, ...], limits: ImageLimits) -> None:
    width, height = image.size
    if width * height > limits.num_pixels:
        raise DatasetError(f"{path} has {width} x {height} pixels, more than the limit of {limits.num_pixels:,}")
    if getattr(image, "n_frames", 1) != 1:
        raise DatasetError(f"{path} is an animation; save its frames as one file each")
    if image.mode not in modes:
        wanted = "eight bits" if modes == _EIGHT_BITS else "one channel of sixteen bits"
        raise DatasetError(f"{path} has pixels of kind {image.mode}, not of {wanted}; convert it")


def _pixels(path: Path, image: Any, pixels: PixelKind) -> NDArray[np.uint8]:
    if pixels == "rgb":
        return np.ascontiguousarray(np.asarray(image.convert("RGB"), np.uint8).transpose(2, 0, 1))
    if pixels == "grey":
        return np.asarray(image.convert("L"), np.uint8)
    if image.mode not in ("1", "L", "P"):
        raise DatasetError(f"{path} has colours ({image.mode}); labels are stored as grey or with a palette")
    return np.asarray(image).astype(np.uint8)


def _natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts runs of digits as numbers."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    # Numbers before words; comparing lengths first keeps absurdly long numbers from being computed.
    return [(0, len(part.lstrip("0")), part.lstrip("0")) if part[0] in "0123456789" else (1, 0, part) for part in parts]


def _size(frame: NDArray[np.uint8]) -> str:
    return f"{frame.shape[-1]} x {frame.shape[-2]}"
