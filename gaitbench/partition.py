"""The lists of people and sequences that some protocols are made of, as their authors publish them.

A partition file is JSON with lists of words: ``TRAIN_SET`` and ``TEST_SET`` hold subjects, ``PROBE_SET`` and
``GALLERY_SET`` hold sequences as ``subject-condition-view``. Other keys are passed over; case does not count in keys.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, NonNegativeInt, PositiveInt

from gaitbench.errors import DatasetError
from gaitbench.half_letters import has_half_letter

__all__ = [
    "LIST_KEYS",
    "GivenList",
    "ListRole",
    "OfficialList",
    "check_lists",
    "list_digest",
    "read_partition",
]

ListRole = Literal["train", "test", "probes", "gallery"]
"""What a list fills in: training subjects, test subjects, probes of every group, gallery."""

LIST_KEYS: dict[ListRole, str] = {
    "train": "TRAIN_SET",
    "test": "TEST_SET",
    "probes": "PROBE_SET",
    "gallery": "GALLERY_SET",
}
"""Where each list stands in a partition file."""


class GivenList(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A list that somebody handed in."""

    num: NonNegativeInt
    """Its entries."""
    sha256: str
    """Of its entries, as :func:`list_digest` counts it."""

    @classmethod
    def of(cls, words: Collection[str]) -> "GivenList":
        """Count and hash a list.

        Args:
            words: Its entries.
        """
        return cls(num=len(words), sha256=list_digest(words))


class OfficialList(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What is known of a published list without having it."""

    num: PositiveInt
    """Its entries."""
    sha256: str = Field(default="", pattern="^[0-9a-f]{0,64}$")
    """Of its entries, as :func:`list_digest` counts it; its first digits, where no more are known. Empty where only the
    number is known: any list of so many entries is then taken for it."""

    def may_be(self, found: GivenList) -> bool:
        """Tell whether a list is the published one, as far as that is known.

        Args:
            found: The list.
        """
        return found.num == self.num and found.sha256.startswith(self.sha256)

    def __str__(self) -> str:
        digest = f"sha256 {self.sha256[:16]}..." if self.sha256 else "of which no more is known"
        return f"{self.num} entries, {digest}"


def list_digest(words: Iterable[str]) -> str:
    """Hash a list whatever its order: SHA-256 of the sorted entries joined by line breaks, in UTF-8.

    Args:
        words: Its entries.

    Example:
        >>> list_digest(["b", "a"]) == list_digest(["a", "b"])
        True
    """
    return hashlib.sha256("\n".join(sorted(words)).encode()).hexdigest()


def read_partition(partition: Path | str | Mapping[str, object]) -> dict[ListRole, tuple[str, ...]]:
    """Read the lists of a partition.

    Args:
        partition: A JSON file, or its content.

    Returns:
        The lists that it has, in their order.

    Raises:
        DatasetError: The file cannot be read, holds none of the lists, or a list is not one of distinct words.

    Example:
        >>> read_partition({"TEST_SET": ["007"], "note": "made up"})
        {'test': ('007',)}
    """
    where = "the partition" if isinstance(partition, Mapping) else str(partition)
    content: object = partition
    if not isinstance(partition, Mapping):
        try:
            content = json.loads(Path(partition).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DatasetError(f"{where} cannot be read as a partition file ({error}); it must be JSON") from error
    if not isinstance(content, Mapping):
        raise DatasetError(f"{where} must be a JSON object with lists such as TEST_SET, got {type(content).__name__}")
    found = {str(key).upper(): value for key, value in content.items()}
    lists = {role: _words(where, key, found[key]) for role, key in LIST_KEYS.items() if key in found}
    if not lists:
        raise DatasetError(
            f"{where} has none of {', '.join(LIST_KEYS.values())}; it has {', '.join(map(str, content))}"
        )
    return lists


def check_lists(lists: Mapping[ListRole, Sequence[str]], *, is_closed_set: bool = False) -> None:
    """Stop when the lists of a partition contradict each other.

    Args:
        lists: As :func:`read_partition` gives them.
        is_closed_set: Training and test subjects may be the same people.

    Raises:
        DatasetError: A subject trains and is tested, a sequence is asked about and searched, a listed sequence is of
            nobody who is tested, or a subject reads like a pattern.

    Example:
        >>> check_lists({"train": ["001"], "test": ["002"], "probes": ["002-nm-01-090"]})
    """
    subjects: tuple[ListRole, ...] = ("train", "test")
    sequences: tuple[ListRole, ...] = ("probes", "gallery")
    for role in subjects:
        if patterns := [word for word in lists.get(role, ()) if ".." in word or any(c in word for c in "*?[")]:
            raise DatasetError(f"{LIST_KEYS[role]} must name subjects one by one, got the pattern {patterns[0]!r}")
    if not is_closed_set:
        _check_apart(lists, "train", "test", "subjects")
    _check_apart(lists, "probes", "gallery", "sequences")
    people = set(lists.get("test", ()))
    for role in sequences if people else ():
        if strangers := [key for key in lists.get(role, ()) if not people & set(_beginnings(key))]:
            raise DatasetError(
                f"{len(strangers)} of {len(lists[role])} sequences in {LIST_KEYS[role]} are of no subject in "
                f"{LIST_KEYS['test']} (first: {strangers[0]}); the lists are of different datasets, or were edited"
            )


def _check_apart(lists: Mapping[ListRole, Sequence[str]], one: ListRole, other: ListRole, what: str) -> None:
    if both := sorted(set(lists.get(one, ())) & set(lists.get(other, ()))):
        raise DatasetError(
            f"{len(both)} {what} are in {LIST_KEYS[one]} and in {LIST_KEYS[other]} (first: {', '.join(both[:3])}); "
            "take the file that the dataset comes with"
        )


def _beginnings(key: str) -> list[str]:
    """What may be the subject of ``subject-condition-view``: each part before a hyphen."""
    return [key[:at] for at, letter in enumerate(key) if letter == "-"]


def _words(where: str, key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) and word for word in value):
        raise DatasetError(f"{where}: {key} must be a list of words, such as the ids '0001' and '0002'")
    if broken := [word for word in value if has_half_letter(word)]:
        raise DatasetError(f"{where}: {key} names {broken[0]!r}, which is no text that a file can hold; correct it")
    if len(set(value)) != len(value):
        twice = next(word for word, count in Counter(value).items() if count > 1)
        raise DatasetError(f"{where}: {key} names {twice} twice; a published list names everything once")
    return tuple(value)
