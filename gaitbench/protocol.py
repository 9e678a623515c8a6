"""Who is train, probe and gallery; which pairs count; how cells are averaged. Protocols are data.

Axes: N sequences of a table, Q probes, G gallery sequences.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    Field,
    PositiveInt,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from gaitbench.errors import IncompleteDataError, ProtocolError
from gaitbench.explain import explain
from gaitbench.partition import LIST_KEYS, GivenList, ListRole, OfficialList, list_digest, read_partition
from gaitbench.patterns import matcher, matches, words_of

if TYPE_CHECKING:
    from gaitbench.table import SequenceTable

__all__ = ["Division", "Exclusion", "Protocol", "Reranking", "Selection", "Submission", "explain", "select"]

Exclusion = Literal["identical_view", "same_subject_and_view", "same_sequence"]
"""A kind of pair that does not count; see :attr:`Protocol.exclude`."""


class _Dated(BaseModel):
    """Leaves fields that came later out of the record while they have their default, so that old records stay equal."""

    @model_serializer(mode="wrap")
    def _without_later_fields(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        dumped: dict[str, Any] = dump(self)
        fields = type(self).model_fields
        for name in _LATER & set(dumped):
            if getattr(self, name) == fields[name].get_default(call_default_factory=True):
                del dumped[name]
        return dumped


_LATER = {"keys", "left_out_views", "is_grid_complete", "rounded", "evaluator_keys"} | {
    "lists",
    "given",
    "submission",
    "reranking",
}
"""Fields added after the first records were written."""


class Selection(_Dated, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A set of sequences, by glob patterns; every given field must match."""

    subjects: tuple[str, ...] = ()
    """Patterns or inclusive ranges ``0001..0060`` of subject ids; empty takes all."""
    conditions: tuple[str, ...] = ()
    """Patterns of conditions such as ``nm-0[12]``; empty takes all."""
    views: tuple[str, ...] = ()
    """Patterns of views; empty takes all."""
    sequence_ids: tuple[str, ...] = ()
    """An explicit list, for protocols that have one; empty takes all."""
    keys: tuple[str, ...] = ()
    """An explicit list in the words of partition files, ``subject-condition-view``; all sequences of a key are meant.
    Empty takes all."""


