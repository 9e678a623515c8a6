"""The camera that follows the walker: windows, height normalisation, and what segmentation gets wrong.

A window is a square of the image plane at distance 1 (u to the right, v down). Its rows are the body's by
construction, and its columns are centred as the field's pretreatment does: on the column where the cumulative mass of
the mask passes one half.

Axes: F frames, H rows, W columns.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gaitbench.walkers.options import WalkersOptions
from gaitbench.walkers.randomness import stream
from gaitbench.walkers.rays import NO_HIT, bounds, camera_grid, decode, render
from gaitbench.walkers.recording import Recording
from gaitbench.walkers.solids import PARSING_OF_SURFACE

__all__ = ["View", "Window", "look", "parse", "segment"]

Array = NDArray[np.float64]

COARSE_ROWS = (26, 34)


class Window(NamedTuple):
    """A part of the image plane per frame, as ``H`` rows of square pixels."""

    left: Array
    """``[F]`` u of the left edge."""
    top: Array
    """``[F]`` v of the upper edge."""
    pixel: Array
    """``[F]`` size of a pixel."""

    def project(self, points: Array) -> Array:
        """Project ``[F, ..., 3]`` points of the sensor's frame to ``[F, ..., 2]`` columns and rows.

        Pixel (0, 0) covers 0 to 1 both ways.
        """
        shape = (-1, *(1,) * (points.ndim - 2))
        left, top, pixel = (v.reshape(shape) for v in self)
        column = (-points[..., 1] / points[..., 0] - left) / pixel
        row = (-points[..., 2] / points[..., 0] - top) / pixel
        return np.stack([column, row], axis=-1)


class View(NamedTuple):
    """What the camera sees without errors."""

    window: Window
    mask: Tensor
    """``[F, H, W]`` uint8, the person."""
    distance: Tensor | None
    """``[F, H, W]`` float64 metres along the optical axis, 0 beside the person."""
    surface: Tensor | None
    """``[F, H, W]`` uint8, :class:`gaitbench.walkers.solids.Surface`, 0 beside the person."""


def look(recording: Recording, size: int, *, mask_only: bool = False) -> View:
    """Render what the camera sees in each frame's window.

    Args:
        recording: The walks.
        size: Rows and columns.
        mask_only: Leave distance and surface out; about twice as fast.
    """
    solids = recording.solids
    left, right, top, bottom = bounds(solids, is_lidar=False)
    is_there = solids.ra > 0
    highest = np.where(is_there, top, np.inf).min(axis=1)
    lowest = np.where(is_there, bottom, -np.inf).max(axis=1)
    middle = 0.5 * (np.where(is_there, left, np.inf).min(axis=1) + np.where(is_there, right, -np.inf).max(axis=1))
    raw, window = _render(recording, highest, lowest, middle, size, mask_only, np.arange(len(highest)))
    seen = _is_person(raw)
    if hidden := np.flatnonzero(np.repeat(np.isfinite(recording.occluder.x), recording.num_frames)).tolist():
        # What is left to see fills the rows, as it does after cropping a real mask.
        part = seen[hidden].any(dim=2).numpy()
        first, last = part.argmax(axis=1), size - 1 - part[:, ::-1].argmax(axis=1)
        pixel = window.pixel[hidden]
        new_top, new_bottom = window.top[hidden] + first * pixel, window.top[hidden] + (last + 1) * pixel
        redone, new = _render(recording, new_top, new_bottom, middle[hidden], size, mask_only, np.array(hidden))
        raw[hidden] = redone
        for old, better in zip(window, new, strict=True):
            old[hidden] = better
        seen = _is_person(raw)
    rows, columns = align_index(seen, size)
    raw = _gather(raw, rows, columns, NO_HIT if raw.dtype == torch.int32 else 0)
    seen = _is_person(raw)
    first_row, first_column = rows[:, 0].double().numpy(), columns[:, 0].double().numpy()
    scale = (rows[:, -1] - rows[:, 0] + 1).double().numpy() / size
    aligned = Window(
        window.left + first_column * window.pixel, window.top + first_row * window.pixel, window.pixel * scale
    )
    if mask_only:
        return View(aligned, raw, None, None)
    distance, surface = decode(raw)
    return View(aligned, seen.to(torch.uint8), distance, surface)


def _is_person(raw: Tensor) -> Tensor:
    return raw != (NO_HIT if raw.dtype == torch.int32 else 0)


def _render(
    recording: Recording,
    top: Array,
    bottom: Array,
    middle: Array,
    size: int,
    mask_only: bool,
    frames: NDArray[np.int64],
) -> tuple[Tensor, Window]:
    """Render wide windows around a column, without what the occluder hides."""
    pixel = (bottom - top) / size
    width = size + size // 2
    left = middle - 0.5 * width * pixel
    window = Window(left.copy(), top.copy(), pixel.copy())
    grid = camera_grid(left, top, pixel, size, width)
    solids = recording.solids
    if len(frames) < len(solids.ra):
        solids = solids.pick(frames)
    image = render(solids, grid, mask_only=mask_only)
    sequence = frames // recording.num_frames
    for index in np.unique(sequence[np.isfinite(recording.occluder.x[sequence])]):
        chosen = np.flatnonzero(sequence == index)
        occluder = recording.occluder.pick(np.array([index]))
        hidden = occluder.hides(grid.left[None, chosen, None, :], grid.up[None, chosen, :, None])[0]
        part = image[chosen]
        part[torch.from_numpy(hidden)] = 0 if mask_only else NO_HIT
        image[chosen] = part
    return image, window


def align_index(mask: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Find the rows and columns that crop masks to the body and centre them.

    Args:
        mask: ``[F, H, W]`` bool.
        size: Rows and columns wanted.

    Returns:
        Source rows and columns, ``[F, size]`` int64 each; columns may lie outside, which means background. An
        empty mask keeps its rows and its middle.
    """
    num_rows, num_columns = mask.shape[1:]
    rows = mask.any(dim=2)
    first = rows.to(torch.uint8).argmax(dim=1)
    last = num_rows - 1 - rows.flip(1).to(torch.uint8).argmax(dim=1)
    # Bytes add up three times faster than bools, in 32 bits.
    mass = mask.to(torch.uint8).sum(dim=1, dtype=torch.int32).cumsum(dim=1)  # [F, W]
    median = (2 * mass >= mass[:, -1:]).to(torch.uint8).argmax(dim=1)
    is_empty = mass[:, -1] == 0
    first, last = first.masked_fill(is_empty, 0), last.masked_fill(is_empty, num_rows - 1)
    median = median.masked_fill(is_empty, num_columns // 2)
    scale = (last - first + 1).double() / size
    step = torch.arange(size)
    source_rows = (first[:, None] + (step + 0.5) * scale[:, None]).floor().long()
    source_columns = (median[:, None] + (step + 0.5 - size / 2) * scale[:, None]).floor().long()
    return source_rows, source_columns


def _gather(image: Tensor, rows: Tensor, columns: Tensor, background: int) -> Tensor:
    """Pick rows and columns of each frame; columns outside give ``background``."""
    num_frames, _, width = image.shape
    is_inside = (columns >= 0) & (columns < width)
    frame = torch.arange(num_frames)[:, None, None]
    picked = image[frame, rows[:, :, None], columns.clamp(0, width - 1)[:, None, :]]
    return picked.masked_fill(~is_inside[:, None, :], background)


def segment(options: WalkersOptions, recording: Recording, view: View) -> tuple[Tensor, Tensor, Tensor]:
    """Give the masks as a segmentation finds them, aligned again.

    At night the outline frays, pieces are missed and spots are added; far away the mask has few pixels. Elsewhere it
    is exact.

    Returns:
        Masks ``[F, H, W]`` uint8, and the source rows and columns ``[F, H]`` and ``[F, W]`` in ``view``.
    """
    size, mask, frames = view.mask.shape[1], view.mask.clone(), recording.num_frames
    identity = torch.arange(size).expand(len(mask), size)
    rows, columns = identity.clone(), identity.clone()
    for index, info in enumerate(recording.infos):
        group = info.condition.split("-")[0]
        if group not in ("nt", "df"):
            continue
        part = slice(index * frames, (index + 1) * frames)
        rng = stream(options.seed, info.subject_id, info.condition, info.view, "segmentation")
        clean = mask[part].float()
        found = _fray(rng, clean) if group == "nt" else _coarsen(rng, clean)
        found = torch.where(found.flatten(1).any(dim=1)[:, None, None], found, clean > 0)
        rows[part], columns[part] = align_index(found, size)
        mask[part] = _gather(found.to(torch.uint8), rows[part], columns[part], 0)
    return mask, rows, columns


def parse(options: WalkersOptions, recording: Recording, view: View) -> Tensor:
    """Give the body parts of what the segmentation finds, ``[F, H, W]`` uint8.

    Labels are :data:`gaitbench.walkers.solids.PARSING_LABELS`; spots that segmentation adds take the part beside them.
    """
    assert view.surface is not None
    mask, rows, columns = segment(options, recording, view)
    labels = torch.from_numpy(PARSING_OF_SURFACE)[view.surface.long()]
    if bool(((mask > 0) & (labels == 0)).any()):
        labels = _gather(_grow(labels), rows, columns, 0)
    return torch.where(mask > 0, labels, 0)


def _grow(labels: Tensor, reach: int = 3) -> Tensor:
    """Let labels ``[F, H, W]`` spread over the background beside them."""
    for _ in range(reach):
        beside = torch.nn.functional.max_pool2d(labels[:, None].float(), 3, 1, 1)[:, 0].to(torch.uint8)
        labels = torch.where(labels > 0, labels, beside)
    return labels


def _fray(rng: np.random.Generator, clean: Tensor) -> Tensor:
    """Disturb ``[T, H, W]`` masks as a segmentation in the dark does."""
    num_frames, size, _ = clean.shape
    soft = torch.nn.functional.avg_pool2d(clean[:, None], 5, 1, 2)[:, 0]
    coarse = rng.standard_normal((num_frames, 1, 11, 11)) + 0.8 * rng.standard_normal((1, 1, 11, 11))
    fine = rng.standard_normal((num_frames, 1, size // 2, size // 2))
    noise = 0.16 * _enlarge(coarse, size) + 0.11 * _enlarge(fine, size)
    missed = _enlarge(rng.standard_normal((num_frames, 1, 6, 6)) + rng.standard_normal((1, 1, 6, 6)), size)
    return (soft + noise - 0.6 * (missed > 2.5).float() > 0.50) & (soft > 0.02)


def _coarsen(rng: np.random.Generator, clean: Tensor) -> Tensor:
    """Reduce ``[T, H, W]`` masks to the few rows of a far person and enlarge them again."""
    num_rows = int(rng.integers(*COARSE_ROWS))
    small = torch.nn.functional.interpolate(clean[:, None], size=(num_rows, num_rows), mode="area")
    # Area means are ratios of small numbers: 0.47 is none of them, so rounding decides nothing.
    small = (small > 0.47).float()
    return torch.nn.functional.interpolate(small, size=clean.shape[1:], mode="bilinear")[:, 0] > 0.493


def _enlarge(noise: Array, size: int) -> Tensor:
    """Interpolate ``[T, 1, h, w]`` noise to ``[T, size, size]``."""
    tensor = torch.from_numpy(np.asarray(noise, dtype=np.float32))
    return torch.nn.functional.interpolate(tensor, size=(size, size), mode="bilinear")[:, 0]
