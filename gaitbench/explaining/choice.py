"""Which sequences are drawn: those that are asked for, or a few that differ.

Axes: N sequences of a table.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import UsageError
from gaitbench.registry import nearest
from gaitbench.table import SequenceTable

__all__ = ["choose_rows", "rows_of_ids", "spread_frames"]


def choose_rows(table: SequenceTable, num: int) -> NDArray[np.int64]:
    """Choose sequences of every condition in turn, of different subjects and views as long as there are some.

    Args:
        table: The sequences.
        num: How many; all where there are fewer.

    Returns:
        Rows, in the order in which they were chosen; always the same for the same table.

    Example:
        >>> from gaitbench.sequence import SequenceInfo
        >>> infos = [SequenceInfo(sequence_id=s + c, subject_id=s, condition=c, view="0") for s in "ab" for c in "xy"]
        >>> [infos[i].sequence_id for i in choose_rows(SequenceTable.from_infos(infos), 3)]
        ['ax', 'by', 'bx']
    """
    waiting: dict[str, list[int]] = {}
    for row, condition in enumerate(table.condition.tolist()):
        waiting.setdefault(condition, []).append(row)
    subjects, views = table.subject_id.tolist(), table.view.tolist()
    seen_subjects: Counter[str] = Counter()
    seen_views: Counter[str] = Counter()
    chosen: list[int] = []
    order = sorted(waiting)
    while len(chosen) < num and any(waiting.values()):
        for condition in order:
            if waiting[condition] and len(chosen) < num:
                row = min(waiting[condition], key=lambda i: (seen_subjects[subjects[i]], seen_views[views[i]], i))
                waiting[condition].remove(row)
                seen_subjects[subjects[row]] += 1
                seen_views[views[row]] += 1
                chosen.append(row)
    return np.array(chosen, dtype=np.int64)


def rows_of_ids(table: SequenceTable, ids: Sequence[str], part: str) -> NDArray[np.int64]:
    """Find sequences by id.

    Args:
        table: The sequences.
        ids: Each once.
        part: What the table holds, for the message.

    Raises:
        UsageError: No id is given, or one that is not there; the message has the nearest one.
    """
    if not ids:
        raise UsageError("the list of sequences is empty; leave it out to have some chosen")
    known = {name: row for row, name in enumerate(table.sequence_id.tolist())}
    if unknown := [name for name in ids if name not in known]:
        near = nearest(unknown[0], list(known))
        guess = f"; did you mean {near!r}?" if near else ""
        raise UsageError(
            f"{part} has no sequence {unknown[0]!r}{guess} ({len(unknown)} of {len(ids)} are not there; one that is: "
            f"{next(iter(known), 'none')!r})"
        )
    return np.array([known[name] for name in dict.fromkeys(ids)], dtype=np.int64)


def spread_frames(num_frames: int, num: int) -> tuple[int, ...]:
    """Choose frames at equal distances, the first and the last among them.

    Args:
        num_frames: Of the sequence.
        num: How many at most.

    Example:
        >>> spread_frames(10, 4), spread_frames(3, 8)
        ((0, 3, 6, 9), (0, 1, 2))
    """
    return tuple(np.unique(np.linspace(0, num_frames - 1, min(num, num_frames)).round().astype(int)).tolist())
