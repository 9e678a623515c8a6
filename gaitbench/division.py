"""Which sequences of a table train, are asked about and are searched; what is missing, too many or in the way.

Axes: N sequences of a table.
"""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import IncompleteDataError, ProtocolError
from gaitbench.partition import LIST_KEYS
from gaitbench.patterns import words_of
from gaitbench.selection import Selection, select, unmatched

if TYPE_CHECKING:
    from gaitbench.protocol import Protocol
    from gaitbench.table import SequenceTable

__all__ = ["Division", "TrainingPart", "check_ready", "check_ready_to_train", "divide", "training_part"]


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
    """Subjects among probes, gallery and impostors."""
    impostors: NDArray[np.int64] = dataclasses.field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Rows that every cell has besides its own gallery, ascending, the galleries of all groups among them; see
    :attr:`gaitbench.protocol.Protocol.impostors`."""
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
        """Rows to embed: probes and everything searched, ascending, each once."""
        return np.unique(np.concatenate([self.searched, *self.probes.values()]))

    @property
    def searched(self) -> NDArray[np.int64]:
        """Rows of the gallery and impostors, ascending, each once."""
        return np.union1d(self.gallery, self.impostors)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingPart:
    """What a protocol trains on, where somebody else's test set is scored."""

    rows: NDArray[np.int64]
    """Rows of the table that training may see."""
    problems: tuple[str, ...] = ()
    """What is missing, a line each."""


def divide(
    protocol: "Protocol", table: "SequenceTable", *, allow_partial: bool, needs_train: bool, needs_matches: bool
) -> Division:
    """Apply a protocol to a table; see :meth:`gaitbench.protocol.Protocol.divide`."""
    check = _Completeness(protocol.name, allow_partial)
    _check_ready(protocol, check, needs_train=needs_train, needs_matches=needs_matches)
    protocol = protocol.for_table(table)
    _check_groups(protocol)
    test = check.people(table, Selection(subjects=protocol.test_subjects), "test", protocol.num_test_subjects)
    if protocol.left_out_views:
        test = test[~np.isin(table.view[test], protocol.left_out_views)]
    train = np.zeros(0, dtype=np.int64)
    if needs_train:
        train = check.training(protocol, table)
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
    impostors = np.zeros(0, dtype=np.int64)
    if protocol.impostors is not None:
        impostors = np.union1d(searched, test[check.select(among, protocol.impostors, "impostors")])
    people = np.unique(table.subject_id[np.concatenate([searched, impostors, *probes.values()])])
    return Division(
        table=table,
        train=train,
        gallery=searched,
        galleries=galleries,
        probes=probes,
        num_test_subjects=len(people),
        impostors=impostors,
        absent_groups=tuple(absent),
        problems=tuple(check.problems),
    )


def training_part(protocol: "Protocol", table: "SequenceTable", *, allow_partial: bool = False) -> TrainingPart:
    """Find what a protocol trains on; whether its own test set is there, listed or labelled does not matter.

    Args:
        protocol: Of the training data.
        table: The sequences at hand.
        allow_partial: Go on when training subjects or listed sequences are missing; the problems say so.

    Raises:
        IncompleteDataError: Training subjects or listed sequences are missing.
        ProtocolError: A pattern matches nothing, a list is not the published one, or nothing is left to train on.
    """
    check = _Completeness(protocol.name, allow_partial)
    check.problems += check_ready_to_train(protocol, allow_partial=allow_partial)
    rows = check.training(protocol, table)
    if not rows.size:
        raise ProtocolError(f"{protocol.name} trains on no sequence of this dataset; train on another one")
    return TrainingPart(rows=rows, problems=tuple(check.problems))


def check_ready_to_train(protocol: "Protocol", *, allow_partial: bool = False) -> tuple[str, ...]:
    """Stop when a protocol cannot say of any table what it trains on; what :func:`training_part` checks first.

    Args:
        protocol: With the lists that somebody handed in.
        allow_partial: Accept a list of training subjects that is not the published one.

    Returns:
        What was accepted, a line each.

    Raises:
        ProtocolError: The list of training subjects is not the published one.
        IncompleteDataError: It is missing.
    """
    check = _Completeness(protocol.name, allow_partial)
    if "train" in protocol.lists and "train" not in protocol.given:
        # Without the list every subject would be trained on, those of the protocol's own test too.
        raise IncompleteDataError(_list_hint(protocol, LIST_KEYS["train"]))
    for problem in protocol.list_problems():
        if LIST_KEYS["train"] in problem:
            check.report(ProtocolError(f"{problem}; {_OFFICIAL_FILE}"))
    return tuple(check.problems)


