"""What is seen behind the walker: a wall and a floor; clutter before them; and what moves there.

``plain``: wall and floor in faint, soft colours. ``textured``: strong patterns on both, and posters, poles, boxes and
people who stand about. ``changing``: the same, while others walk and drive past, the camera shakes, a shadow wanders
and the light flickers. Nothing ever stands in front of the walker, whose own pixels are the same in all three, but for
the light.

Places are those of the image plane at distance 1: u to the right, v down.

Axes: T frames, H rows, W columns; J rows and I columns of a world that stands still, from which frames are cut.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gaitbench.sequence import SequenceInfo
from gaitbench.walkers.options import WalkersOptions
from gaitbench.walkers.randomness import stream

__all__ = ["Scene", "paint_scene"]

Array = NDArray[np.float64]

TEXTURE_REACH = 1.2
STATURE_M = 1.7
SHAKE = 0.02
"""Standard deviation of the camera's shaking, as a share of the height that the walker has in the image."""
SHAKE_KEPT = 0.6
"""Share of it that lasts to the next frame."""
MOST_PIXELS = 2048
"""Rows and columns of a world at most; a larger one is coarser."""


class Scene(NamedTuple):
    """What is behind one recording."""

    picture: Tensor
    """``[T, H, W, 3]`` float32 light from behind the walker."""
    light: Tensor | None
    """``[T, 3]`` what all light is multiplied with, the walker's too; None where it stays."""


class _Plane(NamedTuple):
    """Where pixels lie, and how large people are there."""

    u: Tensor
    """``[T, 1, W]`` or ``[1, I]`` float32."""
    v: Tensor
    """``[T, H, 1]`` or ``[J, 1]`` float32."""
    edge: float
    """v of the line between wall and floor."""
    metre: float
    """Length that a metre has where the walker walks."""
    camera_m: float
    """Height of the camera above the ground."""

    def foot(self, size: float) -> float:
        """Row (v) of the ground below a thing that looks ``size`` times as large as it would beside the walker."""
        return self.camera_m * self.metre * size


class _Thing(NamedTuple):
    """Something before the wall."""

    mask: Tensor
    """Where it is, ``[T, H, W]`` or ``[J, I]`` bool."""
    colour: Tensor
    """``[3]`` or with the axes of the mask before."""


def paint_scene(
    options: WalkersOptions,
    info: SequenceInfo,
    rng: np.random.Generator,
    u: Tensor,
    v: Tensor,
    pixel: Array,
    ground: float,
) -> Scene:
    """Paint what is behind one recording.

    Args:
        options: The kind of background and the rate of the camera.
        info: The recording; clutter and motion belong to its name.
        rng: Draws wall and floor, as many numbers for every kind of background, so that what is drawn from it
            afterwards stays the same.
        u: ``[T, W]`` float64, places of the columns.
        v: ``[T, H]`` float64, of the rows.
        pixel: ``[T]`` size of a pixel.
        ground: z of the ground below the camera.
    """
    if options.background == "plain":
        return Scene(_wall_and_floor(rng, u, v, ground)[0], None)

    def draws(purpose: str) -> np.random.Generator:
        return stream(options.seed, info.subject_id, info.condition, info.view, purpose)

    metre = float(np.mean(pixel)) * v.shape[1] / STATURE_M
    is_changing = options.background == "changing"
    shake = torch.zeros(len(u), 2)
    if is_changing:
        shake = SHAKE * STATURE_M * metre * _wander(draws("shake"), len(u), 2)
    at_u, at_v = u.float() + shake[:, :1], v.float() + shake[:, 1:]

    world_u, world_v = _axis(at_u, float(pixel.min())), _axis(at_v, float(pixel.min()))
    wall, edge = _wall_and_floor(rng, world_u[None], world_v[None], ground)
    plane = _Plane(world_u[None, :], world_v[:, None], edge, metre, -ground)
    still = draws("scene")
    world = wall[0] * _pattern(still, plane)
    for thing in _standing(still, plane):
        world = torch.where(thing.mask[..., None], thing.colour, world)
    picture = _cut(world, world_u, world_v, at_u, at_v)
    if not is_changing:
        return Scene(picture, None)

    plane = plane._replace(u=at_u[:, None, :], v=at_v[:, :, None])
    time = torch.arange(len(u)) / options.camera_rate_hz
    moving = draws("moving")
    for thing in _passing(moving, plane, time):
        picture = torch.where(thing.mask[..., None], thing.colour, picture)
    picture = picture * _shadow(moving, plane, time)[..., None]
    return Scene(picture, _light(draws("light"), time))


