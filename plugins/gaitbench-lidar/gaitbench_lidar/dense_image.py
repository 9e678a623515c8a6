"""Points on a person in the image plane of a camera, with the holes between them filled.

What is between the outermost points is taken for the person: holes are filled inside the convex hull. Each ring of
missing pixels takes the mean of the pixels that are known around it, from the points inwards, so that the nearest
points decide and fronts that meet are blended. The hull is that of 64 directions, at most a pixel wider.

Axes: M points of all frames, F frames, S rows and columns.

Source:
    Guo et al., "Camera-LiDAR Cross-modality Gait Recognition", ECCV 2024: projection to the image plane and
    interpolation to the silhouette's resolution. Kernel and hull are ours; the paper leaves them open.
"""

import math

import torch
from torch import Tensor

__all__ = ["dense_image"]

NUM_DIRECTIONS = 64
SMALLEST_HEIGHT = 8 * math.tan(math.radians(0.2))
"""Of a body in the image plane; less is not blown up to all rows."""


def dense_image(
    azimuth: Tensor, slope: Tensor, planar: Tensor, counts: Tensor, *, size: int = 64, fill_px: int | None = None
) -> Tensor:
    """Draw the points of many frames, align them and fill the holes.

    Args:
        azimuth: ``[M]`` radians to the left of the middle, between -90 and 90 degrees.
        slope: ``[M]`` height over planar range.
        planar: ``[M]`` planar range in metres.
        counts: ``[F]`` int64, points of each frame, one frame after the other.
        size: Rows and columns.
        fill_px: Pixels farther than this from every point stay empty; None fills the whole hull, the space between the
            legs too.

    Returns:
        ``[F, S, S]`` uint8: 0 is no return, 1 to 255 go from the farthest to the nearest return of a frame.

    Example:
        >>> image = dense_image(torch.tensor([0.05, -0.05, 0.0]), torch.tensor([0.1, 0.1, -0.1]), torch.ones(3),
        ...     torch.tensor([3]), size=16)
        >>> [int(row.count_nonzero()) for row in image[0, ::5]]
        [8, 6, 4, 2]
    """
    num_frames, device = len(counts), planar.device
    if not len(planar):
        return torch.zeros(num_frames, size, size, dtype=torch.uint8, device=device)
    frame = torch.repeat_interleave(torch.arange(num_frames, device=device), counts)
    across = -torch.tan(azimuth)  # grows to the right
    down = -slope / torch.cos(azimuth)

    def lowest(value: Tensor) -> Tensor:
        return torch.segment_reduce(value, "min", lengths=counts, initial=torch.inf)

    top, bottom = lowest(down), -lowest(-down)
    height = (bottom - top).clamp(min=SMALLEST_HEIGHT)
    pixel = height / (size - 1)
    row = (down - ((top + bottom) / 2)[frame]) / pixel[frame] + (size - 1) / 2
    column = (across - _median(across, frame, counts)[frame]) / pixel[frame] + (size - 1) / 2
    near, far = lowest(planar), -lowest(-planar)
    gray = 1 + 254 * (far[frame] - planar) / (far - near).clamp(min=1e-6)[frame]

    is_inside = (column > -0.5) & (column < size - 0.5)
    place = (frame * size + row.round().long().clamp(0, size - 1)) * size + column.round().long().clamp(0, size - 1)
    value = torch.zeros(num_frames * size * size, device=device)
    value.scatter_reduce_(0, place[is_inside], gray.float()[is_inside], "amax")
    value = value.view(num_frames, size, size)
    rings = 2 * size if fill_px is None else fill_px
    return _filled(value, _hull(row, column, counts, size), rings).round().clamp(0, 255).to(torch.uint8)


def _median(value: Tensor, frame: Tensor, counts: Tensor) -> Tensor:
    """``[F]`` lower median of each frame; of one without points, any number."""
    order = value.argsort(stable=True)
    order = order[frame[order].argsort(stable=True)]
    middle = counts.cumsum(0) - counts + (counts - 1).clamp(min=0) // 2
    return value[order][middle.clamp(max=len(value) - 1)]


def _hull(row: Tensor, column: Tensor, counts: Tensor, size: int) -> Tensor:
    """``[F, S, S]`` bool, true in the convex hull of a frame's points."""
    line = torch.arange(size, device=row.device, dtype=row.dtype)
    is_inside = torch.ones(len(counts), size, size, dtype=torch.bool, device=row.device)
    for number in range(NUM_DIRECTIONS):
        angle = 2 * math.pi * number / NUM_DIRECTIONS
        sine, cosine = math.sin(angle), math.cos(angle)
        farthest = torch.segment_reduce(sine * row + cosine * column, "max", lengths=counts, initial=-torch.inf)
        is_inside &= (sine * line[:, None] + cosine * line) <= farthest[:, None, None] + 0.5
    return is_inside


def _filled(value: Tensor, is_wanted: Tensor, rings: int) -> Tensor:
    """Let known pixels, those above 0, grow into wanted ones ring by ring."""
    value, wanted = value[:, None], is_wanted[:, None]
    for _ in range(rings):
        is_known = value > 0
        around = torch.nn.functional.avg_pool2d(is_known.float(), 3, stride=1, padding=1)
        is_next = wanted & ~is_known & (around > 0)
        if not bool(is_next.any()):
            break
        total = torch.nn.functional.avg_pool2d(value, 3, stride=1, padding=1)
        value = torch.where(is_next, total / around.clamp(min=1e-6), value)
    return value[:, 0]
