"""Who walks: body and manner of walking of a subject, and how a recording varies them.

Lengths are metres, angles degrees. Every field of :class:`Body` and :class:`Gait` is an array; :func:`stack` puts a
batch axis B in front, so that everything later works on whole batches.

Axes: B sequences, 2 sides (left, right).

Source:
    Segment lengths as fractions of stature: Drillis and Contini, "Body segment parameters", 1966, as printed in Winter,
    "Biomechanics and Motor Control of Human Movement". Girths and spreads are ours, in the range of adults.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from gaitbench.walkers.attributes import HANDS_BEHIND_BACK, HANDS_IN_POCKETS, NOT_SWINGING, Traits, draw_traits
from gaitbench.walkers.curves import normative_limbs, normative_trunk, shift, wave
from gaitbench.walkers.options import WalkersOptions
from gaitbench.walkers.randomness import bounded_normal, stream

__all__ = ["Body", "Gait", "Person", "draw_person", "stack", "vary_gait"]

Array = NDArray[np.float64]
T = TypeVar("T")

HIP, KNEE, ANKLE, SHOULDER, ELBOW = range(5)
OBLIQUITY, PELVIS_ROTATION, SWAY, THORAX_ROTATION = range(4)


@dataclass(frozen=True, slots=True)
class Body:
    """Lengths and half-widths of one body in metres."""

    stature: Array
    thigh: Array
    shank: Array
    foot_height: Array
    foot_length: Array
    trunk: Array
    """From the middle of the hips to the base of the neck."""
    neck: Array
    head: Array
    """From chin to crown."""
    upper_arm: Array
    forearm: Array
    hand: Array
    hip_half: Array
    """Half the distance of the hip joints."""
    shoulder_half: Array
    chest: Array
    """Half-width; depths follow by fixed ratios."""
    waist: Array
    pelvis: Array
    belly: Array
    """How far the belly stands out."""
    bust: Array
    thigh_radius: Array
    knee_radius: Array
    calf_radius: Array
    ankle_radius: Array
    upper_arm_radius: Array
    forearm_radius: Array
    wrist_radius: Array
    neck_radius: Array
    head_half: Array
    """Half the breadth of the head."""
    hair: Array
    """Class of the attribute ``hair``."""
    fist: Array
    """1 for clenched hands."""


@dataclass(frozen=True, slots=True)
class Gait:
    """A manner of walking."""

    limbs: Array
    """``[2, 5, 11]`` series of hip, knee, ankle, shoulder, elbow, left side first, each over its own cycle."""
    trunk: Array
    """``[4, 11]`` series over the right foot's cycle."""
    cadence: Array
    """Steps per minute."""
    left_delay: Array
    """Phase of the left heel strike in the right foot's cycle; 0.5 when even."""
    lean: Array
    """Forward inclination of the whole trunk."""
    hump: Array
    """Extra forward bend of the upper back."""
    neck_pitch: Array
    shoulder_tilt: Array
    """Left shoulder up."""
    leg_spread: Array
    """Outward angle of both legs; negative brings the feet to the middle line."""
    clearance: Array
    """Metres that a swinging foot keeps from the ground."""
    toe_out: Array
    """``[2]``."""
    arm_abduction: Array
    """``[2]`` outward angle of the upper arm."""
    arm_turn: Array
    """``[2]`` inward turn of the forearm about the upper arm."""
    arm_cross: Array
    """Inward movement per degree of forward swing; negative moves outward."""
    hands: Array
    """0 hanging, 1 in the pockets, 2 behind the back."""


class Person(NamedTuple):
    """A subject."""

    body: Body
    gait: Gait
    traits: Traits
    labels: tuple[int, ...]
    """Class per attribute."""
    skin: Array
    """``[3]`` RGB in [0, 1]."""
    hair_colour: Array
    """``[3]`` RGB in [0, 1]."""


def stack(items: Sequence[T]) -> T:
    """Put dataclasses of arrays into one whose arrays have a batch axis in front."""
    kind = type(items[0])
    return kind(**{f.name: np.stack([getattr(item, f.name) for item in items]) for f in fields(kind)})  # type: ignore[arg-type]


