"""Draw skeletons as soft pictures: one channel for limbs, one for joints.

The whole batch is drawn at once, on its device, without gradients. Axes: N batch, C channels, T frames, V joints,
M frames of all clips, H rows, W columns.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gaitbench.errors import ShapeError

__all__ = ["COCO_HIPS", "COCO_LIMBS", "skeleton_map"]

COCO_LIMBS = (
    *((0, 1), (0, 2), (1, 3), (2, 4), (0, 5), (0, 6), (5, 7), (7, 9), (6, 8), (8, 10)),
    *((5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16)),
)
"""Pairs of COCO-17 joints: the 17 limbs of the pose maps in Duan et al., "Revisiting Skeleton-based Action
Recognition", CVPR 2022."""
COCO_HIPS = (11, 12)
"""Left and right hip."""

_CUT = 3.0
"""Standard deviations from a joint or limb at which its Gaussian ends."""
_PIXELS_AT_ONCE = {"cpu": 1 << 20}
_PIXELS_AT_ONCE_ELSEWHERE = 1 << 26


@torch.no_grad()
def skeleton_map(
    joints: Tensor,
    *,
    height_px: int = 64,
    width_px: int = 44,
    canvas_px: int = 128,
    sigma_px: float = 8.0,
    limbs: Sequence[tuple[int, int]] = COCO_LIMBS,
    hips: Sequence[int] = COCO_HIPS,
) -> Tensor:
    """Draw a limb map and a joint map of every frame.

    The skeleton of a frame is moved so that the middle of its hips is the middle of the canvas, scaled so that its
    height is two thirds of the canvas, and drawn in Gaussians: around each joint with the joint's confidence as the
    peak, around each limb (by the distance to the segment) with the smaller confidence of its ends; where several
    overlap the largest counts. The rows that are not empty, and as many columns around the middle one, are then
    resized to ``height_px`` squared by averaging areas, and the outer columns are cut.

    Args:
        joints: ``[N, 3, T, V]`` x, y (down) and confidence, of which only [0, 1] is used. A joint that lies exactly at
            (0, 0), as pose estimators mark a missing one, or without confidence is neither drawn nor measured.
        height_px: H.
        width_px: W, at most H and as even or odd as H.
        canvas_px: Side of the canvas that is drawn on.
        sigma_px: Standard deviation of the Gaussians, on the canvas.
        limbs: Pairs of joints.
        hips: Joints whose middle is the centre. Where none of them is seen, the middle of all joints takes its place.

    Returns:
        ``[N, 2, T, H, W]`` float32 in [0, 1]: limbs, then joints. A frame without a skeleton is 0.

    Raises:
        ShapeError: ``joints`` has other axes, or ``width_px`` cannot be cut out of ``height_px`` equally.

    Source:
        Fan et al., "SkeletonGait: Gait Recognition Using Skeleton Maps", AAAI 2024, section "Skeleton Map". The
        Gaussians end at three standard deviations, which decides what an empty row is, as in Duan et al., CVPR 2022.
        Deviations: published maps are rounded down to 255 steps; and the published preparation gives a missing joint
        the mean place that it has in the four most similar frames, where ours leaves it out.

    Example:
        >>> joints = torch.rand(2, 3, 5, 17)
        >>> skeleton_map(joints).shape
        torch.Size([2, 2, 5, 64, 44])
    """
    if joints.dim() != 4 or joints.shape[1] != 3:
        raise ShapeError(f"skeleton_map needs joints [N, 3, T, V] with x, y and confidence, got {list(joints.shape)}")
    if width_px > height_px or (height_px - width_px) % 2:
        raise ShapeError(f"{width_px} columns cannot be cut equally out of {height_px}; choose another width")
    num_clips, _, num_frames, num_joints = joints.shape
    with torch.autocast(joints.device.type, enabled=False):
        flat = joints.float().permute(0, 2, 3, 1).reshape(-1, num_joints, 3)  # [M, V, 3]
        skeleton = _normalise(flat, hips, canvas_px)
        # Columns that no crop can reach after the cut are not drawn.
        margin = int(canvas_px / 2 * (1 - width_px / height_px))
        columns = torch.arange(margin, canvas_px - margin, device=joints.device)
        step = max(1, _PIXELS_AT_ONCE.get(joints.device.type, _PIXELS_AT_ONCE_ELSEWHERE) // (canvas_px * len(columns)))
        maps = flat.new_empty((len(flat), 2, height_px, width_px))
        for part in (slice(start, start + step) for start in range(0, len(flat), step)):
            some = _Skeleton(*(value[part] for value in skeleton))
            rows, cols = _crop(some, columns, height_px, width_px, canvas_px, sigma_px)
            drawn = _draw(some, columns, limbs, canvas_px, sigma_px)  # [M, 2, canvas, columns]
            maps[part] = rows[:, None] @ drawn @ cols[:, None].mT
    return maps.view(num_clips, num_frames, 2, height_px, width_px).transpose(1, 2)


class _Skeleton(NamedTuple):
    """Joints on the canvas."""

    x: Tensor
    """``[M, V]`` columns."""
    y: Tensor
    """``[M, V]`` rows."""
    confidence: Tensor
    """``[M, V]`` in [0, 1]; 0 is not drawn."""


def _normalise(joints: Tensor, hips: Sequence[int], canvas_px: int) -> _Skeleton:
    """Centre and scale ``[M, V, 3]``."""
    place, confidence = joints[..., :2], joints[..., 2].clamp(0, 1)
    is_seen = (place != 0).any(dim=2) & (confidence > 0)  # [M, V]
    is_hip = torch.zeros_like(is_seen)
    is_hip[:, list(hips)] = True
    is_hip &= is_seen
    anchors = torch.where(is_hip.any(dim=1, keepdim=True), is_hip, is_seen).float()[..., None]
    centre = (place * anchors).sum(dim=1) / anchors.sum(dim=1).clamp_min(1)  # [M, 2]
    y = place[..., 1]
    top = y.masked_fill(~is_seen, torch.inf).amin(dim=1)
    bottom = y.masked_fill(~is_seen, -torch.inf).amax(dim=1)
    body_px = canvas_px // 1.5
    # Joints all in one row have no height to scale by; the bound keeps them finite.
    factor = body_px / (bottom - top).clamp_min(1e-6)
    scaled = (place - centre[:, None]) * factor[:, None, None]
    scaled = scaled.clamp(-4 * canvas_px, 4 * canvas_px) + canvas_px // 2
    return _Skeleton(scaled[..., 0], scaled[..., 1], confidence * is_seen)


def _crop(
    skeleton: _Skeleton, columns: Tensor, height_px: int, width_px: int, canvas_px: int, sigma_px: float
) -> tuple[Tensor, Tensor]:
    """Weights of canvas rows ``[M, H, canvas]`` and columns ``[M, W, columns]`` in each pixel of the result."""
    is_drawn = skeleton.confidence > 0
    reach = _CUT * sigma_px
    top = (skeleton.y.masked_fill(~is_drawn, torch.inf).amin(dim=1) - reach).ceil().clamp(0, canvas_px - 1)
    bottom = (skeleton.y.masked_fill(~is_drawn, -torch.inf).amax(dim=1) + reach).floor() + 1
    bottom = torch.maximum(bottom.clamp(0, canvas_px), top + 1)
    size = bottom - top  # [M], rows that are not empty
    left = canvas_px // 2 - (size / 2).floor()
    row = torch.arange(canvas_px, device=columns.device)
    cut = (height_px - width_px) // 2
    return (
        _area_weights(top, size, row, height_px, slice(None)),
        _area_weights(left, size, columns, height_px, slice(cut, cut + width_px)),
    )


def _area_weights(start: Tensor, size: Tensor, pixel: Tensor, count: int, kept: slice) -> Tensor:
    """Share of each pixel ``[K]`` in each of ``count`` equal bins of ``[start, start + size)``: ``[M, kept, K]``."""
    edge = torch.arange(count + 1, device=pixel.device) / count
    edges = start[:, None] + size[:, None] * edge  # [M, count + 1]
    low, high = edges[:, :-1][:, kept, None], edges[:, 1:][:, kept, None]
    overlap = (torch.minimum(high, pixel + 1) - torch.maximum(low, pixel)).clamp_min_(0)
    return overlap / (high - low)


def _draw(
    skeleton: _Skeleton, columns: Tensor, limbs: Sequence[tuple[int, int]], canvas_px: int, sigma_px: float
) -> Tensor:
    """Limb and joint maps ``[M, 2, canvas, columns]``, as the exponential of the smallest exponent."""
    num_frames = len(skeleton.x)
    row = torch.arange(canvas_px, device=columns.device)
    exponent = skeleton.x.new_full((num_frames, 2, canvas_px, len(columns)), torch.inf)
    per_sigma = 0.5**0.5 / sigma_px
    # In units in which the squared distance is the exponent of the Gaussian; [M, V, canvas] and [M, V, columns].
    down = (row - skeleton.y[..., None]) * per_sigma
    right = (columns - skeleton.x[..., None]) * per_sigma

    def add(channel: int, distance: Tensor, confidence: Tensor) -> None:
        is_far = distance > _CUT**2 / 2
        distance -= confidence.log()[:, None, None]
        torch.minimum(exponent[:, channel], distance.masked_fill_(is_far, torch.inf), out=exponent[:, channel])

    for joint in range(skeleton.x.shape[1]):
        distance = down[:, joint, :, None].square() + right[:, joint, None, :].square()
        add(1, distance, skeleton.confidence[:, joint])
    for first, second in limbs:
        along_x, along_y = (
            (value[:, second] - value[:, first]) * per_sigma for value in (skeleton.x, skeleton.y)
        )  # [M]
        length = torch.hypot(along_x, along_y)
        # Ends that coincide have no direction; with any, the distance below is the one to the point.
        is_point = length < 1e-6
        unit_x = torch.where(is_point, 1.0, along_x / length)[:, None]
        unit_y = torch.where(is_point, 0.0, along_y / length)[:, None]
        dy, dx = down[:, first], right[:, first]
        across = (unit_x * dy)[:, :, None] - (unit_y * dx)[:, None, :]
        along = (unit_y * dy)[:, :, None] + (unit_x * dx)[:, None, :]
        beyond = along - torch.minimum(along.clamp_min(0), length[:, None, None])
        distance = across.square_().addcmul_(beyond, beyond)
        add(0, distance, torch.minimum(skeleton.confidence[:, first], skeleton.confidence[:, second]))
    return exponent.neg_().exp_()
