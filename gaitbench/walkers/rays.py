"""Analytic rays against rounded cones, whole batches at a time.

A solid is the convex hull of two spheres, seen through an affine map: round cones stay as they are, torsos are flat,
an ellipsoid is the hull of one sphere with itself. In the solid's own coordinates the axis is z, the first sphere sits
at the origin with radius ``ra``, the second at height ``h`` with radius ``rb``.

A sensor stands at the origin of its frame (x forward, y left, z up) and looks along a grid of directions
``forward[column] * x + left[column] * y + up[row] * z``, so cameras and turning LiDARs are the same thing: a camera's
parameter along the ray is the distance along the optical axis, a LiDAR's is the planar range.

Each solid is tested in the tiles of 8 x 8 rays that its outline can touch, and all tiles of a batch are worked off as
one list, with the tiles in the innermost axis.

Axes: F frames, S solids per frame, H rows, W columns, L tiles.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["DEPTH_UNIT_M", "NO_HIT", "Grid", "Solids", "bounds", "camera_grid", "decode", "lidar_grid", "render"]

Array = NDArray[np.float64]

TILE_ROWS, TILE_COLUMNS = 8, 4
TILES_AT_ONCE = 1024
SURFACES = 32
DEPTH_UNIT_M = 1 / 256_000
NO_HIT = torch.iinfo(torch.int32).max


class Solids(NamedTuple):
    """Convex solids in the sensor's frame."""

    centre: Array
    """``[F, S, 3]`` centre of the first sphere."""
    other: Array
    """``[F, S, 3]`` centre of the second sphere."""
    shape: Array
    """``[F, S, 3, 3]`` columns, at right angles: where the solid's own x, y, z axes of length 1 point."""
    ra: Array
    """``[F, S]`` in the solid's units; 0 leaves the solid out."""
    rb: Array
    surface: NDArray[np.int64]
    """``[S]`` what it is, 1 to 31; the nearest solid's surface is drawn."""

    def pick(self, frames: NDArray[np.int64]) -> "Solids":
        """Give some frames."""
        c, o = self.centre[frames], self.other[frames]
        return Solids(c, o, self.shape[frames], self.ra[frames], self.rb[frames], self.surface)


class Grid(NamedTuple):
    """Ray directions of every frame."""

    forward: Array
    """``[F, W]``."""
    left: Array
    """``[F, W]``."""
    up: Array
    """``[F, H]``."""
    column_slope: tuple[Array, Array]
    """``[F]`` first and step: column = (slope angle - first) / step, in the units of :func:`bounds`."""
    row_slope: tuple[Array, Array]
    is_lidar: bool


def camera_grid(left: Array, top: Array, pixel: Array, height: int, width: int) -> Grid:
    """Give the rays through pixel centres of windows in a camera's image plane at distance 1.

    Args:
        left: ``[F]`` u of the window's left edge, u growing to the right.
        top: ``[F]`` v of its upper edge, v growing downward.
        pixel: ``[F]`` size of a pixel.
        height: Rows H.
        width: Columns W.
    """
    u = left[:, None] + (np.arange(width) + 0.5) * pixel[:, None]
    v = top[:, None] + (np.arange(height) + 0.5) * pixel[:, None]
    half = 0.5 * pixel
    return Grid(np.ones_like(u), -u, -v, (left + half, pixel), (top + half, pixel), is_lidar=False)


def lidar_grid(azimuth: Array, elevation: Array, step_deg: float, height: int, width: int) -> Grid:
    """Give the beams of a turning LiDAR.

    Args:
        azimuth: ``[F]`` of column 0 in degrees, growing to the left; columns go to the right.
        elevation: ``[F]`` of row 0 in degrees; rows go down.
        step_deg: Between beams.
        height: Rows H.
        width: Columns W.
    """
    angle = np.deg2rad(azimuth[:, None] - step_deg * np.arange(width))
    up = np.tan(np.deg2rad(elevation[:, None] - step_deg * np.arange(height)))
    step = np.full(len(azimuth), step_deg)
    return Grid(np.cos(angle), np.sin(angle), up, (-azimuth, step), (-elevation, step), is_lidar=True)


