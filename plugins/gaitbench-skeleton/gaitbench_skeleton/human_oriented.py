"""Poses made independent of camera and distance, and what is read off them: GPGait's input.

Axes: N batch, C channels, T frames, V = 17 joints in COCO's order. y points down, as in images.
"""

import torch
from torch import Tensor

from gaitbench_skeleton.graph import COCO_PARENTS
from gaitbench_skeleton.streams import bones

__all__ = ["ANGLE_ARMS", "human_oriented_descriptors", "human_oriented_transform", "joint_angles"]

_SHOULDERS, _HIPS = (5, 6), (11, 12)

ANGLE_ARMS: dict[int, tuple[int, int]] = {
    0: (1, 2),
    1: (0, 3),
    2: (4, 0),
    5: (7, 11),
    6: (8, 12),
    7: (5, 9),
    8: (10, 6),
    11: (5, 13),
    12: (6, 14),
    13: (11, 15),
    14: (12, 16),
}
"""Joints with an inner angle to the two neighbours between which it opens; any other joint has its bone's angle."""

_TINY = 1e-6


def human_oriented_transform(x: Tensor, *, height: float = 225.0, is_upright: bool = False) -> Tensor:
    """Move the neck of every frame to the origin and scale the frame to one height.

    Args:
        x: ``[N, 2, T, V]`` x and y in pixels.
        height: What the lowest joint is below the highest afterwards.
        is_upright: Whether the spine, neck to middle of the hips, is turned to point straight down before.

    Returns:
        ``[N, 2, T, V]``. A frame without height, such as padding, is not scaled.

    Source:
        Fu et al., "GPGait: Generalized Pose-based Gait Recognition", ICCV 2023, section "Human-Oriented
        Transformation".

    Example:
        >>> x = torch.rand(1, 2, 3, 17)
        >>> y = human_oriented_transform(x)
        >>> (y[:, 1].amax(-1) - y[:, 1].amin(-1)).round(decimals=3)
        tensor([[225., 225., 225.]])
    """
    neck = x[..., _SHOULDERS].mean(dim=3, keepdim=True)
    x = x - neck
    if is_upright:
        spine = x[..., _HIPS].mean(dim=3)  # [N, 2, T]
        length = spine.norm(dim=1).clamp_min(_TINY)
        sine, cosine = spine[:, 0] / length, spine[:, 1] / length  # of the spine's angle to straight down
        is_point = (spine == 0).all(dim=1)
        cosine = torch.where(is_point, torch.ones_like(cosine), cosine)[..., None]
        sine = sine[..., None]
        x = torch.stack([cosine * x[:, 0] - sine * x[:, 1], sine * x[:, 0] + cosine * x[:, 1]], dim=1)
    extent = (x[:, 1].amax(dim=2) - x[:, 1].amin(dim=2))[:, None, :, None]  # [N, 1, T, 1]
    return torch.where(extent > _TINY, x * (height / extent.clamp_min(_TINY)), x)


def joint_angles(x: Tensor) -> Tensor:
    """Give one angle per joint: how far it is from folded together, pi being what a straight one is from.

    Args:
        x: ``[N, 2, T, V]`` x and y.

    Returns:
        ``[N, 1, T, V]`` radians in [0, pi]: pi minus the angle between the two arms of :data:`ANGLE_ARMS` where there
        are any, else pi minus the angle, at most pi / 2, between the joint's bone and the vertical. pi where an arm
        has no length, or where a bone is exactly level.

    Source:
        Fu et al., "GPGait", ICCV 2023, section "Human-Oriented Descriptors"; neighbours and signs are those that the
        published weights expect. The paper uses the law of cosines, which gives the same angle and loses digits near 0
        and pi.

    Example:
        >>> x = torch.zeros(1, 2, 1, 17)
        >>> x[0, :, 0, 5], x[0, :, 0, 9] = torch.tensor([0.0, -1.0]), torch.tensor([1.0, 0.0])
        >>> joint_angles(x)[0, 0, 0, 7].item()  # the left elbow is bent at a right angle
        1.5707963705062866
    """
    joints = range(x.shape[3])
    has_arms = torch.tensor([v in ANGLE_ARMS for v in joints], device=x.device)
    first, second = (
        torch.tensor([ANGLE_ARMS[v][arm] if v in ANGLE_ARMS else COCO_PARENTS[v] for v in joints], device=x.device)
        for arm in (0, 1)
    )
    a, b = x[..., first] - x, x[..., second] - x  # for a bone, both lead to the parent
    cross = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).abs()
    dot = (a * b).sum(dim=1)
    inner = torch.where(has_arms, torch.atan2(cross, dot), torch.atan2(a[:, 0].abs(), a[:, 1].abs()))
    is_point = torch.where(has_arms, (a == 0).all(dim=1) | (b == 0).all(dim=1), a[:, 1] == 0)
    return (torch.pi - inner.masked_fill(is_point, 0))[:, None]


def human_oriented_descriptors(x: Tensor) -> Tensor:
    """Stack joints, bones and angles.

    Args:
        x: ``[N, 2, T, V]`` x and y, transformed.

    Returns:
        ``[N, 5, T, V]``: x, y, the bone's x and y, the angle.

    Source:
        Fu et al., "GPGait", ICCV 2023, section "Human-Oriented Descriptors".

    Example:
        >>> human_oriented_descriptors(torch.rand(2, 2, 60, 17)).shape
        torch.Size([2, 5, 60, 17])
    """
    return torch.cat([x, bones(x), joint_angles(x)], dim=1)
