"""From a manner of walking to joint positions: kinematics with feet that stand where they stand.

The walker's frame: x forward, y left, z up, the ground at z = 0, metres. Legs are swung under the pelvis first; then
the pelvis is put so high that the sole of the carrying foot touches the ground, moved forward as fast as that sole goes
backward, so stride length and contact agree by construction; and a swinging foot is lifted clear of the ground.

Axes: B sequences, T frames, J joints (:data:`JOINTS`), 2 sides (left, right).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gaitbench.walkers.curves import basis
from gaitbench.walkers.people import (
    ANKLE,
    ELBOW,
    HIP,
    KNEE,
    OBLIQUITY,
    PELVIS_ROTATION,
    SHOULDER,
    SWAY,
    THORAX_ROTATION,
    Body,
    Gait,
)

__all__ = ["INDEX", "JOINTS", "Pose", "sole_radii", "walk"]

Array = NDArray[np.float64]

PELVIC_TILT_DEG = 10.0
CONTACT_SOFTNESS_M = 0.012
SWING_PENALTY_M = 0.15
NUM_PHASES = 48

JOINTS = (
    *("pelvis", "waist", "neck", "head_base", "head_top"),
    *(f"{name}_{side}" for name in ("hip", "knee", "ankle", "heel", "ball", "toe") for side in ("left", "right")),
    *(f"{name}_{side}" for name in ("shoulder", "elbow", "wrist", "hand") for side in ("left", "right")),
)
INDEX = {name: i for i, name in enumerate(JOINTS)}


class Pose(NamedTuple):
    """Joints and axes of every frame in the walker's frame; ``[..., 3, 3]`` columns are forward, left and up."""

    joints: Array
    """``[B, T, J, 3]``."""
    pelvis_axes: Array
    thorax_axes: Array
    head_axes: Array
    foot_axes: Array
    """``[B, T, 2, 3, 3]``."""
    stride: Array
    """``[B]`` metres per cycle."""

    def joint(self, name: str) -> Array:
        """Give the positions of one joint, ``[B, T, 3]``."""
        return np.asarray(self.joints[:, :, INDEX[name]])


def rotation(axis: str, degrees: Array) -> Array:
    """Give rotation matrices about a coordinate axis: ``[...]`` degrees to ``[..., 3, 3]``.

    Example:
        >>> rotation("z", np.array(90.0)).round(6) @ np.array([1.0, 0.0, 0.0])
        array([0., 1., 0.])
    """
    radians = np.deg2rad(degrees)
    matrix = np.zeros((*np.shape(degrees), 3, 3))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    k = 3 - i - j
    matrix[..., k, k] = 1
    matrix[..., i, i] = matrix[..., j, j] = np.cos(radians)
    matrix[..., j, i] = np.sin(radians)
    matrix[..., i, j] = -np.sin(radians)
    return np.asarray(matrix)


def sole_radii(body: Body) -> Array:
    """Give the radii of heel, ball and toe, ``[B, 3]``."""
    return np.asarray(body.stature[:, None] * np.array([0.0175, 0.0150, 0.0115]))


class _Legs(NamedTuple):
    """Both legs relative to the middle of the hips: ``[B, T, 2, 3]``."""

    hip: Array
    knee: Array
    ankle: Array
    heel: Array
    ball: Array
    toe: Array
    foot_axes: Array
    pelvis_axes: Array


def walk(body: Body, gait: Gait, phase: Array) -> Pose:
    """Pose walkers.

    Args:
        body: Batch of bodies.
        gait: Batch of gaits.
        phase: ``[B, T]`` cycles since the right heel strike; need not lie in [0, 1).

    Returns:
        Joints with the ground at z = 0. x is the way walked since phase 0.
    """
    legs, level, _, _ = _stand(body, gait, phase)
    forward, sideways, stride = _progress(body, gait, phase)
    root = np.stack([forward, sideways, -level], axis=-1)  # [B, T, 3]

    trunk = _evaluate(gait.trunk, phase)  # [B, 4, T]
    sway, yaw = trunk[:, SWAY], trunk[:, THORAX_ROTATION]
    pelvis_axes = legs.pelvis_axes
    lean = np.broadcast_to(gait.lean[:, None], phase.shape)
    hump = np.broadcast_to(gait.hump[:, None], phase.shape)
    low_axes = rotation("x", 0.5 * sway) @ rotation("y", lean - 0.25 * hump)
    thorax_axes = rotation("z", yaw) @ rotation("x", sway) @ rotation("y", lean + 0.75 * hump)
    waist = root + 0.40 * body.trunk[:, None, None] * low_axes[..., 2]
    neck = waist + 0.60 * body.trunk[:, None, None] * thorax_axes[..., 2]

    girdle_axes = thorax_axes @ rotation("x", np.broadcast_to(gait.shoulder_tilt[:, None], phase.shape))
    neck_pitch = np.broadcast_to((gait.neck_pitch + 0.3 * gait.hump)[:, None], phase.shape)
    neck_axes = rotation("x", 0.5 * sway) @ rotation("y", 0.4 * lean + neck_pitch)
    head_pitch = 0.25 * (neck_pitch - 12) + 0.3 * lean
    head_axes = rotation("x", 0.4 * sway + 0.15 * gait.shoulder_tilt[:, None]) @ rotation("y", head_pitch)
    head_base = neck + body.neck[:, None, None] * neck_axes[..., 2]
    head_top = head_base + body.head[:, None, None] * head_axes[..., 2]

    arms = _swing_arms(body, gait, phase, girdle_axes, neck, root, pelvis_axes)
    sides = [root[:, :, None] + part for part in legs[:6]]
    columns = [root, waist, neck, head_base, head_top]
    columns += [part[:, :, side] for part in (*sides, *arms) for side in range(2)]
    return Pose(np.stack(columns, axis=2), pelvis_axes, thorax_axes, head_axes, legs.foot_axes, stride)