def bounds(solids: Solids, *, is_lidar: bool) -> tuple[Array, Array, Array, Array]:
    """Bound the outline of each solid: left, right, top, bottom, each ``[F, S]``.

    Cameras: u and v of the image plane at distance 1, exact. LiDAR: minus azimuth and minus elevation in degrees, the
    elevation with a little room.
    """
    spheres = [_sphere_bounds(solids, c, r, is_lidar=is_lidar) for c, r in _spheres(solids)]
    (l0, r0, t0, b0), (l1, r1, t1, b1) = spheres
    return np.minimum(l0, l1), np.maximum(r0, r1), np.minimum(t0, t1), np.maximum(b0, b1)


def render(solids: Solids, grid: Grid, *, mask_only: bool = False) -> Tensor:
    """Find what every ray meets first.

    Returns:
        ``[F, H, W]``; with ``mask_only`` uint8 1 where anything is hit, else int32 codes for :func:`decode`, with
        :data:`NO_HIT` where nothing is.
    """
    num_frames, width = grid.forward.shape
    height = grid.up.shape[1]
    tiles = _tiles(solids, grid, height, width)
    if mask_only:
        image = torch.zeros(num_frames * height * width, dtype=torch.uint8)
    else:
        image = torch.full((num_frames * height * width,), NO_HIT, dtype=torch.int32)
    tables = _Tables(solids, grid)
    is_hull = tables.is_hull[tiles[0], tiles[1]]
    for chosen in (np.flatnonzero(is_hull), np.flatnonzero(~is_hull)):
        for start in range(0, len(chosen), TILES_AT_ONCE):
            part = chosen[start : start + TILES_AT_ONCE]
            _draw(tables, *(values[part] for values in tiles), image=image.view(num_frames, height, width))
    return image.view(num_frames, height, width)


