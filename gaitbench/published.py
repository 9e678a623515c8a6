"""Numbers read in papers and model zoos: reported by others, never measured by us, and never in one column with ours.

They are package data under ``gaitbench/data/published``: facts with their sources, one entry per table row. Values are
in percent as printed.
"""

import json
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gaitbench.errors import UsageError
from gaitbench.protocol import Protocol

__all__ = ["PublishedNumber", "published", "published_for", "published_key"]


class PublishedNumber(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One number as a source prints it."""

    dataset: str
    """As the source calls it."""
    protocol: str
    """What the source says of its protocol; numbers of different protocols are not comparable."""
    model: str
    """As the source calls it."""
    modality: str
    """What the model reads, in the source's words; ``A -> B`` for cross-modal numbers, probe first."""
    metric: str
    """As in ``Rank-1 NM``: metric, then probe group."""
    value: float
    """As printed, in percent unless the metric says otherwise."""
    source: str
    """Paper with table, or document."""
    doubtful: bool = False
    """True where the source contradicts itself or another one; the note says how."""
    note: str = ""
    """What a reader must know."""


class _Row(BaseModel):
    """An entry of the data files: the numbers of one model in one table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    protocol: str
    model: str
    modality: str
    source: str
    values: dict[str, float]
    doubtful: tuple[str, ...] = ()
    notes: dict[str, str] = Field(default_factory=dict)
    note: str = ""

    def numbers(self) -> Iterable[PublishedNumber]:
        """One number per metric."""
        shared = self.model_dump(include={"dataset", "protocol", "model", "modality", "source"})
        for metric, value in self.values.items():
            note = self.notes.get(metric, self.note)
            yield PublishedNumber(**shared, metric=metric, value=value, doubtful=metric in self.doubtful, note=note)


def published(
    *, dataset: str | None = None, protocol: str | None = None, model: str | None = None, metric: str | None = None
) -> tuple[PublishedNumber, ...]:
    """Look reported numbers up.

    Names compare without case, spaces and punctuation, so ``usf-gait17`` finds ``USF-Gait17``.

    Args:
        dataset: Only this dataset.
        protocol: Only this protocol, word for word.
        model: Only this model.
        metric: Only this metric.

    Returns:
        Numbers in the order of the sources.

    Example:
        >>> [number.value for number in published(dataset="usf-gait17", model="ETGLDA", metric="Rank-1 A")]
        [99.0]
    """
    wanted = {"dataset": dataset, "model": model, "metric": metric}
    keys = {field: published_key(word) for field, word in wanted.items() if word is not None}
    return tuple(
        number
        for number in _everything()
        if (protocol is None or number.protocol == protocol)
        and all(published_key(getattr(number, field)) == key for field, key in keys.items())
    )


def published_for(protocol: Protocol) -> tuple[PublishedNumber, ...]:
    """Reported numbers that belong beside those measured under a protocol.

    Args:
        protocol: Its ``published`` field says where they stand: ``{"dataset": ..., "protocol": ...}``.

    Returns:
        Numbers; none where the protocol names no place.

    Example:
        >>> from gaitbench.protocol import Selection
        >>> anything = Selection()
        >>> published_for(Protocol(name="p", dataset="d", title="t", source="s", train=anything, test_subjects=("*",),
        ...     gallery=anything, probes={"A": anything}, headline="A"))
        ()
    """
    place = protocol.published
    if unknown := sorted(set(place) - {"dataset", "protocol"}):
        raise UsageError(f"{protocol.name}: published has unknown keys {', '.join(unknown)}; use dataset and protocol")
    if "dataset" not in place:
        return ()
    return published(dataset=place["dataset"], protocol=place.get("protocol"))


def published_key(word: str) -> str:
    """What two names share when they mean the same: letters, digits and ``*``, in lower case.

    Args:
        word: Any name.

    Returns:
        The key.

    Example:
        >>> published_key("USF-Gait17") == published_key("usf gait17")
        True
    """
    return "".join(letter for letter in word.casefold() if letter.isalnum() or letter in "*+")


@lru_cache(maxsize=1)
def _everything() -> tuple[PublishedNumber, ...]:
    folder = resources.files("gaitbench") / "data" / "published"
    numbers: list[PublishedNumber] = []
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".json"):
            continue
        try:
            rows = [_Row.model_validate(row) for row in json.loads(file.read_text(encoding="utf-8"))]
        except (ValueError, ValidationError) as error:
            raise UsageError(f"published numbers {file.name} cannot be read: {error}; reinstall gaitbench") from error
        numbers += [number for row in rows for number in row.numbers()]
    return tuple(numbers)
