"""A contact sheet: every modality of some walkers on one picture."""

from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gaitbench.atomic import atomic_path
from gaitbench.errors import UsageError
from gaitbench.projection import jet
from gaitbench.sequence import PointFrames, SequenceInfo
from gaitbench.walkers.builder import WalkersBuilder
from gaitbench.walkers.lidar import LIDAR_EVERY
from gaitbench.walkers.options import Background, WalkersOptions
from gaitbench.walkers.solids import PARSING_LABELS

__all__ = ["contact_sheet"]

Picture = NDArray[np.uint8]

CELL_PX = (128, 160)
LABEL_PX = 14
MARGIN_PX = 6
HEADER_PX = 22
NUM_COLUMNS = 13
MODALITIES = (
    *("silhouette", "rgb", "silhouette-raw", "depth", "parsing", "lidar", "lidar-depth", "skeleton2d", "skeleton3d"),
)
BONES = (
    *((5, 7), (7, 9), (6, 8), (8, 10), (5, 6), (5, 11), (6, 12), (11, 12)),
    *((11, 13), (13, 15), (12, 14), (14, 16), (0, 1), (0, 2), (1, 3), (2, 4)),
)
PART_COLOURS = np.array(
    [
        *((0, 0, 0), (244, 194, 161), (110, 70, 40), (70, 130, 200), (90, 190, 120), (200, 170, 60)),
        *((240, 150, 90), (240, 110, 110), (120, 90, 190), (190, 90, 170), (70, 200, 210), (210, 210, 90)),
        *((160, 60, 60), (150, 150, 150)),
    ],
    dtype=np.uint8,
)
LEFT, RIGHT = (90, 190, 255), (255, 150, 90)


def contact_sheet(path: Path, options: WalkersOptions | None = None) -> Path:
    """Draw walkers in every modality, in several conditions, views and backgrounds, and over one gait cycle.

    Args:
        path: The PNG to write.
        options: Which walkers; None for the default.

    Returns:
        ``path``.

    Raises:
        UsageError: The name does not end in ``.png``.
        OutputError: It cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise UsageError(f"a contact sheet is a PNG; {path} does not end in .png")
    options = WalkersOptions() if options is None else options
    builder = WalkersBuilder(options)
    chosen = _choose(builder)
    instant = LIDAR_EVERY * ((options.num_frames // 2) // LIDAR_EVERY)
    rows: list[tuple[str, list[Picture], list[str]]] = []
    words = [f"{info.subject_id} {info.condition} {info.view}" for info in chosen]
    for modality in MODALITIES:
        pictures = _pictures(builder, chosen, modality, instant)
        rows.append((modality, pictures, words if not rows else []))
    rows += _backgrounds(options, chosen, instant)
    if options.num_frames > 1:
        rows += _cycles(builder, chosen)
    sheet = _arrange(rows)
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")
    return path


def _choose(builder: WalkersBuilder) -> list[SequenceInfo]:
    """Pick one sequence per condition, of changing subjects and views."""
    options = builder.options
    by_id = {(s.subject_id, s.condition, s.view): s for s in builder.sequences()}
    num_subjects = options.num_train_subjects + options.num_test_subjects
    chosen = []
    for i in range(NUM_COLUMNS):
        condition = options.conditions[i % len(options.conditions)]
        view_deg = options.views_deg[(3 * i + 2) % len(options.views_deg)]
        chosen.append(by_id[f"{7 * i % num_subjects + 1:04d}", condition, f"{view_deg:03d}"])
    return chosen


def _backgrounds(
    options: WalkersOptions, chosen: list[SequenceInfo], instant: int
) -> list[tuple[str, list[Picture], list[str]]]:
    """Give a row per kind of background that is not the options' own, and consecutive frames of changing ones."""
    rows: list[tuple[str, list[Picture], list[str]]] = []
    for kind in get_args(Background):
        builder = WalkersBuilder(options.model_copy(update={"background": kind}))
        if kind != options.background:
            rows.append((f"rgb, background {kind}", _pictures(builder, chosen, "rgb", instant), []))
    for info in chosen[:2]:
        frames = np.asarray(next(builder.frames([info], "rgb")))
        pictures = [_enlarge(np.moveaxis(frame, 0, 2)) for frame in frames[:NUM_COLUMNS]]
        rows.append((f"{info.sequence_id}, background {kind}", pictures, []))
    return rows