def _evaluate(series: Array, phase: Array) -> Array:
    """Evaluate ``[B, C, 11]`` series at ``[B, T]`` phases: ``[B, C, T]``."""
    return np.asarray(np.einsum("bck,btk->bct", series, basis(phase)))


def _side_angles(gait: Gait, phase: Array) -> Array:
    """Evaluate the limbs' curves: ``[B, 5, T, 2]``, each side over its own cycle."""
    left = _evaluate(gait.limbs[:, 0], phase - gait.left_delay[:, None])
    right = _evaluate(gait.limbs[:, 1], phase)
    return np.stack([left, right], axis=-1)


def _swing_legs(body: Body, gait: Gait, phase: Array) -> _Legs:
    """Place both legs under a pelvis at the origin."""
    angles = _side_angles(gait, phase)
    trunk = _evaluate(gait.trunk, phase)
    pelvis_axes = rotation("z", trunk[:, PELVIS_ROTATION]) @ rotation("x", trunk[:, OBLIQUITY])
    outward = np.array([1.0, -1.0])  # y of left and right
    hip = (body.hip_half[:, None] * outward)[:, None, :, None] * pelvis_axes[:, :, None, :, 1]

    shape = (*phase.shape, 2)
    spread = np.broadcast_to((gait.leg_spread[:, None] * outward)[:, None], shape)
    toe = np.broadcast_to((gait.toe_out * outward)[:, None], shape)
    thigh_axes = rotation("x", spread) @ rotation("z", 0.35 * toe) @ rotation("y", PELVIC_TILT_DEG - angles[:, HIP])
    knee_deg = _limit_knee(angles[:, KNEE])
    shank_axes = thigh_axes @ rotation("y", knee_deg)
    foot_axes = shank_axes @ rotation("z", 0.65 * toe) @ rotation("y", -angles[:, ANKLE])
    knee = hip - body.thigh[:, None, None, None] * thigh_axes[..., 2]
    ankle = knee - body.shank[:, None, None, None] * shank_axes[..., 2]

    length, height, radius = body.foot_length, body.foot_height, sole_radii(body)

    def on_foot(forward: Array, down: Array) -> Array:
        offset = forward[:, None, None, None] * foot_axes[..., 0] - down[:, None, None, None] * foot_axes[..., 2]
        return np.asarray(offset)

    heel = ankle + on_foot(-0.17 * length, height - radius[:, 0])
    ball = ankle + on_foot(0.50 * length, height - radius[:, 1])
    # Toes stay on the ground while the heel rises: they bend against the foot, up to 30 degrees.
    pitch = np.rad2deg(np.arcsin(np.clip(-foot_axes[..., 2, 0], -1, 1)))
    toe_axes = foot_axes @ rotation("y", -0.9 * np.clip(pitch, 0, 30))
    toe_length = (0.25 * length)[:, None, None, None]
    sink = (radius[:, 1] - radius[:, 2])[:, None, None, None]
    toes = ball + toe_length * toe_axes[..., 0] - sink * toe_axes[..., 2]
    return _Legs(hip, knee, ankle, heel, ball, toes, foot_axes, pelvis_axes)


def _limit_knee(degrees: Array) -> Array:
    """Keep knees from bending backward, and bend them ever less beyond 52 degrees, never above 66."""
    bent = 52 + 14 * np.tanh(np.maximum(degrees - 52, 0.0) / 14)
    return np.asarray(np.where(degrees < 52, np.maximum(degrees, 0.0), bent))