def _wall_and_floor(rng: np.random.Generator, u: Tensor, v: Tensor, ground: float) -> tuple[Tensor, float]:
    """Paint wall and floor, standing still while the window follows the walker: ``[T, H, W, 3]``, and their edge."""
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
    return (base * (1 + 0.28 * noise.permute(0, 2, 3, 1))).clamp(0.02, 1), float(edge)


def _axis(places: Tensor, pixel: float) -> Tensor:
    """Places of a world's rows or columns, around those of all frames."""
    low, high = float(places.min()) - 2 * pixel, float(places.max()) + 2 * pixel
    return torch.linspace(low, high, min(MOST_PIXELS, int((high - low) / pixel) + 2))


def _cut(world: Tensor, world_u: Tensor, world_v: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Read a world ``[J, I, 3]`` at columns ``[T, W]`` and rows ``[T, H]``."""
    column = 2 * (u - world_u[0]) / (world_u[-1] - world_u[0]) - 1
    row = 2 * (v - world_v[0]) / (world_v[-1] - world_v[0]) - 1
    shape = (len(u), v.shape[1], u.shape[1])
    grid = torch.stack([column[:, None, :].expand(shape), row[:, :, None].expand(shape)], dim=-1)
    layers = world.permute(2, 0, 1).expand(len(u), -1, -1, -1)
    return torch.nn.functional.grid_sample(layers, grid, align_corners=True).permute(0, 2, 3, 1)


def _wander(rng: np.random.Generator, num_frames: int, num_values: int) -> Tensor:
    """``[T, num_values]`` numbers of unit variance, each near the one before."""
    age = np.arange(num_frames)[:, None] - np.arange(num_frames)
    kept = np.where(age >= 0, SHAKE_KEPT ** np.maximum(age, 0), 0)
    steps = rng.standard_normal((num_frames, num_values)) * np.sqrt(1 - SHAKE_KEPT**2)
    steps[0] /= np.sqrt(1 - SHAKE_KEPT**2)
    return torch.from_numpy(kept @ steps).float()


def _colour(rng: np.random.Generator) -> Tensor:
    """A light ``[3]``: grey or strong, dark or bright."""
    colour = rng.uniform(0.08, 0.95) * (1 - rng.uniform(0, 0.85) * rng.random(3))
    return torch.from_numpy(colour**2).float()


def _pattern(rng: np.random.Generator, plane: _Plane) -> Tensor:
    """Factor ``[J, I, 3]`` on the light of the wall (bricks, planks, tiles or leaves) and of the floor (slabs)."""
    draw = (_bricks, _planks, _tiles, _leaves)[int(rng.integers(4))]
    above = draw(rng, plane.u, plane.v - plane.edge, rng.uniform(0.12, 0.35) * plane.metre)
    below = _slabs(rng, plane)
    wall_tint, floor_tint = (torch.from_numpy(rng.uniform(0.6, 1.5, 3)).float() for _ in range(2))
    is_floor = (plane.v > plane.edge).expand(above.shape)[..., None]
    return torch.where(is_floor, below[..., None] * floor_tint, above[..., None] * wall_tint)


def _bricks(rng: np.random.Generator, u: Tensor, v: Tensor, size: float) -> Tensor:
    y = v / (0.45 * size)
    x = u / size + 0.5 * (y.floor() % 2)
    is_joint = (y - y.floor() < 0.14) | (x - x.floor() < 0.06)
    return torch.where(is_joint, rng.choice([0.35, 1.9]), 0.55 + 0.9 * _lattice(rng, y, x))


def _planks(rng: np.random.Generator, u: Tensor, v: Tensor, size: float) -> Tensor:
    x = u / size
    return (0.45 + 1.1 * _lattice(rng, 0 * v, x)) * torch.where(x - x.floor() < 0.1, 0.3, 1.0)


def _tiles(rng: np.random.Generator, u: Tensor, v: Tensor, size: float) -> Tensor:
    is_bright = ((u / size).floor() + (v / size).floor()) % 2 > 0
    return torch.where(is_bright, rng.uniform(1.3, 1.9), rng.uniform(0.3, 0.7))


def _leaves(rng: np.random.Generator, u: Tensor, v: Tensor, size: float) -> Tensor:  # noqa: ARG001
    noise = torch.zeros(len(v), u.shape[1])
    for cells in (9, 23, 61):
        coarse = torch.from_numpy(rng.standard_normal((1, 1, cells, cells), dtype=np.float32))
        noise += torch.nn.functional.interpolate(coarse, size=noise.shape, mode="bilinear")[0, 0]
    return 0.4 + 0.5 * (noise > -0.6).float() + 0.9 * (noise > 0.7).float()


def _slabs(rng: np.random.Generator, plane: _Plane) -> Tensor:
    """``[J, I]`` slabs on the ground, smaller where they are farther away."""
    distance = plane.camera_m / plane.v.clamp(min=0.02)
    side = rng.uniform(0.4, 1.2)
    shade = _lattice(rng, distance / side, plane.u * distance / side)
    return torch.where(shade > 0.5, 1.5, 0.55) if rng.random() < 0.6 else 0.5 + shade


def _lattice(rng: np.random.Generator, row: Tensor, column: Tensor) -> Tensor:
    """A number in [0, 1] for each cell of a grid, given places in rows and columns."""
    table = torch.from_numpy(rng.random(1024)).float()
    return table[(row.floor().long() * 37 + column.floor().long() * 101) % 1024]


def _standing(rng: np.random.Generator, plane: _Plane) -> Iterator[_Thing]:
    """Posters on the wall, and poles, boxes and people before it, the far ones first."""
    low, high = float(plane.u.min()), float(plane.u.max())
    width_m = (high - low) / plane.metre
    for _ in range(int(rng.poisson(1.5 + 1.2 * width_m))):
        yield from _poster(rng, plane, rng.uniform(low, high))
    for size in np.sort(rng.uniform(0.5, 0.95, int(rng.poisson(2.0 + 1.5 * width_m)))):
        at, kind = rng.uniform(low, high), rng.random()
        metre, foot = plane.metre * size, plane.foot(size)
        if kind < 0.3:
            half = rng.uniform(0.04, 0.16) * metre
            yield _Thing(((plane.u - at).abs() < half) & (plane.v < foot), _colour(rng))
        elif kind < 0.6:
            half, top = rng.uniform(0.2, 0.6) * metre, foot - rng.uniform(0.3, 1.3) * metre
            yield _Thing(((plane.u - at).abs() < half) & (plane.v < foot) & (plane.v > top), _colour(rng))
        else:
            yield _bystander(rng, plane, torch.tensor(at), foot, metre, torch.tensor(rng.uniform(-0.1, 0.1)))


def _poster(rng: np.random.Generator, plane: _Plane, at: float) -> Iterator[_Thing]:
    """A framed picture of stripes, or a window."""
    half, tall = rng.uniform(0.12, 0.5, 2) * plane.metre
    up = rng.uniform(0.3, 2.3) * plane.metre
    x, y = (plane.u - at).abs(), (plane.v - plane.edge + up).abs()
    on_wall = plane.v < plane.edge
    yield _Thing((x < half) & (y < tall) & on_wall, _colour(rng))
    stripes = ((plane.u * rng.uniform(-1, 1) + plane.v * rng.uniform(-1, 1)) / (0.1 * plane.metre)).floor() % 2
    inner = torch.where(stripes[..., None] > 0, _colour(rng), _colour(rng))
    yield _Thing((x < 0.85 * half) & (y < 0.85 * tall) & on_wall, inner)


def _bystander(rng: np.random.Generator, plane: _Plane, at: Tensor, foot: float, metre: float, swing: Tensor) -> _Thing:
    """Someone of simple shape.

    Args:
        rng: Draws size and colours.
        plane: Where pixels lie.
        at: Place of the feet; one number, or ``[T, 1, 1]``.
        foot: v of the feet.
        metre: Length of a metre there.
        swing: How far the feet are apart either way, in statures; one number, or ``[T, 1, 1]``.
    """
    height, wide = rng.uniform(1.5, 1.9) * metre, rng.uniform(0.85, 1.25)
    x, y = (plane.u - at) / height, (plane.v - foot) / height
    head = (x / 0.055) ** 2 + ((y + 0.93) / 0.07) ** 2 < 1
    torso = (x / (0.13 * wide)) ** 4 + ((y + 0.66) / 0.2) ** 4 < 1
    spread = swing * (1 + y / 0.5).clamp(0, 1)
    thick = wide * (0.04 - 0.03 * y)
    legs = (((x - spread).abs() < thick) | ((x + spread).abs() < thick)) & (y >= -0.5) & (y < 0)
    skin = torch.tensor([0.62, 0.42, 0.33]) * rng.uniform(0.25, 1.0)
    colour = torch.where(torso[..., None], _colour(rng), _colour(rng))
    return _Thing(head | torso | legs, torch.where(head[..., None], skin, colour))


def _passing(rng: np.random.Generator, plane: _Plane, time: Tensor) -> Iterator[_Thing]:
    """People who walk and things that drive past behind the walker, some time within the clip."""
    middle = plane.u.mean(dim=2)[:, 0]  # [T] where the camera looks
    for size in np.sort(rng.uniform(0.55, 0.97, int(rng.integers(3, 6)))):
        metre, foot = plane.metre * size, plane.foot(size)
        drives = rng.random() < 0.2
        speed = rng.choice([-1, 1]) * (rng.uniform(2, 6) if drives else rng.uniform(0.5, 1.8))
        instant = int(rng.integers(len(time)))
        start = float(middle[instant]) + rng.uniform(-0.25, 0.25) * metre
        at = (start + speed * metre * (time - time[instant]))[:, None, None]
        if drives:
            yield from _vehicle(rng, plane, at, foot, metre)
        else:
            step = 0.16 * torch.sin(2 * np.pi * (rng.uniform(0.7, 1.1) * time + rng.random()))[:, None, None]
            yield _bystander(rng, plane, at, foot, metre, step)


def _vehicle(rng: np.random.Generator, plane: _Plane, at: Tensor, foot: float, metre: float) -> Iterator[_Thing]:
    """A van on two wheels that show."""
    half, tall = rng.uniform(0.7, 1.5), rng.uniform(0.8, 1.5)
    x, y = (plane.u - at) / metre, (foot - plane.v) / metre  # metres, y upward
    yield _Thing((x.abs() < half) & (y > 0.25) & (y < tall), _colour(rng))
    yield _Thing((x.abs() < 0.85 * half) & (y > 0.6 * tall) & (y < 0.9 * tall), _colour(rng))
    wheels = ((x.abs() - 0.65 * half) ** 2 + (y - 0.3) ** 2 < 0.3**2) & (y > 0)
    yield _Thing(wheels, torch.full((3,), 0.02))


def _shadow(rng: np.random.Generator, plane: _Plane, time: Tensor) -> Tensor:
    """Factor ``[T, H, W]`` of a soft band of shade that wanders over the background."""
    angle, depth = rng.uniform(0, np.pi), rng.uniform(0.3, 0.65)
    half, soft = rng.uniform(0.15, 0.5) * plane.metre, rng.uniform(0.03, 0.15) * plane.metre
    across = plane.u * np.cos(angle) + plane.v * np.sin(angle)
    at = across.mean(dim=(1, 2)) + (rng.uniform(-1, 1) + rng.uniform(-2, 2) * (time - time.mean())) * plane.metre
    return 1 - depth * torch.sigmoid((half - (across - at[:, None, None]).abs()) / soft)


def _light(rng: np.random.Generator, time: Tensor) -> Tensor:
    """Factor ``[T, 3]`` on all light: it swells, flickers and changes its colour a little."""
    swell = rng.uniform(0.1, 0.3) * torch.sin(2 * np.pi * (rng.uniform(0.3, 1.5) * time + rng.random()))
    flicker = 0.05 * torch.from_numpy(rng.standard_normal(len(time))).float()
    return torch.exp((swell + flicker)[:, None] + 0.06 * _wander(rng, len(time), 3))