def _cycles(builder: WalkersBuilder, chosen: list[SequenceInfo]) -> list[tuple[str, list[Picture], list[str]]]:
    """Give rows of consecutive silhouettes, one row per sequence."""
    rows: list[tuple[str, list[Picture], list[str]]] = []
    for info in chosen[:: max(1, len(chosen) // 4)]:
        frames = np.asarray(next(builder.frames([info], "silhouette")))
        step = max(1, len(frames) // NUM_COLUMNS)
        pictures = [
            _enlarge(np.repeat(f[0, :, :, None] * np.uint8(255), 3, axis=2)) for f in frames[::step][:NUM_COLUMNS]
        ]
        rows.append((info.sequence_id, pictures, []))
    return rows


def _pictures(builder: WalkersBuilder, chosen: list[SequenceInfo], modality: str, instant: int) -> list[Picture]:
    """Draw one frame of each sequence."""
    pictures = []
    for frames in builder.frames(chosen, modality):
        if isinstance(frames, PointFrames):
            index = instant // LIDAR_EVERY
            pictures.append(_draw_points(frames.points[frames.offsets[index] : frames.offsets[index + 1]]))
            continue
        frame = np.asarray(frames[instant // LIDAR_EVERY if modality == "lidar-depth" else instant])
        if modality == "rgb":
            pictures.append(_enlarge(np.moveaxis(frame, 0, 2)))
        elif modality in ("silhouette", "silhouette-raw"):
            pictures.append(_enlarge(np.repeat(frame[0, :, :, None] * np.uint8(255), 3, axis=2)))
        elif modality == "parsing":
            pictures.append(_enlarge(PART_COLOURS[frame[0]]))
        elif modality == "lidar-depth":
            pictures.append(_enlarge(jet(torch.from_numpy(frame[0])).numpy()))
        elif modality == "depth":
            pictures.append(_enlarge(_depth_colours(frame[0])))
        else:
            # 3D joints are shown from the sensor, through a pinhole.
            plane = frame[:, :2] if modality == "skeleton2d" else -frame[:, 1:] / frame[:, :1]
            pictures.append(_draw_bones(plane))
    return pictures


def _depth_colours(frame: NDArray[np.generic]) -> Picture:
    depth = frame.astype(np.float64)
    seen = depth > 0
    if not seen.any():
        return np.zeros((*frame.shape, 3), dtype=np.uint8)
    near, far = depth[seen].min(), depth[seen].max()
    gray = np.where(seen, 255 - 200 * (depth - near) / max(far - near, 1.0), 0)
    return np.repeat(gray.astype(np.uint8)[:, :, None], 3, axis=2)


def _enlarge(picture: NDArray[np.generic]) -> Picture:
    """Fit a picture into a cell without smoothing."""
    width, height = CELL_PX
    factor = min(width / picture.shape[1], height / picture.shape[0])
    image = Image.fromarray(np.ascontiguousarray(picture, dtype=np.uint8))
    size = (round(picture.shape[1] * factor), round(picture.shape[0] * factor))
    cell = Image.new("RGB", CELL_PX, (24, 24, 28))
    cell.paste(image.resize(size, Image.Resampling.NEAREST), ((width - size[0]) // 2, (height - size[1]) // 2))
    return np.asarray(cell)


def _fit(plane: NDArray[np.floating]) -> NDArray[np.float64]:
    """Scale ``[V, 2]`` positions into a cell."""
    plane = plane.astype(np.float64)
    low, high = plane.min(axis=0), plane.max(axis=0)
    scale = 0.88 * min(CELL_PX[0] / max(high[0] - low[0], 1e-6), CELL_PX[1] / max(high[1] - low[1], 1e-6))
    return np.asarray((plane - (low + high) / 2) * scale + np.array(CELL_PX) / 2)


def _draw_points(points: NDArray[np.float32]) -> Picture:
    cell = Image.new("RGB", CELL_PX, (10, 10, 14))
    if len(points) == 0:
        return np.asarray(cell)
    draw = ImageDraw.Draw(cell)
    place = _fit(-points[:, 1:] / points[:, :1])
    depth = points[:, 0]
    share = (depth.max() - depth) / max(float(np.ptp(depth)), 1e-6)
    colours = jet(torch.from_numpy(1 + 254 * share).to(torch.uint8)).numpy()
    for (x, y), colour in zip(place, colours, strict=True):
        draw.rectangle((x - 0.6, y - 0.6, x + 0.6, y + 0.6), fill=tuple(int(c) for c in colour))
    return np.asarray(cell)


def _draw_bones(plane: NDArray[np.floating]) -> Picture:
    cell = Image.new("RGB", CELL_PX, (10, 10, 14))
    draw = ImageDraw.Draw(cell)
    place = [(float(x), float(y)) for x, y in _fit(plane)]
    for a, b in BONES:
        colour = (200, 200, 200) if a % 2 != b % 2 else (LEFT if a % 2 else RIGHT)
        draw.line((*place[a], *place[b]), fill=colour, width=2)
    for x, y in place:
        draw.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=(255, 255, 255))
    return np.asarray(cell)


def _arrange(rows: list[tuple[str, list[Picture], list[str]]]) -> Image.Image:
    """Put rows of pictures with their titles on a sheet."""
    width = MARGIN_PX + NUM_COLUMNS * (CELL_PX[0] + MARGIN_PX)
    step = LABEL_PX + CELL_PX[1] + MARGIN_PX
    sheet = Image.new("RGB", (width, HEADER_PX + len(rows) * step + 2 * LABEL_PX), (40, 40, 46))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    draw.text(
        (MARGIN_PX, 5), "gaitbench walkers: synthetic people, subject condition view", fill=(255, 255, 255), font=font
    )
    for i, (title, pictures, words) in enumerate(rows):
        top = HEADER_PX + i * step
        if not words:
            draw.text((MARGIN_PX, top + 1), title, fill=(255, 220, 140), font=font)
        for j, picture in enumerate(pictures):
            x = MARGIN_PX + j * (CELL_PX[0] + MARGIN_PX)
            if words:
                draw.text((x, top + 1), words[j], fill=(255, 220, 140), font=font)
            sheet.paste(Image.fromarray(picture), (x, top + LABEL_PX))
    x = MARGIN_PX
    for label, colour in zip(PARSING_LABELS, PART_COLOURS, strict=True):
        top = HEADER_PX + len(rows) * step
        draw.rectangle((x, top + 2, x + 9, top + 11), fill=tuple(int(c) for c in colour), outline=(120, 120, 120))
        draw.text((x + 13, top + 1), label, fill=(230, 230, 230), font=font)
        x += 13 + int(draw.textlength(label, font=font)) + 12
    return sheet
