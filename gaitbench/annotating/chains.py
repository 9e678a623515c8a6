"""Questions in the order in which they can be asked: one per walk, several in a row for texts."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gaitbench.annotating.fields import Value
from gaitbench.annotating.request import ChatRequest, Message
from gaitbench.annotating.schema import AnnotationSchema, TextRound, TextSchema, WalkSchema
from gaitbench.annotating.sheet import Picture
from gaitbench.digest import canonical_json

__all__ = ["Chain", "Question", "TextChain", "WalkChain"]


@dataclass(frozen=True, slots=True)
class Question:
    """One question, and what its answer is filed under."""

    entry: str
    """A sequence id, or the entry of a text schema."""
    request: ChatRequest
    """As it is sent."""


class Chain(ABC):
    """Questions of which each needs the answers to those before it."""

    schema: AnnotationSchema

    @property
    @abstractmethod
    def entries(self) -> tuple[str, ...]:
        """What the answers are filed under, in order."""

    @abstractmethod
    def question(self) -> Question | None:
        """The next question; None after the last."""

    @abstractmethod
    def answered(self, values: Mapping[str, Value]) -> None:
        """Go on with the answer to :meth:`question`."""


class WalkChain(Chain):
    """The one question about a walk.

    Args:
        schema: Asks.
        question: Its words, the same for all walks.
        sequence_id: Of the walk; the model never sees it.
        picture: Gives the contact sheet.
    """

    def __init__(self, schema: WalkSchema, question: str, sequence_id: str, picture: Callable[[], Picture]) -> None:
        self.schema: WalkSchema = schema
        self._text = question
        self._entry = sequence_id
        self._picture = picture
        self._is_answered = False

    @property
    def entries(self) -> tuple[str, ...]:
        """The sequence."""
        return (self._entry,)

    def question(self) -> Question | None:
        """The question, until it is answered."""
        if self._is_answered:
            return None
        shown = Message("user", self._text, self._picture())
        messages = (Message("system", self.schema.system), shown)
        return Question(self._entry, ChatRequest(self.schema.name, messages, self.schema.fields))

    def answered(self, values: Mapping[str, Value]) -> None:  # noqa: ARG002
        """There is nothing more to ask."""
        self._is_answered = True


class TextChain(Chain):
    """A conversation in rounds.

    Args:
        schema: Asks.
        rounds: Its questions.
    """

    def __init__(self, schema: TextSchema, rounds: Sequence[TextRound]) -> None:
        self.schema = schema
        self._rounds = tuple(rounds)
        self._messages: tuple[Message, ...] = (Message("system", schema.system),)
        self._num_answered = 0

    @property
    def entries(self) -> tuple[str, ...]:
        """All rounds."""
        return tuple(step.entry for step in self._rounds)

    def question(self) -> Question | None:
        """The next round, after the rounds before it."""
        if self._num_answered == len(self._rounds):
            return None
        step = self._rounds[self._num_answered]
        messages = (*self._messages, Message("user", step.question))
        return Question(step.entry, ChatRequest(self.schema.name, messages, step.fields))

    def answered(self, values: Mapping[str, Value]) -> None:
        """Put the answer, as it was checked and cleaned, into the conversation."""
        step = self._rounds[self._num_answered]
        said = Message("assistant", canonical_json(dict(values)))
        self._messages = (*self._messages, Message("user", step.question), said)
        self._num_answered += 1
