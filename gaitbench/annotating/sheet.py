"""Contact sheets: frames of one walk, evenly spaced, as a single picture of bounded size.

A sheet shows frames, their times and the name of the stream, and nothing that tells who walks or how the walk is
labelled. It is known by the hash of what it is drawn from, so that nothing is drawn to know whether it was asked about.
"""

import io
import threading
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydantic import BaseModel, Field

from gaitbench.annotating.pictures import check_visible, to_pictures
from gaitbench.dataset import GaitDataset
from gaitbench.digest import json_digest
from gaitbench.errors import UsageError

__all__ = ["Picture", "SheetConfig", "Sheets"]

SHEET_VERSION = 1
"""Raised when a sheet of the same frames would look different."""

MARGIN_PX = 4
TITLE_PX = 18
CAPTION_PX = 14
SMALLEST_WIDTH_PX = 320
"""Room for a title."""
GREY = (58, 58, 64)
"""Between the frames: neither the black of a mask's background nor the white of a body."""
INK = (255, 224, 150)


class SheetConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What is on a contact sheet."""

    modalities: tuple[str, ...] = Field(default=("silhouette",), min_length=1, max_length=4)
    """Streams, from top to bottom."""
    num_frames: int = Field(default=12, ge=1, le=48)
    """Frames of each stream; all of them where a walk has fewer."""
    num_columns: int = Field(default=6, ge=1, le=12)
    """Frames side by side."""
    cell_px: int = Field(default=160, ge=32, le=512)
    """Longer side of a frame."""
    most_px: int = Field(default=1536, ge=256, le=4096)
    """Longest side of the sheet; frames become smaller to fit."""

    def says(self) -> str:
        """The sheet in words, for a prompt."""
        names = " and ".join(self.modalities)
        each = "each with its name above its frames, " if len(self.modalities) > 1 else ""
        return (
            f"The picture is a contact sheet of one person walking: up to {self.num_frames} frames of {names}, {each}"
            "evenly spaced over the walk, in reading order. Below a frame stands its time in seconds."
        )


class Picture(NamedTuple):
    """A picture of a request."""

    sha256: str
    """Hash of what it is drawn from."""
    draw: Callable[[], bytes]
    """Gives the PNG."""


class Sheets:
    """The contact sheets of a dataset, one per sequence.

    Args:
        dataset: With the streams that are shown.
        config: What is on them.

    Raises:
        UsageError: A stream is no picture.
        DatasetError: A stream is not in the dataset's folder.
    """

    def __init__(self, dataset: GaitDataset, config: SheetConfig) -> None:
        self._dataset = dataset
        self._config = config
        self._modalities = {name: dataset.stream(name).modality(name) for name in config.modalities}
        for modality in self._modalities.values():
            check_visible(modality)
        self._manifests = {name: dataset.manifest(name) for name in config.modalities}
        # A dataset opens its files when they are first used, which two threads must not do at once.
        self._lock = threading.Lock()

    def missing(self, row: int) -> str:
        """Why a sequence has no sheet; empty when it has one."""
        without = [name for name, rows in self._manifests.items() if rows["num_frames"][row].as_py() == 0]
        return f"it has no frames in {', '.join(without)}" if without else ""

    def picture(self, row: int) -> Picture:
        """The sheet of a sequence, not yet drawn.

        Its hash is made of the stored frames, as the manifest has them, and of how they are shown.
        """
        sources = []
        for name, manifest in self._manifests.items():
            stream, info = self._dataset.stream(name), self._dataset.card.streams[name]
            how = [name, stream.codec, stream.dtype, stream.unit, stream.value_range, info.model_dump(mode="json")]
            sources.append([*how, manifest["num_frames"][row].as_py(), manifest["sha256"][row].as_py().hex()])
        config = self._config.model_dump(mode="json", exclude={"modalities"})
        return Picture(json_digest([SHEET_VERSION, config, sources]), lambda: self.draw(row))

    def draw(self, row: int) -> bytes:
        """The sheet of a sequence as PNG.

        Raises:
            DatasetError: Its frames cannot be read.
            UsageError: The sheet would be larger than it may be, however small the frames.
        """
        strips = []
        for name, modality in self._modalities.items():
            with self._lock:
                frames = np.asarray(self._dataset[row].frames[name])
            chosen = _evenly(len(frames), self._config.num_frames)
            rate = self._dataset.card.streams[name].frame_rate_hz
            captions = [f"{i / rate:.2f} s" for i in chosen]
            title = f"{name}: {len(chosen)} of {len(frames)} frames, {rate:g} per second"
            strips.append((title, to_pictures(frames[chosen], modality), captions))
        buffer = io.BytesIO()
        _arrange(strips, self._config).save(buffer, format="PNG")
        return buffer.getvalue()


def _evenly(num_frames: int, num_wanted: int) -> list[int]:
    """Frames from the first to the last, as evenly as whole numbers go.

    Example:
        >>> _evenly(10, 4), _evenly(3, 12), _evenly(7, 1)
        ([0, 3, 6, 9], [0, 1, 2], [3])
    """
    if num_wanted == 1:
        return [(num_frames - 1) // 2]
    if num_frames <= num_wanted:
        return list(range(num_frames))
    return [i * (num_frames - 1) // (num_wanted - 1) for i in range(num_wanted)]


Strip = tuple[str, NDArray[np.uint8], list[str]]


def _arrange(strips: list[Strip], config: SheetConfig) -> Image.Image:
    """Put the streams below each other, their frames row by row."""
    side = config.cell_px
    while (size := _layout(strips, config, side)) and max(size) > config.most_px:
        side -= max(1, side // 20)
        if side < 16:
            raise UsageError(
                f"a contact sheet of {config.num_frames} frames of {', '.join(config.modalities)} does not fit into "
                f"{config.most_px} pixels; take fewer frames (--frames)."
            )
    sheet = Image.new("RGB", size, GREY)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    top = 0
    for title, pictures, captions in strips:
        draw.text((MARGIN_PX, top + 3), title, fill=INK, font=font)
        top += TITLE_PX
        width, height = _fit(pictures, side)
        for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
            row, column = divmod(i, config.num_columns)
            x = MARGIN_PX + column * (width + MARGIN_PX)
            y = top + row * (height + CAPTION_PX + MARGIN_PX)
            # Silhouettes of 64 pixels are enlarged: without smoothing, so that nothing is shown that is not there.
            method = Image.Resampling.NEAREST if width >= picture.shape[1] else Image.Resampling.BOX
            sheet.paste(Image.fromarray(picture).resize((width, height), method), (x, y))
            draw.text((x, y + height + 1), caption, fill=INK, font=font)
        top += _num_rows(pictures, config) * (height + CAPTION_PX + MARGIN_PX)
    return sheet


def _layout(strips: list[Strip], config: SheetConfig, side: int) -> tuple[int, int]:
    """Width and height of a sheet whose frames are ``side`` pixels on their longer side."""
    width, height = SMALLEST_WIDTH_PX, 0
    for _, pictures, _ in strips:
        cell_width, cell_height = _fit(pictures, side)
        columns = min(len(pictures), config.num_columns)
        width = max(width, MARGIN_PX + columns * (cell_width + MARGIN_PX))
        height += TITLE_PX + _num_rows(pictures, config) * (cell_height + CAPTION_PX + MARGIN_PX)
    return width, height


def _num_rows(pictures: NDArray[np.uint8], config: SheetConfig) -> int:
    return -(-len(pictures) // config.num_columns)


def _fit(pictures: NDArray[np.uint8], side: int) -> tuple[int, int]:
    """Width and height of frames whose longer side is ``side``."""
    _, height, width, _ = pictures.shape
    scale = side / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))