class Submission(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What is sent to a server that keeps the probes' labels: a row per probe, named by its view."""

    header: tuple[str, ...]
    """First line of the file, a word per column."""
    num_ranks: PositiveInt = 1
    """Nearest gallery sequences per probe; a subject may stand there twice."""
    labels: Literal["words", "integers"] = "words"
    """Subjects as the dataset writes them, or as integers without leading zeros."""


class Reranking(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """k-reciprocal re-ranking, see :mod:`gaitbench.metrics.k_reciprocal`."""

    k1: PositiveInt = 6
    """Neighbours that can be reciprocal."""
    k2: PositiveInt = 6
    """Neighbours whose sets are averaged, the sequence itself among them."""
    weight: float = Field(default=0.3, ge=0, le=1)
    """Share of the original distance."""


class Protocol(_Dated, frozen=True, extra="forbid", use_attribute_docstrings=True):
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
    left_out_views: tuple[str, ...] = ()
    """Views that are no part of the test, word for word."""
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
    is_grid_complete: bool = False
    """True when every view of the test must occur among the probes of every group and, where cells are view pairs, in
    its gallery, because the official evaluator gives no number without. Holes stop a run, or make it partial; cells
    that are there are then averaged."""
    unit: Literal["sequence", "set"] = "sequence"
    """``set``: all sequences of one subject in one condition and view are one probe or gallery unit; the distance
    of two sets is the mean over samples of the distance to the nearest sample of the other set, both ways, added."""
    distance: Literal["euclidean", "cosine"] = "euclidean"
    """Mean over parts of the Euclidean distance, or one minus the mean over parts of the cosine."""
    ranks: tuple[PositiveInt, ...] = (1, 5, 10)
    """The k of the rank-k scores in the record; rank-1 is always there."""
    rounded: tuple[str, ...] = ()
    """Metrics whose cells the official evaluator rounds to two decimals of a percent before it averages them; each is
    reported at full precision and, rounded so, as ``NAME_official``. Empty stands for rank-1 where there are cells,
    and mean_ap where they are probe views."""
    evaluator_keys: dict[str, str] = Field(default_factory=dict)
    """What the official evaluator calls a number, to ``metric/group`` here, such as ``rank_1_official/NM``."""
    reranking: Reranking | None = None
    """Re-ranking of the pooled gallery before anything is counted."""
    submission: Submission | None = None
    """For protocols whose probe labels are withheld: what is sent to the server. They cannot be scored here."""
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
    lists: dict[ListRole, OfficialList] = Field(default_factory=dict)
    """Lists that follow no rule and that only the official partition file has; :meth:`with_partition` fills them in."""
    given: dict[ListRole, GivenList] = Field(default_factory=dict)
    """Lists that were filled in."""

    @field_validator("evaluator_keys")
    @classmethod
    def _check_evaluator_keys(cls, keys: dict[str, str]) -> dict[str, str]:
        if bad := [key for key, ours in keys.items() if "/" not in ours]:
            raise ValueError(f"evaluator_keys of {bad[0]!r} must read metric/group, got {keys[bad[0]]!r}")
        return keys

    @model_validator(mode="after")
    def _check_rounded(self) -> Self:
        known = {"mean_ap", "mean_inp"} | {f"rank_{k}" for k in (1, *self.ranks)}
        if unknown := sorted(set(self.rounded) - known):
            raise ValueError(
                f"{self.name}: rounded names {', '.join(unknown)}, which is not reported ({', '.join(sorted(known))})"
            )
        return self

    @model_validator(mode="after")
    def _check_reranking(self) -> Self:
        if self.reranking and (self.averaging == "view_pairs" or self.unit == "set"):
            raise ValueError(
                f"{self.name}: re-ranking is defined for sequences and a pooled gallery (averaging 'probes' or "
                f"'probe_views'), and this protocol has {self.unit}s averaged over {self.averaging}"
            )
        return self

    @property
    def rounded_metrics(self) -> tuple[str, ...]:
        """Metrics that are reported with the official rounding as well."""
        by_default = {"view_pairs": ("rank_1",), "probe_views": ("rank_1", "mean_ap"), "probes": ()}
        return self.rounded or by_default[self.averaging]

    def with_partition(self, partition: Path | str | Mapping[str, object]) -> "Protocol":
        """Fill in the lists of a partition file.

        ``TRAIN_SET`` and ``TEST_SET`` take the place of the subjects; ``PROBE_SET`` and ``GALLERY_SET`` are read where
        :attr:`lists` asks for them. Lists that agree with a rule of the protocol change nothing. Lists other than the
        published ones are accepted and remembered: :meth:`divide` reports them.

        Args:
            partition: A JSON file, or its content; see :mod:`gaitbench.partition`.

        Returns:
            The protocol with lists.

        Raises:
            DatasetError: The file cannot be read as a partition.
            ProtocolError: It lacks the probes or the gallery that the protocol is made of.
        """
        lists = read_partition(partition)
        if missing := [LIST_KEYS[role] for role in ("probes", "gallery") if role in self.lists and role not in lists]:
            raise ProtocolError(
                f"{self.name} needs {' and '.join(missing)}, and the partition has only "
                f"{', '.join(LIST_KEYS[role] for role in lists)}; take the file that the dataset comes with"
            )
        changes: dict[str, object] = {}
        given = dict(self.given)
        for role, words in lists.items():
            if role not in self.lists and (role in ("probes", "gallery") or self._holds(role, words)):
                continue
            given[role] = GivenList(num=len(words), sha256=list_digest(words))
            if role == "train":
                changes["train"] = self.train.model_copy(update={"subjects": words})
            elif role == "test":
                changes["test_subjects"] = words
            elif role == "gallery":
                changes["gallery"] = self.gallery.model_copy(update={"keys": words})
            else:
                changes["probes"] = {
                    name: asked.model_copy(update={"keys": words}) for name, asked in self.probes.items()
                }
        return self.model_copy(update=changes | {"given": given}) if changes else self

    def for_embeddings(self) -> "Protocol":
        """The protocol as the official evaluators see it: every sequence handed in is a test sequence.

        Evaluators do not know who belongs to the test set, they count whatever was embedded. :meth:`population` says
        how that differs from the official test subjects. A ``TEST_SET`` that was handed in stays.
        """
        changes: dict[str, object] = {"train": Selection(), "num_train_subjects": None, "num_test_subjects": None}
        if "test" not in self.given:
            changes["test_subjects"] = ("*",)
        changes["given"] = given = {role: found for role, found in self.given.items() if role != "train"}
        changes["lists"] = {
            role: known for role, known in self.lists.items() if role in ("probes", "gallery") or role in given
        }
        return self.model_copy(update=changes)

    def reranked(self) -> "Protocol":
        """The same protocol with k-reciprocal re-ranking of its pooled gallery.

        Raises:
            ProtocolError: Cells are view pairs, or units are sets; re-ranking is not defined for them.
        """
        if self.averaging == "view_pairs" or self.unit == "set":
            raise ProtocolError(
                f"{self.name} averages {self.averaging} of {self.unit}s; re-ranking is defined for sequences and a "
                "pooled gallery, so leave it out or take another protocol"
            )
        return self.model_copy(update={"reranking": self.reranking or Reranking()})

    def population(self, table: "SequenceTable") -> tuple[str, ...]:
        """Say how the people of a table differ from the protocol's test subjects.

        Args:
            table: Sequences that somebody wants scored.

        Returns:
            A line each; none where they agree, or where nobody says who the test subjects are.
        """
        people = np.unique(table.subject_id)
        if "test" in self.lists and "test" not in self.given:
            official = self.lists["test"]
            if list_digest(people.tolist()) == official.sha256:
                return ()
            return (f"{len(people)} subjects, not the {official.num} test subjects of {self.name}",)
        is_known = _matches(people, self.test_subjects)
        lines = []
        num_known, required = int(is_known.sum()), self.num_test_subjects
        if required is not None and num_known != required:
            lines.append(f"{num_known} of the {required} test subjects of {self.name}")
        if not is_known.all():
            strangers = people[~is_known]
            claim = "subject is" if len(strangers) == 1 else "subjects are"
            lines.append(
                f"{len(strangers)} {claim} no test subject of {self.name} (first: {', '.join(strangers[:3].tolist())})"
            )
        return tuple(lines)

    def list_problems(self) -> tuple[str, ...]:
        """Say how the lists that were filled in differ from the published ones, a line each."""
        problems = []
        for role, found in self.given.items():
            official = self.lists.get(role)
            if official is None:
                problems.append(f"{self.name}: {LIST_KEYS[role]} ({found.num} entries) is not the published division")
            elif found.sha256 != official.sha256:
                problems.append(
                    f"{self.name}: {LIST_KEYS[role]} ({found.num} entries, sha256 {found.sha256[:16]}...) is not the "
                    f"published list ({official.num} entries, sha256 {official.sha256[:16]}...)"
                )
        return tuple(problems)

    def _holds(self, role: ListRole, words: tuple[str, ...]) -> bool:
        """Tell whether a list of subjects is what the protocol's rule selects."""
        patterns, num = self.test_subjects, self.num_test_subjects
        if role == "train":
            patterns, num = self.train.subjects, self.num_train_subjects
        return len(words) == num and bool(_matches(np.array(words, dtype=np.str_), patterns).all())

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

    def divide(
        self,
        table: "SequenceTable",
        *,
        allow_partial: bool = False,
        needs_train: bool = True,
        needs_matches: bool = True,
    ) -> "Division":
        """Find train, gallery and probe sequences, and stop when the protocol cannot be applied as it stands.

        Args:
            table: The sequences at hand.
            allow_partial: Go on when subjects, listed sequences or whole groups are missing; the division says so.
            needs_train: False when embeddings are scored without training, so that no training subject is needed.
            needs_matches: False when probes are only looked up and not scored, their subjects being unknown.

        Returns:
            Indices into the table.

        Raises:
            IncompleteDataError: Subjects or listed sequences are missing.
            ProtocolError: A pattern matches nothing, training and test subjects overlap, or a whole probe group
                has nobody to be found in the gallery.
        """
        if self.submission and needs_matches:
            raise ProtocolError(
                f"{self.name}: the probes' labels are withheld, so nothing can be scored here; write the file for the "
                "server with gaitbench.tasks.write_submission"
            )
        return _divide(self, table, allow_partial=allow_partial, needs_train=needs_train, needs_matches=needs_matches)


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
            chosen &= _matches(values, patterns)
    if selection.sequence_ids:
        chosen &= np.isin(table.sequence_id, np.array(selection.sequence_ids))
    if selection.keys:
        chosen &= np.isin(_keys(table), np.array(selection.keys))
    return np.flatnonzero(chosen)


def _divide(
    protocol: Protocol, table: "SequenceTable", *, allow_partial: bool, needs_train: bool, needs_matches: bool
) -> Division:
    _check_groups(protocol)
    check = _Completeness(protocol.name, allow_partial)
    _check_lists(protocol, check, needs_train=needs_train)
    test = check.select(table, Selection(subjects=protocol.test_subjects), "test subjects")
    check.count("test", table, protocol.test_subjects, protocol.num_test_subjects, test)
    if protocol.left_out_views:
        test = test[~np.isin(table.view[test], protocol.left_out_views)]
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
        _check_findable(protocol, table, name, rows, galleries[name], needs_matches=needs_matches)
    if protocol.is_grid_complete:
        _check_grid(protocol, check, protocol.cameras(table.view), test, probes, galleries)
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


def _check_lists(protocol: Protocol, check: _Completeness, *, needs_train: bool) -> None:
    """Stop without the lists that the protocol is made of, and report lists that are not the published ones."""
    waiting = [role for role in protocol.lists if role not in protocol.given and (role != "train" or needs_train)]
    keys = " and ".join(LIST_KEYS[role] for role in waiting)
    hint = f"{protocol.name} needs {keys} of its official partition file; hand it in with Protocol.with_partition(FILE)"
    if {"probes", "gallery"} & set(waiting):
        raise ProtocolError(f"{hint} (--partition FILE)")
    if waiting:
        check.report(IncompleteDataError(hint))
    for problem in protocol.list_problems():
        if needs_train or LIST_KEYS["train"] not in problem:
            check.report(
                ProtocolError(f"{problem}; take the file that the dataset comes with, or allow partial results")
            )


def _check_grid(
    protocol: Protocol,
    check: _Completeness,
    camera: NDArray[np.str_],
    test: NDArray[np.int64],
    probes: dict[str, NDArray[np.int64]],
    galleries: dict[str, NDArray[np.int64]],
) -> None:
    """Report views without a probe or without a gallery."""
    views = set(camera[test].tolist())
    for name, rows in probes.items():
        sides = {"probe": rows} | ({"gallery sequence": galleries[name]} if protocol.averaging == "view_pairs" else {})
        for side, chosen in sides.items():
            if missing := sorted(views - set(camera[chosen].tolist())):
                check.report(
                    IncompleteDataError(
                        f"{protocol.name}: group {name} has no {side} in {len(missing)} of {len(views)} views "
                        f"(first: {', '.join(missing[:3])}), and the official evaluator gives no number then. Complete "
                        "the data, or allow partial results: the cells that are there are then averaged."
                    )
                )


def _check_findable(
    protocol: Protocol,
    table: "SequenceTable",
    group: str,
    probes: NDArray[np.int64],
    gallery: NDArray[np.int64],
    *,
    needs_matches: bool,
) -> None:
    """Stop when not one probe of the group can be found, whatever the model."""
    hint = f"{protocol.name}: probe group {group} ({probes.size} sequences) has no gallery to be found in: "
    if gallery.size == 0:
        raise ProtocolError(hint + "the gallery selection is empty; look at its patterns")
    if probes.size == 0:
        raise ProtocolError(f"{protocol.name}: probe group {group} holds no sequence outside the gallery")
    if not needs_matches:
        return
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
        known = np.unique(values).tolist() if patterns else []
        words = set(known)
        for pattern in patterns:
            if pattern not in words and (_is_word(pattern) or not any(map(matcher(pattern), known))):
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
    if selection.keys and (missing := sorted(set(selection.keys) - set(_keys(table).tolist()))):
        errors.append(
            IncompleteDataError(
                f"{where}: {len(missing)} of {len(selection.keys)} listed sequences are missing "
                f"(first: {', '.join(missing[:3])}; they read subject-condition-view, and every letter counts). "
                "Complete the data, or allow partial results."
            )
        )
    return errors


def _keys(table: "SequenceTable") -> NDArray[np.str_]:
    """``[N]`` ``subject-condition-view``."""
    columns = (table.subject_id.tolist(), table.condition.tolist(), table.view.tolist())
    return np.array(["-".join(words) for words in zip(*columns, strict=True)], dtype=np.str_)


def _is_word(pattern: str) -> bool:
    """Tell whether a pattern can only mean itself."""
    return ".." not in pattern and not any(letter in pattern for letter in "*?[")


def _matches(values: NDArray[np.str_], patterns: Iterable[str]) -> NDArray[np.bool_]:
    """What :func:`gaitbench.patterns.matches` says, fast also for lists of thousands of words."""
    patterns = tuple(patterns)
    found = np.isin(values, np.array([pattern for pattern in patterns if _is_word(pattern)], dtype=np.str_))
    if globs := [pattern for pattern in patterns if not _is_word(pattern)]:
        found |= matches(values, globs)
    return np.asarray(found)