def draw_person(options: WalkersOptions, subject_id: str) -> Person:
    """Draw a subject; the same for a seed and an id.

    Example:
        >>> person = draw_person(WalkersOptions(), "0001")
        >>> bool(1.2 < person.body.stature < 2.2), len(person.labels)
        (True, 15)
    """
    rng = stream(options.seed, subject_id, "person")
    traits = draw_traits(rng)
    body, bmi = _draw_body(rng, traits, options)
    gait = _draw_gait(rng, traits, options)
    skin = np.array([0.95, 0.76, 0.64]) * (0.35 + 0.65 * rng.random()) ** 0.8
    dark = np.array([0.16, 0.11, 0.08]) + np.array([0.55, 0.42, 0.25]) * rng.random() ** 2.5
    grey = np.full(3, 0.55 + 0.35 * rng.random())
    share = (0.0, 0.15, 0.85)[traits.age]
    labels = traits.labels(float(body.stature), bmi)
    return Person(body, gait, traits, labels, skin, dark * (1 - share) + grey * share)


def _draw_body(rng: np.random.Generator, traits: Traits, options: WalkersOptions) -> tuple[Body, float]:
    """Draw a body and its body-mass index."""
    spread, effect, is_female = options.spread, options.attribute_effect, traits.gender == 1

    def vary(percent: float) -> float:
        return float(np.exp(bounded_normal(rng) * spread * percent / 100))

    def blend(male: float, female: float) -> float:
        middle = (male + female) / 2
        return middle + ((female if is_female else male) - middle) * (0.6 + 0.7 * effect)

    mean, sd = (1.629, 0.064) if is_female else (1.756, 0.069)
    stature = float(np.clip(mean + sd * spread * bounded_normal(rng), 1.35, 2.08))
    bmi = float(np.clip(23.5 * vary(15) * (0.97, 1.06, 1.0)[traits.age], 16.0, 40.0))
    girth = (bmi / 22.0) ** (0.5 + 0.15 * effect)
    # Tall people have longer legs and smaller heads for their stature; images of one height show stature so.
    tall = (stature - 1.69) / 1.69 * effect
    leg = vary(2.2) * (1 + 0.35 * tall)
    shank, thigh = 0.246 * stature * leg * vary(1.8), 0.245 * stature * leg
    foot_height, head = 0.039 * stature, 0.2265 * (1 + 0.25 * tall) * vary(4.5)
    neck = 0.045 * stature * vary(6)
    trunk = stature - head - neck - shank - thigh - foot_height
    arm, breadth = vary(3.2), vary(4.2)
    limb = girth**0.8 * stature

    def girths(fraction: float) -> Array:
        return np.asarray(fraction * limb * vary(5))

    body = Body(
        stature=np.asarray(stature),
        thigh=np.asarray(thigh),
        shank=np.asarray(shank),
        foot_height=np.asarray(foot_height),
        foot_length=np.asarray(0.152 * stature * vary(3.4)),
        trunk=np.asarray(trunk),
        neck=np.asarray(neck),
        head=np.asarray(head),
        upper_arm=np.asarray(0.186 * stature * arm * vary(1.5)),
        forearm=np.asarray(0.146 * stature * arm * vary(1.5)),
        hand=np.asarray(0.098 * stature * arm),
        hip_half=np.asarray(0.050 * stature * blend(0.97, 1.05)),
        shoulder_half=np.asarray(0.106 * stature * breadth * blend(1.05, 0.94)),
        chest=np.asarray(0.090 * stature * girth * breadth * blend(1.05, 0.93)),
        waist=np.asarray(0.078 * stature * girth**1.2 * vary(5) * blend(1.05, 0.91)),
        pelvis=np.asarray(0.092 * stature * girth * vary(4.4) * blend(0.95, 1.07)),
        belly=np.asarray(0.5 * stature * 0.12 * max(0.0, girth - 1.08) * (1 + 0.4 * effect) * vary(10)),
        bust=np.asarray(0.024 * stature * girth * vary(12) * (effect if is_female else 0.0)),
        thigh_radius=girths(0.0475 * blend(0.97, 1.04)),
        knee_radius=girths(0.0315),
        calf_radius=girths(0.0325),
        ankle_radius=girths(0.0225),
        upper_arm_radius=girths(0.0280 * blend(1.05, 0.94)),
        forearm_radius=girths(0.0235 * blend(1.04, 0.95)),
        wrist_radius=girths(0.0165),
        neck_radius=girths(0.0345 * blend(1.06, 0.92)),
        head_half=np.asarray(0.345 * head * vary(3)),
        hair=np.asarray(float(traits.hair)),
        fist=np.asarray(float(traits.hands == 1)),
    )
    return body, bmi


