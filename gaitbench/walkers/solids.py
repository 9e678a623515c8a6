"""A posed, dressed body as convex solids.

Axes: B sequences, T frames, S solids. Lengths are metres in the walker's frame (x forward, y left, z up).
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from gaitbench.walkers.motion import Pose, sole_radii
from gaitbench.walkers.people import Body
from gaitbench.walkers.rays import Solids

__all__ = ["PARSING_LABELS", "PARSING_OF_SURFACE", "Outfit", "Surface", "build_solids"]

Array = NDArray[np.float64]


class Surface(IntEnum):
    """What a ray can meet."""

    HEAD = 1
    HAIR = 2
    NECK = 3
    TORSO = 4
    HIPS = 5
    UPPER_ARM_LEFT = 6
    UPPER_ARM_RIGHT = 7
    FOREARM_LEFT = 8
    FOREARM_RIGHT = 9
    HAND_LEFT = 10
    HAND_RIGHT = 11
    THIGH_LEFT = 12
    THIGH_RIGHT = 13
    SHANK_LEFT = 14
    SHANK_RIGHT = 15
    FOOT_LEFT = 16
    FOOT_RIGHT = 17
    COAT = 18
    BAG = 19
    STRAP = 20


PARSING_LABELS = (
    *("background", "head", "hair", "torso", "left arm", "right arm", "left hand", "right hand"),
    *("left leg", "right leg", "left foot", "right foot", "coat", "bag"),
)
"""Meaning of the values of the modality ``parsing``. Sleeves are arms, trousers are legs, a strap is bag."""

PARSING_OF_SURFACE = np.array([0, 1, 2, 1, 3, 3, 4, 5, 4, 5, 6, 7, 8, 9, 8, 9, 10, 11, 12, 13, 13], dtype=np.uint8)
"""Parsing label of each :class:`Surface`."""


@dataclass(frozen=True, slots=True)
class Outfit:
    """What is worn and carried in one recording; every field an array, with a batch axis once stacked."""

    coat: Array
    """1 with a coat."""
    coat_length: Array
    """Where the hem hangs: 0 at the hips, 1 at the knees."""
    coat_thickness: Array
    """Metres added to the body."""
    coat_flare: Array
    """How much wider the hem is than the waist."""
    cloth: Array
    """Thickness of ordinary clothes in metres: leg and sleeve."""
    bag: Array
    """0 none, 1 backpack, 2 shoulder bag, 3 handbag."""
    bag_side: Array
    """1 left, -1 right."""
    bag_size: Array
    """Factor."""
    shoe: Array
    """Thickness of the shoe in metres."""


class _Builder:
    """Collects solids; every position ``[B, T, 3]``, every size ``[B]`` or ``[B, T]``."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self.items: list[tuple[Array, ...]] = []
        self.surfaces: list[int] = []

    def hull(
        self,
        surface: Surface,
        a: Array,
        b: Array,
        ra: Array,
        rb: Array,
        *,
        axis: Array | None = None,
        side: Array | None = None,
        depth: Array | float = 1.0,
        cap: Array | float = 1.0,
    ) -> None:
        """Add the hull of two spheres.

        Args:
            surface: What it is.
            a: First centre.
            b: Second centre.
            ra: Half-width at ``a``; 0 leaves the solid out.
            rb: Half-width at ``b``.
            axis: Direction from ``a`` to ``b``, needed where they coincide.
            side: Direction of the width; None for round ones.
            depth: Ratio of depth to width.
            cap: Ratio of the ends' height to their width; small ones cut the cone off flat.
        """
        axis = b - a if axis is None else axis
        if side is None:
            side = np.where(
                np.abs(axis[..., 1:2]) > 0.8 * np.linalg.norm(axis, axis=-1, keepdims=True), [1.0, 0, 0], [0, 1.0, 0]
            )
        sizes = [self._spread(value) for value in (ra, rb, depth, cap)]
        self.items.append((a, b, axis, np.broadcast_to(side, a.shape), *sizes))
        self.surfaces.append(int(surface))

    def ellipsoid(
        self, surface: Surface, centre: Array, axes: Array, width: Array, depth: Array, height: Array
    ) -> None:
        """Add an ellipsoid with half-axes along the columns left, forward and up of ``axes``."""
        width, depth, height = (self._spread(value) for value in (width, depth, height))
        safe = np.where(width > 0, width, 1.0)
        up, side = axes[..., 2], axes[..., 1]
        self.hull(surface, centre, centre, width, width, axis=up, side=side, depth=depth / safe, cap=height / safe)

    def _spread(self, value: Array | float) -> Array:
        array = np.asarray(value, dtype=np.float64)
        return np.broadcast_to(array[:, None] if array.ndim == 1 else array, self.shape)

    def solids(self) -> Solids:
        """Give all of them with B and T merged."""
        stacked = [np.stack(part, axis=2) for part in zip(*self.items, strict=True)]
        a, b, axis, side, ra, rb, depth, cap = (part.reshape(-1, *part.shape[2:]) for part in stacked)
        ez = axis / np.linalg.norm(axis, axis=-1, keepdims=True)
        ex = side - (side * ez).sum(axis=-1, keepdims=True) * ez
        ex = ex / np.linalg.norm(ex, axis=-1, keepdims=True)
        ey = np.cross(ez, ex)
        depth, cap = np.where(ra > 0, depth, 1.0), np.where(ra > 0, cap, 1.0)
        shape = np.stack([ex, depth[..., None] * ey, cap[..., None] * ez], axis=-1)
        return Solids(a, b, shape, ra, rb, np.array(self.surfaces))


