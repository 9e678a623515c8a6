"""Ranked tables as data: one :class:`Board` per task and dataset; made elsewhere, rendered elsewhere.

Numbers are fractions. Rows of one section are comparable: one task version, one dataset with one fingerprint and
options, one protocol version. Measured and reported numbers are different lists.
"""

from collections.abc import Callable
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from gaitbench.dated import Dated
from gaitbench.reported import ReportedElsewhere, ReportedRow
from gaitbench.results import RunRecord, TrainedOn
from gaitbench.towers.config import TowerInfo

__all__ = [
    "Board",
    "Cell",
    "Column",
    "Denominator",
    "ExtraColumn",
    "LabelSpace",
    "ReportedRow",
    "Row",
    "Section",
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Column(_Part):
    """One measured number of a row."""

    key: str
    """Name of the column in :attr:`Row.cells`."""
    title: str
    """Head of the column."""
    metric: str
    """As in the record."""
    group: str
    """As in the record."""
    directions: tuple[str, ...]
    """As in the record; several are averaged."""
    higher_is_better: bool = True
    """Direction of "good"."""
    table: str = "main"
    """Which table it stands in: ``main``, ``groups``, ``gaps``, ``attributes`` or ``classes``."""


class Cell(Dated, _Part):
    """The mean over seeds of one number."""

    later_fields = frozenset({"majority"})

    value: float | None
    """None when nothing could be counted."""
    seed_sd: float | None = None
    """Standard deviation between seeds (n - 1); None for a single seed."""
    ci_low: float | None = None
    """95 % interval from a bootstrap over test subjects, of the mean over seeds."""
    ci_high: float | None = None
    """Its upper end."""
    chance: float | None = None
    """What a random ranking, or a guess, scores."""
    majority: float | None = None
    """What the commonest class of the training data scores, told of everybody; mean over seeds."""


class Row(Dated, _Part):
    """One configured model."""

    later_fields = frozenset({"towers", "decides", "changes", "training_only"})

    model: str
    """Name; with what was appended to its embeddings, where something was."""
    preset: str
    """``quick`` numbers say little about the published method."""
    plugin: str
    """Distribution and version."""
    fidelity: str
    """``parity``, ``paper`` or ``proposed``."""
    open_points: tuple[str, ...] = ()
    """Choices of ours where the source is silent."""
    note: str = ""
    """What a reader must know."""
    is_trivial: bool = False
    """The trivial baseline of the task."""
    num_parameters: int
    """Trainable and fitted numbers."""
    flops_per_sequence: int | None = None
    """Per test sequence of median length."""
    train_seconds: float
    """Mean over seeds."""
    hardware: str = ""
    """Of the first seed."""
    seeds: tuple[int, ...]
    """Seeds measured."""
    run_ids: tuple[str, ...]
    """Runs behind the row, in the order of the seeds."""
    rank_low: int | None = None
    """Best rank that is not ruled out; None off the ranking."""
    rank_high: int | None = None
    """Worst rank that is not ruled out."""
    cells: dict[str, Cell]
    """Column key to number."""
    extra: dict[str, str] = Field(default_factory=dict)
    """Columns of plugins."""
    towers: tuple[TowerInfo, ...] = ()
    """Encoders of others that it borrowed; the tables name those that are not the published ones."""
    decides: str = ""
    """How its attribute logits became labels; empty where none are told."""
    changes: tuple[str, ...] = ()
    """What was set otherwise than in the preset, such as ``has_text=false``."""
    training_only: tuple[str, ...] = ()
    """Streams that it read in training, and not in the test."""

    @property
    def configured(self) -> str:
        """The preset and what was changed in it, for tables."""
        return ", ".join((self.preset, *self.changes))


class Denominator(_Part):
    """What a group's numbers are shares of."""

    group: str
    """Probe group."""
    direction: str
    """Empty within one modality."""
    num_probes: int
    """Comparisons asked: probe units times gallery views."""
    num_counted: int
    """In the denominator of rank-1."""
    num_absent: int
    """Without a match in their gallery."""
    num_excluded: int
    """Pairs left out by the protocol."""


class LabelSpace(_Part):
    """What an attribute section tells of its sequences."""

    attributes: tuple[str, ...]
    """Names, in the order of the schema."""
    encodings: tuple[str, ...]
    """Label vectors that are scored, such as ``onehot45``."""
    num_sequences: int
    """Test sequences."""
    num_unknown: int
    """Attributes of them that are not known."""


class Section(Dated, _Part):
    """Rows that may be compared with each other."""

    later_fields = frozenset({"trained_on", "labels", "uses_labels", "reported_elsewhere"})

    task: str
    task_version: int
    dataset: str
    dataset_version: str
    fingerprint: str
    options: dict[str, object]
    modalities: tuple[str, ...]
    protocol: str
    protocol_version: int
    protocol_title: str
    protocol_source: str
    headline: str
    """Key of the column that ranks."""
    groups: tuple[str, ...]
    """Probe groups at hand."""
    num_test_subjects: int
    num_gallery: int
    num_probes: int
    columns: tuple[Column, ...]
    denominators: tuple[Denominator, ...]
    rows: tuple[Row, ...]
    """Ranked, best first."""
    partial_rows: tuple[Row, ...] = ()
    """Off the ranking: something that the protocol needs was missing."""
    reported: tuple[ReportedRow, ...] = ()
    """Read in papers, never measured here."""
    reported_elsewhere: tuple[ReportedElsewhere, ...] = ()
    """Read in papers, of other data; nothing here can be compared with them."""
    trained_on: TrainedOn | None = None
    """Other data that all rows were trained on; None where they were trained on the training part of these."""
    labels: LabelSpace | None = None
    """What is told of the test sequences, in the attribute task."""
    uses_labels: bool = False
    """True where the true attributes of the test sequences were appended to all rows' embeddings."""


class Board(_Part):
    """Everything measured for one task on one dataset."""

    schema_version: int = 1
    task: str
    dataset: str
    sections: tuple[Section, ...]


class ExtraColumn(NamedTuple):
    """A column that a plugin adds; :class:`gaitbench.hookspecs.LeaderboardColumn` has the same fields."""

    title: str
    value: Callable[[RunRecord], str]
