"""The picture of a shared space: once by modality, once by subject, and the distances below.

Axes: N sequences; places are ``[N, 2]``.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gaitbench.explaining.gap import ModalityGap, PairDistances
from gaitbench.explaining.shared_space import Plane

__all__ = ["draw_space"]

_PAPER, _INK, _FAINT, _LINE = (250, 250, 248), (32, 33, 36), (110, 112, 118), (214, 212, 205)
_COLOURS = (
    *((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167)),
    *((230, 159, 0), (86, 180, 233), (120, 94, 60), (60, 60, 60)),
)
"""Told apart by most colour-blind people (Okabe and Ito)."""
_OTHERS = (206, 205, 200)
_GENUINE, _IMPOSTOR = (0, 114, 178), (213, 94, 0)
_FINE = 2
"""Everything is drawn so much larger and then reduced, which smooths it."""
_PANEL, _MARGIN, _GAP, _HISTOGRAM, _COLUMNS = 520, 24, 32, 130, 3
_NUM_NAMED = len(_COLOURS)

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_space(plane: Plane, subjects: Sequence[str], gap: ModalityGap, heading: str, subtitle: str) -> Image.Image:
    """Draw the sheet.

    Args:
        plane: Places of N sequences in each modality.
        subjects: N subjects; the first ones by equal distances in the order of their names get a colour.
        gap: What was measured.
        heading: First line.
        subtitle: Second line.

    Returns:
        An RGB image.
    """
    rows = -(-len(gap.pairs) // _COLUMNS)
    width = 2 * _MARGIN + 2 * _PANEL + _GAP
    top = _MARGIN + 62
    below = top + 28 + _PANEL + 64
    height = below + rows * (_HISTOGRAM + 64) + _MARGIN
    sheet = _Sheet(width, height)
    sheet.write(_MARGIN, _MARGIN - 6, heading, _INK, 19)
    sheet.write(_MARGIN, _MARGIN + 22, subtitle, _FAINT, 14)

    scale = _Scale.over(plane)
    named = _named(subjects)
    modalities = list(plane.places)
    left, right = _MARGIN, _MARGIN + _PANEL + _GAP
    sheet.write(left, top, "by modality; crosses are the centres", _INK, 14)
    sheet.write(
        right, top, f"by subject ({len(named)} of {len(set(subjects))} in colour), shapes as on the left", _INK, 14
    )
    top += 28
    for side in (left, right):
        sheet.frame(side, top, _PANEL, _PANEL)
    groups = _turns([len(places) for places in plane.places.values()])
    for kind, row in groups:
        place = scale(plane.places[modalities[kind]][row], top)
        sheet.mark(left + place[0], place[1], kind, _COLOURS[kind % len(_COLOURS)], 3.2)
    for is_named in (False, True):
        for kind, row in groups:
            colour = named.get(subjects[row])
            if (colour is not None) == is_named:
                place = scale(plane.places[modalities[kind]][row], top)
                sheet.mark(right + place[0], place[1], kind, colour or _OTHERS, 4.2 if is_named else 2.6)
    for places in plane.places.values():
        place = scale(places.mean(axis=0), top)
        sheet.cross(left + place[0], place[1], 11)
    axes = f"first axis {plane.shares[0]:.0%}, second axis {plane.shares[1]:.0%} of the variance"
    sheet.write(left, top + _PANEL + 6, axes, _FAINT, 12)
    x = float(left)
    for kind, name in enumerate(modalities):
        sheet.mark(x + 7, top + _PANEL + 35, kind, _COLOURS[kind % len(_COLOURS)], 5)
        x = sheet.write(x + 18, top + _PANEL + 26, name, _INK, 13) + 18
    x = float(right)
    for subject, colour in named.items():
        sheet.mark(x + 7, top + _PANEL + 35, 0, colour, 5)
        x = sheet.write(x + 17, top + _PANEL + 26, subject[:12], _INK, 13) + 12
    each = (width - 2 * _MARGIN - (_COLUMNS - 1) * _GAP) // _COLUMNS
    for number, pair in enumerate(gap.pairs):
        row, column = divmod(number, _COLUMNS)
        _histogram(sheet, _MARGIN + column * (each + _GAP), below + row * (_HISTOGRAM + 64), each, pair, gap)
    return sheet.image()


def _named(subjects: Sequence[str]) -> dict[str, Colour]:
    people = sorted(set(subjects))
    places = np.unique(np.linspace(0, len(people), min(_NUM_NAMED, len(people)), endpoint=False).astype(int))
    return {people[place]: _COLOURS[number] for number, place in enumerate(places.tolist())}


def _turns(counts: Sequence[int]) -> list[tuple[int, int]]:
    """(modality, row) of every mark in an order in which no modality covers the others."""
    everything = [(kind, row) for kind, count in enumerate(counts) for row in range(count)]
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(everything))
    return [everything[place] for place in order.tolist()]


class _Scale(NamedTuple):
    """From places to pixels of a panel, with one scale for both axes."""

    middle: NDArray[np.float64]
    factor: float

    @classmethod
    def over(cls, plane: Plane) -> "_Scale":
        places = np.concatenate(list(plane.places.values()))
        low, high = places.min(axis=0), places.max(axis=0)
        longest = float((high - low).max())
        return cls((low + high) / 2, (_PANEL - 36) / longest if longest > 0 else 1.0)

    def __call__(self, place: NDArray[np.float64], top: float) -> tuple[float, float]:
        x, y = ((place - self.middle) * self.factor).tolist()
        return _PANEL / 2 + x, top + _PANEL / 2 - y


def _histogram(sheet: "_Sheet", left: int, top: int, width: int, pair: PairDistances, gap: ModalityGap) -> None:
    within = pair.first == pair.second
    sheet.write(left, top, f"within {pair.first}" if within else f"{pair.first} to {pair.second}", _INK, 14)
    told = "no pairs of both kinds" if pair.separation is None else f"genuine nearer in {pair.separation:.1%}"
    found = None if within else next(g for g in gap.gaps if (g.first, g.second) == (pair.first, pair.second)).gap
    sheet.write(left, top + 18, told + ("" if found is None else f"; gap {found:.2f}"), _FAINT, 12)
    top += 38
    sheet.frame(left, top, width, _HISTOGRAM)
    shares = {
        colour: np.array(found.counts) / found.num
        for colour, found in ((_IMPOSTOR, pair.impostor), (_GENUINE, pair.genuine))
        if found.num
    }
    highest = max((float(share.max()) for share in shares.values()), default=1.0)
    step = width / len(pair.genuine.counts)
    for colour, share in shares.items():
        line = [
            (left + (i + side) * step, top + _HISTOGRAM - 1 - float(value) / highest * (_HISTOGRAM - 10))
            for i, value in enumerate(share)
            for side in (0, 1)
        ]
        sheet.area([(left, top + _HISTOGRAM - 1), *line, (left + width, top + _HISTOGRAM - 1)], line, colour)
    sheet.write(left, top + _HISTOGRAM + 3, "0", _FAINT, 11)
    end = f"{gap.edges[-1]:.3g}"
    sheet.write(left + width - sheet.length(end, 11), top + _HISTOGRAM + 3, end, _FAINT, 11)
    x = sheet.write(left + 40, top + _HISTOGRAM + 3, "genuine", _GENUINE, 11)
    sheet.write(x + 12, top + _HISTOGRAM + 3, "impostor", _IMPOSTOR, 11)


class _Sheet:
    """A canvas in fine pixels, drawn to in whole ones."""

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (width * _FINE, height * _FINE), _PAPER)
        self._draw = ImageDraw.Draw(self._image, "RGBA")
        self._size = width, height
        self._fonts: dict[int, Font] = {}

    def image(self) -> Image.Image:
        return self._image.resize(self._size, Image.Resampling.LANCZOS)

    def write(self, x: float, y: float, text: str, colour: Colour, size: int) -> float:
        """Write from the left, and tell where the text ends."""
        self._draw.text((x * _FINE, y * _FINE), text, fill=colour, font=self._font(size))
        return x + self.length(text, size)

    def length(self, text: str, size: int) -> float:
        return float(self._draw.textlength(text, self._font(size))) / _FINE

    def frame(self, x: float, y: float, width: float, height: float) -> None:
        box = [x * _FINE, y * _FINE, (x + width) * _FINE, (y + height) * _FINE]
        self._draw.rectangle(box, fill=(255, 255, 255), outline=_LINE, width=_FINE)

    def mark(self, x: float, y: float, kind: int, colour: Colour, radius: float) -> None:
        """A circle, square, triangle or diamond around a place."""
        shape = _SHAPES[kind % len(_SHAPES)]
        corners = [((x + radius * u) * _FINE, (y + radius * v) * _FINE) for u, v in shape]
        self._draw.polygon(corners, fill=(*colour, 190), outline=(255, 255, 255, 150))

    def cross(self, x: float, y: float, radius: float) -> None:
        for colour, width in (((255, 255, 255), 5), (_INK, 2)):
            for u, v in ((1, 1), (1, -1)):
                line = [
                    *((x - radius * u) * _FINE, (y - radius * v) * _FINE),
                    *((x + radius * u) * _FINE, (y + radius * v) * _FINE),
                ]
                self._draw.line(line, fill=colour, width=width * _FINE)

    def area(self, around: list[tuple[float, float]], line: list[tuple[float, float]], colour: Colour) -> None:
        self._draw.polygon([(x * _FINE, y * _FINE) for x, y in around], fill=(*colour, 50))
        self._draw.line([(x * _FINE, y * _FINE) for x, y in line], fill=colour, width=2 * _FINE)

    def _font(self, size: int) -> Font:
        if size not in self._fonts:
            try:
                self._fonts[size] = ImageFont.load_default(size * _FINE)
            except (TypeError, ImportError):  # Pillow before 10.1, or built without FreeType
                self._fonts[size] = ImageFont.load_default()
        return self._fonts[size]


def _round(num: int) -> tuple[tuple[float, float], ...]:
    angles = 2 * np.pi * np.arange(num) / num
    return tuple((float(np.cos(a)), float(np.sin(a))) for a in angles)


_SHAPES = (
    _round(20),
    ((-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)),
    ((0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)),
    ((0.0, -1.3), (1.0, 0.0), (0.0, 1.3), (-1.0, 0.0)),
)
