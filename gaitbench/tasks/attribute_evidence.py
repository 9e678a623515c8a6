"""The tables from which every score of the attribute task is computed, and can be computed again.

Axes: N test sequences, A attributes, S classes of all attributes together, one after the other.

``answers``: a row per (attribute, sequence), attributes in the order of the schema, sequences by id.
    attribute, sequence: text
    label: int16, index of the true class, -1 where unknown
    prediction: int16, index of the class with the largest logit, the first of equals
    positive: text, indices of the classes that are told, such as ``0 3``; by threshold there may be several, or none
    score: float32, how sure the prediction is: sigmoid (threshold) or softmax (argmax), to three decimals

``sequences``: a row per test sequence, by id.
    sequence, subject, condition, view: text
    in:GROUP: bool, whether it is asked about in a probe group of the protocol, or recorded in a condition

``classes``: a row per class of each attribute, in the order of the schema.
    attribute, cls: text
    index: int16
    num_train: int64, training sequences of the class, of which the majority is told
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gaitbench.card import Attribute
from gaitbench.errors import RecordError
from gaitbench.model import Decision
from gaitbench.tasks.columns import Columns, Words, table_of
from gaitbench.tasks.scores import Bootstrap

__all__ = ["ANSWERS", "COLUMNS", "EVERYBODY", "AnswerSheet", "condition_groups", "is_about_attributes"]

ANSWERS = "answers"
"""The table that tells evidence of attributes from that of rankings."""

EVERYBODY = "all"
"""The group of all test sequences. A probe group of this name gives way to it."""

IN = "in:"
"""What the columns of groups begin with."""

COLUMNS = {
    ANSWERS: {"attribute", "sequence", "label", "prediction", "positive", "score"},
    "sequences": {"sequence", "subject", "condition", "view"},
    "classes": {"attribute", "cls", "index", "num_train"},
}
"""Table to the columns that it must have."""

MOST_CONDITIONS = 24
"""More of them are no breakdown that anybody reads; some data have a condition for each walk."""

Words_ = NDArray[np.str_]
IntArray = NDArray[np.int64]


def is_about_attributes(evidence: Sequence[str] | dict[str, Any]) -> bool:
    """Tell by the names of a record's tables what kind of task it is of."""
    return ANSWERS in evidence


