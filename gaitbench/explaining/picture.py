"""A picture of one explained sequence: frames from left to right, a row of them plain and a row per heatmap.

Axes: T frames drawn, C channels, H rows, W columns; h, w rows and columns of a heatmap.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gaitbench.explaining.colours import heat_colours, overlay, stretch

__all__ = ["Layer", "Strip", "draw_sheet", "frame_pictures"]

Picture = NDArray[np.uint8]

_CELL_PX = 192
"""Rows of a drawn frame."""
_GAP_PX, _MARGIN_PX, _LABEL_PX, _LEGEND_PX = 4, 16, 24, 96
_PAPER, _INK, _FAINT = (250, 250, 248), (32, 33, 36), (110, 112, 118)


class Layer(NamedTuple):
    """A heatmap of one sequence."""

    title: str
    values: NDArray[np.float32]
    """``[T, h, w]``."""
    low: float
    """Drawn black."""
    high: float
    """Drawn pale yellow."""


class Strip(NamedTuple):
    """The frames of one modality, and what is drawn over them."""

    modality: str
    frames: Picture
    """``[T, H, W, 3]``."""
    layers: tuple[Layer, ...]


def frame_pictures(clip: NDArray[np.floating]) -> Picture:
    """Make pictures of what a model is given.

    Args:
        clip: ``[C, T, H, W]``: three channels are colours, several others are averaged. Values in [0, 1] are taken as
            they are, others are stretched over the clip.

    Returns:
        ``[T, H, W, 3]``.

    Example:
        >>> frame_pictures(np.full((1, 2, 4, 3), 0.5)).shape
        (2, 4, 3, 3)
    """
    low, high = float(clip.min()), float(clip.max())
    values = clip if low >= 0 and high <= 1 else stretch(clip, low, high)
    if len(values) != 3:
        values = np.repeat(values.mean(axis=0, keepdims=True), 3, axis=0)
    return np.asarray((255 * np.moveaxis(values, 0, -1)).round().astype(np.uint8))


def draw_sheet(strips: Sequence[Strip], moments: Sequence[int], heading: str, subtitle: str) -> Image.Image:
    """Draw the sheet of one sequence.

    Args:
        strips: The modalities that something is drawn over; T is the same in all.
        moments: Number of each frame in the sequence, written under the first row.
        heading: First line.
        subtitle: Second line.

    Returns:
        An RGB image.
    """
    rows = [row for strip in strips for row in _rows(strip)]
    widths = [sum(cell.width for cell in row.cells) + _GAP_PX * (len(row.cells) - 1) for row in rows]
    title_font, font, small = _font(19), _font(14), _font(12)
    measure = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    words = [measure.textlength(heading, title_font), measure.textlength(subtitle, font)]
    width = 2 * _MARGIN_PX + max(*(each + _LEGEND_PX for each in widths), *(int(each) + 1 for each in words))
    top = _MARGIN_PX + 54
    height = top + sum(_LABEL_PX + row.cells[0].height + _GAP_PX for row in rows) + 22 + _MARGIN_PX
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN_PX, _MARGIN_PX - 4), heading, fill=_INK, font=title_font)
    draw.text((_MARGIN_PX, _MARGIN_PX + 24), subtitle, fill=_FAINT, font=font)
    for row in rows:
        draw.text((_MARGIN_PX, top + 2), row.title, fill=_INK, font=font)
        top += _LABEL_PX
        left = _MARGIN_PX
        for cell, moment in zip(row.cells, moments, strict=True):
            sheet.paste(cell, (left, top))
            if row is rows[-1]:
                middle = left + (cell.width - draw.textlength(str(moment), small)) / 2
                draw.text((middle, top + cell.height + 5), str(moment), fill=_FAINT, font=small)
            left += cell.width + _GAP_PX
        if row.layer is not None:
            _draw_legend(sheet, draw, row.layer, left + 8, top, row.cells[0].height, small)
        top += row.cells[0].height + _GAP_PX
    draw.text((_MARGIN_PX + widths[-1] + _GAP_PX + 8, top + 1), "frame", fill=_FAINT, font=small)
    return sheet


class _Row(NamedTuple):
    title: str
    cells: list[Image.Image]
    layer: Layer | None


def _rows(strip: Strip) -> list[_Row]:
    plain = [_enlarged(frame) for frame in strip.frames]
    rows = [_Row(strip.modality, plain, None)]
    for layer in strip.layers:
        cells = []
        for cell, values in zip(plain, layer.values, strict=True):
            smooth = Image.fromarray(values.astype(np.float32)).resize(cell.size, Image.Resampling.BILINEAR)
            cells.append(Image.fromarray(overlay(np.asarray(cell), stretch(np.asarray(smooth), layer.low, layer.high))))
        rows.append(_Row(layer.title, cells, layer))
    return rows


def _enlarged(frame: Picture) -> Image.Image:
    """A frame as it is drawn: where it is small, its pixels stay squares."""
    image = Image.fromarray(frame)
    factor = _CELL_PX / image.height
    how = Image.Resampling.NEAREST if factor >= 2 else Image.Resampling.BICUBIC
    return image.resize((max(1, round(image.width * factor)), _CELL_PX), how)


def _draw_legend(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    layer: Layer,
    left: int,
    top: int,
    height: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """A bar from the highest value down to the lowest."""
    bar = np.repeat(np.linspace(1, 0, height)[:, None], 12, axis=1)
    sheet.paste(Image.fromarray(heat_colours(bar)), (left, top))
    draw.text((left + 18, top - 3), f"{layer.high:.3g}", fill=_FAINT, font=font)
    draw.text((left + 18, top + height - 12), f"{layer.low:.3g}", fill=_FAINT, font=font)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    try:
        return ImageFont.load_default(size)
    except (TypeError, ImportError):  # Pillow before 10.1, or built without FreeType
        return ImageFont.load_default()
