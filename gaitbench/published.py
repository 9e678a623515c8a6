"""Numbers read in papers and model zoos: reported by others, never measured by us, and never in one column with ours.

They are package data under ``gaitbench/data/published``: facts with their sources, one entry per table row. Values are
in percent as printed. ``gaitbench/data/published_places.json`` says beside which protocol each of them stands, and why
some stand beside none.
"""

import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gaitbench.errors import UsageError
from gaitbench.protocol import Protocol

__all__ = [
    "PrintedMetric",
    "PublishedNumber",
    "printed_metric",
    "published",
    "published_elsewhere",
    "published_for",
    "published_key",
]


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

    @property
    def is_about_attributes(self) -> bool:
        """True when it says how well attributes are told."""
        return any(word.casefold() in _ATTRIBUTE_METRICS for word in self.metric.split())

    @property
    def is_crossmodal(self) -> bool:
        """True when probe and gallery come from different sensors."""
        if "cross-modal" in self.modality or "retrieval" in self.modality:  # a mean over directions
            return True
        probe, arrow, gallery = re.sub(r"\(.*?\)", "", self.modality).partition("->")
        return bool(arrow) and published_key(probe) != published_key(gallery)


class PrintedMetric(NamedTuple):
    """What a printed number is called here."""

    metric: str
    """Such as ``rank_1`` or ``mean_ap``."""
    group: str
    """Probe group, or ``mean``."""


class _Place(BaseModel):
    """Numbers of one dataset that their source says one thing of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    protocol: str
    trained_on: str = ""
    """The dataset that was trained on, by our name, where it is not the one that was scored."""
    why: str = ""
    """Why they stand beside no protocol."""


class _Places(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    groups: dict[str, dict[str, str]]
    """Protocol to the words that sources have for its groups."""
    beside: dict[str, tuple[_Place, ...]]
    """Protocol to what stands beside it."""
    nowhere: tuple[_Place, ...]
    elsewhere: dict[str, dict[str, tuple[str, ...]]] = {}
    """Protocol of data of which nothing is published, and task, to protocols whose numbers a reader may want to see."""


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


def published_for(protocol: Protocol, task: str | None = None, *, trained_on: str = "") -> tuple[PublishedNumber, ...]:
    """Reported numbers that belong beside those measured under a protocol.

    Args:
        protocol: Its name is looked up among the places; its ``published`` field says where numbers of a protocol that
            is not there stand: ``{"dataset": ..., "protocol": ...}``.
        task: ``crossmodal`` for numbers across sensors only, ``attribute`` for those of attributes, any other name for
            identification within one sensor; None for all.
        trained_on: Name of the dataset that was trained on; empty for the one that was scored.

    Returns:
        Numbers; none where nobody says of any that they belong there.

    Raises:
        UsageError: The protocol's ``published`` field has other keys.

    Example:
        >>> from gaitbench.protocols.ou_mvlp import OU_MVLP
        >>> [number.value for number in published_for(OU_MVLP) if number.model == "GaitBase"]
        [90.8]
    """
    place = protocol.published
    if unknown := sorted(set(place) - {"dataset", "protocol"}):
        raise UsageError(f"{protocol.name}: published has unknown keys {', '.join(unknown)}; use dataset and protocol")
    numbers: tuple[PublishedNumber, ...] = ()
    if protocol.name in _places().beside:
        entries = [entry for entry in _places().beside[protocol.name] if entry.trained_on == trained_on]
        wanted = {(entry.dataset, entry.protocol) for entry in entries}
        numbers = tuple(number for number in _everything() if (number.dataset, number.protocol) in wanted)
    elif "dataset" in place and not trained_on:
        numbers = published(dataset=place["dataset"], protocol=place.get("protocol"))
    return tuple(
        n
        for n in numbers
        if task is None
        or (n.is_crossmodal == (task == "crossmodal") and n.is_about_attributes == (task == "attribute"))
    )


def printed_metric(number: PublishedNumber, protocol: Protocol, groups: Sequence[str]) -> PrintedMetric | None:
    """Tell what a printed number is called here.

    Args:
        number: Such as one of ``Rank-1 CL``, ``mAP``, ``Night Rank-1 (%)`` or ``Rank-5 average``.
        protocol: The one that it stands beside.
        groups: Probe groups that were measured.

    Returns:
        Metric and group; None for other numbers, other groups, and a number without a group where there are several.

    Example:
        >>> from gaitbench.protocols.ccpg import CCPG
        >>> ablation = published_for(CCPG)[0]
        >>> ablation.metric, printed_metric(ablation, CCPG, ["CL", "UP"])
        ('Rank-1 CL', PrintedMetric(metric='rank_1', group='CL'))
    """
    words = number.metric.removesuffix("(%)").split()
    found = [(word, named) for word in words if (named := _metric(word))]
    if len(found) != 1:
        return None
    word, metric = found[0]
    group = published_key("".join(other for other in words if other != word))
    known = {published_key(name): name for name in groups} | {"mean": "mean", "average": "mean"}
    for said, name in _places().groups.get(protocol.name, {}).items():
        if name in groups:
            known[published_key(said)] = name
    if not group and len(groups) == 1:
        return PrintedMetric(metric, groups[0])
    return PrintedMetric(metric, known[group]) if group in known else None


def published_elsewhere(protocol: Protocol, task: str) -> tuple[str, ...]:
    """Names of the protocols whose numbers are shown below a table, though they are of other data.

    Args:
        protocol: The one that the table was measured under.
        task: Of the table.

    Example:
        >>> from gaitbench.walkers.protocol import WALKERS
        >>> published_elsewhere(WALKERS, "attribute"), published_elsewhere(WALKERS, "identity")
        (('ra-gar', 'ma-gait'), ())
    """
    return _places().elsewhere.get(protocol.name, {}).get(task, ())


_ATTRIBUTE_METRICS = {
    "f1": "f1",
    "ma": "ma",
    "precision": "precision",
    "recall": "recall",
    "acc": "acc_elementwise",
    "accuracy": "class_accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
}
"""What papers call the numbers of attributes; on which label vector they were scored is not in the name."""


def _metric(word: str) -> str | None:
    rank = re.fullmatch(r"rank-?([0-9]+)", word.casefold())
    known = {"map": "mean_ap", "minp": "mean_inp", **_ATTRIBUTE_METRICS}
    return f"rank_{rank[1]}" if rank else known.get(word.casefold())


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


@lru_cache(maxsize=1)
def _places() -> _Places:
    file = resources.files("gaitbench") / "data" / "published_places.json"
    try:
        return _Places.model_validate_json(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"published numbers {file.name} cannot be read: {error}; reinstall gaitbench") from error
