"""Colour pictures: clothes that change from take to take, skin and hair that stay, and night; and masks in their frame.

Axes: B sequences, T frames, F = B * T, H rows, W columns.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gaitbench.sequence import SequenceInfo
from gaitbench.walkers.camera import Window, look
from gaitbench.walkers.options import WalkersOptions
from gaitbench.walkers.people import Person
from gaitbench.walkers.randomness import stream
from gaitbench.walkers.rays import Grid, camera_grid, decode, render
from gaitbench.walkers.recording import Recording
from gaitbench.walkers.scene import paint_scene
from gaitbench.walkers.solids import Surface

__all__ = ["crop_masks", "photograph"]

Array = NDArray[np.float64]

MARGIN = 1.14
WINDOW_ROWS = 48
GARMENTS = (
    *((0.10, 0.11, 0.13), (0.20, 0.22, 0.28), (0.12, 0.16, 0.32), (0.45, 0.45, 0.47), (0.80, 0.79, 0.76)),
    *((0.55, 0.13, 0.14), (0.16, 0.33, 0.22), (0.55, 0.44, 0.30), (0.30, 0.42, 0.60), (0.68, 0.52, 0.20)),
    *((0.36, 0.22, 0.40), (0.30, 0.20, 0.14)),
)
"""Colours that clothes have."""


class _Paint(NamedTuple):
    """Colours of one recording: ``[21, 3]`` per surface, the light's direction, and how dark it is."""

    palette: Array
    light: Array
    exposure: float
    grain: float


def photograph(options: WalkersOptions, recording: Recording) -> list[NDArray[np.uint8]]:
    """Take colour pictures.

    Returns:
        One ``[T, 3, H, W]`` per sequence, red, green, blue.
    """
    frames, occluder = recording.num_frames, recording.occluder
    window, grid = _frame(options, recording)
    code = render(recording.solids, grid)
    result = []
    for index, (info, person) in enumerate(zip(recording.infos, recording.people, strict=True)):
        part = slice(index * frames, (index + 1) * frames)
        distance, surface = decode(code[part])
        rng = stream(options.seed, info.subject_id, info.condition, info.view, "photo")
        paint = _mix(options, info, person, rng, is_coat=bool(recording.outfit.coat[index]))
        u, v = torch.from_numpy(-grid.left[part]), torch.from_numpy(-grid.up[part])
        scene = paint_scene(options, info, rng, u, v, window.pixel[part], float(recording.ground[index]))
        shade = _shade(distance, window.pixel[part], paint.light)
        colour = torch.from_numpy(paint.palette).float()[surface.long()] * shade[..., None]
        image = torch.where((surface > 0)[..., None], colour, scene.picture)
        if np.isfinite(occluder.x[index]):
            hidden = _hidden(recording, index, grid)
            grey = torch.tensor([0.42, 0.40, 0.37]) * (1 + 0.1 * torch.sin(260 * v.float())[:, :, None, None])
            image = torch.where(hidden[..., None], grey.expand_as(image), image)
        noise = torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32))
        if scene.light is not None:
            image = image * scene.light[:, None, None]
        image = image * paint.exposure + paint.grain * noise
        # Sensors store about the square root of the light.
        encoded = (255 * image.clamp(0, 1).sqrt()).round().to(torch.uint8)
        result.append(encoded.permute(0, 3, 1, 2).contiguous().numpy())
    return result


def crop_masks(options: WalkersOptions, recording: Recording) -> list[NDArray[np.uint8]]:
    """Say which pixels of the colour pictures show the walker: exactly those, at night too.

    Returns:
        One ``[T, 1, H, W]`` of 0 and 1 per sequence.
    """
    _, grid = _frame(options, recording)
    flat = render(recording.solids, grid, mask_only=True)
    masks = flat.view(-1, recording.num_frames, *flat.shape[1:])
    for index in np.flatnonzero(np.isfinite(recording.occluder.x)).tolist():
        masks[index][_hidden(recording, index, grid)] = 0
    return list(masks[:, :, None].numpy())


