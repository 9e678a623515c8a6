"""Answers that were paid for, each in a file named by the hash of its question.

Only what was checked and cleaned is kept, never what a model said word for word, and it is checked again when it is
read.
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, NonNegativeInt, ValidationError

from gaitbench.annotating.fields import AnswerField, Value, check_values
from gaitbench.atomic import write_json

__all__ = ["Answer", "AnswerCache"]

MOST_FILE_BYTES = 1 << 20


class Answer(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A usable answer."""

    request_sha256: str
    """Hash of the question."""
    values: dict[str, Value]
    """Field to value."""
    answered_by: str
    """The model, by its own account."""
    answered_at: str
    """When, in UTC."""
    prompt_tokens: NonNegativeInt
    """Of all requests for it together."""
    completion_tokens: NonNegativeInt
    """Of all requests for it together."""
    num_requests: NonNegativeInt
    """Answers that it took, unusable ones among them."""


class AnswerCache:
    """A folder of answers, for any number of processes.

    Args:
        root: The folder; made when the first answer comes.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, request_sha256: str, fields: Sequence[AnswerField]) -> Answer | None:
        """The answer to a question; None where there is none, or none that fits."""
        path = self._path(request_sha256)
        try:
            if path.stat().st_size > MOST_FILE_BYTES:
                return None
            answer = Answer.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None
        if answer.request_sha256 != request_sha256 or check_values(answer.values, fields):
            return None
        return answer

    def put(self, answer: Answer) -> None:
        """Keep an answer.

        Raises:
            OutputError: The folder cannot be written.
        """
        write_json(self._path(answer.request_sha256), answer.model_dump(mode="json"))

    def _path(self, request_sha256: str) -> Path:
        return self._root / request_sha256[:2] / f"{request_sha256}.json"
