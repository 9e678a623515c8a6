"""Columns of an evidence table while it is put together: numbers, or words as codes into a short list.

A table names a handful of groups, views and subjects in millions of rows, so no row is ever spelt out.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["Columns", "Words", "table_of"]


class Words(NamedTuple):
    """A column of words."""

    words: NDArray[np.str_]
    """Those that can occur, in any order, perhaps twice."""
    code: NDArray[np.integer]
    """``[rows]`` index into ``words``."""

    @classmethod
    def repeated(cls, word: str, times: int) -> "Words":
        """One word in every row."""
        return cls(np.array([word]), np.zeros(times, dtype=np.int32))


Columns = Mapping[str, NDArray[np.generic] | Words]
"""Name to values; all of one length."""


def table_of(parts: Sequence[Columns]) -> pa.Table:
    """Put parts of a table one after the other.

    Args:
        parts: At least one; all with the same columns.

    Returns:
        Words become dictionary columns of int32 codes whose dictionary holds, sorted, the words that occur.

    Example:
        >>> table_of([{"view": Words(np.array(["b", "a"]), np.array([0, 0])), "n": np.arange(2)}]).to_pylist()
        [{'view': 'b', 'n': 0}, {'view': 'b', 'n': 1}]
    """
    columns = {}
    for name in parts[0]:
        values = [part[name] for part in parts]
        words = [value for value in values if isinstance(value, Words)]
        columns[name] = _dictionary(words) if words else pa.array(np.concatenate(values))
    return pa.table(columns)


def _dictionary(parts: Sequence[Words]) -> pa.DictionaryArray:
    known = np.unique(np.concatenate([part.words for part in parts]))
    code = np.concatenate([np.searchsorted(known, part.words)[part.code] for part in parts])
    occurs = np.bincount(code, minlength=len(known)) > 0
    code = (np.cumsum(occurs) - 1)[code].astype(np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(code), pa.array(known[occurs].tolist(), pa.string()))
