"""One batch of recorded walks: who wears what, walks where, and stands where at each instant.

The sensor's frame: x forward, y left, z up, metres, the camera and the LiDAR at the origin.

Axes: B sequences, T camera frames, S solids.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gaitbench.sequence import SequenceInfo
from gaitbench.walkers.motion import Pose, walk
from gaitbench.walkers.options import WalkersOptions
from gaitbench.walkers.people import Gait, Person, stack, vary_gait
from gaitbench.walkers.randomness import bounded_normal, stream
from gaitbench.walkers.rays import Solids
from gaitbench.walkers.solids import Outfit, build_solids

__all__ = ["Occluder", "Recording", "record"]

Array = NDArray[np.float64]

SENSOR_HEIGHT_M = 1.2


@dataclass(frozen=True, slots=True)
class Occluder:
    """What stands between sensor and walker; every field an array, with a batch axis once stacked."""

    x: Array
    """Distance from the sensor; infinite without one."""
    y_low: Array
    y_high: Array
    z_high: Array
    """It reaches from the ground up to here."""

    def pick(self, index: NDArray[np.int64]) -> "Occluder":
        """Give those of some sequences, ``[N]`` indices."""
        return Occluder(self.x[index], self.y_low[index], self.y_high[index], self.z_high[index])

    def hides(self, left: Array, up: Array) -> NDArray[np.bool_]:
        """Tell which directions it covers.

        Args:
            left: ``[B, ...]`` y per x of the directions.
            up: ``[B, ...]`` z per x.
        """
        x, low, high, top = (
            v.reshape(-1, *(1,) * (left.ndim - 1)) for v in (self.x, self.y_low, self.y_high, self.z_high)
        )
        at = np.where(np.isfinite(x), x, 1.0)
        return np.asarray(np.isfinite(x) & (left * at > low) & (left * at < high) & (up * at < top))


@dataclass(frozen=True, slots=True)
class _Course:
    """Where and when one recording walks; every field an array."""

    distance: Array
    sideways: Array
    heading: Array
    """Radians of the walking direction in the sensor's frame."""
    phase: Array
    """At the middle frame."""
    ground: Array
    """z of the ground."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A batch of walks in the sensor's frame, free of measurement errors."""

    infos: tuple[SequenceInfo, ...]
    people: tuple[Person, ...]
    outfit: Outfit
    solids: Solids
    """Frames of all sequences follow each other: ``F = B * T``."""
    joints: Array
    """``[B, T, J, 3]``, named by :data:`gaitbench.walkers.motion.JOINTS`."""
    head_axes: Array
    """``[B, T, 3, 3]``, columns forward, left, up of the head."""
    occluder: Occluder
    ground: Array
    """``[B]`` z of the ground."""
    pose: Pose
    """The same walk in the walker's frame."""

    @property
    def num_frames(self) -> int:
        """Frames per sequence."""
        return int(self.joints.shape[1])


def record(
    options: WalkersOptions,
    infos: Sequence[SequenceInfo],
    person: Callable[[str], Person],
    *,
    every: int = 1,
) -> Recording:
    """Let people walk past the sensor.

    Args:
        options: The dataset's.
        infos: What to record.
        person: Gives the person of a subject id.
        every: Keep every so many-th instant: 2 gives those of the LiDAR.
    """
    people = tuple(person(info.subject_id) for info in infos)
    outfits = [draw_outfit(options, info) for info in infos]
    walks = [_draw_walk(options, info, who, outfit) for info, who, outfit in zip(infos, people, outfits, strict=True)]
    gait, course = stack([w[0] for w in walks]), stack([w[1] for w in walks])
    body, outfit = stack([p.body for p in people]), stack(outfits)
    occluder = stack([_draw_occluder(options, info, c[1]) for info, c in zip(infos, walks, strict=True)])

    time = (np.arange(0, options.num_frames, every) - (options.num_frames - 1) / 2) / options.camera_rate_hz
    phase = course.phase[:, None] + time * (gait.cadence / 120)[:, None]  # [B, T]
    pose = walk(body, gait, phase)
    # Walks are centred in time: the pelvis crosses the middle of the course in the middle of the clip.
    centre = (pose.stride * course.phase)[:, None, None]
    cos, sin, zero = np.cos(course.heading), np.sin(course.heading), np.zeros(len(infos))
    turn = np.stack([np.stack([cos, -sin, zero], -1), np.stack([sin, cos, zero], -1), [[0, 0, 1.0]] * len(infos)], 1)
    place = np.stack([course.distance, course.sideways, course.ground], -1)

    def to_sensor(points: Array) -> Array:
        flat = points.reshape(len(infos), -1, 3) - centre * np.array([1.0, 0, 0])
        return np.asarray(np.einsum("bij,bnj->bni", turn, flat) + place[:, None]).reshape(points.shape)

    solids = build_solids(body, pose, outfit)
    num = (len(infos), len(time))
    shape = np.einsum("bij,btsjk->btsik", turn, solids.shape.reshape(*num, *solids.shape.shape[1:]))
    solids = solids._replace(
        centre=to_sensor(solids.centre.reshape(*num, -1, 3)).reshape(solids.centre.shape),
        other=to_sensor(solids.other.reshape(*num, -1, 3)).reshape(solids.other.shape),
        shape=shape.reshape(solids.shape.shape),
    )
    head_axes = np.einsum("bij,btjk->btik", turn, pose.head_axes)
    return Recording(
        tuple(infos), people, outfit, solids, to_sensor(pose.joints), head_axes, occluder, course.ground, pose
    )