def build_solids(body: Body, pose: Pose, outfit: Outfit) -> Solids:
    """Put flesh, clothes and bags on posed bodies; frames of all sequences follow each other."""
    build = _Builder(pose.joints.shape[:2])
    _add_head(build, body, pose)
    _add_torso(build, body, pose, outfit)
    _add_arms(build, body, pose, outfit)
    _add_legs(build, body, pose, outfit)
    _add_coat(build, body, pose, outfit)
    _add_bag(build, body, pose, outfit)
    return build.solids()


def _along(distance: Array, axes: Array, column: int) -> Array:
    """Give ``distance`` times a column of axes."""
    return (
        np.asarray(distance if np.ndim(distance) == 2 else np.asarray(distance)[:, None])[..., None] * axes[..., column]
    )


def _add_head(build: _Builder, body: Body, pose: Pose) -> None:
    axes, base = pose.head_axes, pose.joint("head_base")
    head, half = body.head, body.head_half
    skull = base + _along(0.62 * head, axes, 2) + _along(-0.02 * head, axes, 0)
    build.ellipsoid(Surface.HEAD, skull, axes, half, 0.44 * head, 0.385 * head)
    chin = base + _along(0.13 * head, axes, 2) + _along(0.17 * head, axes, 0)
    cheek = base + _along(0.45 * head, axes, 2) + _along(0.10 * head, axes, 0)
    build.hull(Surface.HEAD, chin, cheek, 0.155 * head, 0.85 * half, side=axes[..., 1])
    neck = pose.joint("neck")
    radius = body.neck_radius
    low = neck - _along(0.25 * radius, pose.thorax_axes, 2)
    high = base + _along(0.22 * head, axes, 2) - _along(0.06 * head, axes, 0)
    build.hull(Surface.NECK, low, high, 1.08 * radius, 0.92 * radius)

    kind = body.hair
    scalp = np.select([kind == 0, kind == 1, kind == 2], [0.0, 1.045, 1.13], 1.13)
    crown = skull + _along(0.055 * head, axes, 2) - _along(0.06 * head, axes, 0)
    build.ellipsoid(Surface.HAIR, crown, axes, scalp * half, 0.43 * scalp * head, 0.365 * scalp * head)
    back = skull - _along(0.26 * head, axes, 0)
    nape = base + _along(0.10 * head, axes, 2) - _along(0.28 * head, axes, 0)
    # Medium-length hair hangs to the nape, long hair down the back.
    spine = pose.joint("neck") - _along(0.36 * body.trunk, pose.thorax_axes, 2)
    spine = spine - _along(0.66 * body.chest, pose.thorax_axes, 0)
    end = np.where((kind == 3)[:, None, None], spine, nape)
    width = np.where(kind >= 2, 0.98 * half, 0.0)
    build.hull(Surface.HAIR, back, end, width, np.where(kind == 3, 1.12, 0.8) * width, side=axes[..., 1], depth=0.62)


