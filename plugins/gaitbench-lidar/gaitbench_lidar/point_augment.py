"""Augmentations of point clouds, for a whole batch of clips at once.

Axes: N clips, T frames, M points.
"""

import torch
from pydantic import BaseModel, Field, NonNegativeFloat, PositiveFloat
from torch import Tensor

from gaitbench.errors import ShapeError

__all__ = ["PointAugmentConfig", "augment_points"]


class PointAugmentConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What happens to prepared points in training, in this order; lengths are shares of the unit sphere's radius.

    Flip, shift, scale and the share of dropped points are drawn once per clip; the height in metres stays.
    """

    flip: float = Field(0.0, ge=0, le=1)
    """Probability of mirroring left and right (y)."""
    shift: float = Field(0.0, ge=0, le=1)
    """Probability of a shift."""
    shift_range: NonNegativeFloat = 0.1
    """Largest shift either way along each axis."""
    jitter: float = Field(0.0, ge=0, le=1)
    """Probability of noise on every point."""
    jitter_sigma: NonNegativeFloat = 0.01
    """Standard deviation of the noise."""
    jitter_limit: NonNegativeFloat = 0.05
    """Largest noise either way along each axis."""
    scale: float = Field(0.0, ge=0, le=1)
    """Probability of a change of size."""
    scale_range: tuple[PositiveFloat, PositiveFloat] = (0.8, 1.25)
    """Smallest and largest factor."""
    dropout: float = Field(0.0, ge=0, le=1)
    """Probability of losing points, which become copies of their frame's first point."""
    dropout_share: float = Field(0.875, ge=0, le=1)
    """Largest share of points that are lost."""


def augment_points(points: Tensor, config: PointAugmentConfig, generator: torch.Generator) -> Tensor:
    """Change each clip at random.

    Flip, shift and scale take the same numbers from the generator whatever the probabilities are; noise and dropout,
    which need a number per point, come after them.

    Args:
        points: ``[N, T, M, C]``, x, y, z and possibly more.
        config: Probabilities and ranges.
        generator: On the CPU; the same state gives the same change on every device.

    Returns:
        ``[N, T, M, C]``; ``points`` itself is left alone.

    Raises:
        ShapeError: ``points`` has not four axes, or no x, y, z.

    Source:
        The augmentations of Qi et al., "PointNet++", NeurIPS 2017, and their ranges; the flip as in Shen et al.,
        "LidarGait++", CVPR 2025.

    Example:
        >>> points = torch.tensor([0.5, 0.5, 0.5, 1.7]).reshape(1, 1, 1, 4)
        >>> augment_points(points, PointAugmentConfig(flip=1.0), torch.Generator()).flatten()
        tensor([ 0.5000, -0.5000,  0.5000,  1.7000])
    """
    if points.dim() != 4 or points.shape[3] < 3:
        raise ShapeError(f"augment_points needs clips [N, T, M, 3 or more], got {list(points.shape)}")
    num_clips, num_frames, num_points, _ = points.shape
    draw = torch.rand(num_clips, 10, generator=generator)
    chance = torch.tensor([config.flip, config.shift, config.jitter, config.scale, config.dropout])
    happens = (draw[:, :5] < chance)[:, :, None, None, None]  # [N, 5, 1, 1, 1]
    low, high = config.scale_range
    factor = 1 + happens[:, 3] * (low + (high - low) * draw[:, 8, None, None, None] - 1)
    shift = happens[:, 1] * (2 * draw[:, 5:8] - 1)[:, None, None] * config.shift_range  # [N, 1, 1, 3]
    mirror = torch.ones(num_clips, 1, 1, 3)
    mirror[..., 1] -= 2.0 * happens[:, 0, ..., 0]
    xyz, rest = points[..., :3], points[..., 3:]
    xyz = xyz * mirror.to(points) + shift.to(points)
    if config.jitter:
        noise = config.jitter_sigma * torch.randn(num_clips, num_frames, num_points, 3, generator=generator)
        noise = noise.clamp(-config.jitter_limit, config.jitter_limit) * happens[:, 2]
        xyz = xyz + noise.to(points)
    points = torch.cat([xyz * factor.to(points), rest], dim=3)
    if config.dropout:
        share = happens[:, 4, ..., 0] * draw[:, 9, None, None] * config.dropout_share  # [N, 1, 1]
        is_lost = torch.rand(num_clips, num_frames, num_points, generator=generator) < share
        points = torch.where(is_lost[..., None].to(points.device), points[:, :, :1], points)
    return points
