"""LiDAR points as aligned range images, the common ground of cross-modal gait recognition.

The image is an encoded one: 0 is no return, 1 to 255 go from the farthest to the nearest return of a frame. The
published input is this image in the *jet* colours, three channels, which :func:`jet` gives.

Axes: M points of all frames, F frames, H rows, W columns.

Source:
    The projection of SUSTech1K (Shen et al., "LidarGait", CVPR 2023, and the data's release): angles over 0.19188 and
    0.2 degrees, one scatter marker per point, colours over the range of minus the distance in each frame, then the
    alignment of silhouettes. Deviations: frames with few points are cropped too, a window over the border is padded
    rather than shifted, and colours are not mixed with the black background at the outline.
"""

import functools
from itertools import pairwise

import torch
from torch import Tensor

from gaitbench.errors import ShapeError

__all__ = ["jet", "points_per_frame", "points_to_depth", "unjet"]

AZIMUTH_STEP_DEG = 0.19188
ELEVATION_STEP_DEG = 0.2
MARKER_DIAMETER_PX = 1.4
SMALLEST_SPAN_PX = 8
SMALLEST_WEIGHT = 0.37
FRAMES_AT_ONCE = 32
UNJET_SHIFT = 2
"""Bits of a colour that its inverse does not look at."""

JET_NODES: tuple[tuple[tuple[float, float], ...], ...] = (
    ((0.0, 0.0), (0.35, 0.0), (0.66, 1.0), (0.89, 1.0), (1.0, 0.5)),
    ((0.0, 0.0), (0.125, 0.0), (0.375, 1.0), (0.64, 1.0), (0.91, 0.0), (1.0, 0.0)),
    ((0.0, 0.5), (0.11, 1.0), (0.34, 1.0), (0.65, 0.0), (1.0, 0.0)),
)
"""Position and value of the corners of red, green and blue in the colour map."""


def points_to_depth(points: Tensor, offsets: Tensor, *, size: int = 64) -> Tensor:
    """Project the point clouds of many frames and align them as silhouettes are.

    Args:
        points: ``[M, 3]`` float, metres in the sensor's frame (x forward, y left, z up), or ``[M, D]`` with the
            coordinates first. Points with NaN or infinity are no returns.
        offsets: ``[F + 1]`` int64; frame f holds ``points[offsets[f]:offsets[f + 1]]``.
        size: Rows and columns.

    Returns:
        ``[F, size, size]`` uint8. The body reaches from the first to the last row, half of its brightness lies left of
        the middle. A frame without returns is 0 everywhere. One that is more than ``size`` beams high is sampled, so
        that single returns in it can be lost.

    Raises:
        ShapeError: ``points`` or ``offsets`` have another shape, or the offsets do not grow from 0 to M.

    Example:
        >>> points = torch.tensor([[6.0, 0.0, 0.5], [6.2, 0.0, -0.5]])
        >>> image = points_to_depth(points, torch.tensor([0, 2, 2]))
        >>> image.shape, int(image[0].max()), int(image[1].max())
        (torch.Size([2, 64, 64]), 255, 0)
    """
    counts = points_per_frame(points, offsets, "points_to_depth")
    is_return = torch.isfinite(points[:, :3]).all(dim=1)
    offsets = torch.nn.functional.pad(is_return.cumsum(0), (1, 0))[offsets]
    points = points[is_return]
    images = []
    for start in range(0, len(counts), FRAMES_AT_ONCE):
        part = offsets[start : start + FRAMES_AT_ONCE + 1]
        images.append(_project(points[int(part[0]) : int(part[-1])], part.diff(), size))
    return torch.cat(images) if images else points.new_zeros((0, size, size), dtype=torch.uint8)


def jet(values: Tensor) -> Tensor:
    """Colour encoded range images with the *jet* map; 0, no return, stays black.

    Args:
        values: ``[...]`` uint8, or float in [0, 1] in steps of 1/255.

    Returns:
        ``[..., 3]`` red, green, blue: uint8 for uint8, else float32 in [0, 1].

    Example:
        >>> jet(torch.tensor([0, 1, 128, 255], dtype=torch.uint8))
        tensor([[  0,   0,   0],
                [  0,   0, 128],
                [123, 255, 123],
                [128,   0,   0]], dtype=torch.uint8)
    """
    table = _jet_table(values.device)
    if values.dtype == torch.uint8:
        return (table * 255 + 0.5001).to(torch.uint8)[values.long()]
    return table[(values * 255).round().clamp(0, 255).long()]