def _add_torso(build: _Builder, body: Body, pose: Pose, outfit: Outfit) -> None:
    thorax, pelvis_axes = pose.thorax_axes, pose.pelvis_axes
    neck, waist, pelvis = pose.joint("neck"), pose.joint("waist"), pose.joint("pelvis")
    cloth = 0.5 * outfit.cloth
    left, right = pose.joint("shoulder_left"), pose.joint("shoulder_right")
    top = neck - _along(0.20 * body.trunk, thorax, 2)
    build.hull(
        Surface.TORSO, top, waist, body.chest + cloth, body.waist + cloth, side=thorax[..., 1], depth=0.70, cap=0.55
    )
    hip = pelvis + _along(0.02 * body.trunk, pelvis_axes, 2)
    build.hull(
        Surface.TORSO,
        waist,
        hip,
        body.waist + cloth,
        body.pelvis + cloth,
        side=pelvis_axes[..., 1],
        depth=0.74,
        cap=0.55,
    )
    crotch = pelvis - _along(0.10 * body.trunk, pelvis_axes, 2)
    build.hull(
        Surface.HIPS,
        hip,
        crotch,
        body.pelvis + cloth,
        0.86 * body.pelvis + cloth,
        side=pelvis_axes[..., 1],
        depth=0.74,
        cap=0.5,
    )
    shoulder_radius = 1.12 * body.upper_arm_radius + cloth
    for side in (left, right):
        slope = neck - _along(0.01 * body.trunk, thorax, 2)
        build.hull(Surface.TORSO, slope, side, 1.02 * body.neck_radius + cloth, shoulder_radius)
    blade = neck - _along(0.28 * body.trunk, thorax, 2) - _along(0.25 * body.chest, thorax, 0)
    build.ellipsoid(Surface.TORSO, blade, thorax, 0.92 * body.chest, 0.52 * body.chest, 0.26 * body.trunk)
    breast = neck - _along(0.38 * body.trunk, thorax, 2) + _along(0.42 * body.chest, thorax, 0)
    build.ellipsoid(
        Surface.TORSO,
        breast,
        thorax,
        np.where(body.bust > 0, 0.78 * body.chest, 0),
        0.32 * body.chest + body.bust,
        0.15 * body.trunk,
    )
    belly = waist - _along(0.08 * body.trunk, thorax, 2) + _along(0.35 * body.waist, thorax, 0)
    build.ellipsoid(
        Surface.TORSO,
        belly,
        thorax,
        np.where(body.belly > 0, 0.9 * body.waist, 0),
        0.42 * body.waist + body.belly,
        0.26 * body.trunk,
    )
    for y in (1.0, -1.0):
        seat = pelvis - _along(0.06 * body.trunk, pelvis_axes, 2) - _along(0.36 * body.pelvis, pelvis_axes, 0)
        seat = seat + y * _along(0.40 * body.pelvis, pelvis_axes, 1)
        build.ellipsoid(Surface.HIPS, seat, pelvis_axes, 0.50 * body.pelvis, 0.46 * body.pelvis, 0.20 * body.trunk)


def _add_arms(build: _Builder, body: Body, pose: Pose, outfit: Outfit) -> None:
    sleeve = outfit.cloth + np.where(outfit.coat > 0, 0.5 * outfit.coat_thickness, 0.0)
    for k, name in enumerate(("left", "right")):
        shoulder, elbow, wrist, hand = (pose.joint(f"{part}_{name}") for part in ("shoulder", "elbow", "wrist", "hand"))
        upper = body.upper_arm_radius
        build.hull(Surface(Surface.UPPER_ARM_LEFT + k), shoulder, elbow, upper + sleeve, 0.84 * upper + sleeve)
        build.hull(
            Surface(Surface.FOREARM_LEFT + k),
            elbow,
            wrist,
            body.forearm_radius + sleeve,
            body.wrist_radius + 0.8 * sleeve,
        )
        palm = wrist + 0.45 * (hand - wrist)
        is_fist = body.fist > 0
        start, tip = np.where(is_fist, 0.30, 0.21) * body.hand, np.where(is_fist, 0.30, 0.10) * body.hand
        build.hull(Surface(Surface.HAND_LEFT + k), palm, hand, start, tip)