def draw_outfit(options: WalkersOptions, info: SequenceInfo) -> Outfit:
    """Draw what is worn and carried; the views of one take share it."""
    rng = stream(options.seed, info.subject_id, info.condition, "outfit")
    group = info.condition.split("-")[0]
    return Outfit(
        coat=np.asarray(float(group == "cl")),
        coat_length=np.asarray(rng.uniform(0.0, 0.95)),
        coat_thickness=np.asarray(rng.uniform(0.018, 0.05)),
        coat_flare=np.asarray(rng.uniform(0.0, 0.06)),
        cloth=np.asarray(rng.uniform(0.004, 0.014)),
        bag=np.asarray(float(rng.integers(1, 4)) if group == "bg" else 0.0),
        bag_side=np.asarray(rng.choice([-1.0, 1.0])),
        bag_size=np.asarray(rng.uniform(0.8, 1.25)),
        shoe=np.asarray(rng.uniform(0.004, 0.010)),
    )


def _draw_walk(options: WalkersOptions, info: SequenceInfo, person: Person, outfit: Outfit) -> tuple[Gait, _Course]:
    """Draw how and where one recording walks."""
    rng = stream(options.seed, info.subject_id, info.condition, info.view, "walk")
    gait = vary_gait(person.gait, rng, options.take_variation)
    if outfit.bag >= 2:
        side = 0 if outfit.bag_side > 0 else 1
        held = outfit.bag == 3
        gait.limbs[side, 3:, 1:] *= 0.3 if held else 0.55
        if held:
            gait.limbs[side, 4, 0] = min(gait.limbs[side, 4, 0], 12.0)
            gait = _replace(gait, hands=np.asarray(0.0))
        else:
            gait.arm_abduction[side] += 7.0
        gait = _replace(gait, shoulder_tilt=gait.shoulder_tilt - (2.5 if held else -2.0) * outfit.bag_side)
    elif outfit.bag == 1:
        gait = _replace(gait, lean=gait.lean + 3.0)
    if outfit.coat:
        gait.arm_abduction[:] += 3.0 + 60 * outfit.coat_thickness
    group = info.condition.split("-")[0]
    low, high = {"dn": options.near_range_m, "df": options.far_range_m}.get(group, options.range_m)
    view = np.deg2rad(info.view_deg + 4.0 * options.take_variation * float(bounded_normal(rng)))
    sideways = rng.uniform(-0.3, 0.3)
    distance = rng.uniform(low, high)
    course = _Course(
        distance=np.asarray(distance),
        sideways=np.asarray(sideways),
        # View 0 comes towards the sensor, 90 walks to the left; angles are counted from the line of sight.
        heading=np.asarray(np.pi - view + np.arctan2(sideways, distance)),
        phase=np.asarray(rng.random()),
        ground=np.asarray(-SENSOR_HEIGHT_M + 0.02 * float(bounded_normal(rng))),
    )
    return gait, course


def _draw_occluder(options: WalkersOptions, info: SequenceInfo, course: _Course) -> Occluder:
    """Draw a post that is walked past, or a low wall that hides the feet; none outside the condition ``oc``."""
    rng = stream(options.seed, info.subject_id, info.condition, info.view, "occluder")
    is_wall, gap, width, height, shift = rng.random() < 0.5, *rng.random(4)
    if not info.condition.startswith("oc"):
        nothing = np.asarray(np.inf)
        return Occluder(nothing, nothing, nothing, nothing)
    share = (1.6 + 0.5 * gap) / course.distance
    x = course.distance * (1 - share)
    if is_wall:
        # Heights are those of the hidden part at the walker's distance.
        top = course.ground + 0.25 + 0.35 * height
        return Occluder(x, np.asarray(-50.0), np.asarray(50.0), np.asarray(top * (1 - share)))
    half = 0.5 * (0.12 + 0.14 * width) * (1 - share)
    middle = (course.sideways + 0.5 * (shift - 0.5)) * (1 - share)
    return Occluder(x, np.asarray(middle - half), np.asarray(middle + half), np.asarray(50.0))


def _replace(gait: Gait, **changes: Array) -> Gait:
    """Give a gait with some fields changed."""
    return Gait(**{name: changes.get(name, getattr(gait, name)) for name in Gait.__slots__})
