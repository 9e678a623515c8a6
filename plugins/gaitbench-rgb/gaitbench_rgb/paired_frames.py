"""Colour frames and their masks in two trees of the same shape, an image file per frame.

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


class _Pair(NamedTuple):
    image: Path
    mask: Path


@dataclass(frozen=True, slots=True)
class PairedFrames:
    """Four streams of a walk, frame by frame the same moments.

    A frame is kept where both its colour image and the mask of the same name (``.png``) are there and the mask shows
    somebody. Masks are aligned as everywhere, scaled by area and without a smallest number of pixels. All colour
    frames and unaligned masks are scaled by area too; how the published 128x128 crops were is not known.

    Attributes:
        colours: Root of the colour frames.
        masks: Root of the masks.
        frame_rate_hz: Frames per second.
        edges: How values of masks are kept.
        storage: How colour frames are stored.
        crop: What colour frames become.
    """

    colours: Path
    masks: Path
    frame_rate_hz: float
    edges: Edges
    storage: RgbStorage
    crop: CropShape

    def streams(self) -> tuple[StreamFiles, ...]:
        """Aligned masks, colours, aspect ratios and unaligned masks; files are looked for in the tree of masks."""
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

        return (
            self._stream("silhouette", grey(_ALIGNED_PX), self._aligned),
            self._stream(
                "rgb",
                StreamInfo(frame_shape=colour_shape, frame_rate_hz=self.frame_rate_hz, codec=self.storage),
                self._colours,
            ),
            self._stream(
                "aspect-ratio", StreamInfo(frame_shape=(1, 1), frame_rate_hz=self.frame_rate_hz), self._ratios
            ),
            self._stream("silhouette-raw", grey(_SQUARE_PX), self._unaligned),
        )

    def _stream(
        self,
        modality: str,
        info: StreamInfo,
        make: Callable[[list[_Pair], Path], NDArray[np.generic]],
    ) -> StreamFiles:
        def read(paths: Sequence[Path]) -> NDArray[np.generic] | Absent:
            folder = paths[0].parent
            pairs = self._pairs(paths)
            if not pairs:
                return Absent(f"no mask of {folder} has a colour frame of the same name in {self._colours_of(folder)}")
            seen = [pair for pair in pairs if _aligned(pair.mask) is not None]
            if not seen:
                return Absent(f"{folder} shows nobody in any of its {len(pairs)} frames", is_defect=False)
            return make(seen, folder)

        return StreamFiles(modality=modality, info=info, pattern="*.png", read=read, is_single=False)

    def _colours_of(self, folder: Path) -> Path:
        return self.colours / folder.relative_to(self.masks)

    def _pairs(self, masks: Sequence[Path]) -> list[_Pair]:
        """Masks with their colour frames, in the order of the masks' names.

        Raises:
            DatasetError: A mask has two colour frames of its name.
        """
        folder = self._colours_of(masks[0].parent)
        images: dict[str, Path] = {}
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.suffix.lower() in _IMAGES:
                if path.stem in images:
                    raise DatasetError(f"{folder} has {images[path.stem].name} and {path.name}; remove one of them")
                images[path.stem] = path
        return [_Pair(images[mask.stem], mask) for mask in masks if mask.stem in images]

    def _aligned(self, pairs: list[_Pair], folder: Path) -> NDArray[np.uint8]:
        frames = np.stack([frame for pair in pairs if (frame := _aligned(pair.mask)) is not None])
        return mask_values(frames, folder, (_ALIGNED_PX, _ALIGNED_PX), self.edges)

    def _unaligned(self, pairs: list[_Pair], folder: Path) -> NDArray[np.uint8]:
        frames = np.stack([resize(read_image(pair.mask, "grey"), _SQUARE_PX, _SQUARE_PX, "area") for pair in pairs])
        return mask_values(frames, folder, (_SQUARE_PX, _SQUARE_PX), self.edges)

    def _colours(self, pairs: list[_Pair], folder: Path) -> NDArray[np.uint8]:  # noqa: ARG002
        crop = tall_crop if self.crop == "tall" else _square_crop
        return np.stack([crop(read_image(pair.image, "rgb")) for pair in pairs])

    def _ratios(self, pairs: list[_Pair], folder: Path) -> NDArray[np.float32]:  # noqa: ARG002
        sizes = [read_image(pair.image, "rgb").shape for pair in pairs]
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


def _aligned(mask: Path) -> NDArray[np.uint8] | None:
    return align_silhouette(read_image(mask, "grey"), _ALIGNED_PX, interpolation="area", min_pixel_sum=0)
