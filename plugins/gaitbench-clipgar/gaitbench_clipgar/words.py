"""Which part of a walker an attribute is about, and words for its classes, by dataset.

Class words and their order come from the dataset's card; only what makes no sentence by itself is put into words here.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

__all__ = ["PRESENCE", "WORDS", "Wording", "WordsOf"]

WordsOf = Literal["ra-gar", "ma-gait"]
"""A dataset whose attributes have wordings."""


class Wording(NamedTuple):
    """How the sentences of an attribute begin."""

    region: str
    """Body region or trait."""
    verb: str
    """``is`` or ``are``."""
    classes: Mapping[str, str] = MappingProxyType({})
    """Class of the card to words, where the class itself is none."""


def _whether(region: str, verb: str, positive: str, negative: str) -> Wording:
    return Wording(region, verb, MappingProxyType({"yes": positive, "no": negative}))


PRESENCE: Mapping[str, str] = MappingProxyType({"yes": "present", "no": "absent"})
"""For attributes that no wording is known of, and whose classes are yes and no."""

WORDS: Mapping[WordsOf, Mapping[str, Wording]] = MappingProxyType(
    {
        "ra-gar": MappingProxyType(
            {
                "gender": Wording("gender", "is"),
                "age": Wording("age", "is"),
                "height": Wording("height", "is"),
                "body_mass": Wording("body", "is"),
                "hair": Wording("hair", "is"),
                "forward_head": _whether("head", "is", "tilted forward", "upright"),
                "uneven_shoulders": _whether("shoulders", "are", "uneven", "level"),
                "humpback": _whether("back", "is", "humped", "straight"),
                "hands": Wording("hands", "are"),
                "arm_swing_direction": Wording("arms", "are"),
                "arm_swing_amplitude": Wording("swing of the arms", "is"),
                "upper_arm_movement": _whether("upper arms", "are", "moving", "still"),
                "toe": Wording("toes", "are"),
                "drag_feet": _whether("feet", "are", "dragging", "lifted normally"),
                "limping": _whether("legs", "are", "limping", "not limping"),
            }
        ),
        "ma-gait": MappingProxyType(
            {
                "humpback": _whether("back", "is", "humped", "straight"),
                "catwalk": _whether("walk", "is", "a catwalk", "no catwalk"),
                "high_knee": _whether("knees", "are", "lifted high", "lifted normally"),
                "toe": Wording("toes", "are"),
                "toe_in": _whether("toes", "are", "pointing inward", "not pointing inward"),
                "toe_out": _whether("toes", "are", "pointing outward", "not pointing outward"),
                "tiptoe": _whether("heels", "are", "raised from the ground", "touching the ground"),
                "shuffle": _whether("feet", "are", "shuffling", "lifted normally"),
                "emotion": Wording("mood", "is"),
                "happy": _whether("mood", "is", "happy", "not happy"),
                "sad": _whether("mood", "is", "sad", "not sad"),
                "angry": _whether("mood", "is", "angry", "not angry"),
            }
        ),
    }
)
"""Dataset, then name of the attribute. Of RA-GAR's paper two sentences are printed ("male", "limping"); regions and
other words are ours, and so are all of MA-Gait, whose list of attributes was not at hand."""
