"""Who is train, probe and gallery; which pairs count; how cells are averaged. Protocols are data.

Axes: N sequences of a table, Q probes, G gallery sequences.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, PositiveInt

from gaitbench.errors import IncompleteDataError, ProtocolError
from gaitbench.patterns import matcher, matches, words_of

if TYPE_CHECKING:
    from gaitbench.table import SequenceTable

__all__ = ["Division", "Exclusion", "Protocol", "Selection", "explain", "select"]

Exclusion = Literal["identical_view", "same_subject_and_view", "same_sequence"]
"""A kind of pair that does not count; see :attr:`Protocol.exclude`."""


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
    galleries: dict[str, Selection] = Field(default_factory=dict)
    """Groups that have a gallery of their own, which takes the place of :attr:`gallery`."""
    probes: dict[str, Selection]
    """Name of a group in the table (``NM``, ``BG``, ``A`` ...) to the sequences asked about, of the test subjects."""
    complement: Literal["none", "gallery", "probes"] = "none"
    """``gallery``: whatever is probe in any group is no gallery, for protocols that list their probes and search all
    the rest. ``probes``: whatever is gallery is no probe, for those that list their gallery."""
    optional_groups: tuple[str, ...] = ()
    """Groups that a copy of the dataset may lack as a whole; they are left out of ``mean``, and it is said."""

    exclude: tuple[Exclusion, ...] = ("same_sequence",)
    """Pairs that do not count. ``identical_view``: probe and gallery share the view (the diagonal of the
    view-pair matrix). ``same_subject_and_view``: they share subject and view (re-identification)."""
    view_separator: str = ""
    """With a value, views are told apart by what stands before its first occurrence: with ``_`` the views ``01_0``
    and ``01_1`` are one camera."""
    averaging: Literal["view_pairs", "probe_views", "probes"] = "view_pairs"
    """``view_pairs``: a cell per (probe view, gallery view), its gallery being that one view; cells are averaged
    over gallery views, then over probe views. ``probe_views``: a cell per probe view with one pooled gallery, plain
    mean over cells. ``probes``: one pooled gallery, plain mean over probes."""
    absent_probes: Literal["miss", "skip"] = "miss"
    """A probe without any valid match in its gallery counts as a miss of rank-k, or is left out; always counted and
    shown. Other metrics say nothing of such a probe and leave it out either way."""
    unit: Literal["sequence", "set"] = "sequence"
    """``set``: all sequences of one subject in one condition and view are one probe or gallery unit; the distance
    of two sets is the mean over samples of the distance to the nearest sample of the other set, both ways, added."""
    distance: Literal["euclidean", "cosine"] = "euclidean"
    """Mean over parts of the Euclidean distance, or one minus the mean over parts of the cosine."""
    ranks: tuple[PositiveInt, ...] = (1, 5, 10)
    """The k of the rank-k scores in the record; rank-1 is always there."""
    headline: str
    """Group whose rank-1 orders the leaderboard; ``mean`` is the plain mean over groups."""
    mean_groups: tuple[str, ...] = ()
    """Groups that enter ``mean``; empty takes all, which is wrong where one group contains others."""

    num_train_subjects: PositiveInt | None = None
    """Training subjects the protocol requires; None where the dataset decides."""
    num_test_subjects: PositiveInt | None = None
    """Test subjects the protocol requires; missing ones stop a run unless partial results are allowed."""
    is_closed_set: bool = False
    """True when training and test subjects are the same people, as in gallery-trained protocols."""
    published: dict[str, str] = Field(default_factory=dict)
    """Where reported numbers stand: dataset and protocol names in the published data."""

    def cameras(self, views: NDArray[np.str_]) -> NDArray[np.str_]:
        """What tells two views apart under this protocol.

        Args:
            views: ``[N]`` views as the dataset writes them.

        Returns:
            ``[N]``.
        """
        if not self.view_separator:
            return views
        return np.array([view.split(self.view_separator, 1)[0] for view in views.tolist()], dtype=np.str_)

    def divide(self, table: "SequenceTable", *, allow_partial: bool = False, needs_train: bool = True) -> "Division":
        """Find train, gallery and probe sequences, and stop when the protocol cannot be applied as it stands.

        Args:
            table: The sequences at hand.
            allow_partial: Go on when subjects, listed sequences or whole groups are missing; the division says so.
            needs_train: False when embeddings are scored without training, so that no training subject is needed.

        Returns:
            Indices into the table.

        Raises:
            IncompleteDataError: Subjects or listed sequences are missing.
            ProtocolError: A pattern matches nothing, training and test subjects overlap, or a whole probe group
                has nobody to be found in the gallery.
        """
        return _divide(self, table, allow_partial=allow_partial, needs_train=needs_train)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Division:
    """Which rows of a table play which part."""

    table: "SequenceTable"
    """The table that was divided."""
    train: NDArray[np.int64]
    """Rows that training may see."""
    gallery: NDArray[np.int64]
    """Rows searched by any group, ascending."""
    galleries: dict[str, NDArray[np.int64]]
    """Group to the rows searched by it."""
    probes: dict[str, NDArray[np.int64]]
    """Group to the rows asked about; groups that are missing as a whole are not in it."""
    num_test_subjects: int
    """Subjects among probes and gallery."""
    absent_groups: tuple[str, ...] = ()
    """Groups of the protocol without any sequence."""
    problems: tuple[str, ...] = ()
    """What is missing, a line each."""

    @property
    def is_partial(self) -> bool:
        """True when something that the protocol needs is missing."""
        return bool(self.problems)

    @property
    def test(self) -> NDArray[np.int64]:
        """Rows to embed: probes and gallery, ascending, each once."""
        return np.unique(np.concatenate([self.gallery, *self.probes.values()]))


def select(table: "SequenceTable", selection: Selection, *, allow_unmatched: bool = False) -> NDArray[np.int64]:
    """Find the rows of a selection.

    Args:
        table: The sequences.
        selection: Patterns; a row must match every field that is given.
        allow_unmatched: Accept patterns that match no row.

    Returns:
        Row indices, ascending.

    Raises:
        ProtocolError: A pattern matches no row, or a range cannot be read.
        IncompleteDataError: Sequences of an explicit list are missing.

    Example:
        >>> from gaitbench.sequence import SequenceInfo
        >>> from gaitbench.table import SequenceTable
        >>> rows = [SequenceInfo(sequence_id=c, subject_id="007", condition=c, view="090") for c in ("nm-01", "cl-01")]
        >>> select(SequenceTable.from_infos(rows), Selection(subjects=("001..060",), conditions=("nm-*",)))
        array([0])
    """
    problems = _unmatched(table, selection)
    if problems and not allow_unmatched:
        raise problems[0]
    chosen = np.ones(len(table), dtype=bool)
    for values, patterns in _fields(table, selection):
        if patterns:
            chosen &= matches(values, patterns)
    if selection.sequence_ids:
        chosen &= np.isin(table.sequence_id, np.array(selection.sequence_ids))
    return np.flatnonzero(chosen)


def explain(protocol: Protocol) -> str:
    """Say in words who is compared with whom and how it is counted.

    Args:
        protocol: Any protocol.

    Returns:
        Lines of text without markup.

    Example:
        >>> probes = {"NM": Selection(conditions=("nm-0[56]",))}
        >>> protocol = Protocol(name="p", dataset="d", title="A protocol", source="us", train=Selection(),
        ...     test_subjects=("061..100",), gallery=Selection(conditions=("nm-0[1-4]",)), probes=probes, headline="NM")
        >>> print(explain(protocol).splitlines()[3])
        gallery         conditions nm-0[1-4]
    """
    count = {True: "any number", False: "{} required"}
    train, test = protocol.num_train_subjects, protocol.num_test_subjects
    rest = {
        "none": "",
        "gallery": ", less every probe sequence",
        "probes": "",
    }[protocol.complement]
    lines = [
        f"{protocol.name}, version {protocol.version}: {protocol.title}",
        f"train           {_say(protocol.train)}; subjects: {count[train is None].format(train)}",
        f"test subjects   {', '.join(protocol.test_subjects)}; {count[test is None].format(test)}"
        + ("; the training subjects themselves (closed set)" if protocol.is_closed_set else ""),
        f"gallery         {_say(protocol.gallery)}{rest}",
    ]
    lines += [f"gallery of {name:<5}{_say(s)}{rest}" for name, s in protocol.galleries.items()]
    lines += [
        f"probes {name:<9}{_say(s)}"
        + (", less every gallery sequence" if protocol.complement == "probes" else "")
        + (" (a copy of the dataset may lack it)" if name in protocol.optional_groups else "")
        for name, s in protocol.probes.items()
    ]
    groups = ", ".join(protocol.mean_groups or protocol.probes)
    lines += [
        f"unit            {_UNITS[protocol.unit]}",
        f"distance        {_DISTANCES[protocol.distance]}",
        f"left out        {'; '.join(_EXCLUSIONS[kind] for kind in protocol.exclude) or 'no pair'}",
        f"averaging       {_AVERAGING[protocol.averaging]}",
        f"absent probes   {_ABSENT[protocol.absent_probes]}",
        "ties            count against the probe",
        f"headline        rank-1 of {protocol.headline}; mean is the plain mean over {groups}",
    ]
    if protocol.view_separator:
        lines.append(f"views           told apart by what stands before the first {protocol.view_separator!r}")
    lines.append(f"source          {protocol.source}")
    lines += [f"note            {note}" for note in protocol.notes]
    return "\n".join(lines)


_UNITS = {
    "sequence": "one sequence",
    "set": "all sequences of one subject in one condition and view; distance of sets: mean over samples of the "
    "distance to the nearest sample of the other set, both ways, added",
}
_DISTANCES = {
    "euclidean": "mean over parts of the Euclidean distance",
    "cosine": "one minus the mean over parts of the cosine",
}
_EXCLUSIONS = {
    "identical_view": "pairs of one view",
    "same_subject_and_view": "pairs of one subject in one view",
    "same_sequence": "a sequence with itself",
}
_AVERAGING = {
    "view_pairs": "a cell per probe view and gallery view; mean over gallery views, then over probe views",
    "probe_views": "one pooled gallery; a cell per probe view, mean over probe views",
    "probes": "one pooled gallery, mean over probes",
}
_ABSENT = {
    "miss": "a probe without a valid match is a miss of rank-k and left out of AP and INP",
    "skip": "a probe without a valid match is left out",
}


def _say(selection: Selection) -> str:
    said = [
        f"{name} {', '.join(patterns)}"
        for name, patterns in (
            ("subjects", selection.subjects),
            ("conditions", selection.conditions),
            ("views", selection.views),
        )
        if patterns
    ]
    if selection.sequence_ids:
        said.append(f"a list of {len(selection.sequence_ids)} sequences")
    return "; ".join(said) or "everything"


def _divide(protocol: Protocol, table: "SequenceTable", *, allow_partial: bool, needs_train: bool) -> Division:
    _check_groups(protocol)
    check = _Completeness(protocol.name, allow_partial)
    test = check.select(table, Selection(subjects=protocol.test_subjects), "test subjects")
    check.count("test", table, protocol.test_subjects, protocol.num_test_subjects, test)
    train = np.zeros(0, dtype=np.int64)
    if needs_train:
        train = check.select(table, protocol.train, "train")
        wanted = protocol.train.subjects
        check.count("training", table, wanted, protocol.num_train_subjects, train)
        _check_overlap(protocol, table, train, test)

    among = table.take(test)
    gallery = test[check.select(among, protocol.gallery, "gallery")]
    galleries = {
        name: test[check.select(among, protocol.galleries[name], f"gallery of {name}")]
        if name in protocol.galleries
        else gallery
        for name in protocol.probes
    }
    probes: dict[str, NDArray[np.int64]] = {}
    absent: list[str] = []
    for name, selection in protocol.probes.items():
        is_optional = name in protocol.optional_groups
        rows = select(among, selection, allow_unmatched=True)
        if rows.size == 0 and is_optional:
            absent.append(name)
            continue
        probes[name] = test[check.select(among, selection, f"probe group {name}")]
        if probes[name].size == 0:
            check.report(
                ProtocolError(f"{protocol.name}: probe group {name} selects no sequence; look at the patterns")
            )
            del probes[name]
            absent.append(name)
    if not probes:
        raise ProtocolError(
            f"{protocol.name}: no probe group has a sequence (groups: {', '.join(protocol.probes)}); "
            f"is this the dataset {protocol.dataset}?"
        )
    asked = np.unique(np.concatenate(list(probes.values())))
    if protocol.complement == "gallery":
        galleries = {name: np.setdiff1d(rows, asked) for name, rows in galleries.items()}
    galleries = {name: galleries[name] for name in probes}
    searched = np.unique(np.concatenate(list(galleries.values())))
    if protocol.complement == "probes":
        probes = {name: np.setdiff1d(rows, searched) for name, rows in probes.items()}
    for name, rows in probes.items():
        _check_findable(protocol, table, name, rows, galleries[name])
    people = np.unique(table.subject_id[np.concatenate([searched, *probes.values()])])
    return Division(
        table=table,
        train=train,
        gallery=searched,
        galleries=galleries,
        probes=probes,
        num_test_subjects=len(people),
        absent_groups=tuple(absent),
        problems=tuple(check.problems),
    )


class _Completeness:
    """Raises what is missing, or collects it when partial results are allowed."""

    def __init__(self, name: str, allow_partial: bool) -> None:
        self.name = name
        self.allow_partial = allow_partial
        self.problems: list[str] = []

    def report(self, error: Exception) -> None:
        if not self.allow_partial:
            raise error
        self.problems.append(str(error))

    def select(self, table: "SequenceTable", selection: Selection, part: str) -> NDArray[np.int64]:
        for error in _unmatched(table, selection, where=f"{self.name}, {part}"):
            self.report(error)
        return select(table, selection, allow_unmatched=True)

    def count(
        self,
        part: str,
        table: "SequenceTable",
        patterns: tuple[str, ...],
        required: int | None,
        rows: NDArray[np.int64],
    ) -> None:
        found = np.unique(table.subject_id[rows])
        if required is None or len(found) == required:
            return
        if len(found) > required:
            self.report(
                ProtocolError(
                    f"{self.name}: {len(found)} {part} subjects have sequences, the protocol has {required}; "
                    "remove the subjects that do not belong to it"
                )
            )
            return
        missing = sorted(set(words_of(patterns)) - set(found.tolist()))
        named = f" (first: {', '.join(missing[:3])})" if missing else ""
        self.report(
            IncompleteDataError(
                f"{self.name}: {required - len(found)} of {required} {part} subjects have no sequence{named}. "
                "Complete the data, or allow partial results (allow_partial=True, --allow-partial); "
                "a partial result is marked and kept off the leaderboard."
            )
        )


def _check_groups(protocol: Protocol) -> None:
    known = set(protocol.probes)
    if protocol.headline not in known | {"mean"}:
        raise ProtocolError(
            f"{protocol.name}: headline {protocol.headline!r} is no probe group; choose one of "
            f"{', '.join([*protocol.probes, 'mean'])}"
        )
    for field in ("galleries", "optional_groups", "mean_groups"):
        if unknown := sorted(set(getattr(protocol, field)) - known):
            raise ProtocolError(
                f"{protocol.name}: {field} names {', '.join(unknown)}, which is no probe group "
                f"(groups: {', '.join(protocol.probes)})"
            )


def _check_overlap(
    protocol: Protocol, table: "SequenceTable", train: NDArray[np.int64], test: NDArray[np.int64]
) -> None:
    if protocol.is_closed_set:
        return
    both = np.intersect1d(table.subject_id[train], table.subject_id[test])
    if both.size:
        raise ProtocolError(
            f"{protocol.name}: {both.size} subjects are in training and test (first: {', '.join(both[:3].tolist())}); "
            "divide the subjects, or set is_closed_set if the protocol trains on its own gallery"
        )


def _check_findable(
    protocol: Protocol, table: "SequenceTable", group: str, probes: NDArray[np.int64], gallery: NDArray[np.int64]
) -> None:
    """Stop when not one probe of the group can be found, whatever the model."""
    hint = f"{protocol.name}: probe group {group} ({probes.size} sequences) has no gallery to be found in: "
    if gallery.size == 0:
        raise ProtocolError(hint + "the gallery selection is empty; look at its patterns")
    if probes.size == 0:
        raise ProtocolError(f"{protocol.name}: probe group {group} holds no sequence outside the gallery")
    subject = np.unique(table.subject_id, return_inverse=True)[1]
    in_gallery = np.bincount(subject[gallery], minlength=len(table))[subject[probes]]
    if not in_gallery.any():
        raise ProtocolError(hint + "none of its subjects is in the gallery")
    view = np.unique(protocol.cameras(table.view), return_inverse=True)[1]
    if {"identical_view", "same_subject_and_view"} & set(protocol.exclude):
        pair = subject * (view.max() + 1) + view
        in_gallery = in_gallery - np.bincount(pair[gallery], minlength=int(pair.max()) + 1)[pair[probes]]
        if not in_gallery.any():
            raise ProtocolError(hint + "its subjects are there in the same view only, and such pairs are left out")
    elif "same_sequence" in protocol.exclude and protocol.unit == "sequence":
        in_gallery = in_gallery - np.isin(probes, gallery)
        if not in_gallery.any():
            raise ProtocolError(hint + "it is its own gallery, and a sequence is not compared with itself")
    elif np.isin(probes, gallery).any() and "same_sequence" not in protocol.exclude:
        raise ProtocolError(
            f"{protocol.name}: sequences of probe group {group} are in its gallery and would find themselves; "
            "exclude same_sequence, or correct the selections"
        )


def _fields(table: "SequenceTable", selection: Selection) -> tuple[tuple[NDArray[np.str_], tuple[str, ...]], ...]:
    return (
        (table.subject_id, selection.subjects),
        (table.condition, selection.conditions),
        (table.view, selection.views),
    )


def _unmatched(table: "SequenceTable", selection: Selection, where: str = "selection") -> list[Exception]:
    """An error for each pattern without a row, and one for the listed sequences that are not there."""
    errors: list[Exception] = []
    for name, (values, patterns) in zip(("subject", "condition", "view"), _fields(table, selection), strict=True):
        known = np.unique(values).tolist()
        for pattern in patterns:
            if not any(map(matcher(pattern), known)):
                shown = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
                errors.append(
                    ProtocolError(
                        f"{where}: {name} {pattern!r} matches none of the {len(known)} {name}s ({shown}); "
                        "correct the pattern or complete the data"
                    )
                )
    if missing := sorted(set(selection.sequence_ids) - set(table.sequence_id.tolist())):
        errors.append(
            IncompleteDataError(
                f"{where}: {len(missing)} of {len(selection.sequence_ids)} listed sequences are missing "
                f"(first: {', '.join(missing[:3])}). Complete the data, or allow partial results."
            )
        )
    return errors
