"""A set of sequences written down: patterns of subjects, conditions and views, or explicit lists.

Axes: N sequences of a table.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gaitbench.dated import Dated
from gaitbench.errors import IncompleteDataError, ProtocolError
from gaitbench.patterns import matcher, matches

if TYPE_CHECKING:
    from gaitbench.table import SequenceTable

__all__ = ["Selection", "matching", "select", "unmatched"]


class Selection(Dated, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A set of sequences, by glob patterns; every given field must match."""

    later_fields = frozenset({"keys"})

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
    problems = unmatched(table, selection)
    if problems and not allow_unmatched:
        raise problems[0]
    chosen = np.ones(len(table), dtype=bool)
    for values, patterns in _fields(table, selection):
        if patterns:
            chosen &= matching(values, patterns)
    if selection.sequence_ids:
        chosen &= np.isin(table.sequence_id, np.array(selection.sequence_ids))
    if selection.keys:
        chosen &= np.isin(_keys(table), np.array(selection.keys))
    return np.flatnonzero(chosen)


def _fields(table: "SequenceTable", selection: Selection) -> tuple[tuple[NDArray[np.str_], tuple[str, ...]], ...]:
    return (
        (table.subject_id, selection.subjects),
        (table.condition, selection.conditions),
        (table.view, selection.views),
    )


def unmatched(table: "SequenceTable", selection: Selection, where: str = "selection") -> list[Exception]:
    """An error for each pattern without a row, and one for the listed sequences that are not there."""
    errors: list[Exception] = []
    for name, (values, patterns) in zip(("subject", "condition", "view"), _fields(table, selection), strict=True):
        known = np.unique(values).tolist() if patterns else []
        words = set(known)
        lost = [pattern for pattern in patterns if _is_word(pattern) and pattern not in words]
        if name == "subject" and len(lost) > 1:
            errors.append(
                IncompleteDataError(
                    f"{where}: {len(lost)} of {len(patterns)} listed subjects have no sequence (first: "
                    f"{', '.join(lost[:3])}). Complete the data, or allow partial results."
                )
            )
            lost = []
        lost += [p for p in patterns if not _is_word(p) and not any(map(matcher(p), known))]
        for pattern in lost:
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


def matching(values: NDArray[np.str_], patterns: Iterable[str]) -> NDArray[np.bool_]:
    """What :func:`gaitbench.patterns.matches` says, fast also for lists of thousands of words."""
    patterns = tuple(patterns)
    found = np.isin(values, np.array([pattern for pattern in patterns if _is_word(pattern)], dtype=np.str_))
    if globs := [pattern for pattern in patterns if not _is_word(pattern)]:
        found |= matches(values, globs)
    return np.asarray(found)
