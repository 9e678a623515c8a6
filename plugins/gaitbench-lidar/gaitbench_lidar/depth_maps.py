"""Points on a person as range images: three published projections, three encodings, all frames at once.

Every projection turns each frame around the sensor's upright axis until the person is straight ahead, gives every point
a place in the image and a planar range, and aligns the image as silhouettes are: the body from the first row to the
last, half of its mass on either side of the middle.

``angular``
    SUSTech1K's: azimuth over 0.19188 degrees, elevation over 0.2, a small disc per point
    (:func:`gaitbench.projection.points_to_depth`). Both of the original's defects are avoided: frames of few points are
    cropped like all others, and a window over the border is padded with zeros instead of moved.
``spherical``
    SpheriGait's: the angles ``arccos(y / R)`` and ``arctan(z / R)`` of a reference sphere take the place of azimuth and
    elevation, with the same steps. R and the height of the sphere's centre are not published: the mean planar range of
    the points, and the sensor's height. The frame is turned first, which the digest that we know it from does not say.
``dense``
    CL-Gait's: the image plane of a camera, with the holes between the points filled; see
    :mod:`gaitbench_lidar.dense_image`. How they are filled is not published.

Axes: M points of all frames, F frames, S rows and columns.

Source:
    Shen et al., "LidarGait", CVPR 2023, and the data's release (angular); "SpheriGait", arXiv 2409.11869, by a digest
    (spherical); Guo et al., "Camera-LiDAR Cross-modality Gait Recognition", ECCV 2024 (dense).
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from gaitbench.errors import DatasetError
from gaitbench.projection import jet, points_per_frame, points_to_depth
from gaitbench_lidar.dense_image import dense_image

__all__ = ["Encoding", "Projection", "depth_maps"]

Projection = Literal["angular", "spherical", "dense"]
"""From points to places in an image."""
Encoding = Literal["jet3", "gray1", "metric1"]
"""From ranges to values."""

SMALLEST_RANGE_M = 1e-3
"""What is nearer is no return: many files write zeros there."""
SMALLEST_DEPTH_M = 1e-3
"""Ranges that differ less are one: rounding must not become colours."""
LARGEST_AZIMUTH_DEG = 80.0
"""From the middle of a frame; no person is as wide."""


def depth_maps(
    points: Tensor,
    offsets: Tensor,
    *,
    projection: Projection = "angular",
    encoding: Encoding = "jet3",
    size: int = 64,
    fill_px: int | None = None,
) -> Tensor:
    """Project the frames of one sequence.

    Args:
        points: ``[M, 3]`` float, metres in the sensor's frame (x forward, y left, z up), or ``[M, D]`` with the
            coordinates first. Points with NaN or infinity and points at the sensor itself are no returns.
        offsets: ``[F + 1]`` int64; frame f holds ``points[offsets[f]:offsets[f + 1]]``.
        projection: See the module.
        encoding: ``jet3``: the published input, jet colours from the farthest to the nearest return of a frame.
            ``gray1``: the same as 1 to 255. ``metric1``: the planar range in metres, exact to half a 254th of the
            frame's depth.
        size: Rows and columns.
        fill_px: Of ``dense``: how far from a point holes are filled; None fills the whole hull of the body, the space
            between the legs too.

    Returns:
        ``[F, 3, S, S]`` uint8 of ``jet3``, ``[F, 1, S, S]`` uint8 of ``gray1``, ``[F, 1, S, S]`` float32 of
        ``metric1``; 0 where nothing came back, and everywhere in a frame without returns. ``angular`` and ``spherical``
        sample a frame that is more than ``size`` beams high, so that single returns in it can be lost.

    Raises:
        ShapeError: ``points`` or ``offsets`` have another shape, or the offsets do not grow from 0 to M.
        DatasetError: A frame reaches farther around the sensor than any person does.

    Example:
        >>> points = torch.tensor([[6.0, 0.0, 0.5], [6.2, 0.0, -0.5], [torch.nan, 0.0, 0.0]])
        >>> image = depth_maps(points, torch.tensor([0, 3, 3]), encoding="metric1")
        >>> image.shape, [round(float(m), 1) for m in (image[image > 0].min(), image.max())]
        (torch.Size([2, 1, 64, 64]), [6.0, 6.2])
    """
    if size < 2:
        raise ValueError(f"size must be 2 or more, got {size}")
    found = _returns(points, offsets)
    if projection == "dense":
        gray = dense_image(found.azimuth, found.slope, found.planar, found.counts, size=size, fill_px=fill_px)
    elif projection == "spherical":
        gray = points_to_depth(_on_a_sphere(found), found.offsets, size=size)
    elif projection == "angular":
        gray = points_to_depth(found.points(found.azimuth, found.slope), found.offsets, size=size)
    else:
        raise ValueError(f"projection must be angular, spherical or dense, got {projection!r}")
    if encoding == "gray1":
        return gray[:, None]
    if encoding == "jet3":
        return jet(gray).permute(0, 3, 1, 2).contiguous()
    if encoding == "metric1":
        return _metric(gray, found)[:, None]
    raise ValueError(f"encoding must be jet3, gray1 or metric1, got {encoding!r}")


class _Returns(NamedTuple):
    """Points around the sensor, each frame turned to the front."""

    azimuth: Tensor
    """``[M]`` radians, to the left."""
    slope: Tensor
    """``[M]`` height over planar range."""
    planar: Tensor
    """``[M]`` metres."""
    counts: Tensor
    """``[F]``."""

    @property
    def offsets(self) -> Tensor:
        return torch.nn.functional.pad(self.counts.cumsum(0), (1, 0))

    def points(self, azimuth: Tensor, slope: Tensor) -> Tensor:
        """Points of these ranges in other directions."""
        return torch.stack([azimuth.cos(), azimuth.sin(), slope], dim=1) * self.planar[:, None]


def _returns(points: Tensor, offsets: Tensor) -> _Returns:
    counts = points_per_frame(points, offsets, "depth_maps")
    num_frames = len(counts)
    frame = torch.repeat_interleave(torch.arange(num_frames, device=points.device), counts)
    x, y, z = points[:, :3].double().unbind(-1)
    planar = torch.hypot(x, y)
    is_return = torch.isfinite(planar) & torch.isfinite(z) & (planar > SMALLEST_RANGE_M)
    frame, x, y, z, planar = (value[is_return] for value in (frame, x, y, z, planar))
    counts = torch.bincount(frame, minlength=num_frames)
    ahead = torch.zeros(num_frames, 2, dtype=planar.dtype, device=points.device)
    ahead.index_add_(0, frame, torch.stack([x, y], dim=1) / planar[:, None])
    middle = torch.atan2(ahead[:, 1], ahead[:, 0])[frame]
    azimuth = torch.remainder(torch.atan2(y, x) - middle + torch.pi, 2 * torch.pi) - torch.pi
    if len(azimuth) and float(widest := azimuth.abs().max().rad2deg()) > LARGEST_AZIMUTH_DEG:
        where = int(frame[azimuth.abs().argmax()])
        raise DatasetError(
            f"points of frame {where} lie {float(widest):.0f} degrees from its middle, and those of a person do not; "
            "cut the person out of the scene, or remove stray points (outliers=radius)"
        )
    slope = z / planar
    # Rounding of a flat target must not be stretched over all colours.
    near, far = _limits(planar, counts)
    planar = torch.where((far - near)[frame] < SMALLEST_DEPTH_M, far[frame], planar)
    return _Returns(azimuth, slope, planar, counts)


def _on_a_sphere(found: _Returns) -> Tensor:
    radius = found.planar.mean() if len(found.planar) else found.planar.new_ones(())
    aside = (found.planar * found.azimuth.sin() / radius).clamp(-1, 1)
    return found.points(torch.asin(aside), found.slope * found.planar / radius)


def _metric(gray: Tensor, found: _Returns) -> Tensor:
    """Ranges in metres of encoded ones, which go evenly from the farthest return, 1, to the nearest, 255."""
    near, far = (value[:, None, None] for value in _limits(found.planar, found.counts))
    return torch.where(gray > 0, far - (gray.double() - 1) / 254 * (far - near), 0).float()


def _limits(planar: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest and farthest return of each frame; 0 of one without."""
    if not len(planar):
        zero = planar.new_zeros(len(counts))
        return zero, zero
    near = torch.segment_reduce(planar, "min", lengths=counts, initial=torch.inf)
    far = torch.segment_reduce(planar, "max", lengths=counts, initial=-torch.inf)
    is_empty = counts == 0
    return near.masked_fill(is_empty, 0), far.masked_fill(is_empty, 0)
