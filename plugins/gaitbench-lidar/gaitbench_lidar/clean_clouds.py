"""Points that are no person's removed, and dense clouds thinned, with Open3D.

Open3D is loaded when something is asked of it, and never before. Axes: M points of all frames, F frames.
"""

from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, PositiveFloat, PositiveInt

from gaitbench.open3d_extra import load_open3d
from gaitbench.sequence import PointFrames

__all__ = ["NEEDS_OPEN3D", "CleaningOptions", "clean"]

NEEDS_OPEN3D = "removing outliers and thinning points (the option cleaning)"
"""What needs Open3D, in words."""


class CleaningOptions(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False):
    """What is done to every frame: first stray points are removed, then the rest is thinned."""

    outliers: Literal["keep", "statistical", "radius"] = "keep"
    """``statistical`` removes points whose neighbours are much farther than usual, ``radius`` those with too few
    neighbours around them; both need Open3D."""
    outlier_neighbours: PositiveInt = 16
    """``statistical``: neighbours that are looked at. ``radius``: neighbours that a point needs."""
    outlier_std: PositiveFloat = 2.0
    """``statistical``: standard deviations of the mean distance beyond which a point is removed."""
    outlier_radius_m: PositiveFloat = 0.3
    """``radius``: how far neighbours may be."""
    voxel_m: float = Field(0.0, ge=0)
    """Points of a cube of this edge become their mean; 0 keeps all. Needs Open3D."""

    @property
    def is_needed(self) -> bool:
        """Whether anything is done."""
        return self.outliers != "keep" or self.voxel_m > 0


def clean(frames: PointFrames, options: CleaningOptions) -> PointFrames:
    """Remove stray points and thin the others, frame by frame.

    Args:
        frames: ``[M, D]`` points, the coordinates first; those with NaN or infinity are removed. Values behind the
            coordinates are cut off.
        options: What is done.

    Returns:
        As many frames with fewer points; frames may end without any. The same frames, whatever they hold, where nothing
        is to be done.

    Raises:
        UsageError: Open3D is needed and not installed.
    """
    if not options.is_needed:
        return frames
    open3d = load_open3d(NEEDS_OPEN3D)
    edges = frames.offsets.tolist()
    clouds = [_clean(open3d, frames.points[start:end, :3], options) for start, end in pairwise(edges)]
    offsets = np.cumsum([0, *map(len, clouds)]).astype(np.int64)
    return PointFrames(np.concatenate([np.zeros((0, 3), np.float32), *clouds]), offsets)


def _clean(open3d: Any, points: NDArray[np.float32], options: CleaningOptions) -> NDArray[np.float32]:
    points = points[np.isfinite(points).all(axis=1)]
    # Of few points none has the neighbours that the filters look for.
    if options.outliers != "keep" and len(points) > options.outlier_neighbours:
        cloud = _cloud(open3d, points)
        if options.outliers == "statistical":
            _, kept = cloud.remove_statistical_outlier(
                nb_neighbors=options.outlier_neighbours, std_ratio=options.outlier_std
            )
        else:
            _, kept = cloud.remove_radius_outlier(nb_points=options.outlier_neighbours, radius=options.outlier_radius_m)
        points = points[np.asarray(kept, np.int64)]
    if options.voxel_m and len(points):
        thinned = _cloud(open3d, points).voxel_down_sample(voxel_size=options.voxel_m)
        points = np.asarray(thinned.points).astype(np.float32).reshape(-1, 3)
    return points


def _cloud(open3d: Any, points: NDArray[np.float32]) -> Any:
    return open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points.astype(np.float64)))