def _soles(body: Body, legs: _Legs) -> Array:
    """Give the lowest points of heel, ball and toe, ``[B, T, 2, 3 points, 3]``, relative to the middle of the hips."""
    points = np.stack([legs.heel, legs.ball, legs.toe], axis=3)
    points[..., 2] -= sole_radii(body)[:, None, None]
    return points


class _Stance(NamedTuple):
    """Legs whose standing foot carries and whose swinging foot clears the ground."""

    legs: _Legs
    level: Array
    """``[B, T]`` height of the ground under the middle of the hips, negative."""
    points: Array
    """``[B, T, 2, 3, 3]`` lowest points of the soles."""
    weight: Array
    """``[B, T, 2, 3]`` share of each point in carrying; sums to 1."""


def _stand(body: Body, gait: Gait, phase: Array) -> _Stance:
    """Find the ground under swinging legs, and lift a swinging foot that would go through it."""
    legs = _swing_legs(body, gait, phase)
    points = _soles(body, legs)
    cycle = np.mod(np.stack([phase - gait.left_delay[:, None], phase], axis=-1), 1.0)  # [B, T, 2]
    # A foot carries from heel strike to a little over 60 % of its cycle; it takes over and lets go smoothly.
    loading = np.where(cycle > 0.8, cycle - 1, cycle)
    carries = _ramp(loading, -0.04, 0.03) * (1 - _ramp(loading, 0.58, 0.66))
    height = points[..., 2] + SWING_PENALTY_M * (1 - carries[..., None])
    lowest = height.min(axis=(2, 3), keepdims=True)
    weight = np.exp((lowest - height) / CONTACT_SOFTNESS_M)
    weight /= weight.sum(axis=(2, 3), keepdims=True)
    level = (weight * points[..., 2]).sum(axis=(2, 3))

    # Carrying feet come down, or up, to the ground; swinging ones are only lifted.
    gap = level[..., None] - points[..., 2].min(axis=-1)  # [B, T, 2]
    room = gait.clearance[:, None, None] * (1 - carries)
    lift = _within_reach(body, legs, carries * gap + (1 - carries) * np.maximum(gap + room, 0.0))
    points[..., 2] += lift[..., None]
    return _Stance(_lift(body, legs, lift), level, points, weight)


def _ramp(value: Array, start: float, end: float) -> Array:
    """Rise smoothly from 0 at ``start`` to 1 at ``end``."""
    share = np.clip((value - start) / (end - start), 0, 1)
    return np.asarray(share * share * (3 - 2 * share))


def _within_reach(body: Body, legs: _Legs, lift: Array) -> Array:
    """Limit how far feet are lowered by the length of the stretched leg."""
    line = legs.ankle - legs.hip
    longest = 0.999 * (body.thigh + body.shank)[:, None, None]
    deepest = np.sqrt(np.maximum(longest**2 - (line[..., :2] ** 2).sum(axis=-1), 0.0))
    return np.asarray(np.maximum(lift, -np.maximum(deepest + line[..., 2], 0.0)))


def _lift(body: Body, legs: _Legs, lift: Array) -> _Legs:
    """Move feet up or down by bending hip and knee, in the plane that the leg moves in."""
    up = np.stack([0 * lift, 0 * lift, lift], axis=-1)  # [B, T, 2, 3]
    ankle = legs.ankle + up
    line = ankle - legs.hip
    distance = np.linalg.norm(line, axis=-1, keepdims=True)
    line = line / distance
    thigh, shank = body.thigh[:, None, None, None], body.shank[:, None, None, None]
    along = (thigh**2 - shank**2 + distance**2) / (2 * distance)
    aside = np.sqrt(np.maximum(thigh**2 - along**2, 0.0))
    front = np.cross(line, np.cross(legs.foot_axes[..., 0], line))
    front = front / np.linalg.norm(front, axis=-1, keepdims=True)
    knee = np.where(lift[..., None] != 0, legs.hip + along * line + aside * front, legs.knee)
    return legs._replace(knee=knee, ankle=ankle, heel=legs.heel + up, ball=legs.ball + up, toe=legs.toe + up)


