"""Attributes that a dataset's owner hands out in files: their names and classes in one, the labels in another.

::

    {"attributes": [{"name": "bag", "title": "Carries a bag", "classes": ["no", "yes"]}]}      the schema, JSON

    subject,bag                                                                                the labels, CSV
    001,yes
    002,                                                                                       empty: unknown

The first column may be ``sequence`` in place of ``subject``; ids then read ``subject-condition-view``.
"""

import csv
import dataclasses
import difflib
import functools
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import TypeAdapter, ValidationError

from gaitbench.card import Attribute, DatasetCard
from gaitbench.errors import DatasetError
from gaitbench.reading.limits import check_regular_file, reading
from gaitbench.reading.text import read_json
from gaitbench.sequence import SequenceInfo
from gaitbench.streams.silhouettes import SilhouetteOptions
from gaitbench.tree import Layout, TreeBuilder

__all__ = ["AttributeOptions", "AttributeTree", "Labels", "read_labels"]

_MAX_BYTES = 64 * 2**20
_UNITS: dict[str, Literal["subject", "sequence"]] = {"subject": "subject", "sequence": "sequence"}
_SCHEMA = TypeAdapter(tuple[Attribute, ...])


class AttributeOptions(SilhouetteOptions):
    """Where the attributes are; files are not recorded, what they say is."""

    schema_file: str = ""
    """JSON file with the attributes' names and classes, from the source's folder on; empty for no attributes."""
    labels_file: str = ""
    """CSV file with a line per subject or sequence and a column per attribute, from the source's folder on."""


class Labels(NamedTuple):
    """Who has which attributes."""

    attributes: tuple[Attribute, ...]
    """The schema."""
    unit: Literal["subject", "sequence"]
    """What a line of the labels is about."""
    rows: Mapping[str, tuple[int, ...]]
    """Id of a subject or sequence to a class index per attribute, -1 where it is unknown."""

    def of(self, info: SequenceInfo) -> tuple[int, ...]:
        """The labels of a sequence, all unknown where there is no line for it."""
        key = info.subject_id if self.unit == "subject" else info.sequence_id
        return self.rows.get(key, (-1,) * len(self.attributes))


class AttributeTree(TreeBuilder):
    """A dataset in folders whose attributes come from files that the user has."""

    options: AttributeOptions

    @functools.cached_property
    def labels(self) -> Labels:
        """What the two files say.

        Raises:
            DatasetError: Only one of them is named, or one is not as it should be.
        """
        schema, labels = self.options.schema_file, self.options.labels_file
        if bool(schema) != bool(labels):
            raise DatasetError(
                f"{self.spec.name}: give both options, schema_file and labels_file, or neither; got "
                f"schema_file={schema!r} and labels_file={labels!r}"
            )
        if not schema or self.source is None:
            return Labels((), "subject", {})
        return read_labels(self.source / schema, self.source / labels)

    def card(self) -> DatasetCard:
        """Describe the dataset, with the schema that the user has."""
        card = super().card()
        options = {key: value for key, value in card.options.items() if key not in ("schema_file", "labels_file")}
        return card.model_copy(update={"attributes": self.labels.attributes, "options": options})

    def describe(self, names: Mapping[str, str], layout: Layout) -> SequenceInfo:
        """Add the labels."""
        info = super().describe(names, layout)
        return dataclasses.replace(info, attributes=self.labels.of(info))


def read_labels(schema_file: Path, labels_file: Path) -> Labels:
    """Read the two files.

    Args:
        schema_file: JSON.
        labels_file: CSV, in UTF-8.

    Raises:
        DatasetError: A file cannot be read, a column is no attribute or is missing, a line is there twice, or a word is
            no class; the message names the line and the nearest class.
    """
    attributes = _read_schema(schema_file)
    with reading(labels_file):
        check_regular_file(labels_file, _MAX_BYTES)
        lines = list(csv.reader(io.StringIO(labels_file.read_text(encoding="utf-8-sig")), strict=True))
    head, lines = (lines[0], lines[1:]) if lines else ([], [])
    unit, columns = _UNITS.get(head[0]) if head else None, head[1:]
    if unit is None:
        raise DatasetError(f"{labels_file}: the first column must be subject or sequence, the first line is {head}")
    expected = [attribute.name for attribute in attributes]
    if sorted(columns) != sorted(expected):
        raise DatasetError(
            f"{labels_file} has the columns {', '.join(columns) or 'of no attribute'}, the schema has "
            f"{', '.join(expected)}; they must be the same"
        )
    place = [columns.index(name) for name in expected]
    rows: dict[str, tuple[int, ...]] = {}
    for number, line in enumerate(lines, 2):
        if not line:
            continue
        where = f"{labels_file}, line {number}"
        if len(line) != len(head):
            raise DatasetError(f"{where} has {len(line)} values where the first line has {len(head)}")
        if line[0] in rows:
            raise DatasetError(f"{where}: {unit} {line[0]!r} is there twice; keep one line of each")
        words = [line[1 + at].strip() for at in place]
        rows[line[0]] = tuple(_index(word, each, where) for word, each in zip(words, attributes, strict=True))
    return Labels(attributes, unit, rows)


def _read_schema(path: Path) -> tuple[Attribute, ...]:
    content = read_json(path)
    try:
        attributes = _SCHEMA.validate_python(content["attributes"] if isinstance(content, dict) else content)
    except (KeyError, ValidationError) as error:
        raise DatasetError(
            f'{path} must read {{"attributes": [{{"name": ..., "title": ..., "classes": [...]}}]}}: {error}'
        ) from error
    names = [attribute.name for attribute in attributes]
    if not names or len(set(names)) < len(names) or any(len(each.classes) < 2 for each in attributes):
        raise DatasetError(f"{path} must name one attribute or more, each once and with two classes or more")
    return attributes


def _index(word: str, attribute: Attribute, where: str) -> int:
    if not word:
        return -1
    if word in attribute.classes:
        return attribute.classes.index(word)
    near = difflib.get_close_matches(word, attribute.classes, 1)
    guess = f"; did you mean {near[0]!r}?" if near else ";"
    raise DatasetError(f"{where}: {attribute.name} is {word!r}{guess} There are {', '.join(attribute.classes)}")
