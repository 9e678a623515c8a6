"""How a cloud of metric points becomes the input of a point network.

Axes: M points.
"""

import torch
from torch import Tensor

from gaitbench.errors import ShapeError

__all__ = ["prepare_points"]


def prepare_points(points: Tensor) -> Tensor:
    """Centre each frame, scale it to the unit sphere, and keep the height in metres beside it.

    The height is measured above the frame's lowest point, before anything is moved, so that the size of a body
    survives the scaling.

    Args:
        points: ``[..., M, 3]`` in metres, z up. Points may repeat.

    Returns:
        ``[..., M, 4]`` float32: x, y, z around the mean, the farthest at distance 1, and the height. A frame whose
        points are all the same, an empty one among them, is all zero.

    Raises:
        ShapeError: ``points`` does not end in ``[M, 3]`` with a point at least.

    Source:
        Shen et al., "LidarGait++: Learning Local Features and Size Awareness from LiDAR Point Clouds for 3D Gait
        Recognition", CVPR 2025 (size awareness).

    Example:
        >>> prepare_points(torch.tensor([[5.0, 0.0, -1.0], [5.0, 0.0, 1.0]]))
        tensor([[ 0.,  0., -1.,  0.],
                [ 0.,  0.,  1.,  2.]])
    """
    if points.dim() < 2 or points.shape[-1] != 3 or not points.shape[-2]:
        raise ShapeError(f"points must be [..., M, 3] with a point at least, got {list(points.shape)}")
    points = points.float()
    lowest = points.amin(dim=-2, keepdim=True)  # [..., 1, 3]
    # Taken from the lowest values first: the mean of far points is not exact, and equal points must become zeros.
    near = points - lowest
    centred = near - near.mean(dim=-2, keepdim=True)
    largest = centred.norm(dim=-1, keepdim=True).amax(dim=-2, keepdim=True)
    is_one_place = largest <= 0
    scaled = centred / largest.masked_fill(is_one_place, 1)
    return torch.cat([scaled, near[..., 2:]], dim=-1)