def check_ready(
    protocol: "Protocol", *, allow_partial: bool = False, needs_train: bool = True, needs_matches: bool = True
) -> tuple[str, ...]:
    """Stop when a protocol cannot be applied to any table as it stands; what :func:`divide` checks first.

    Args:
        protocol: With the lists that somebody handed in.
        allow_partial: Accept lists that are missing or are not the published ones, where something is left to do.
        needs_train: False when nothing is trained.
        needs_matches: False when probes are only looked up and not scored.

    Returns:
        What was accepted, a line each.

    Raises:
        ProtocolError: A list is not the published one, a list that the protocol is made of is missing, or the probes'
            labels are withheld.
        IncompleteDataError: The list of training or test subjects is missing.
    """
    check = _Completeness(protocol.name, allow_partial)
    _check_ready(protocol, check, needs_train=needs_train, needs_matches=needs_matches)
    return tuple(check.problems)


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
        for error in unmatched(table, selection, where=f"{self.name}, {part}"):
            self.report(error)
        return select(table, selection, allow_unmatched=True)

    def training(self, protocol: "Protocol", table: "SequenceTable") -> NDArray[np.int64]:
        return self.people(table, protocol.train, "training", protocol.num_train_subjects)

    def people(
        self, table: "SequenceTable", selection: Selection, part: str, required: int | None
    ) -> NDArray[np.int64]:
        # Counted first: how many are missing says more than which pattern has nobody.
        rows = select(table, selection, allow_unmatched=True)
        self.count(part, table, selection.subjects, required, rows)
        return self.select(table, selection, f"{part} subjects")

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


def _check_groups(protocol: "Protocol") -> None:
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
    protocol: "Protocol", table: "SequenceTable", train: NDArray[np.int64], test: NDArray[np.int64]
) -> None:
    if protocol.is_closed_set:
        return
    both = np.intersect1d(table.subject_id[train], table.subject_id[test])
    waiting = [LIST_KEYS[role] for role in ("train", "test") if role in protocol.lists and role not in protocol.given]
    if both.size and waiting:
        raise ProtocolError(_list_hint(protocol, " and ".join(waiting)))
    if both.size:
        raise ProtocolError(
            f"{protocol.name}: {both.size} subjects are in training and test (first: {', '.join(both[:3].tolist())}); "
            "divide the subjects, or set is_closed_set if the protocol trains on its own gallery"
        )


def _check_ready(protocol: "Protocol", check: _Completeness, *, needs_train: bool, needs_matches: bool) -> None:
    """Stop without the lists that the protocol is made of, and report lists that are not the published ones."""
    if protocol.submission and needs_matches:
        raise ProtocolError(
            f"{protocol.name}: the probes' labels are withheld, so nothing can be scored here; write the file for the "
            "server with gaitbench.tasks.write_submission, or choose a protocol with labels (--protocol NAME; "
            f"`gaitbench info {protocol.dataset}` lists them)"
        )
    waiting = [role for role in protocol.lists if role not in protocol.given and (role != "train" or needs_train)]
    hint = _list_hint(protocol, " and ".join(LIST_KEYS[role] for role in waiting))
    if {"probes", "gallery"} & set(waiting):
        raise ProtocolError(hint)
    if waiting:
        check.report(IncompleteDataError(hint))
    for problem in protocol.list_problems():
        if needs_train or LIST_KEYS["train"] not in problem:
            check.report(ProtocolError(f"{problem}; {_OFFICIAL_FILE}"))


_OFFICIAL_FILE = "take the file that the dataset comes with, or allow partial results"


def _list_hint(protocol: "Protocol", keys: str) -> str:
    return (
        f"{protocol.name} needs {keys} of its official partition file; hand it in with --partition FILE "
        "(partition=FILE, or Protocol.with_partition)"
    )


def _check_grid(
    protocol: "Protocol",
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
    protocol: "Protocol",
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
