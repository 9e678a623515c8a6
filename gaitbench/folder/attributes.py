"""Labels of one's own data: a table in CSV that says who is meant and which class words apply.

::

    subject,gender,age
    001,female,young
    002,male,
"""

import csv
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gaitbench.card import Attribute
from gaitbench.errors import DatasetError
from gaitbench.folder.scan import Walk
from gaitbench.reading.limits import read_regular_file, reading

__all__ = ["KEYS", "Labels", "read_labels"]

KEYS = ("subject", "condition", "view", "sequence")
"""Columns that say who is meant; the others are attributes."""
_MOST_BYTES = 64 * 2**20
_MOST_CLASSES = 1000


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a file."""

    attributes: tuple[Attribute, ...]
    """The schema: classes are the words of a column, sorted, numbers by their value."""
    keys: tuple[str, ...]
    """Columns that say who is meant."""
    rows: Mapping[tuple[str, ...], tuple[int, ...]]
    """Class indices, -1 where nothing is said, by the words of these columns."""
    sha256: str
    """Hash of the file."""

    def key_of(self, walk: Walk) -> tuple[str, ...]:
        """The words by which a walk is looked up."""
        words = {"subject": walk.subject, "condition": walk.condition, "view": walk.view, "sequence": walk.place}
        return tuple(words[name] for name in self.keys)

    def of(self, walk: Walk) -> tuple[int, ...]:
        """Class indices of a walk."""
        return self.rows.get(self.key_of(walk), (-1,) * len(self.attributes))


def read_labels(path: Path) -> Labels:
    """Read a table of labels.

    Args:
        path: CSV in UTF-8 with a line of names, one or several of which are those of :data:`KEYS`. Empty cells say
            nothing.

    Raises:
        DatasetError: The file cannot be read, has no key or no attribute, two columns of one name or two lines for one
            key, lines of different lengths, or a column that has no word, or more than a thousand.
    """
    with reading(path):
        data = read_regular_file(path, _MOST_BYTES)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DatasetError(f"{path} is no text in UTF-8: {error.reason} at byte {error.start:,}") from error
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    if not lines:
        raise DatasetError(f"{path} is empty; write a line of names and a line for each subject or sequence")
    header = lines.pop(0)[1]
    keys = [i for i, name in enumerate(header) if name.lower() in KEYS]
    names = {i: re.sub(r"\W+", "_", name.lower()).strip("_") for i, name in enumerate(header) if i not in keys}
    _check_header(path, header, keys, names)
    for number, row in lines:
        if len(row) != len(header):
            raise DatasetError(f"{path}, line {number}: {len(row)} cells where the first line has {len(header)}")
    classes = {i: _classes(path, header[i], {row[i] for _, row in lines} - {""}) for i in names}
    index = {i: {word: place for place, word in enumerate(words)} for i, words in classes.items()}
    rows: dict[tuple[str, ...], tuple[int, ...]] = {}
    for number, row in lines:
        key = tuple(row[i] for i in keys)
        if key in rows:
            raise DatasetError(f"{path}, line {number}: {', '.join(key)} has a line above already; keep one")
        rows[key] = tuple(index[i].get(row[i], -1) for i in names)
    return Labels(
        attributes=tuple(Attribute(name=name, title=header[i], classes=classes[i]) for i, name in names.items()),
        keys=tuple(header[i].lower() for i in keys),
        rows=rows,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _check_header(path: Path, header: Sequence[str], keys: Sequence[int], names: Mapping[int, str]) -> None:
    if not keys or not names:
        raise DatasetError(
            f"{path} has the columns {', '.join(header)}; it needs one or several of {', '.join(KEYS)}, and a column "
            "for each attribute"
        )
    all_names = [*(header[i].lower() for i in keys), *names.values()]
    if twice := [name for name in all_names if all_names.count(name) > 1 or not name]:
        raise DatasetError(f"{path} has two columns named {twice[0]!r}, or one without a name; give each its own")


def _classes(path: Path, name: str, words: set[str]) -> tuple[str, ...]:
    if not words:
        raise DatasetError(f"{path}: column {name} has no word; remove it")
    if len(words) > _MOST_CLASSES:
        raise DatasetError(f"{path}: column {name} has {len(words)} different words; group measurements into classes")
    numbers = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
    are_numbers = all(numbers.fullmatch(word) for word in words)
    return tuple(sorted(words, key=lambda word: (float(word) if are_numbers else 0.0, word)))