def _frame(options: WalkersOptions, recording: Recording) -> tuple[Window, Grid]:
    """Choose windows around the visible body, with a margin, and give the rays through their pixels."""
    height, width = options.rgb_height_px, options.rgb_width_px
    seen = look(recording, WINDOW_ROWS, mask_only=True).window
    middle, half = seen.left + 0.5 * WINDOW_ROWS * seen.pixel, 0.5 * WINDOW_ROWS * seen.pixel
    pixel = 2 * half * MARGIN / height
    window = Window(middle - 0.5 * width * pixel, seen.top + half * (1 - MARGIN), pixel)
    return window, camera_grid(window.left, window.top, window.pixel, height, width)


def _hidden(recording: Recording, index: int, grid: Grid) -> Tensor:
    """``[T, H, W]`` bool, true where the occluder of one sequence covers the view."""
    part = slice(index * recording.num_frames, (index + 1) * recording.num_frames)
    one = recording.occluder.pick(np.array([index]))
    return torch.from_numpy(one.hides(grid.left[None, part, None, :], grid.up[None, part, :, None])[0])


def _mix(
    options: WalkersOptions, info: SequenceInfo, person: Person, rng: np.random.Generator, *, is_coat: bool
) -> _Paint:
    """Choose the colours; clothes belong to the take, light to the recording."""
    take = stream(options.seed, info.subject_id, info.condition, "colours")
    colours = np.array(GARMENTS)[take.permutation(len(GARMENTS))[:5]]
    colours = np.clip(colours * take.uniform(0.75, 1.25, (5, 1)) + 0.04 * take.standard_normal((5, 3)), 0.03, 0.95)
    upper, lower, coat, bag, shoe = colours
    skin = person.skin
    has_short_sleeves = take.random() < 0.4 and not is_coat
    sleeve = coat if is_coat else upper
    palette = np.zeros((max(Surface) + 1, 3))
    # Colours are given as they look; the light they return is about their square.
    for surfaces, colour in (
        ((Surface.HEAD, Surface.NECK, Surface.HAND_LEFT, Surface.HAND_RIGHT), skin),
        ((Surface.HAIR,), person.hair_colour),
        ((Surface.TORSO,), upper),
        ((Surface.UPPER_ARM_LEFT, Surface.UPPER_ARM_RIGHT), sleeve),
        ((Surface.FOREARM_LEFT, Surface.FOREARM_RIGHT), skin if has_short_sleeves else sleeve),
        ((Surface.HIPS, Surface.THIGH_LEFT, Surface.THIGH_RIGHT, Surface.SHANK_LEFT, Surface.SHANK_RIGHT), lower),
        ((Surface.FOOT_LEFT, Surface.FOOT_RIGHT), shoe * 0.7),
        ((Surface.COAT,), coat),
        ((Surface.BAG, Surface.STRAP), bag),
    ):
        palette[list(surfaces)] = colour**2
    light = np.array([-0.75, rng.uniform(-0.8, 0.8), rng.uniform(0.5, 1.1)])
    is_night = info.condition.startswith("nt")
    exposure = rng.uniform(0.06, 0.16) if is_night else rng.uniform(0.75, 1.1)
    return _Paint(palette, light / np.linalg.norm(light), exposure, 0.010 if is_night else 0.006)


def _shade(distance: Tensor, pixel: Array, light: Array) -> Tensor:
    """Give brightness ``[T, H, W]`` from the slant of the surface, which neighbouring distances tell."""
    near = torch.where(distance > 0, distance, torch.nan)
    size = near * torch.from_numpy(pixel)[:, None, None]  # metres per pixel
    right, down = _slope(near, 2) / size, _slope(near, 1) / size
    # Normal of x = f(y to the right, z down), in the sensor's frame.
    normal = torch.stack([-torch.ones_like(right), -right, -down], dim=-1)
    normal = normal / normal.norm(dim=-1, keepdim=True)
    facing = (normal * torch.from_numpy(light)).sum(dim=-1).clamp(min=0)
    brightness: Tensor = (0.45 + 0.75 * facing).nan_to_num(0.8).float()
    return brightness


def _slope(near: Tensor, dim: int) -> Tensor:
    """Difference of neighbours, over whichever exist, limited to what a surface can slant."""
    ahead = near.roll(-1, dim) - near
    behind = near - near.roll(1, dim)
    pick = torch.where(ahead.abs().nan_to_num(9) < behind.abs().nan_to_num(9), ahead, behind)
    limited: Tensor = pick.nan_to_num(0.0).clamp(-0.2, 0.2)
    return limited