def _draw_gait(rng: np.random.Generator, traits: Traits, options: WalkersOptions) -> Gait:
    """Draw a manner of walking around the norm, then apply what the attributes say."""
    spread, effect = options.spread, options.attribute_effect
    limbs, trunk = normative_limbs(), normative_trunk()

    # Identity: amplitude, offset, phase and shape of every curve, mostly alike on both sides.
    both, each = bounded_normal(rng, (5, 3)), bounded_normal(rng, (2, 5, 3))
    change = (both[None] + 0.25 * each) * spread
    limbs = shift(np.stack([limbs, limbs]), np.array([0.008, 0.008, 0.008, 0.012, 0.012]) * change[..., 2])
    limbs[..., 1:] *= np.exp(np.array([0.09, 0.07, 0.10, 0.25, 0.2]) * change[..., 0])[..., None]
    offset = np.array([2.2, 1.6, 1.2, 4.0, 7.0]) * change[..., 1]
    offset[:, KNEE] = np.maximum(offset[:, KNEE], -3.5)
    limbs[..., 0] += offset
    limbs[..., 2:4] += np.array([0.6, 1.0, 0.7, 0.7, 0.7])[:, None] * spread * bounded_normal(rng, (5, 2))
    trunk[:, 1:] *= np.exp(0.18 * spread * bounded_normal(rng, (4, 1)))
    trunk[SWAY] *= np.exp(0.3 * spread * bounded_normal(rng))
    cadence = 112 + 6.5 * spread * bounded_normal(rng) / 1.4
    lean = 3.0 + 2.0 * spread * bounded_normal(rng)
    neck_pitch = 12 + 3.0 * spread * bounded_normal(rng)
    toe_out = 7.0 + 2.0 * spread * bounded_normal(rng, 2) * 0.5
    leg_spread = -2.2 + 0.5 * spread * bounded_normal(rng)
    abduction = 5.0 + 1.6 * spread * bounded_normal(rng) + 0.6 * bounded_normal(rng, 2)
    turn = 18 + 6.0 * spread * bounded_normal(rng) + 2.0 * bounded_normal(rng, 2)
    hump, tilt, cross, left_delay = 2.0 + 1.0 * spread * bounded_normal(rng), 0.5 * bounded_normal(rng), 0.1, 0.5

    if traits.gender == 1:
        cadence += 4 * effect
        trunk[OBLIQUITY, 1:] *= 1 + 0.45 * effect
        abduction = abduction - 1.5 * effect
    if traits.age == 0:
        cadence += 3 * effect
        limbs[..., :2, 1:] *= 1 + 0.06 * effect
        lean -= 2.0 * effect
    elif traits.age == 2:
        cadence -= 10 * effect
        limbs[:, HIP, 1:] *= 1 - 0.24 * effect
        limbs[:, KNEE, 1:] *= 1 - 0.22 * effect
        limbs[:, ANKLE, 1:] *= 1 - 0.3 * effect
        limbs[:, KNEE, 0] += 9 * effect
        limbs[:, HIP, 0] += 5 * effect
        limbs[:, ELBOW, 0] += 14 * effect
        lean += 7 * effect
        leg_spread += 1.2 * effect
    neck_pitch += (0.0, 30.0)[traits.forward_head] * effect
    tilt += (0.0, 10.0, -10.0)[traits.uneven_shoulders] * effect
    hump += (0.0, 27.0)[traits.humpback] * effect
    toe_out = toe_out + (0.0, -20.0, 22.0)[traits.toe] * effect
    clearance = 0.015 + 0.004 * spread * float(bounded_normal(rng)) * 0.5
    if traits.drag_feet:
        clearance = max(0.0, clearance - 0.014 * effect)
        limbs[:, KNEE, 1:] *= 1 - 0.45 * effect
        limbs[:, HIP, 1:] *= 1 - 0.18 * effect
        limbs[:, ANKLE, 1:] *= 1 - 0.35 * effect
        limbs[:, KNEE, 0] -= 4 * effect
    hands = {HANDS_IN_POCKETS: 1.0, HANDS_BEHIND_BACK: 2.0}.get(traits.hands, 0.0)

    limbs[:, SHOULDER:, 1:] *= np.exp((-1.0, 0.55)[traits.arm_swing_amplitude] * effect)
    if traits.arm_swing_amplitude == 1:
        limbs[:, ELBOW, 0] += 10 * effect
    if traits.upper_arm_movement == 0:
        # Still upper arms: what swing there is comes from the elbow.
        limbs[:, ELBOW, 1:] += 0.9 * effect * limbs[:, SHOULDER, 1:]
        limbs[:, SHOULDER, 1:] *= max(0.0, 1 - 0.95 * effect)
        limbs[:, ELBOW, 0] += 14 * effect
    if traits.arm_swing_direction == 1:
        cross, turn = 0.1 + 0.6 * effect, turn + 38 * effect
        limbs[:, ELBOW, 0] += 16 * effect
    elif traits.arm_swing_direction == 2:
        cross, abduction, turn = -0.5 * effect, abduction + 15 * effect, turn - 30 * effect
    elif traits.arm_swing_direction == 3:
        limbs[rng.integers(2), SHOULDER:, 1:] *= max(0.0, 1 - 0.97 * effect)
    elif traits.arm_swing_direction == NOT_SWINGING:
        limbs[:, SHOULDER:, 1:] *= max(0.0, 1 - 0.97 * effect)
    # Arms do not fly.
    reach = np.linalg.norm(limbs[:, SHOULDER, 1:], axis=-1, keepdims=True)
    limbs[:, SHOULDER, 1:] *= np.minimum(1.0, 33.0 / np.maximum(reach, 1e-6))
    # Elbows do not bend backwards.
    swing = np.abs(limbs[:, ELBOW, 1:]).sum(axis=-1)
    limbs[:, ELBOW, 0] = np.clip(limbs[:, ELBOW, 0], 4 + np.minimum(swing, 60.0), 95.0)

    if traits.limping:
        side = int(rng.integers(2))
        limbs[side, HIP, 1:] *= 1 - 0.35 * effect
        limbs[side, KNEE, 1:] *= 1 - 0.65 * effect
        limbs[side, KNEE, 0] -= 8 * effect
        limbs[side, ANKLE, 1:] *= 1 - 0.4 * effect
        limbs[1 - side, HIP, 1:] *= 1 + 0.1 * effect
        # The body leans over the sore leg while it carries, and leaves it early.
        sign, middle = (-1, 0.8) if side == 0 else (1, 0.3)
        trunk[SWAY] += wave(sign * 3 * effect, sign * 9 * effect, middle)
        trunk[OBLIQUITY] += wave(0, -sign * 4 * effect, middle)
        left_delay += (0.05 if side == 0 else -0.05) * effect
        cadence -= 6 * effect
    # Whatever comes together, people get forward.
    size = np.linalg.norm(limbs[:, HIP, 1:], axis=-1, keepdims=True)
    limbs[:, HIP, 1:] *= np.maximum(1.0, 12.5 / np.maximum(size, 1e-6))
    return Gait(
        limbs=limbs,
        trunk=trunk,
        cadence=np.asarray(np.clip(cadence, 78, 140)),
        left_delay=np.asarray(left_delay),
        lean=np.asarray(lean),
        hump=np.asarray(hump),
        neck_pitch=np.asarray(neck_pitch),
        shoulder_tilt=np.asarray(tilt),
        leg_spread=np.asarray(leg_spread),
        clearance=np.asarray(clearance),
        toe_out=np.asarray(toe_out),
        arm_abduction=np.broadcast_to(abduction, (2,)).astype(np.float64),
        arm_turn=np.broadcast_to(turn, (2,)).astype(np.float64),
        arm_cross=np.asarray(cross),
        hands=np.asarray(hands),
    )