def decode(code: Tensor) -> tuple[Tensor, Tensor]:
    """Split codes into distance in metres (float64, 0 where nothing is hit) and surface (uint8, 0 likewise)."""
    is_hit = code != NO_HIT
    hit = code[is_hit]
    distance, surface = torch.zeros(code.shape, dtype=torch.float64), torch.zeros(code.shape, dtype=torch.uint8)
    distance[is_hit] = (hit // SURFACES).double() * DEPTH_UNIT_M
    surface[is_hit] = (hit % SURFACES).to(torch.uint8)
    return distance, surface


def _spheres(solids: Solids) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    return (solids.centre, solids.ra), (solids.other, solids.rb)


def _sphere_bounds(solids: Solids, centre: Array, radius: Array, *, is_lidar: bool) -> tuple[Array, ...]:
    """Bound one stretched sphere of each solid by its tangent planes through the sensor."""
    squared = (radius**2)[..., None, None] * solids.shape**2  # [F, S, 3, 3]
    sxx, syy, szz = (squared[..., i, :].sum(-1) for i in range(3))
    cross = (radius**2)[..., None] * solids.shape[..., 0, :]
    sxy = (cross * solids.shape[..., 1, :]).sum(-1)
    sxz = (cross * solids.shape[..., 2, :]).sum(-1)
    x, y, z = centre[..., 0], centre[..., 1], centre[..., 2]
    low_y, high_y = _tangents(x, y, sxx, sxy, syy)
    if not is_lidar:
        low_z, high_z = _tangents(x, z, sxx, sxz, szz)
        return -high_y, -low_y, -high_z, -low_z
    planar, reach = np.hypot(x, y), np.sqrt(np.maximum(sxx + syy, 0))
    near, far = planar - reach, planar + reach
    top, bottom = z + np.sqrt(szz), z - np.sqrt(szz)
    highest = np.rad2deg(np.arctan2(top, np.where(top > 0, near, far)))
    lowest = np.rad2deg(np.arctan2(bottom, np.where(bottom > 0, far, near)))
    return -np.rad2deg(np.arctan(high_y)), -np.rad2deg(np.arctan(low_y)), -highest, -lowest


def _tangents(x: Array, y: Array, sxx: Array, sxy: Array, syy: Array) -> tuple[Array, Array]:
    """Solve for the slopes y/x of the two planes that touch an ellipsoid."""
    a, b, c = x * x - sxx, x * y - sxy, y * y - syy
    root = np.sqrt(np.maximum(b * b - a * c, 0.0))
    return (b - root) / a, (b + root) / a


def _tiles(solids: Solids, grid: Grid, height: int, width: int) -> tuple[NDArray[np.int64], ...]:
    """List the tiles that each solid's outline can touch: frame, solid, first row, first column, each ``[L]``."""
    per_sphere = [_sphere_bounds(solids, c, r, is_lidar=grid.is_lidar) for c, r in _spheres(solids)]
    boxes = []
    for left, right, top, bottom in per_sphere:
        first, step = grid.column_slope
        columns = (left - first[:, None]) / step[:, None], (right - first[:, None]) / step[:, None]
        first, step = grid.row_slope
        boxes.append((*columns, (top - first[:, None]) / step[:, None], (bottom - first[:, None]) / step[:, None]))
    (l0, r0, t0, b0), (l1, r1, t1, b1) = boxes
    c0 = np.clip(np.ceil(np.minimum(l0, l1) - 0.01), 0, width).astype(np.int64)
    c1 = np.clip(np.floor(np.maximum(r0, r1) + 0.01) + 1, 0, width).astype(np.int64)
    y0 = np.clip(np.ceil(np.minimum(t0, t1) - 0.01), 0, height).astype(np.int64)
    y1 = np.clip(np.floor(np.maximum(b0, b1) + 0.01) + 1, 0, height).astype(np.int64)
    is_seen = (c1 > c0) & (y1 > y0) & (solids.ra > 0)
    frame, solid = np.nonzero(is_seen)
    rows = -(-(y1 - y0)[frame, solid] // TILE_ROWS)
    columns = -(-(c1 - c0)[frame, solid] // TILE_COLUMNS)
    count = rows * columns
    owner = np.repeat(np.arange(len(frame)), count)
    place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    row = y0[frame, solid][owner] + TILE_ROWS * (place // columns[owner])
    column = c0[frame, solid][owner] + TILE_COLUMNS * (place % columns[owner])

    # Drop tiles farther from the axis than the solid is thick: most of the box of a slanting limb is empty.
    ends = []
    for left, right, top, bottom in boxes:
        radius = 0.5 * np.hypot(right - left, bottom - top)
        ends.append((0.5 * (left + right), 0.5 * (top + bottom), radius))
    (ax, ay, ar), (bx, by, br) = ((part[frame, solid][owner] for part in end) for end in ends)
    px, py = column + 0.5 * (TILE_COLUMNS - 1) - ax, row + 0.5 * (TILE_ROWS - 1) - ay
    dx, dy = bx - ax, by - ay
    share = np.clip((px * dx + py * dy) / np.maximum(dx * dx + dy * dy, 1e-9), 0, 1)
    reach = np.maximum(ar, br) + 0.5 * np.hypot(TILE_ROWS, TILE_COLUMNS) + 0.5
    keep = np.hypot(px - share * dx, py - share * dy) <= reach
    return frame[owner][keep], solid[owner][keep], row[keep], column[keep]


class _Tables:
    """Float32 coefficients, one row per solid and per grid line, ready to be gathered per tile."""

    def __init__(self, solids: Solids, grid: Grid) -> None:
        # The columns are at right angles, so the inverse is the transpose with each row divided by its length squared.
        inverse = np.swapaxes(solids.shape / (solids.shape**2).sum(axis=-2, keepdims=True), -1, -2)
        own = np.einsum("fsij,fsj->fsi", inverse, solids.centre)
        length = np.linalg.norm(np.einsum("fsij,fsj->fsi", inverse, solids.other - solids.centre), axis=-1)
        middle = 0.5 * (solids.centre + solids.other)
        start = np.hypot(middle[..., 0], middle[..., 1]) if grid.is_lidar else middle[..., 0]
        slope = np.divide(solids.ra - solids.rb, length, out=np.zeros_like(length), where=length > 1e-6)
        is_hull = (length > 1e-6) & (np.abs(slope) < 0.98)
        slope = np.where(is_hull, slope, 0.0)
        # One sphere swallows the other: draw the larger one alone.
        second = ~is_hull & (solids.rb > solids.ra)
        own = own + np.where(second, length, 0.0)[..., None] * np.array([0.0, 0.0, 1.0])
        ra = np.where(second, solids.rb, solids.ra)
        columns = [*np.moveaxis(inverse.reshape(*own.shape[:2], 9), -1, 0), *np.moveaxis(-own, -1, 0)]
        columns += [start, length, ra, solids.rb, slope]
        self.is_hull = is_hull
        self.num_solids = solids.ra.shape[1]
        self.solid = torch.from_numpy(np.stack(columns).reshape(len(columns), -1).astype(np.float32))
        self.forward = torch.from_numpy(grid.forward.astype(np.float32)).flatten()
        self.left = torch.from_numpy(grid.left.astype(np.float32)).flatten()
        self.up = torch.from_numpy(grid.up.astype(np.float32)).flatten()
        self.surface = torch.from_numpy(solids.surface.astype(np.int32))


def _draw(
    tables: _Tables,
    frame: NDArray[np.int64],
    solid: NDArray[np.int64],
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    *,
    image: Tensor,
) -> None:
    """Intersect the rays of some tiles with their solids and keep the nearest hits in ``image`` ``[F, H, W]``.

    The solids are all hulls or all single spheres.
    """
    _, height, width = image.shape
    frame_t, row_t, column_t = (torch.from_numpy(part) for part in (frame, row, column))
    rows = row_t + torch.arange(TILE_ROWS)[:, None]  # [8, L]
    columns = column_t + torch.arange(TILE_COLUMNS)[:, None]
    up = tables.up[(frame_t * height + rows.clamp(max=height - 1)).flatten()].view(rows.shape)
    at = (frame_t * width + columns.clamp(max=width - 1)).flatten()
    forward, left = tables.forward[at].view(columns.shape), tables.left[at].view(columns.shape)

    values = tables.solid[:, torch.from_numpy(frame * tables.num_solids + solid)].unbind(0)  # each [L]
    m, own, (start, length, ra, rb, sin) = values[:9], values[9:12], values[12:17]
    direction, origin = [], []
    for i in range(3):
        along = forward * m[3 * i] + left * m[3 * i + 1]  # [8, L]
        d = along[None] + (up * m[3 * i + 2])[:, None]  # [8, 8, L]
        direction.append(d)
        origin.append((d * start).add_(own[i]))
    (dx, dy, dz), (ox, oy, oz) = direction, origin

    d_side, o_side, od_side = dx * dx + dy * dy, ox * ox + oy * oy, ox * dx + oy * dy
    d_all = d_side + dz * dz
    nearest = _sphere(d_all, od_side + oz * dz, o_side + oz * oz, ra)
    if tables.is_hull[frame[0], solid[0]]:
        rest = oz - length
        nearest = torch.minimum(nearest, _sphere(d_all, od_side + rest * dz, o_side + rest * rest, rb))
        # On the mantle, cos * distance from the axis = ra - sin * z, and the normal's foot lies between the centres.
        cos2 = 1 - sin * sin
        rest, slant = ra - sin * oz, sin * dz
        a = cos2 * d_side - slant * slant
        b = cos2 * od_side + slant * rest
        root = b * b - a * (cos2 * o_side - rest * rest)
        mantle = (b + root.clamp(min=0).sqrt_()).div_(a).neg_()
        z = mantle * dz
        z += oz
        thickness = ra - sin * z
        foot = z - (sin / cos2) * thickness
        is_off = (root < 0).logical_or_(thickness <= 0).logical_or_(foot < 0).logical_or_(foot > length)
        nearest = torch.fmin(nearest, mantle.masked_fill_(is_off, torch.inf))

    is_hit = nearest < torch.inf
    if row.max() > height - TILE_ROWS or column.max() > width - TILE_COLUMNS:
        is_hit &= (rows < height)[:, None] & (columns < width)[None]
    place = is_hit.view(-1).nonzero()[:, 0]
    tile = place % len(frame)
    in_tile = place // len(frame)
    first = (frame_t * height + row_t) * width + column_t
    pixel = first[tile] + (in_tile // TILE_COLUMNS) * width + in_tile % TILE_COLUMNS
    if image.dtype == torch.uint8:
        image.view(-1)[pixel] = 1
        return
    distance = nearest.view(-1)[place] + start[tile]
    surface = tables.surface[torch.from_numpy(solid)][tile]
    code = (distance * (1 / DEPTH_UNIT_M)).to(torch.int32).clamp_(min=0) * SURFACES + surface
    image.view(-1).scatter_reduce_(0, pixel, code, "amin")


def _sphere(d2: Tensor, od: Tensor, o2: Tensor, radius: Tensor) -> Tensor:
    """Give the ray parameter where a sphere is entered, infinite where it is missed."""
    root = od * od - d2 * (o2 - radius * radius)
    t = root.clamp(min=0).sqrt_().add_(od).div_(d2).neg_()
    return t.masked_fill_(root < 0, torch.inf)
