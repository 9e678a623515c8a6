"""Walking bodies: joints within what joints do, feet on the ground, strides that agree with contact."""

import numpy as np
import pytest

from gaitbench.walkers.curves import LEG_CURVES, basis, fit, normative_limbs, shift
from gaitbench.walkers.motion import INDEX, Pose, sole_radii, walk
from gaitbench.walkers.options import WalkersOptions
from gaitbench.walkers.people import Body, Gait, draw_person, stack

PHASE = np.arange(100) / 100


def walkers(**options: float) -> tuple[Body, Gait, Pose]:
    chosen = WalkersOptions(**options)
    people = [draw_person(chosen, f"{i:04d}") for i in range(1, 41)]
    body, gait = stack([p.body for p in people]), stack([p.gait for p in people])
    return body, gait, walk(body, gait, np.broadcast_to(PHASE, (len(people), len(PHASE))))


def soles(body: Body, pose: Pose) -> np.ndarray:
    """Lowest points ``[B, T, 2 sides, 3 points, 3]``."""
    names = [[f"{part}_{side}" for part in ("heel", "ball", "toe")] for side in ("left", "right")]
    points = pose.joints[:, :, [[INDEX[n] for n in row] for row in names]].copy()
    points[..., 2] -= sole_radii(body)[:, None, None]
    return points


@pytest.mark.parametrize("name", LEG_CURVES)
def test_curves_fit_their_samples(name: str) -> None:
    samples = np.array(LEG_CURVES[name])
    error = basis(np.arange(20) / 20) @ fit(LEG_CURVES[name]) - samples
    assert np.sqrt((error**2).mean()) < 0.7
    assert abs(error).max() < 1.3


def test_shifting_a_curve_delays_it() -> None:
    curves = normative_limbs()
    np.testing.assert_allclose(basis(PHASE) @ shift(curves, 0.2)[1], basis(PHASE - 0.2) @ curves[1], atol=1e-9)


def test_bodies_are_as_tall_as_they_say() -> None:
    body, _, _ = walkers()
    height = body.thigh + body.shank + body.foot_height + body.trunk + body.neck + body.head
    np.testing.assert_allclose(height, body.stature, rtol=1e-12)


def test_the_norm_walks_as_adults_do() -> None:
    body, gait, pose = walkers(spread=0, attribute_effect=0)
    speed = pose.stride * gait.cadence / 120
    assert ((pose.stride / body.stature > 0.68) & (pose.stride / body.stature < 0.9)).all()
    assert ((speed > 0.95) & (speed < 1.5)).all()


def test_soles_meet_the_ground_and_do_not_go_through_it() -> None:
    body, _, pose = walkers()
    lowest = soles(body, pose)[..., 2].min(axis=(2, 3))
    assert lowest.min() > -0.004
    assert np.quantile(lowest, 0.98) < 0.01


def test_the_carrying_foot_stands_still() -> None:
    body, _, pose = walkers()
    points = soles(body, pose)
    single = slice(18, 42)  # the right foot alone on the ground
    moved = (points[:, 2:, 1] - points[:, :-2, 1])[:, single] * 50  # metres per cycle
    lowest = points[:, 1:-1, 1, :, 2][:, single].argmin(axis=-1)
    slip = np.linalg.norm(np.take_along_axis(moved, lowest[..., None, None], 2)[..., 0, :2], axis=-1)
    assert np.median(slip / pose.stride[:, None]) < 0.06
    assert np.quantile(slip / pose.stride[:, None], 0.95) < 0.3


def test_a_cycle_later_everything_is_a_stride_ahead() -> None:
    body, gait, pose = walkers()
    later = walk(body, gait, np.broadcast_to(PHASE + 1, (40, 100)))
    ahead = later.joints - pose.joints
    np.testing.assert_allclose(ahead[..., 0], np.broadcast_to(pose.stride[:, None, None], ahead.shape[:3]), atol=1e-9)
    np.testing.assert_allclose(ahead[..., 1:], 0, atol=1e-9)
    assert (pose.stride > 0.3).all()


def test_knees_bend_one_way_and_not_too_far() -> None:
    body, _, pose = walkers()
    for side in ("left", "right"):
        hip, knee, ankle = (pose.joint(f"{part}_{side}") for part in ("hip", "knee", "ankle"))
        thigh, shank = knee - hip, ankle - knee
        cosine = (thigh * shank).sum(-1) / np.linalg.norm(thigh, axis=-1) / np.linalg.norm(shank, axis=-1)
        assert np.rad2deg(np.arccos(np.clip(cosine, -1, 1))).max() < 85
        np.testing.assert_allclose(np.linalg.norm(thigh, axis=-1) / body.thigh[:, None], 1, atol=0.002)
        np.testing.assert_allclose(np.linalg.norm(shank, axis=-1) / body.shank[:, None], 1, atol=0.002)
        straight = hip + 0.5 * (ankle - hip)
        assert ((knee - straight)[..., 0] > -0.03).all(), "a knee points backward"


def test_arms_have_their_lengths_whatever_the_hands_do() -> None:
    body, gait, pose = walkers()
    assert {0.0, 1.0, 2.0} == set(gait.hands.tolist())
    for side in ("left", "right"):
        shoulder, elbow, wrist = (pose.joint(f"{part}_{side}") for part in ("shoulder", "elbow", "wrist"))
        np.testing.assert_allclose(
            np.linalg.norm(elbow - shoulder, axis=-1), body.upper_arm[:, None] + 0 * PHASE, rtol=1e-6
        )
        np.testing.assert_allclose(np.linalg.norm(wrist - elbow, axis=-1), body.forearm[:, None] + 0 * PHASE, rtol=1e-6)
