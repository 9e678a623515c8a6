"""Colour pictures: clothes that change from take to take, skin and hair that stay, a background, and night.

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
from gaitbench.walkers.rays import camera_grid, decode, render
from gaitbench.walkers.recording import Recording
from gaitbench.walkers.solids import Surface

__all__ = ["photograph"]

Array = NDArray[np.float64]

MARGIN = 1.14
WINDOW_ROWS = 48
TEXTURE_REACH = 1.2
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
    height, width, frames = options.rgb_height_px, options.rgb_width_px, recording.num_frames
    window = _frame(recording, height, width)
    grid = camera_grid(window.left, window.top, window.pixel, height, width)
    code = render(recording.solids, grid)
    up_slope, left_slope = grid.up, grid.left
    occluder = recording.occluder
    result = []
    for index, (info, person) in enumerate(zip(recording.infos, recording.people, strict=True)):
        part = slice(index * frames, (index + 1) * frames)
        distance, surface = decode(code[part])
        rng = stream(options.seed, info.subject_id, info.condition, info.view, "photo")
        paint = _mix(options, info, person, rng, is_coat=bool(recording.outfit.coat[index]))
        u, v = torch.from_numpy(-left_slope[part]), torch.from_numpy(-up_slope[part])
        scene = _background(rng, u, v, float(recording.ground[index]))
        shade = _shade(distance, window.pixel[part], paint.light)
        colour = torch.from_numpy(paint.palette).float()[surface.long()] * shade[..., None]
        image = torch.where((surface > 0)[..., None], colour, scene)
        if np.isfinite(occluder.x[index]):
            one = occluder.pick(np.array([index]))
            hidden = one.hides(left_slope[None, part, None, :], up_slope[None, part, :, None])[0]
            grey = torch.tensor([0.42, 0.40, 0.37]) * (1 + 0.1 * torch.sin(260 * v.float())[:, :, None, None])
            image = torch.where(torch.from_numpy(hidden)[..., None], grey.expand_as(image), image)
        noise = torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32))
        image = image * paint.exposure + paint.grain * noise
        # Sensors store about the square root of the light.
        encoded = (255 * image.clamp(0, 1).sqrt()).round().to(torch.uint8)
        result.append(encoded.permute(0, 3, 1, 2).contiguous().numpy())
    return result


def _frame(recording: Recording, height: int, width: int) -> Window:
    """Choose windows around the visible body, with a margin."""
    seen = look(recording, WINDOW_ROWS, mask_only=True).window
    middle, half = seen.left + 0.5 * WINDOW_ROWS * seen.pixel, 0.5 * WINDOW_ROWS * seen.pixel
    pixel = 2 * half * MARGIN / height
    return Window(middle - 0.5 * width * pixel, seen.top + half * (1 - MARGIN), pixel)


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


def _background(rng: np.random.Generator, u: Tensor, v: Tensor, ground: float) -> Tensor:
    """Paint wall and floor, standing still while the window follows the walker: ``[T, H, W, 3]``."""
    grey, tint = rng.uniform(0.12, 0.55, (2, 1)), rng.uniform(-0.05, 0.05, (2, 3))
    wall, floor = np.maximum(grey * (1 + 2 * tint), 0.05)
    layers = []
    for cells in (6, 24, 96):
        texture = torch.from_numpy(rng.standard_normal((1, 3, cells, cells), dtype=np.float32))
        layers.append((texture, 0.6 / cells**0.35))
    edge = torch.tensor(-ground / rng.uniform(9.0, 14.0))
    grid = torch.stack(
        [
            (u / TEXTURE_REACH)[:, None, :].expand(-1, v.shape[1], -1),
            (v / TEXTURE_REACH)[:, :, None].expand(-1, -1, u.shape[1]),
        ],
        dim=-1,
    ).float()
    noise = torch.zeros(len(u), 3, v.shape[1], u.shape[1])
    for texture, weight in layers:
        noise += weight * torch.nn.functional.grid_sample(
            texture.expand(len(u), -1, -1, -1), grid, padding_mode="reflection", align_corners=False
        )
    is_floor = (v > edge)[:, :, None, None]
    base = torch.where(is_floor, torch.from_numpy(floor), torch.from_numpy(wall)).float()
    return (base * (1 + 0.28 * noise.permute(0, 2, 3, 1))).clamp(0.02, 1)