def _add_legs(build: _Builder, body: Body, pose: Pose, outfit: Outfit) -> None:
    cloth, radii = outfit.cloth, sole_radii(body)
    for k, name in enumerate(("left", "right")):
        hip, knee, ankle = (pose.joint(f"{part}_{name}") for part in ("hip", "knee", "ankle"))
        build.hull(Surface(Surface.THIGH_LEFT + k), hip, knee, body.thigh_radius + cloth, body.knee_radius + cloth)
        axes = pose.foot_axes[:, :, k]
        shin = ankle - knee
        back = np.cross(shin, pose.pelvis_axes[..., 1])
        back = back / np.linalg.norm(back, axis=-1, keepdims=True)
        calf = knee + 0.30 * shin + _along(0.35 * body.calf_radius, back[..., None], 0)
        build.hull(Surface(Surface.SHANK_LEFT + k), knee, calf, body.knee_radius + cloth, body.calf_radius + cloth)
        build.hull(Surface(Surface.SHANK_LEFT + k), calf, ankle, body.calf_radius + cloth, body.ankle_radius + cloth)
        heel, ball, toe = (pose.joint(f"{part}_{name}") for part in ("heel", "ball", "toe"))
        instep = ankle - _along(0.15 * body.foot_height, axes, 2) + _along(0.04 * body.foot_length, axes, 0)
        surface = Surface(Surface.FOOT_LEFT + k)
        build.hull(surface, heel, instep, radii[:, 0], 0.95 * body.ankle_radius + outfit.shoe)
        build.hull(surface, heel, ball, radii[:, 0], radii[:, 1], side=axes[..., 1])
        wide = 0.187 * body.foot_length
        build.hull(surface, instep, ball, 0.9 * body.ankle_radius + outfit.shoe, 1.05 * radii[:, 1])
        build.hull(
            surface,
            ball,
            toe,
            wide,
            0.8 * wide,
            side=axes[..., 1],
            depth=(radii[:, 1] + radii[:, 2]) / 2 / wide,
            cap=0.6,
        )


def _add_coat(build: _Builder, body: Body, pose: Pose, outfit: Outfit) -> None:
    """Add a jacket or coat: a body and a skirt that is cut off flat at the hem and wide enough for the stride."""
    is_worn, thick = outfit.coat > 0, outfit.coat_thickness
    thorax, pelvis_axes = pose.thorax_axes, pose.pelvis_axes
    neck, waist, pelvis = pose.joint("neck"), pose.joint("waist"), pose.joint("pelvis")
    top = neck - _along(0.20 * body.trunk, thorax, 2)
    chest, middle = body.chest + thick, np.maximum(body.waist, 0.9 * body.chest) + thick
    side = thorax[..., 1]
    depth = (0.74 * body.chest + 0.75 * np.maximum(body.belly, body.bust) + thick) / chest
    build.hull(Surface.COAT, top, waist, np.where(is_worn, chest, 0), middle, side=side, depth=depth, cap=0.5)
    knees = 0.5 * (pose.joint("knee_left") + pose.joint("knee_right"))
    legs = np.where((outfit.coat_length > 0.25)[:, None, None], knees, pelvis - _along(body.thigh, pelvis_axes, 2))
    share = (0.18 + 0.82 * outfit.coat_length)[:, None, None]
    hem = pelvis + share * (0.35 * (legs - pelvis) + 0.65 * np.array([0, 0, 1.0]) * (legs - pelvis)[..., 2:])
    hips = np.maximum(body.pelvis, body.waist) + thick
    width = hips + outfit.coat_flare * (0.3 + outfit.coat_length)
    gap = np.abs(pose.joint("knee_left") - pose.joint("knee_right"))[..., 0]
    room = (0.5 * gap * share[..., 0] ** 1.2) / width[:, None] * 0.8
    depth = np.maximum(np.maximum(depth, 0.90 * body.pelvis / width + 0.05)[:, None], np.minimum(0.70 + room, 1.25))
    build.hull(
        Surface.COAT, waist, hem, np.where(is_worn, middle, 0), width, side=pelvis_axes[..., 1], depth=depth, cap=0.09
    )
    collar = neck + _along(0.05 * body.trunk, thorax, 2)
    base = neck - _along(0.10 * body.trunk, thorax, 2)
    ring = 1.25 * body.neck_radius + 0.4 * thick
    build.hull(
        Surface.COAT, base, collar, np.where(is_worn, ring + 0.25 * body.chest, 0), ring, side=side, depth=0.9, cap=0.3
    )
    for k, name in enumerate(("left", "right")):
        shoulder = pose.joint(f"shoulder_{name}")
        radius = np.where(is_worn, 1.10 * body.upper_arm_radius + 0.55 * thick, 0)
        build.hull(Surface.COAT, base + (0.25 * (1 - 2 * k)) * _along(body.chest, thorax, 1), shoulder, radius, radius)


