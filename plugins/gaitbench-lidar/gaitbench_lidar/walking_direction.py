"""From which side a walker is seen, as the points themselves tell: for data whose views nobody wrote down.

Axes: M points of all frames, F frames.
"""

import torch
from torch import Tensor

from gaitbench.errors import DatasetError
from gaitbench.projection import points_per_frame
from gaitbench_lidar.depth_maps import SMALLEST_RANGE_M

__all__ = ["view_of_walk"]

SMALLEST_STEP_M = 0.3
"""Of a whole walk; of less no direction is told."""


def view_of_walk(points: Tensor, offsets: Tensor) -> float:
    """Measure the view of a walk: 0 where the person comes towards the sensor, 90 where its left side is seen.

    The direction is that of the line through the middles of the frames, fitted over time; the sensor is looked at from
    the mean of the middles. :func:`gaitbench.annotating.directions.direction_index` makes one of eight of it.

    Args:
        points: ``[M, 3]`` metres in the sensor's frame (x forward, y left, z up); points with NaN or infinity are
            passed over, and points at the sensor, as many files write zeros where nothing came back.
        offsets: ``[F + 1]`` int64; frame f holds ``points[offsets[f]:offsets[f + 1]]``.

    Returns:
        Degrees in [0, 360).

    Raises:
        ShapeError: ``points`` or ``offsets`` have another shape, or the offsets do not grow from 0 to M.
        DatasetError: Fewer than two frames have points, the person stays at one place, or the places are too large for
            float64.

    Example:
        >>> coming = torch.tensor([[8.0, 0.0, 0.0], [7.0, 0.0, 0.0], [6.0, 0.0, 0.0]])
        >>> view_of_walk(coming, torch.arange(4)), view_of_walk(coming.flip(0), torch.arange(4))
        (0.0, 180.0)
    """
    counts = points_per_frame(points, offsets, "view_of_walk")
    frame = torch.repeat_interleave(torch.arange(len(counts)), counts)
    place = points[:, :2].double()
    is_return = torch.isfinite(points).all(dim=1) & (torch.hypot(place[:, 0], place[:, 1]) > SMALLEST_RANGE_M)
    frame, place = frame[is_return], place[is_return]
    counts = torch.bincount(frame, minlength=len(counts))
    seen = torch.nonzero(counts)[:, 0].double()
    if len(seen) < 2:
        raise DatasetError(f"{len(seen)} frames of the walk have points; a direction needs two")
    middles = torch.zeros(len(counts), 2, dtype=torch.float64).index_add_(0, frame, place)
    middles = middles[counts > 0] / counts[counts > 0, None]
    time = seen - seen.mean()
    step = (time[:, None] * middles).sum(dim=0) / time.square().sum()
    if not bool(torch.isfinite(middles).all() and torch.isfinite(step).all()):
        raise DatasetError("points lie too far from the sensor to be added up in float64; are they metres?")
    if float(step.norm() * (seen[-1] - seen[0])) < SMALLEST_STEP_M:
        raise DatasetError(f"the person stays within {SMALLEST_STEP_M} m of one place; a direction needs a walk")
    to_sensor = -middles.mean(dim=0)
    # Left of the person is seen where the sensor lies to the left of the walking direction.
    turn = torch.atan2(step[0] * to_sensor[1] - step[1] * to_sensor[0], (step * to_sensor).sum())
    # Of a negative angle near 0 the first remainder is rounded to 360 itself.
    return float(torch.rad2deg(turn)) % 360 % 360
