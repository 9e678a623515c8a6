import math
import sys

import pytest
import torch
from torch import Tensor

from gaitbench.errors import ShapeError
from gaitbench.layers import skeleton_map
from gaitbench.layers.skeleton_map import COCO_LIMBS

SMALL = {"height_px": 16, "width_px": 12, "canvas_px": 32, "sigma_px": 2.0}


def skeletons(num_clips: int = 1, num_frames: int = 1, seed: int = 0) -> Tensor:
    """``[N, 3, T, 17]`` around (300, 200), 100 px tall."""
    rng = torch.Generator().manual_seed(seed)
    joints = torch.rand(num_clips, 3, num_frames, 17, generator=rng)
    joints[:, 0] = 300 + 40 * joints[:, 0]
    joints[:, 1] = 200 + 100 * joints[:, 1]
    joints[:, 2] = 0.3 + 0.7 * joints[:, 2]
    return joints


def distance_to_segment(x: float, y: float, a: list[float], b: list[float]) -> float:
    dx, dy = b[0] - a[0], b[1] - a[1]
    square = dx * dx + dy * dy
    share = 0.0 if square == 0 else min(1.0, max(0.0, ((x - a[0]) * dx + (y - a[1]) * dy) / square))
    return math.hypot(x - a[0] - share * dx, y - a[1] - share * dy)


