"""Subjects, their attributes, and what the options do to them."""

from collections import Counter

import numpy as np
import pytest

from gaitbench.walkers.attributes import ATTRIBUTES
from gaitbench.walkers.motion import INDEX, walk
from gaitbench.walkers.options import WalkersOptions
from gaitbench.walkers.people import Person, draw_person, stack

PHASE = np.arange(40) / 40
NAMES = [a.name for a in ATTRIBUTES]


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return [draw_person(WalkersOptions(), f"{i:04d}") for i in range(1, 301)]


def labelled(people: list[Person], name: str, value: int) -> list[Person]:
    return [p for p in people if p.labels[NAMES.index(name)] == value]


def test_the_schema_is_that_of_ra_gar() -> None:
    assert tuple(len(a.classes) for a in ATTRIBUTES) == (2, 3, 5, 4, 4, 2, 3, 2, 4, 5, 2, 2, 3, 2, 2)
    assert sum(len(a.classes) for a in ATTRIBUTES) == 45


def test_every_class_occurs_often_enough(people: list[Person]) -> None:
    for k, attribute in enumerate(ATTRIBUTES):
        counts = Counter(p.labels[k] for p in people)
        for index, word in enumerate(attribute.classes):
            assert counts[index] >= 15, f"{attribute.name}: {word} occurs {counts[index]} times in 300"


def test_attributes_of_one_person_go_together(people: list[Person]) -> None:
    for person in people:
        label = dict(zip(NAMES, person.labels, strict=True))
        if label["hands"] in (2, 3):
            assert label["arm_swing_direction"] == 4, "hands are put away, so arms do not swing"
        if label["arm_swing_direction"] == 4:
            assert (label["arm_swing_amplitude"], label["upper_arm_movement"]) == (0, 0)


def test_labels_follow_the_body(people: list[Person]) -> None:
    stature = np.array([float(p.body.stature) for p in people])
    label = np.array([p.labels[NAMES.index("height")] for p in people])
    assert (np.diff([stature[label == k].mean() for k in range(5)]) > 0.05).all()
    waist = np.array([float(p.body.waist / p.body.stature) for p in people])
    label = np.array([p.labels[NAMES.index("body_mass")] for p in people])
    assert (np.diff([waist[label == k].mean() for k in range(4)]) > 0).all()


def joints(people: list[Person]) -> np.ndarray:
    body, gait = stack([p.body for p in people]), stack([p.gait for p in people])
    return (
        walk(body, gait, np.broadcast_to(PHASE, (len(people), len(PHASE)))).joints / body.stature[:, None, None, None]
    )


def test_attributes_change_the_walk_visibly(people: list[Person]) -> None:
    def mean(name: str, value: int, measure: object) -> float:
        return float(np.mean(measure(joints(labelled(people, name, value)))))  # type: ignore[operator]

    def at(j: np.ndarray, name: str) -> np.ndarray:
        return j[:, :, INDEX[name]]

    def forward_head(j: np.ndarray) -> np.ndarray:
        return (at(j, "head_base") - at(j, "neck"))[..., 0]

    def shoulder_gap(j: np.ndarray) -> np.ndarray:
        return (at(j, "shoulder_left") - at(j, "shoulder_right"))[..., 2]

    def bend(j: np.ndarray) -> np.ndarray:
        return (at(j, "neck") - at(j, "waist"))[..., 0]

    def toe_angle(j: np.ndarray) -> np.ndarray:
        foot = at(j, "toe_left") - at(j, "heel_left")
        return np.rad2deg(np.arctan2(foot[..., 1], foot[..., 0]))

    def swing(j: np.ndarray) -> np.ndarray:
        return np.ptp((at(j, "wrist_left") - at(j, "shoulder_left"))[..., 0], axis=1)

    def elbow_swing(j: np.ndarray) -> np.ndarray:
        return np.ptp((at(j, "elbow_left") - at(j, "shoulder_left"))[..., 0], axis=1)

    def lift(j: np.ndarray) -> np.ndarray:
        return np.ptp(at(j, "heel_left")[..., 2], axis=1)

    def unevenness(j: np.ndarray) -> np.ndarray:
        return abs(np.ptp(at(j, "heel_left")[..., 2], axis=1) - np.ptp(at(j, "heel_right")[..., 2], axis=1))

    def stride(j: np.ndarray) -> np.ndarray:
        return np.ptp(at(j, "pelvis")[..., 0], axis=1)

    # One pixel is 1/64 of the stature, about 0.016.
    assert mean("forward_head", 1, forward_head) > mean("forward_head", 0, forward_head) + 0.012
    assert mean("uneven_shoulders", 1, shoulder_gap) > mean("uneven_shoulders", 0, shoulder_gap) + 0.03
    assert mean("uneven_shoulders", 2, shoulder_gap) < mean("uneven_shoulders", 0, shoulder_gap) - 0.03
    assert mean("humpback", 1, bend) > mean("humpback", 0, bend) + 0.04
    assert mean("toe", 1, toe_angle) + 12 < mean("toe", 0, toe_angle) < mean("toe", 2, toe_angle) - 12
    assert mean("arm_swing_amplitude", 1, swing) > 2 * mean("arm_swing_amplitude", 0, swing)
    assert mean("upper_arm_movement", 1, elbow_swing) > 3 * mean("upper_arm_movement", 0, elbow_swing)
    assert mean("drag_feet", 1, lift) < 0.8 * mean("drag_feet", 0, lift)
    assert mean("limping", 1, unevenness) > 2 * mean("limping", 0, unevenness)
    assert mean("age", 2, stride) < 0.85 * mean("age", 0, stride)


def test_spread_scales_how_different_people_are() -> None:
    def deviation(spread: float) -> float:
        options = WalkersOptions(spread=spread, attribute_effect=0)
        return float(np.std([np.log(draw_person(options, f"{i:04d}").body.waist) for i in range(60)]))

    assert deviation(0.0) < deviation(1.0) < deviation(2.0)


def test_another_seed_gives_other_people() -> None:
    first, again, other = (draw_person(WalkersOptions(seed=s), "0007") for s in (0, 0, 1))
    assert first.labels == again.labels
    assert float(first.body.stature) == float(again.body.stature)
    assert float(first.body.stature) != float(other.body.stature)
