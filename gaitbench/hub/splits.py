"""Which rows of a dataset go into which split of a repository: the protocol's training and test sequences."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import GaitbenchError
from gaitbench.protocol import Protocol
from gaitbench.table import SequenceTable

__all__ = ["Splits", "split_rows"]

UNDIVIDED = "train"
"""Name of the only split, which is what the hub calls data that nobody divided."""


class Splits(NamedTuple):
    """The rows of each split."""

    rows: dict[str, NDArray[np.int64]]
    """Split to ascending rows; every row is in exactly one, and no split is empty."""
    undivided: str = ""
    """Why there is a single split; empty where the protocol divides."""


def split_rows(table: SequenceTable, protocol: Protocol | None) -> Splits:
    """Divide a table as a protocol does: ``train``, ``test``, and ``other`` for what is neither.

    Args:
        table: The sequences.
        protocol: The dataset's default one; None where there is none.

    Returns:
        The splits. A single one, ``train``, where there is no protocol, where it cannot be applied to these sequences,
        and where training and test share sequences.

    Example:
        >>> from gaitbench.sequence import SequenceInfo
        >>> rows = [SequenceInfo(sequence_id=s, subject_id=s, condition="nm", view="090") for s in "ab"]
        >>> split_rows(SequenceTable.from_infos(rows), None)
        Splits(rows={'train': array([0, 1])}, undivided='the dataset has no protocol')
    """
    every = np.arange(len(table))
    if protocol is None:
        return Splits({UNDIVIDED: every}, "the dataset has no protocol")
    try:
        division = protocol.divide(table, allow_partial=True, needs_matches=False)
    except GaitbenchError as error:
        return Splits({UNDIVIDED: every}, f"the protocol {protocol.name} does not apply: {error}")
    if np.intersect1d(division.train, division.test).size:
        return Splits({UNDIVIDED: every}, f"training and test of the protocol {protocol.name} share sequences")
    other = np.setdiff1d(every, np.concatenate([division.train, division.test]))
    found = {"train": np.sort(division.train), "test": division.test, "other": other}
    return Splits({name: rows for name, rows in found.items() if rows.size})
