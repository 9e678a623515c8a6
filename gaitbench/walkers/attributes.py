"""The 15 attributes of RA-GAR as walkers carry them.

Identities and class counts follow RA-GAR; of the class words only some are printed in its paper ("male", "elderly",
"tilted forward", "humpback", "fist", "toe-in", "limping"), the others are ours. Attributes of one person agree with
each other: hands in pockets leave no swing to grade.
"""

from typing import NamedTuple

import numpy as np

from gaitbench.dataset import Attribute

__all__ = ["ATTRIBUTES", "Traits", "draw_traits", "height_class", "mass_class"]

ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute(name="gender", title="Gender", classes=("male", "female")),
    Attribute(name="age", title="Age", classes=("young", "middle-aged", "elderly")),
    Attribute(name="height", title="Height", classes=("very short", "short", "medium", "tall", "very tall")),
    Attribute(name="body_mass", title="Body mass", classes=("thin", "average", "overweight", "obese")),
    Attribute(name="hair", title="Hair", classes=("bald or very short", "short", "medium-length", "long")),
    Attribute(name="forward_head", title="Forward head position", classes=("upright", "tilted forward")),
    Attribute(
        name="uneven_shoulders",
        title="Uneven shoulders",
        classes=("level", "higher on the left", "higher on the right"),
    ),
    Attribute(name="humpback", title="Humpback", classes=("straight", "humped")),
    Attribute(
        name="hands", title="Hands", classes=("open", "clenched into fists", "in the pockets", "behind the back")
    ),
    Attribute(
        name="arm_swing_direction",
        title="Arm swing direction",
        classes=(
            "swinging forward and backward",
            "swinging across the body",
            "swinging outward",
            "swinging on one side only",
            "not swinging",
        ),
    ),
    Attribute(name="arm_swing_amplitude", title="Arm swing amplitude", classes=("small", "large")),
    Attribute(name="upper_arm_movement", title="Upper arm movement", classes=("still", "moving")),
    Attribute(name="toe", title="Toe", classes=("pointing straight ahead", "pointing inward", "pointing outward")),
    Attribute(name="drag_feet", title="Dragging feet", classes=("lifted normally", "dragging")),
    Attribute(name="limping", title="Limping", classes=("not limping", "limping")),
)
"""Schema of the labels, in RA-GAR's order; class counts 2, 3, 5, 4, 4, 2, 3, 2, 4, 5, 2, 2, 3, 2, 2."""

HEIGHT_EDGES_M = (1.56, 1.65, 1.74, 1.83)
MASS_EDGES_BMI = (19.5, 25.0, 30.0)

HANDS_IN_POCKETS = 2
HANDS_BEHIND_BACK = 3
NOT_SWINGING = 4


class Traits(NamedTuple):
    """The drawn attributes of one person; height and body mass follow from the body. Fields are class indices."""

    gender: int
    age: int
    hair: int
    forward_head: int
    uneven_shoulders: int
    humpback: int
    hands: int
    arm_swing_direction: int
    arm_swing_amplitude: int
    upper_arm_movement: int
    toe: int
    drag_feet: int
    limping: int

    def labels(self, stature_m: float, bmi: float) -> tuple[int, ...]:
        """Give one class index per entry of :data:`ATTRIBUTES`."""
        body = (self.gender, self.age, height_class(stature_m), mass_class(bmi))
        return body + tuple(self[2:])


def height_class(stature_m: float) -> int:
    """Give the class of a stature.

    Example:
        >>> ATTRIBUTES[2].classes[height_class(1.70)]
        'medium'
    """
    return int(np.searchsorted(HEIGHT_EDGES_M, stature_m, side="right"))


def mass_class(bmi: float) -> int:
    """Give the class of a body-mass index in kg/m^2.

    Example:
        >>> ATTRIBUTES[3].classes[mass_class(22.0)]
        'average'
    """
    return int(np.searchsorted(MASS_EDGES_BMI, bmi, side="right"))


def draw_traits(rng: np.random.Generator) -> Traits:
    """Draw attributes that one person can have together.

    Hands in the pockets or behind the back do not swing; arms that do not swing have a small amplitude and still
    upper arms.
    """

    def draw(*weights: float) -> int:
        return int(np.searchsorted(np.cumsum(weights) / sum(weights), rng.random(), side="right"))

    gender = draw(0.5, 0.5)
    age = draw(0.4, 0.3, 0.3)
    hair = draw(0.2, 0.15, 0.25, 0.4) if gender else draw(0.35, 0.4, 0.15, 0.1)
    forward_head, uneven_shoulders, humpback = draw(0.65, 0.35), draw(0.5, 0.25, 0.25), draw(0.7, 0.3)
    hands = draw(0.42, 0.26, 0.17, 0.15)
    direction, amplitude, upper_arm = draw(0.34, 0.2, 0.2, 0.16, 0.1), draw(0.45, 0.55), draw(0.3, 0.7)
    if hands in (HANDS_IN_POCKETS, HANDS_BEHIND_BACK):
        direction = NOT_SWINGING
    if direction == NOT_SWINGING:
        amplitude, upper_arm = 0, 0
    return Traits(
        gender=gender,
        age=age,
        hair=hair,
        forward_head=forward_head,
        uneven_shoulders=uneven_shoulders,
        humpback=humpback,
        hands=hands,
        arm_swing_direction=direction,
        arm_swing_amplitude=amplitude,
        upper_arm_movement=upper_arm,
        toe=draw(0.4, 0.3, 0.3),
        drag_feet=draw(0.7, 0.3),
        limping=draw(0.75, 0.25),
    )