def unjet(colours: Tensor) -> Tensor:
    """Read the encoded range image out of one in *jet* colours: the inverse of :func:`jet`.

    Scaled images hold mixtures, such as of two distances at an edge or of one with the black background. They get the
    value whose colour is nearest; only black itself is no return.

    Args:
        colours: ``[..., 3]`` uint8 red, green, blue.

    Returns:
        ``[...]`` uint8, within 4 of the value that was coloured.

    Raises:
        ShapeError: The last axis has no three colours, or they are not uint8.

    Example:
        >>> unjet(jet(torch.tensor([0, 1, 128, 255], dtype=torch.uint8)))
        tensor([  0,   1, 128, 255], dtype=torch.uint8)
    """
    if colours.dtype != torch.uint8 or colours.shape[-1:] != (3,):
        raise ShapeError(f"unjet needs uint8 colours [..., 3], got {colours.dtype} {list(colours.shape)}")
    cell = (colours >> UNJET_SHIFT).long()
    side = 256 >> UNJET_SHIFT
    value = _unjet_table(colours.device)[(cell[..., 0] * side + cell[..., 1]) * side + cell[..., 2]]
    return torch.where((colours == 0).all(dim=-1), 0, value)


@functools.lru_cache
def _unjet_table(device: torch.device) -> Tensor:
    """Tabulate the inverse: ``[side ** 3]`` uint8, 1 to 255, for cells of colours side by side."""
    centre = torch.arange(0, 256, 1 << UNJET_SHIFT, device=device).float() + ((1 << UNJET_SHIFT) - 1) / 2
    cells = torch.cartesian_prod(centre, centre, centre)
    colours = _jet_table(device)[1:] * 255
    nearest = [torch.cdist(part, colours).argmin(dim=1) for part in torch.split(cells, 1 << 14)]
    return (torch.cat(nearest) + 1).to(torch.uint8)


def _jet_table(device: torch.device) -> Tensor:
    """Tabulate the map: ``[256, 3]``, row 0 black."""
    position = (torch.arange(256, device=device, dtype=torch.float32) - 1) / 254
    channels = []
    for nodes in JET_NODES:
        value = torch.zeros_like(position)
        for (x0, y0), (x1, y1) in pairwise(nodes):
            inside = (position >= x0) & (position <= x1)
            value = torch.where(inside, y0 + (position - x0) * ((y1 - y0) / (x1 - x0)), value)
        channels.append(value)
    table = torch.stack(channels, dim=-1)
    table[0] = 0
    return table


def _project(points: Tensor, counts: Tensor, size: int) -> Tensor:
    """Project some frames; ``counts`` are the points of each."""
    num_frames, device = len(counts), points.device
    if len(points) == 0:
        return torch.zeros((num_frames, size, size), dtype=torch.uint8, device=device)
    frame = torch.repeat_interleave(torch.arange(num_frames, device=device), counts)
    x, y, z = points[:, :3].double().unbind(-1)
    planar = torch.hypot(x, y)
    u = -torch.rad2deg(torch.atan2(y, x)) / AZIMUTH_STEP_DEG  # grows to the right
    v = -torch.rad2deg(torch.atan2(z, planar)) / ELEVATION_STEP_DEG  # grows downward

    def lowest(value: Tensor) -> Tensor:
        return torch.segment_reduce(value, "min", lengths=counts, initial=torch.inf)

    near, far = lowest(planar), -lowest(-planar)
    gray = 1 + 254 * (far[frame] - planar) / (far - near).clamp(min=1e-6)[frame]
    # The first return of either axis sits in the middle of a pixel: at a corner no pixel would be half covered.
    u, v = u - lowest(u)[frame] + 1.5, v - lowest(v)[frame] + 1.5

    height, width = int(v.max()) + 3, int(u.max()) + 3
    value, coverage = _splat(frame, u, v, gray, num_frames, height, width)
    is_drawn = coverage > 0.5
    rows = is_drawn.any(dim=2)
    first = rows.to(torch.uint8).argmax(dim=1)
    span = (height - rows.flip(1).to(torch.uint8).argmax(dim=1) - first).clamp(max=height)
    mass = torch.where(is_drawn, value, 0).sum(dim=1).cumsum(dim=1)
    median = (2 * mass >= mass[:, -1:]).to(torch.uint8).argmax(dim=1)
    image = _align(value, is_drawn, first, span, median, size)
    return torch.where((counts > 0)[:, None, None], image, 0)