def _add_bag(build: _Builder, body: Body, pose: Pose, outfit: Outfit) -> None:
    thorax, kind, size = pose.thorax_axes, outfit.bag, outfit.bag_size
    neck, pelvis = pose.joint("neck"), pose.joint("pelvis")
    side = outfit.bag_side
    behind = 0.75 * body.chest + np.where(outfit.coat > 0, outfit.coat_thickness, 0)
    thickness = 0.085 * size
    back = neck - _along(behind + thickness, thorax, 0)
    upper, lower = (
        back - _along(0.14 * body.trunk, thorax, 2),
        back - _along(0.14 * body.trunk + 0.30 * size, thorax, 2),
    )
    width = np.where(kind == 1, 0.15 * size, 0)
    build.hull(Surface.BAG, upper, lower, 0.88 * width, width, side=thorax[..., 1], depth=0.085 / 0.15, cap=0.35)

    hang = pelvis - _along(0.02 * body.trunk, pose.pelvis_axes, 2)
    out = side * (np.maximum(body.pelvis, body.waist) + 0.05 * size)
    hang = hang + _along(out, pose.pelvis_axes, 1) - _along(0.03 * size, pose.pelvis_axes, 0)
    low = hang - np.array([0, 0, 1.0]) * (0.17 * size)[:, None, None]
    width = np.where(kind == 2, 0.16 * size, 0)
    build.hull(Surface.BAG, hang, low, 0.92 * width, width, side=pose.pelvis_axes[..., 0], depth=0.42, cap=0.25)
    across = (side > 0)[:, None, None]
    shoulder = np.where(across, pose.joint("shoulder_right"), pose.joint("shoulder_left"))
    strap = neck + 0.55 * (shoulder - neck) + _along(0.02 * body.trunk, thorax, 2)
    for forward in (0.80, -0.80):
        middle = neck - _along(0.42 * body.trunk, thorax, 2) + forward * _along(0.92 * body.chest, thorax, 0)
        thin = np.where(kind == 2, 0.022, 0)
        build.hull(Surface.STRAP, strap, middle, thin, thin)
        build.hull(Surface.STRAP, middle, hang, thin, thin)

    hand = np.where((side > 0)[:, None, None], pose.joint("hand_left"), pose.joint("hand_right"))
    down = np.array([0, 0, -1.0])
    handle, bottom = hand + down * 0.06, hand + down * (0.10 + 0.20 * size)[:, None, None]
    width = np.where(kind == 3, 0.175 * size, 0)
    build.hull(
        Surface.BAG,
        hand + down * (0.14 * size)[:, None, None],
        bottom,
        0.85 * width,
        width,
        side=np.broadcast_to([1.0, 0, 0], hand.shape),
        depth=0.38,
        cap=0.25,
    )
    build.hull(Surface.STRAP, hand, handle, np.where(kind == 3, 0.02, 0), np.full_like(width, 0.02))
