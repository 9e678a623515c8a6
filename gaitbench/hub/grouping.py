"""Which pictures of a repository make which sequence, and in which order: by subject, condition, view and sequence."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gaitbench.errors import DatasetError
from gaitbench.hub.scan import Found
from gaitbench.sequence import SequenceInfo

__all__ = ["group_pictures"]

_LONGEST_WORD = 200
_UNKNOWN = "unknown"


def group_pictures(found: Found, where: str) -> tuple[list[SequenceInfo], list[NDArray[np.int64]]]:
    """Group pictures into sequences.

    Args:
        found: The pictures, and what is known of each.
        where: For messages.

    Returns:
        The sequences, sorted by subject, condition, view and sequence, and the rows of the scan that make each, in the
        order of their frames.

    Raises:
        DatasetError: A subject or frame is missing, a word cannot be a name, or sequences cannot be told apart.
    """
    names = ("subject", "condition", "view", "sequence")
    columns = [found.rows.column(name) for name in names]
    if columns[0].null_count:
        raise DatasetError(f"{where}: {columns[0].null_count} rows do not say their subject; mend or leave them out")
    codes, words = [], []
    for column in columns:
        encoded = column.combine_chunks().dictionary_encode()
        encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
        codes.append(encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64))
        words.append(encoded.dictionary.to_pylist())
    if found.is_list:
        codes.append(np.arange(len(found.rows)))
    groups, group_of = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)
    order = _frame_order(found, where)
    by_group = order[np.argsort(group_of.reshape(-1)[order], kind="stable")]
    ends = np.cumsum(np.bincount(group_of.reshape(-1)))
    members = np.split(by_group, ends[:-1])
    keys = [tuple("" if code < 0 else words[i][code] for i, code in enumerate(group[:4])) for group in groups.tolist()]
    for word in {word for key in keys for word in key}:
        if len(word) > _LONGEST_WORD or not (word.isprintable()):
            raise DatasetError(f"{where}: {word[:40]!r} cannot be a name: it is too long, or not printable")
    _check_frames(found, keys, members, where)
    in_order = sorted(range(len(keys)), key=lambda i: (keys[i], int(members[i][0])))
    counts = [0 if found.is_list else len(members[i]) for i in in_order]
    infos = _infos([keys[i] for i in in_order], counts, where)
    return infos, [members[i] for i in in_order]


def _infos(keys: list[tuple[str, ...]], counts: list[int], where: str) -> list[SequenceInfo]:
    named = [key[3] for key in keys]
    ids = named if all(named) and len(set(named)) == len(named) else ["-".join(filter(None, key)) for key in keys]
    if len(set(ids)) != len(ids):  # rows of whole sequences that nothing tells apart
        numbers: dict[str, Iterator[int]] = {}
        ids = [f"{one}-{next(numbers.setdefault(one, itertools.count())):03d}" for one in ids]
    if len(set(ids)) != len(ids):
        raise DatasetError(f"{where}: sequences cannot be told apart by their names; name a column for sequence")
    infos = []
    for sequence_id, (subject, condition, view, _), num_frames in zip(ids, keys, counts, strict=True):
        if not subject:
            raise DatasetError(f"{where}: a subject is empty; mend the column, or name another one")
        angle = float(view) if re.fullmatch(r"-?\d{1,3}(\.\d+)?", view) else float("nan")
        infos.append(
            SequenceInfo(
                sequence_id=sequence_id,
                subject_id=subject,
                condition=condition or _UNKNOWN,
                view=view or _UNKNOWN,
                view_deg=angle,
                num_frames=num_frames,
            )
        )
    return infos


def _frame_order(found: Found, where: str) -> NDArray[np.int64]:
    """Rows of the scan by frame: numbers as numbers, other words as words, rows as they lie where nothing says it."""
    frames = found.rows.column("frame")
    if frames.null_count == len(frames) or found.is_list:
        return np.arange(len(frames))
    if frames.null_count:
        raise DatasetError(f"{where}: {frames.null_count} rows do not say their frame; mend or leave them out")
    words = frames.to_pylist()
    keys: list[Any] = [int(word) for word in words] if all(map(_is_number, words)) else words
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) <= 18


def _check_frames(found: Found, keys: list[tuple[str, ...]], members: list[NDArray[np.int64]], where: str) -> None:
    """Two pictures of one frame mean that a column is missing which tells two sequences apart."""
    frames = found.rows.column("frame")
    if frames.null_count or found.is_list:
        return
    words = np.array(frames.to_pylist(), dtype=object)
    for key, rows in zip(keys, members, strict=True):
        of_one = words[rows]
        if len(set(of_one)) != len(of_one):
            twice = next(word for word, after in itertools.pairwise(of_one) if word == after)
            missing = [role for role, word in zip(("condition", "view", "sequence"), key[1:], strict=True) if not word]
            step = " ".join(f"--option columns.{role}=NAME" for role in missing) or "mend the column of the frames"
            raise DatasetError(
                f"{where}: frame {twice} of {'-'.join(filter(None, key))} occurs twice. Say what tells the sequences "
                f"apart: {step}"
            )
