"""Masks, and colour frames beside them in a tree of the same shape, an image file per frame.

Axes: T frames, H rows, W columns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gaitbench.card import StreamInfo
from gaitbench.errors import DatasetError
from gaitbench.modality import Codec
from gaitbench.reading.images import read_image
from gaitbench.sequence import Absent
from gaitbench.silhouettes import align_silhouette, resize
from gaitbench.streams.rgb import RgbStorage
from gaitbench.streams.silhouettes import Edges, mask_values
from gaitbench.tree import StreamFiles

__all__ = ["CropShape", "PairedFrames", "tall_crop"]

CropShape = Literal["square", "tall"]
"""``square``: the whole frame scaled to 128x128. ``tall``: scaled to 256 rows, and 128 columns from its middle."""

_ALIGNED_PX, _SQUARE_PX, _TALL_PX = 64, 128, (256, 128)
_IMAGES = (".jpg", ".jpeg", ".png")


class _Frame(NamedTuple):
    """A frame that shows somebody."""

    mask: NDArray[np.uint8]
    """``[H, W]`` as it is in its file."""
    aligned: NDArray[np.uint8]
    """``[64, 64]``."""
    image: Path | None
    """The colour frame of the same name; None where there are none at all."""


@dataclass(frozen=True, slots=True)
class PairedFrames:
    """Four streams of a walk, frame by frame the same moments.

    A frame is kept where both its colour image and the mask of the same name (``.png``) are there and the mask shows
    somebody; of masks alone, where it does. Masks are aligned as everywhere, but scaled by area and without a smallest
    number of pixels. Colour frames and unaligned masks are scaled by area too; how the published 128x128 crops were is
    not known.

    Attributes:
        masks: Root of the masks.
        colours: Root of the colour frames; None for masks alone.
        frame_rate_hz: Frames per second.
        edges: How values of masks are kept.
        storage: How colour frames are stored.
        crop: What colour frames become.
    """

    masks: Path
    colours: Path | None
    frame_rate_hz: float
    edges: Edges
    storage: RgbStorage
    crop: CropShape

    def streams(self) -> tuple[StreamFiles, ...]:
        """Masks aligned and unaligned, and colours and aspect ratios; files are looked for in the tree of masks."""
        codec: Codec = "bits" if self.edges == "binary" else "raw"
        highest, unit = (1, 1.0) if self.edges == "binary" else (255, 1 / 255)
        colour_shape = (3, *(_TALL_PX if self.crop == "tall" else (_SQUARE_PX, _SQUARE_PX)))

        def grey(size: int) -> StreamInfo:
            return StreamInfo(
                frame_shape=(1, size, size),
                frame_rate_hz=self.frame_rate_hz,
                codec=codec,
                value_range=(0, highest),
                scale_to_unit=unit,
            )

        of_masks = (
            self._stream("silhouette", grey(_ALIGNED_PX), self._aligned),
            self._stream("silhouette-raw", grey(_SQUARE_PX), self._unaligned),
        )
        if self.colours is None:
            return of_masks
        rate = self.frame_rate_hz
        return (
            *of_masks,
            self._stream(
                "rgb", StreamInfo(frame_shape=colour_shape, frame_rate_hz=rate, codec=self.storage), self._colours
            ),
            self._stream("aspect-ratio", StreamInfo(frame_shape=(1, 1), frame_rate_hz=rate), self._ratios),
        )

    def _stream(
        self, modality: str, info: StreamInfo, make: Callable[[list[_Frame], Path], NDArray[np.generic]]
    ) -> StreamFiles:
        def read(paths: Sequence[Path]) -> NDArray[np.generic] | Absent:
            folder = paths[0].parent
            pairs = self._pairs(paths)
            if not pairs:
                return Absent(f"no mask of {folder} has a colour frame of the same name")
            seen = [frame for mask, image in pairs if (frame := _frame(mask, image)) is not None]
            if not seen:
                return Absent(f"{folder} shows nobody in any of its {len(pairs)} frames", is_defect=False)
            return make(seen, folder)

        return StreamFiles(modality=modality, info=info, pattern="*.png", read=read, is_single=False)

    def _pairs(self, masks: Sequence[Path]) -> list[tuple[Path, Path | None]]:
        """Masks with their colour frames, in the order of the masks' names.

        Raises:
            DatasetError: A mask has two colour frames of its name.
        """
        if self.colours is None:
            return [(mask, None) for mask in masks]
        folder = self.colours / masks[0].parent.relative_to(self.masks)
        images: dict[str, Path] = {}
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.suffix.lower() in _IMAGES:
                if path.stem in images:
                    raise DatasetError(f"{folder} has {images[path.stem].name} and {path.name}; remove one of them")
                images[path.stem] = path
        return [(mask, images[mask.stem]) for mask in masks if mask.stem in images]

    def _aligned(self, frames: list[_Frame], folder: Path) -> NDArray[np.uint8]:
        aligned = np.stack([frame.aligned for frame in frames])
        return mask_values(aligned, folder, (_ALIGNED_PX, _ALIGNED_PX), self.edges)

    def _unaligned(self, frames: list[_Frame], folder: Path) -> NDArray[np.uint8]:
        scaled = np.stack([resize(frame.mask, _SQUARE_PX, _SQUARE_PX, "area") for frame in frames])
        return mask_values(scaled, folder, (_SQUARE_PX, _SQUARE_PX), self.edges)

    def _colours(self, frames: list[_Frame], folder: Path) -> NDArray[np.uint8]:  # noqa: ARG002
        crop = tall_crop if self.crop == "tall" else _square_crop
        return np.stack([crop(read_image(frame.image, "rgb")) for frame in frames if frame.image])

    def _ratios(self, frames: list[_Frame], folder: Path) -> NDArray[np.float32]:  # noqa: ARG002
        sizes = [read_image(frame.image, "rgb").shape for frame in frames if frame.image]
        return np.array([width / height for _, height, width in sizes], np.float32)[:, None, None]


def tall_crop(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale a frame to 256 rows with its proportions, and bring it to 128 columns: black at both sides, or cut there.

    Args:
        image: ``[3, H, W]``.

    Returns:
        ``[3, 256, 128]``.

    Example:
        >>> tall_crop(np.full((3, 128, 32), 9, np.uint8))[0, 0, [31, 32, 95, 96]].tolist()
        [0, 9, 9, 0]
    """
    height, columns = _TALL_PX
    width = max(1, round(image.shape[2] * height / image.shape[1]))
    scaled = _scaled(image, width, height)
    if width >= columns:
        left = (width - columns) // 2
        return scaled[:, :, left : left + columns]
    left = (columns - width) // 2
    return np.pad(scaled, ((0, 0), (0, 0), (left, columns - width - left)))


def _square_crop(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return _scaled(image, _SQUARE_PX, _SQUARE_PX)


def _scaled(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    return np.stack([resize(channel, width, height, "area") for channel in image])


def _frame(mask: Path, image: Path | None) -> _Frame | None:
    pixels = read_image(mask, "grey")
    aligned = align_silhouette(pixels, _ALIGNED_PX, interpolation="area", min_pixel_sum=0)
    return None if aligned is None else _Frame(pixels, aligned, image)
