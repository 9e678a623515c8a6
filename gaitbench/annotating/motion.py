"""Sentences about the motion of arms and legs, for models that are led by language, such as LMGait.

Source:
    LMGait, arXiv 2601.11931 (AAAI 2026), has a prompt about motion, whose words are not printed; these are ours.
"""

from collections.abc import Mapping
from typing import ClassVar

from gaitbench.annotating.fields import AnswerField, Value
from gaitbench.annotating.schema import CAUTION, SchemaName, TextRound, TextSchema
from gaitbench.errors import UsageError

__all__ = ["MotionPromptsSchema"]

MOST_ROUNDS = 32


class MotionPromptsSchema(TextSchema):
    """Asks for sentences on how arms and legs move while walking.

    Args:
        num_rounds: Sets of sentences, each rephrasing the first.

    Raises:
        UsageError: Less than one round, or too many.

    Example:
        >>> [step.entry for step in MotionPromptsSchema(2).chains()[0]]
        ['motion/round-1', 'motion/round-2']
    """

    name: ClassVar[SchemaName] = "prompts"
    version = 1
    system = (
        "You write sentences for a text encoder such as CLIP, which lead a gait recognition model to the parts of a "
        "picture that move. A sentence says which limbs move and how they move in a walk, in at most 30 words of plain "
        "English. It says nothing about clothes, bags, hair, faces, places, cameras or one particular person.\n"
        f"Example: the arms of a walking person swing forward and backward from the shoulders. {CAUTION}"
    )
    fields = (
        AnswerField(name="arms", title="Arms", question="how the arms move"),
        AnswerField(name="legs", title="Legs", question="how the legs and feet move"),
        AnswerField(name="together", title="Together", question="how arms and legs move together over a stride"),
    )

    def __init__(self, num_rounds: int = 4) -> None:
        if not 1 <= num_rounds <= MOST_ROUNDS:
            raise UsageError(f"prompts are written in 1 to {MOST_ROUNDS} rounds, not in {num_rounds}.")
        self.num_rounds = num_rounds

    def chains(self) -> list[list[TextRound]]:
        """One conversation."""
        question = "Write one sentence on each: the arms, the legs, and both together."
        steps = [TextRound("motion/round-1", question, self.fields)]
        for number in range(2, self.num_rounds + 1):
            question = (
                f"Round {number} of {self.num_rounds}: rephrase all three. Keep the meaning, change words and order, "
                "repeat no sentence of an earlier round."
            )
            steps.append(TextRound(f"motion/round-{number}", question, self.fields))
        return [steps]

    def sentences(self, values: Mapping[str, Value]) -> tuple[str, ...]:
        """The three sentences."""
        return tuple(str(value) for value in values.values())