def slow_map(frame: Tensor, *, height_px: int, width_px: int, canvas_px: int, sigma_px: float) -> Tensor:
    """``[2, H, W]`` of one frame ``[3, 17]``, pixel by pixel."""
    points = [frame[:2, v].tolist() for v in range(17)]
    peak = frame[2].tolist()
    hip = [(points[11][i] + points[12][i]) / 2 for i in (0, 1)]
    ys = [p[1] for p in points]
    factor = canvas_px // 1.5 / (max(ys) - min(ys))
    points = [[(p[i] - hip[i]) * factor + canvas_px // 2 for i in (0, 1)] for p in points]
    canvas = torch.zeros(2, canvas_px, canvas_px)
    for row in range(canvas_px):
        for column in range(canvas_px):
            shapes = [(0, points[a], points[b], min(peak[a], peak[b])) for a, b in COCO_LIMBS]
            shapes += [(1, p, p, c) for p, c in zip(points, peak, strict=True)]
            for channel, a, b, top in shapes:
                distance = distance_to_segment(column, row, a, b)
                if distance <= 3 * sigma_px:
                    value = top * math.exp(-(distance**2) / (2 * sigma_px**2))
                    canvas[channel, row, column] = max(float(canvas[channel, row, column]), value)
    filled = [row for row in range(canvas_px) if canvas[:, row].any()]
    first, size = filled[0], filled[-1] + 1 - filled[0]
    left = canvas_px // 2 - size // 2
    result = torch.zeros(2, height_px, height_px)
    fine = 60  # each pixel of the result is the mean of so many squared points
    for row in range(height_px):
        for column in range(height_px):
            rows = [int(first + (row + (k + 0.5) / fine) * size / height_px) for k in range(fine)]
            columns = [int(left + (column + (k + 0.5) / fine) * size / height_px) for k in range(fine)]
            if min(columns) >= 0 and max(columns) < canvas_px:
                result[:, row, column] = canvas[:, rows][:, :, columns].mean(dim=(1, 2))
    cut = (height_px - width_px) // 2
    return result[:, :, cut : cut + width_px]


@pytest.mark.parametrize("seed", range(2))
def test_agrees_with_a_slow_version(seed: int) -> None:
    joints = skeletons(seed=seed)
    torch.testing.assert_close(
        skeleton_map(joints, **SMALL)[0, :, 0], slow_map(joints[0, :, 0], **SMALL), rtol=0.0, atol=0.01
    )


def test_place_and_size_in_the_image_do_not_matter() -> None:
    joints = skeletons(2, 3)
    moved = joints.clone()
    moved[:, :2] = 2.5 * moved[:, :2] + torch.tensor([70.0, -30.0])[:, None, None]
    torch.testing.assert_close(skeleton_map(moved), skeleton_map(joints), rtol=1e-3, atol=1e-3)


def test_frames_do_not_know_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    joints = skeletons(2, 3)
    together = skeleton_map(joints, **SMALL)
    monkeypatch.setitem(sys.modules["gaitbench.layers.skeleton_map"]._PIXELS_AT_ONCE, "cpu", 1)
    assert torch.equal(skeleton_map(joints, **SMALL), together)
    alone = skeleton_map(joints[1:, :, 2:], **SMALL)
    torch.testing.assert_close(alone[0, :, 0], together[1, :, 2])
    assert not torch.equal(together[0, :, 0], together[0, :, 1])


def test_columns_are_those_in_the_middle_of_the_square() -> None:
    joints = skeletons(1, 2)
    torch.testing.assert_close(
        skeleton_map(joints, width_px=44), skeleton_map(joints, width_px=64)[..., 10:54], rtol=1e-6, atol=1e-6
    )


def test_confidence_is_the_height_of_the_peak() -> None:
    joints = skeletons(1, 1)
    joints[:, 2] = 1
    sure = skeleton_map(joints)
    joints[:, 2] = 0.25
    torch.testing.assert_close(skeleton_map(joints), 0.25 * sure)
    joints[:, 2] = 3
    torch.testing.assert_close(skeleton_map(joints), sure)
    assert 0.9 < sure.max() <= 1
    assert sure.min() == 0


@pytest.mark.parametrize("how", ["no-place", "no-confidence"])
def test_missing_joints_are_neither_drawn_nor_measured(how: str) -> None:
    joints = skeletons(1, 1)
    joints[:, 1, :, 16] = 900.0  # an ankle far away would shrink everybody
    if how == "no-place":
        joints[:, :2, :, 16] = 0
    else:
        joints[:, 2, :, 16] = 0
    without = [limb for limb in COCO_LIMBS if 16 not in limb]
    torch.testing.assert_close(skeleton_map(joints), skeleton_map(joints[..., :16], limbs=without))


@pytest.mark.parametrize("hips_seen", [0, 1])
def test_the_centre_without_hips(hips_seen: int) -> None:
    joints = skeletons(1, 1)
    joints[:, 2, :, 12] = 0
    if not hips_seen:
        joints[:, 2, :, 11] = 0
    centre = (
        joints[0, :2, 0, 11] if hips_seen else joints[0, :2, 0, [v for v in range(17) if v not in (11, 12)]].mean(1)
    )
    shifted = joints.clone()
    shifted[0, :2, 0, 12] = centre  # what is not seen has no say
    torch.testing.assert_close(skeleton_map(shifted), skeleton_map(joints))
    both = joints.clone()
    both[0, :2, 0, 11:13] = centre[:, None]
    both[0, 2, 0, 11:13] = joints[0, 2, 0, 11:13].clamp_min(1e-30)  # seen, but too faint to show
    torch.testing.assert_close(skeleton_map(both), skeleton_map(joints), rtol=1e-4, atol=1e-4)


def test_an_empty_frame_is_black_and_a_point_is_finite() -> None:
    joints = torch.zeros(1, 3, 2, 17)
    joints[:, :, 1] = torch.tensor([50.0, 60.0, 1.0])[:, None]
    maps = skeleton_map(joints)
    assert maps[:, :, 0].abs().max() == 0
    assert maps.isfinite().all()
    assert maps[:, :, 1].amax() > 0.9


def test_mixed_precision_leaves_it_alone() -> None:
    joints = skeletons(1, 2)
    expected = skeleton_map(joints)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(skeleton_map(joints), expected)
    assert not skeleton_map(joints.requires_grad_()).requires_grad


def test_shapes_are_checked() -> None:
    with pytest.raises(ShapeError, match=r"got \[1, 2, 5, 17\]"):
        skeleton_map(torch.zeros(1, 2, 5, 17))
    with pytest.raises(ShapeError, match="45 columns cannot be cut equally out of 64"):
        skeleton_map(torch.zeros(1, 3, 5, 17), width_px=45)
