"""Who is train, probe and gallery; which pairs count; how cells are averaged. Protocols are data.

Axes: Q probes, G gallery sequences.
"""

from typing import Literal

from pydantic import BaseModel, Field, PositiveInt

__all__ = ["Protocol", "Selection"]


class Selection(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A set of sequences, by glob patterns; every given field must match."""

    subjects: tuple[str, ...] = ()
    """Patterns or inclusive ranges ``0001..0060`` of subject ids; empty takes all."""
    conditions: tuple[str, ...] = ()
    """Patterns of conditions such as ``nm-0[12]``; empty takes all."""
    views: tuple[str, ...] = ()
    """Patterns of views; empty takes all."""
    sequence_ids: tuple[str, ...] = ()
    """An explicit list, for protocols that have one; empty takes all."""


class Protocol(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """An official way to divide a dataset and to count."""

    name: str
    """As on the command line."""
    version: PositiveInt = 1
    """Raised when any number could change."""
    dataset: str
    """The dataset it belongs to."""
    title: str
    """One line."""
    source: str
    """Paper, section or code that fixes it."""
    notes: tuple[str, ...] = ()
    """What a reader must know, a line each."""

    train: Selection
    """Sequences that training may see."""
    test_subjects: tuple[str, ...]
    """Patterns or ranges of the subjects who are probe and gallery."""
    gallery: Selection
    """Sequences searched, among the test subjects."""
    probes: dict[str, Selection]
    """Name of a group in the table (``NM``, ``BG``, ``A`` ...) to the sequences asked about, among the test subjects."""

    exclude: tuple[Literal["identical_view", "same_subject_and_view", "same_sequence"], ...] = ("same_sequence",)
    """Pairs that do not count. ``identical_view``: probe and gallery share the view (the diagonal of the
    view-pair matrix). ``same_subject_and_view``: they share subject and view (re-identification)."""
    averaging: Literal["view_pairs", "probes"] = "view_pairs"
    """``view_pairs``: a cell per (probe view, gallery view), its gallery being that one view; cells are averaged
    over gallery views, then over probe views. ``probes``: one pooled gallery, plain mean over probes."""
    absent_probes: Literal["miss", "skip"] = "miss"
    """A probe without any valid match in its gallery counts as a miss, or is left out; always counted and shown."""
    unit: Literal["sequence", "set"] = "sequence"
    """``set``: all sequences of one subject in one condition and view are one probe or gallery unit; the distance
    of two sets is the mean over samples of the distance to the nearest sample of the other set, both ways, added."""
    distance: Literal["euclidean", "cosine"] = "euclidean"
    """Mean over parts of the Euclidean distance, or one minus the mean over parts of the cosine."""
    headline: str
    """Group whose rank-1 orders the leaderboard; ``mean`` is the plain mean over groups."""

    num_train_subjects: PositiveInt | None = None
    """Training subjects the protocol requires; None where the dataset decides."""
    num_test_subjects: PositiveInt | None = None
    """Test subjects the protocol requires; missing ones stop a run unless partial results are allowed."""
    is_closed_set: bool = False
    """True when training and test subjects are the same people, as in gallery-trained protocols."""
    published: dict[str, str] = Field(default_factory=dict)
    """Where reported numbers stand: dataset and protocol names in the published data."""
