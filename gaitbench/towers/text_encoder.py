"""The interface of everything that turns sentences into vectors.

Axes: S sentences, D width.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor

from gaitbench.digest import json_digest
from gaitbench.errors import ModelError
from gaitbench.half_letters import has_half_letter
from gaitbench.towers.config import TowerInfo

__all__ = ["TextEncoder", "check_sentences"]


class TextEncoder(ABC):
    """Sentences in, one vector each."""

    width: int
    """D."""
    info: TowerInfo
    """For the record."""

    @property
    def identity(self) -> str:
        """Hash of everything that determines the vectors; empty while training may change them."""
        return json_digest([self.info.sha256, self.width]) if self.info.is_frozen and self.info.sha256 else ""

    @abstractmethod
    def encode(self, sentences: Sequence[str]) -> Tensor:
        """Encode sentences, without gradients.

        Args:
            sentences: S of them, none empty.

        Returns:
            ``[S, D]`` float32, not normalised.

        Raises:
            ModelError: A sentence is empty or too long.
        """


def check_sentences(sentences: Sequence[str]) -> None:
    """Stop at a sentence without a word, which every encoder would turn into a vector that means nothing.

    Raises:
        ModelError: A sentence is empty or no text, or a bare string was given in place of a list, or a letter is none.
    """
    if isinstance(sentences, str):
        raise ModelError(f"sentences come as a list, and {sentences[:40]!r} is one; put it into brackets")
    for number, sentence in enumerate(sentences):
        if not isinstance(sentence, str):
            raise ModelError(f"sentence {number} of {len(sentences)} is a {type(sentence).__name__} and no text")
        if not any(character.isalnum() for character in sentence):
            raise ModelError(
                f"sentence {number} of {len(sentences)} has no word in it: {sentence!r}; write one or leave it out"
            )
        if has_half_letter(sentence):
            raise ModelError(
                f"sentence {number} of {len(sentences)} has half a letter in it (a lone surrogate), which no text can "
                f"have: {sentence!r}; write it again"
            )
