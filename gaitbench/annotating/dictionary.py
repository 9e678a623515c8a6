"""The gait modality text dictionary (GMTD): sentences on what a modality shows, from eight directions, in many words.

For each modality one conversation: a description, the same from every direction, then rounds that rephrase them. A
dictionary of m modalities in l rounds has m x 8 x l sentences.

Source:
    TCFDNet, CVPR 2026: three steps (modality description, explicit view, multi-turn rephrasing), instructions of three
    parts (formulation, protocol, examples). The words are ours, as those of the paper are not public; l is 8 there or
    more, as far as its sweep of k tells.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from gaitbench.annotating.directions import DIRECTIONS
from gaitbench.annotating.fields import AnswerField, Value
from gaitbench.annotating.schema import CAUTION, SchemaName, TextRound, TextSchema
from gaitbench.errors import UsageError

__all__ = ["DictionarySchema", "round_entry"]

MOST_ROUNDS = 32

EXAMPLES: dict[str, str] = {
    "silhouette": (
        "a binary silhouette of a walking person seen from the {view}, a flat white body on a black background, "
        "without depth"
    ),
    "lidar-depth": (
        "a LiDAR depth map of a walking person seen from the {view}, sparse scan lines whose brightness is the distance"
    ),
    "rgb": "a colour photograph of a walking person seen from the {view}, with clothes, skin and light",
    "depth": "a dense depth image of a walking person seen from the {view}, near parts bright and far parts dark",
}
"""A sentence of the modality, for the model to see what is wanted."""


def round_entry(modality: str, number: int) -> str:
    """What the sentences of a round are filed under.

    Example:
        >>> round_entry("silhouette", 1)
        'silhouette/round-1'
    """
    return f"{modality}/round-{number}"


class DictionarySchema(TextSchema):
    """Asks for the sentences of a dictionary.

    Args:
        modalities: Name to one line on what it is.
        num_rounds: l, the first round among them.
        views: Names of directions; all eight without it.

    Raises:
        UsageError: No modality, an unknown direction, or too many rounds.

    Example:
        >>> [len(chain) for chain in DictionarySchema({"silhouette": "masks"}, 8).chains()]
        [9]
    """

    name: ClassVar[SchemaName] = "gmtd"
    version = 1
    system = (
        "You write sentences for a text encoder such as CLIP. They say what data of a walking person look like, so "
        "that kinds of sensors and directions can be told apart by their sentences alone.\n"
        "Formulation: a sentence names the kind of data, the walking person, and what this kind of data shows and "
        "lacks.\n"
        "Protocol: think about how the sensor works, then about what of a body it keeps, then write. At most 30 words "
        "a sentence, plain English, lower case, no full stop, nothing about one particular person or place.\n"
        f"Examples: {EXAMPLES['silhouette'].format(view='left')}; {EXAMPLES['lidar-depth'].format(view='back')}.\n"
        f"{CAUTION}"
    )

    def __init__(self, modalities: Mapping[str, str], num_rounds: int = 8, views: Sequence[str] = DIRECTIONS) -> None:
        if not modalities:
            raise UsageError("a text dictionary needs a modality; name some with --modalities.")
        if not 1 <= num_rounds <= MOST_ROUNDS:
            raise UsageError(f"a text dictionary is written in 1 to {MOST_ROUNDS} rounds, not in {num_rounds}.")
        if unknown := [view for view in views if view not in DIRECTIONS]:
            raise UsageError(f"there is no direction {unknown[0]!r}; there are {', '.join(DIRECTIONS)}.")
        self.modalities = dict(modalities)
        self.num_rounds = num_rounds
        self.views = tuple(view for view in DIRECTIONS if view in views)

    def chains(self) -> list[list[TextRound]]:
        """For each modality: the description, and the rounds."""
        return [self._chain(modality, title) for modality, title in self.modalities.items()]

    def _chain(self, modality: str, title: str) -> list[TextRound]:
        views = tuple(
            AnswerField(name=view, title=f"Seen from the {view}", question=f"the sentence for the {view}")
            for view in self.views
        )
        description = AnswerField(
            name="description", title="Description", question="one sentence that names no direction"
        )
        steps = [
            TextRound(
                f"{modality}/description",
                f"The kind of data is {modality} ({title}). Describe in one sentence what it shows of a walking "
                "person and what it lacks, without a direction.",
                (description,),
            ),
            TextRound(
                round_entry(modality, 1),
                "Now write the sentence once for each direction that the person is seen from, and name that direction "
                f"in it: {', '.join(self.views)}. Front means that the person walks towards the sensor.",
                views,
            ),
        ]
        for number in range(2, self.num_rounds + 1):
            question = (
                f"Round {number} of {self.num_rounds}: rephrase all of them. Keep meaning, kind of data and direction; "
                "change words and order; repeat no sentence of an earlier round."
            )
            steps.append(TextRound(round_entry(modality, number), question, views))
        return steps

    def sentences(self, values: Mapping[str, Value]) -> tuple[str, ...]:
        """The sentences as they are, in the order of the directions."""
        return tuple(str(value) for value in values.values())