def condition_groups(condition: Words_, label: IntArray) -> dict[str, NDArray[np.bool_]]:
    """Break sequences down by condition, for protocols that have no groups of their own.

    Args:
        condition: ``[N]``.
        label: ``[N, A]`` class indices, -1 where unknown.

    Returns:
        Condition to its sequences ``[N]``. None where there is one condition or more than :data:`MOST_CONDITIONS`;
        without those in which no attribute has two classes, as nothing can be told apart there.

    Example:
        >>> condition_groups(np.array(["bg", "nm", "nm"]), np.array([[0], [0], [1]]))
        {'nm': array([False,  True,  True])}
    """
    words = np.unique(condition).tolist()
    if not 2 <= len(words) <= MOST_CONDITIONS:
        return {}
    groups = {word: condition == word for word in words if word != EVERYBODY}
    return {word: of for word, of in groups.items() if any(len(set(x[x >= 0].tolist())) > 1 for x in label[of].T)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnswerSheet:
    """What is true and what was told of every test sequence."""

    attributes: tuple[Attribute, ...]
    """The schema; titles are not kept in the tables."""
    num_train: IntArray
    """``[S]`` training sequences of each class."""
    decides: Decision
    """How logits became labels."""
    bootstrap: Bootstrap
    """How intervals are drawn."""
    sequence: Words_
    """``[N]`` ids, ascending."""
    subject: Words_
    """``[N]``."""
    condition: Words_
    """``[N]``."""
    view: Words_
    """``[N]``."""
    groups: dict[str, NDArray[np.bool_]]
    """Group to ``[N]``; :data:`EVERYBODY` is not among them."""
    label: IntArray
    """``[N, A]`` index of the true class, -1 where unknown."""
    prediction: IntArray
    """``[N, A]`` index of the class with the largest logit."""
    positive: NDArray[np.bool_]
    """``[N, S]`` classes that are told."""
    score: NDArray[np.float32]
    """``[N, A]``."""

    @property
    def num_classes(self) -> tuple[int, ...]:
        """``[A]`` classes of each attribute."""
        return tuple(len(attribute.classes) for attribute in self.attributes)

    def slices(self) -> list[slice]:
        """Columns of each attribute among all classes."""
        ends = np.cumsum(self.num_classes).tolist()
        return [slice(end - count, end) for end, count in zip(ends, self.num_classes, strict=True)]

    def tables(self, protocol: str, version: int) -> dict[str, pa.Table]:
        """Write it down.

        Args:
            protocol: Name of the protocol, kept with the tables.
            version: Its version.
        """
        note = {
            "bootstrap": {"seed": self.bootstrap.seed, "resamples": self.bootstrap.resamples},
            "protocol": protocol,
            "version": version,
            "decides": self.decides,
        }
        names = np.array([attribute.name for attribute in self.attributes])
        row = np.arange(len(self.sequence))
        answers: list[Columns] = []
        for at, part in enumerate(self.slices()):
            answers.append(
                {
                    "attribute": Words(names, np.full(len(row), at)),
                    "sequence": Words(self.sequence, row),
                    "label": self.label[:, at].astype(np.int16),
                    "prediction": self.prediction[:, at].astype(np.int16),
                    "positive": _as_words(self.positive[:, part]),
                    "score": self.score[:, at],
                }
            )
        sequences: Columns = {
            **{name: _words_of(getattr(self, name)) for name in ("sequence", "subject", "condition", "view")},
            **{f"{IN}{name}": members for name, members in self.groups.items()},
        }
        classes: list[Columns] = [
            {
                "attribute": Words.repeated(attribute.name, len(attribute.classes)),
                "cls": _words_of(np.array(attribute.classes)),
                "index": np.arange(len(attribute.classes), dtype=np.int16),
                "num_train": self.num_train[part],
            }
            for attribute, part in zip(self.attributes, self.slices(), strict=True)
        ]
        metadata = {"gaitbench": json.dumps(note)}
        parts: dict[str, list[Columns]] = {ANSWERS: answers, "sequences": [sequences], "classes": classes}
        return {name: table_of(columns).replace_schema_metadata(metadata) for name, columns in parts.items()}

    @classmethod
    def read(cls, tables: dict[str, pa.Table], where: str = "the evidence") -> "AnswerSheet":
        """Read what :meth:`tables` wrote.

        Args:
            tables: ``answers``, ``sequences`` and ``classes``.
            where: Whose they are, for messages.

        Raises:
            RecordError: A table or column is missing, or a table contradicts itself or another one.
        """
        for name, columns in COLUMNS.items():
            if name not in tables:
                raise RecordError(f"{where}: the evidence table {name} is missing")
            if missing := sorted(columns - set(tables[name].column_names)):
                raise RecordError(f"{where}: the evidence table {name} lacks the columns {', '.join(missing)}")
        attributes, num_train = _schema(tables["classes"], where)
        decides, bootstrap = _note(tables[ANSWERS], where)
        sequences = tables["sequences"]
        ids = _column(sequences, "sequence")
        if len(ids) and (ids[1:] <= ids[:-1]).any():
            raise RecordError(f"{where}: the table sequences is not in the order of its ids, or has one twice")
        answers = tables[ANSWERS]
        names = np.array([attribute.name for attribute in attributes])
        shape = (len(names), len(ids))
        expected = (np.repeat(names, len(ids)), np.tile(ids, len(names)))
        found = (_column(answers, "attribute"), _column(answers, "sequence"))
        if len(answers) != len(expected[0]) or any((a != b).any() for a, b in zip(found, expected, strict=True)):
            raise RecordError(
                f"{where}: the table answers must have a row for each of {shape[0]} attributes and {shape[1]} "
                "sequences, in the order of the tables classes and sequences"
            )
        label, prediction = (
            answers[name].to_numpy().astype(np.int64).reshape(shape).T for name in ("label", "prediction")
        )
        counts = np.array([len(attribute.classes) for attribute in attributes])
        for name, values in (("label", label), ("prediction", prediction)):
            if ((values < (-1 if name == "label" else 0)) | (values >= counts)).any():
                raise RecordError(f"{where}: the table answers has a {name} that is no class of its attribute")
        sheet = cls(
            attributes=attributes,
            num_train=num_train,
            decides=decides,
            bootstrap=bootstrap,
            sequence=ids,
            subject=_column(sequences, "subject"),
            condition=_column(sequences, "condition"),
            view=_column(sequences, "view"),
            groups={
                name.removeprefix(IN): sequences[name].to_numpy(zero_copy_only=False).astype(np.bool_)
                for name in sequences.column_names
                if name.startswith(IN)
            },
            label=label,
            prediction=prediction,
            positive=_sets(answers["positive"], counts, len(ids), where),
            score=answers["score"].to_numpy().astype(np.float32).reshape(shape).T,
        )
        sheet.check(where)
        return sheet

    def check(self, where: str) -> None:
        """Stop when predictions and labels that are told contradict each other.

        Raises:
            RecordError: By ``argmax`` something else than the prediction is told, or by ``threshold`` something but the
                prediction is, or a score is no probability.
        """
        told = np.stack([self.positive[:, part].sum(axis=1) for part in self.slices()], axis=1)  # [N, A]
        start = np.array([part.start for part in self.slices()])
        has_prediction = np.take_along_axis(self.positive, self.prediction + start, axis=1)
        is_sound = (told == 1) & has_prediction if self.decides == "argmax" else (told == 0) | has_prediction
        if not is_sound.all():
            row, column = np.argwhere(~is_sound)[0].tolist()
            raise RecordError(
                f"{where}: the table answers contradicts itself in {self.attributes[column].name} of "
                f"{self.sequence[row]}: its decisions are by {self.decides}"
            )
        if not ((self.score >= 0) & (self.score <= 1)).all():
            raise RecordError(f"{where}: the table answers has a score outside [0, 1]")


def _as_words(positive: NDArray[np.bool_]) -> Words:
    """``[N, C]`` sets of classes as words such as ``0 3``."""
    different, code = np.unique(positive, axis=0, return_inverse=True)
    words = [" ".join(map(str, np.flatnonzero(row).tolist())) for row in different]
    return Words(np.array(words, dtype=np.str_), code.reshape(-1))


def _sets(column: pa.ChunkedArray, counts: IntArray, num_sequences: int, where: str) -> NDArray[np.bool_]:
    """``[N, S]`` of the column ``positive``."""
    encoded = pc.dictionary_encode(column.cast(pa.string())).combine_chunks()
    words, code = encoded.dictionary.to_pylist(), encoded.indices.to_numpy().reshape(len(counts), num_sequences)
    known = np.zeros((max(1, len(words)), int(counts.max())), dtype=np.bool_)
    for at, word in enumerate(words):
        indices = word.split(" ") if word else []
        if not all(index.isdecimal() and int(index) < known.shape[1] for index in indices):
            raise RecordError(f"{where}: the table answers tells the classes {word!r}, which are none")
        known[at, [int(index) for index in indices]] = True
    sets = [known[code[at]] for at in range(len(counts))]  # [N, most classes] each
    if any(one[:, count:].any() for one, count in zip(sets, counts.tolist(), strict=True)):
        raise RecordError(f"{where}: the table answers tells a class that its attribute does not have")
    return np.concatenate([one[:, :count] for one, count in zip(sets, counts.tolist(), strict=True)], axis=1)


def _schema(classes: pa.Table, where: str) -> tuple[tuple[Attribute, ...], IntArray]:
    rows = classes.to_pylist()
    found: dict[str, list[str]] = {}
    for row in rows:
        words = found.setdefault(str(row["attribute"]), [])
        if row["index"] != len(words):
            raise RecordError(f"{where}: the table classes does not count the classes of {row['attribute']} from 0")
        words.append(str(row["cls"]))
    if not found or min(map(len, found.values())) < 2:
        raise RecordError(f"{where}: the table classes must have attributes of two or more classes")
    if [name for name, words in found.items() for _ in words] != [str(row["attribute"]) for row in rows]:
        raise RecordError(f"{where}: the table classes does not keep the classes of an attribute together")
    num_train = classes["num_train"].to_numpy().astype(np.int64)
    if (num_train < 0).any():
        raise RecordError(f"{where}: the table classes counts fewer than no training sequences")
    return tuple(Attribute(name=name, title=name, classes=tuple(words)) for name, words in found.items()), num_train


def _note(table: pa.Table, where: str) -> tuple[Decision, Bootstrap]:
    try:
        note = json.loads((table.schema.metadata or {})[b"gaitbench"])
        decides, drawn = note["decides"], note["bootstrap"]
        bootstrap = Bootstrap(int(drawn["seed"]), int(drawn["resamples"]))
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(
            f"{where}: the table answers does not say how it was decided and resampled; it was not written by gaitbench"
        ) from error
    if decides not in get_args(Decision):
        raise RecordError(f"{where}: the table answers was decided by {decides!r}, which is unknown here")
    return decides, bootstrap


def _words_of(values: Words_) -> Words:
    words, code = np.unique(values, return_inverse=True)
    return Words(words, code.reshape(-1))


def _column(table: pa.Table, name: str) -> Words_:
    return np.array(table[name].cast(pa.string()).to_pylist(), dtype=np.str_).reshape(len(table))