def vary_gait(gait: Gait, rng: np.random.Generator, variation: float) -> Gait:
    """Vary a manner of walking as one recording differs from another of the same person.

    Args:
        gait: The subject's.
        rng: Stream of the recording.
        variation: Factor on all standard deviations: amplitude 5 %, arm swing 15 %, trunk 1.5 degrees, cadence 3 %.
    """
    limbs, trunk = gait.limbs.copy(), gait.trunk.copy()
    limbs[:, :SHOULDER, 1:] *= np.exp(0.05 * variation * bounded_normal(rng))
    limbs[:, SHOULDER:, 1:] *= np.exp(0.15 * variation * bounded_normal(rng))
    limbs[..., 0] += variation * np.array([1.0, 1.0, 1.0, 2.0, 3.0]) * bounded_normal(rng, 5)
    trunk[:, 1:] *= np.exp(0.1 * variation * bounded_normal(rng, (4, 1)))
    changed = {
        "limbs": limbs,
        "trunk": trunk,
        "cadence": gait.cadence * np.exp(0.03 * variation * bounded_normal(rng)),
        "lean": gait.lean + 1.5 * variation * bounded_normal(rng),
        "neck_pitch": gait.neck_pitch + 2.0 * variation * bounded_normal(rng),
        "toe_out": gait.toe_out + 1.5 * variation * bounded_normal(rng),
        "arm_abduction": gait.arm_abduction + 1.5 * variation * bounded_normal(rng),
    }
    return Gait(**{f.name: np.asarray(changed.get(f.name, getattr(gait, f.name))) for f in fields(Gait)})
