"""Frames of two sensors that were taken at the same moment, by their time stamps.

Axes: A, B frames of two streams, K pairs.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaitbench.errors import DatasetError

__all__ = ["LARGEST_GAP_S", "LIDAR_SHIFT_S", "Pairs", "synchronise"]

LARGEST_GAP_S = 0.02
"""Pairs of SUSTech1K are closer."""
LIDAR_SHIFT_S = 0.05
"""What SUSTech1K adds to the stamps of its LiDAR: half of a turn, which a stamp marks the begin of."""

ROUNDING_S = 1e-9
"""Differences of decimal stamps are not exact: what differs less is equal."""


class Pairs(NamedTuple):
    """Pairs of frames."""

    lidar: NDArray[np.int64]
    """``[K]`` frames of the LiDAR, ascending."""
    other: NDArray[np.int64]
    """``[K]`` frames of the other sensor, ascending; none twice."""
    gap_s: NDArray[np.float64]
    """``[K]`` seconds from the LiDAR's, shifted, to the other's."""


def synchronise(
    lidar_s: ArrayLike,
    other_s: ArrayLike,
    *,
    largest_gap_s: float = LARGEST_GAP_S,
    lidar_shift_s: float = LIDAR_SHIFT_S,
) -> Pairs:
    """Pair every LiDAR frame with the frame of another sensor that is nearest in time, if it is its nearest too.

    Args:
        lidar_s: ``[A]`` stamps of the LiDAR in seconds, ascending.
        other_s: ``[B]`` stamps of the other sensor by the same clock, ascending.
        largest_gap_s: Pairs at this distance or farther apart are left out; above 0.
        lidar_shift_s: Added to the LiDAR's stamps first.

    Returns:
        The pairs in order of time; none where no two frames are near enough. Of two frames that are equally near, the
        earlier one is taken.

    Raises:
        DatasetError: Stamps are no finite ascending numbers.
        ValueError: ``largest_gap_s`` or ``lidar_shift_s`` is not finite, or the gap is not above 0.

    Source:
        Shen et al., "LidarGait", CVPR 2023, and the data's release: 20 ms, and a LiDAR that is shifted by 50 ms.

    Example:
        >>> pairs = synchronise([0.00, 0.10, 0.20], [0.018, 0.051, 0.084, 0.117, 0.159, 0.275])
        >>> pairs.lidar.tolist(), pairs.other.tolist()
        ([0, 1], [1, 4])
    """
    if not (math.isfinite(largest_gap_s) and largest_gap_s > 0):
        raise ValueError(f"largest_gap_s must be a finite number of seconds above 0, got {largest_gap_s}")
    if not math.isfinite(lidar_shift_s):
        raise ValueError(f"lidar_shift_s must be a finite number of seconds, got {lidar_shift_s}")
    lidar, other = _stamps(lidar_s, "LiDAR") + lidar_shift_s, _stamps(other_s, "the other sensor")
    if not len(lidar) or not len(other):
        nothing = np.zeros(0, np.int64)
        return Pairs(nothing, nothing, np.zeros(0))
    nearest, back = _nearest(lidar, other), _nearest(other, lidar)
    gap = other[nearest] - lidar
    is_pair = (np.abs(gap) < largest_gap_s - ROUNDING_S) & (back[nearest] == np.arange(len(lidar)))
    chosen = np.flatnonzero(is_pair)
    return Pairs(chosen, nearest[chosen], gap[chosen])


def _nearest(of: NDArray[np.float64], among: NDArray[np.float64]) -> NDArray[np.int64]:
    after = np.searchsorted(among, of).clip(1, max(len(among) - 1, 1))
    after = np.minimum(after, len(among) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(of - among[before] <= among[after] - of + ROUNDING_S, before, after)


def _stamps(values: ArrayLike, name: str) -> NDArray[np.float64]:
    try:
        stamps = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"time stamps of {name} must be numbers of seconds, a list of one axis: {error}") from error
    if stamps.ndim != 1 or not np.isfinite(stamps).all() or (np.diff(stamps) <= 0).any():
        raise DatasetError(
            f"time stamps of {name} must be finite numbers of seconds that grow, a list of one axis; got "
            f"{list(stamps.shape)} from {stamps.min() if stamps.size else 'none'} to "
            f"{stamps.max() if stamps.size else 'none'}"
        )
    return stamps