def _progress(body: Body, gait: Gait, phase: Array) -> tuple[Array, Array, Array]:
    """Integrate the way of the pelvis from the motion of the standing soles.

    Returns:
        x and y at ``phase``, ``[B, T]``, and the stride length ``[B]``.
    """
    grid = np.arange(NUM_PHASES) / NUM_PHASES
    _, _, points, weight = _stand(body, gait, np.broadcast_to(grid, (len(phase), NUM_PHASES)))
    speed = (np.roll(points, -1, axis=1) - np.roll(points, 1, axis=1))[..., :2] * (NUM_PHASES / 2)
    pelvis_speed = -(weight[..., None] * speed).sum(axis=(2, 3))  # [B, K, 2] metres per cycle
    spectrum = np.fft.rfft(pelvis_speed, axis=1) / NUM_PHASES
    stride = spectrum[:, 0, 0].real
    order = np.arange(1, 9)
    integral = spectrum[:, 1:9] / (2j * np.pi * order[:, None])  # [B, 8, 2]
    wave = np.exp(2j * np.pi * phase[..., None] * order)  # [B, T, 8]
    ripple = 2 * np.einsum("btk,bkd->btd", wave, integral).real
    return stride[:, None] * phase + ripple[..., 0], ripple[..., 1], stride


def _swing_arms(
    body: Body, gait: Gait, phase: Array, girdle_axes: Array, neck: Array, root: Array, pelvis_axes: Array
) -> tuple[Array, Array, Array, Array]:
    """Place shoulders, elbows, wrists and finger tips, each ``[B, T, 2, 3]``."""
    angles = _side_angles(gait, phase)
    outward = np.array([1.0, -1.0])
    half = (body.shoulder_half[:, None] * outward)[:, None, :, None]
    drop = (0.10 * body.trunk)[:, None, None, None]
    shoulder = neck[:, :, None] + half * girdle_axes[:, :, None, :, 1] - drop * girdle_axes[:, :, None, :, 2]

    flexion = angles[:, SHOULDER]  # [B, T, 2]
    cross = gait.arm_cross[:, None, None] * np.maximum(flexion, -10)
    abduction = (gait.arm_abduction[:, None] - cross) * outward
    turn = np.broadcast_to((-gait.arm_turn * outward)[:, None], flexion.shape)
    yaw = 0.5 * _evaluate(gait.trunk, phase)[:, THORAX_ROTATION, :, None]
    upper_axes = rotation("z", np.broadcast_to(yaw, flexion.shape)) @ rotation("x", abduction)
    upper_axes = upper_axes @ rotation("y", -flexion)
    fore_axes = upper_axes @ rotation("z", turn) @ rotation("y", -np.maximum(angles[:, ELBOW], 2.0))
    upper, fore = body.upper_arm[:, None, None, None], body.forearm[:, None, None, None]
    elbow = shoulder - upper * upper_axes[..., 2]
    wrist = elbow - fore * fore_axes[..., 2]
    hand_length = (body.hand * np.where(body.fist > 0, 0.55, 1.0))[:, None, None, None]
    hand = wrist - hand_length * fore_axes[..., 2]

    for kind, (forward, side, up, tip) in {
        1: (0.35, 1.02, 0.13, (0.4, -0.25, -0.9)),
        2: (-1.05, 0.25, 0.22, (-0.1, -0.95, 0.1)),
    }.items():
        chosen = (gait.hands == kind)[:, None, None, None]
        if not chosen.any():
            continue
        scale = body.pelvis[:, None, None, None]
        depth = 0.75 * scale
        target = root[:, :, None] + depth * forward * pelvis_axes[:, :, None, :, 0]
        target = target + scale * side * outward[:, None] * pelvis_axes[:, :, None, :, 1]
        target = target + up * body.trunk[:, None, None, None] * np.array([0.0, 0.0, 1.0])
        reached, bent = _reach(shoulder, target, upper, fore, outward)
        along = np.array([tip[0], 0.0, tip[2]]) + tip[1] * outward[:, None] * np.array([0.0, 1.0, 0.0])
        elbow, wrist = np.where(chosen, bent, elbow), np.where(chosen, reached, wrist)
        hand = np.where(chosen, reached + 0.75 * hand_length * along, hand)
    return shoulder, elbow, wrist, hand


def _reach(shoulder: Array, target: Array, upper: Array, fore: Array, outward: Array) -> tuple[Array, Array]:
    """Bend the elbow backward and outward so that the wrist comes to the target; returns wrist and elbow."""
    line = target - shoulder
    distance = np.linalg.norm(line, axis=-1, keepdims=True)
    line = line / distance
    distance = np.clip(distance, np.abs(upper - fore) * 1.02, (upper + fore) * 0.985)
    along = (upper**2 - fore**2 + distance**2) / (2 * distance)
    aside = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
    pole = np.array([-1.0, 0.0, 0.0]) + 0.45 * outward[:, None] * np.array([0.0, 1.0, 0.0])  # [2, 3]
    pole = pole - (pole * line).sum(axis=-1, keepdims=True) * line
    pole = pole / np.linalg.norm(pole, axis=-1, keepdims=True)
    return shoulder + distance * line, shoulder + along * line + aside * pole