def _splat(
    frame: Tensor, u: Tensor, v: Tensor, gray: Tensor, num_frames: int, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Draw each point as a small disc: nearest value and coverage in [0, 1], both ``[F, height, width]``."""
    side = torch.arange(-1, 2, device=u.device)
    row, column = v.floor().long(), u.floor().long()
    aside = (side[:, None] + 0.5 - (u - column)).float() ** 2  # [3, M]
    above = (side[:, None] + 0.5 - (v - row)).float() ** 2
    distance = (above[:, None] + aside[None]).sqrt()  # [3, 3, M]
    share = (MARKER_DIAMETER_PX / 2 + 0.5 - distance).clamp(max=1)
    is_drawn = share > 0.25
    base = (frame * height + row) * width + column
    place = (base + (side[:, None] * width)[:, None] + side[:, None])[is_drawn]
    value = torch.zeros(num_frames * height * width, device=u.device)
    coverage = torch.zeros_like(value).scatter_reduce_(0, place, share[is_drawn], "amax")
    value.scatter_reduce_(0, place, gray.float().expand(share.shape)[is_drawn], "amax")
    return value.view(num_frames, height, width), coverage.view(num_frames, height, width)


def _align(value: Tensor, is_drawn: Tensor, first: Tensor, span: Tensor, median: Tensor, size: int) -> Tensor:
    """Crop rows, resize to ``size`` rows, centre the columns."""
    # Few rows are not blown up without limit: they stay small, in the middle.
    shown = span.clamp(min=SMALLEST_SPAN_PX).double()
    scale = (shown / size)[:, None]
    step = torch.arange(size, device=value.device) + 0.5
    rows = first[:, None] - 0.5 * (shown - span)[:, None] + step * scale - 0.5
    columns = median[:, None] + 0.5 + (step - size / 2) * scale - 0.5
    weight = is_drawn.float()
    planes = torch.stack([value * weight, weight], dim=-1)  # [F, H, W, 2]
    planes = _interpolate(planes, rows).transpose(1, 2).contiguous()  # [F, W, size, 2]
    mixed, weight = _interpolate(planes, columns).transpose(1, 2).unbind(-1)
    gray = (mixed / weight.clamp(min=1e-6)).round().clamp(1, 255)
    return torch.where(weight > SMALLEST_WEIGHT, gray, 0).to(torch.uint8)


def _interpolate(planes: Tensor, position: Tensor) -> Tensor:
    """Sample ``[F, L, ...]`` linearly at positions ``[F, N]`` along the second axis, with zeros beyond its ends."""
    frame = torch.arange(len(planes), device=planes.device)[:, None]
    result = None
    for index in (position.floor(), position.floor() + 1):
        share = (1 - (position - index).abs()) * ((index >= 0) & (index < planes.shape[1]))
        part = planes[frame, index.clamp(0, planes.shape[1] - 1).long()] * share.float()[:, :, None, None]
        result = part if result is None else result + part
    assert result is not None
    return result


def points_per_frame(points: Tensor, offsets: Tensor, caller: str) -> Tensor:
    """Check clouds that lie one behind the other, and count each one's points.

    Args:
        points: ``[M, D]`` with three coordinates or more.
        offsets: ``[F + 1]`` int64; frame f holds ``points[offsets[f]:offsets[f + 1]]``.
        caller: What an error names.

    Returns:
        ``[F]`` int64.

    Raises:
        ShapeError: ``points`` or ``offsets`` have another shape, or the offsets do not grow from 0 to M.
    """
    if points.ndim != 2 or points.shape[1] < 3 or offsets.ndim != 1 or len(offsets) < 1:
        raise ShapeError(
            f"{caller} needs points [M, 3] and offsets [F + 1], got {list(points.shape)}, {list(offsets.shape)}"
        )
    counts = offsets.diff()
    if int(offsets[0]) != 0 or int(offsets[-1]) != len(points) or bool((counts < 0).any()):
        raise ShapeError(
            f"offsets must grow from 0 to the number of points, {len(points)}; they go from {int(offsets[0])} to "
            f"{int(offsets[-1])}"
        )
    return counts
