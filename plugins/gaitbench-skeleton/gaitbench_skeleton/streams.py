"""What a network may read off a skeleton besides its joints: velocities and bones.

Axes: N batch, C channels, T frames, V joints, S streams.
"""

import torch
from torch import Tensor

from gaitbench_skeleton.graph import COCO_PARENTS

__all__ = ["bones", "fill_missing_joints", "five_channel_streams", "forward_difference", "ten_channels"]


def bones(x: Tensor) -> Tensor:
    """Give each joint minus its parent: ``[N, C, T, V]`` to the same axes.

    Example:
        >>> x = torch.arange(17.0).reshape(1, 1, 1, 17)
        >>> bones(x).flatten()[:4]  # the nose hangs on joint 5
        tensor([-5.,  1.,  2.,  2.])
    """
    return x - x[..., torch.tensor(COCO_PARENTS, device=x.device)]


def forward_difference(x: Tensor, step: int, num_frames: Tensor | None = None) -> Tensor:
    """Subtract each frame from the one ``step`` later; the last two frames give 0, as in the published networks.

    Args:
        x: ``[N, C, T, V]``.
        step: 1 or 2.
        num_frames: ``[N]`` real frames of each sequence; None when all T are.

    Returns:
        ``[N, C, T, V]``, 0 also in padding.

    Example:
        >>> forward_difference(torch.tensor([0.0, 1.0, 3.0, 6.0]).reshape(1, 1, 4, 1), 1).flatten()
        tensor([1., 2., 0., 0.])
    """
    difference = torch.zeros_like(x)
    last = x.shape[2] - 2
    if last > 0:
        difference[:, :, :last] = x[:, :, step : step + last] - x[:, :, :last]
    if num_frames is None:
        return difference
    frame = torch.arange(x.shape[2], device=x.device)
    is_last = frame >= num_frames[:, None] - 2  # [N, T]
    return difference.masked_fill(is_last[:, None, :, None], 0)


def fill_missing_joints(x: Tensor) -> Tensor:
    """Put joints that were not found, which have x = 0, where the frame's joints are on average.

    Args:
        x: ``[N, 3, T, V]`` x, y, confidence.

    Returns:
        ``[N, 3, T, V]``: a missing joint has the mean x and y of all joints of its frame, the missing ones counted as
        they are, and confidence 0.

    Source:
        Teepe et al., "Towards a Deeper Understanding of Skeleton-based Gait Recognition", CVPRW 2022, pre-processing.

    Example:
        >>> x = torch.tensor([[0.0, 4.0], [0.0, 2.0], [0.9, 0.8]]).reshape(1, 3, 1, 2)
        >>> fill_missing_joints(x)[..., 0].flatten()
        tensor([2., 1., 0.])
    """
    mean = x.mean(dim=3, keepdim=True)
    mean = torch.cat([mean[:, :2], torch.zeros_like(mean[:, 2:])], dim=1)
    return torch.where(x[:, :1] == 0, mean, x)


def five_channel_streams(x: Tensor) -> Tensor:
    """Build the joint, velocity and bone streams of GaitGraph2, as its published weights expect them.

    Channel 3 is the confidence in all of them; it takes the place of a velocity and of an angle, and channel 2 of the
    last two streams stays 0.

    Args:
        x: ``[N, 3, T, V]`` x, y, confidence.

    Returns:
        ``[N, S = 3, C = 5, T, V]``. Joints: x, y, confidence, x and y from joint 0. Velocity: x and y to the next
        frame, 0, confidence, y to the frame after. Bones: x and y from the parent, 0, confidence, angle to the y axis
        in radians.

    Source:
        Teepe et al., "Towards a Deeper Understanding of Skeleton-based Gait Recognition", CVPRW 2022, section on
        multi-input; the overwritten channels are those of the published code.

    Example:
        >>> five_channel_streams(torch.zeros(2, 3, 60, 17)).shape
        torch.Size([2, 3, 5, 60, 17])
    """
    position, confidence = x[:, :2], x[:, 2:]
    nothing = torch.zeros_like(confidence)
    joint = [position, confidence, position - position[..., :1]]
    velocity = [forward_difference(position, 1), nothing, confidence, forward_difference(x[:, 1:2], 2)]
    bone = bones(position)
    length = bone.square().sum(dim=1, keepdim=True).sqrt()
    # Rounding may carry the cosine of a long vertical bone past 1.
    angle = torch.arccos((bone[:, 1:] / (length + 1e-4)).clamp(-1, 1))
    parts = [joint, velocity, [bone, nothing, confidence, angle]]
    return torch.stack([torch.cat(part, dim=1) for part in parts], dim=1)


def ten_channels(x: Tensor, num_frames: Tensor | None = None) -> Tensor:
    """Build the ten channels of GaitTR, x and y each: joints, from joint 0, velocity over 1 and 2 frames, bones.

    Args:
        x: ``[N, C, T, V]``; channels behind x and y are not read.
        num_frames: ``[N]`` real frames of each sequence; None when all T are.

    Returns:
        ``[N, 10, T, V]``.

    Source:
        Zhang et al., "Spatial Transformer Network on Skeleton-based Gait Recognition", Expert Systems 2023, section on
        the input of GaitTR; differences of the last two frames are 0 as in the published code.

    Example:
        >>> ten_channels(torch.zeros(2, 3, 60, 17)).shape
        torch.Size([2, 10, 60, 17])
    """
    position = x[:, :2]
    velocities = [forward_difference(position, step, num_frames) for step in (1, 2)]
    return torch.cat([position, position - position[..., :1], *velocities, bones(position)], dim=1)
