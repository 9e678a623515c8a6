"""What is told of training sequences: a sentence each, and classes for the heads that tell attributes.

Axes: N training sequences, A attributes.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, model_validator

from gaitbench.annotating import direction_index, gait_factors, read_annotations, view_sentence
from gaitbench.annotating.directions import DIRECTIONS
from gaitbench.annotating.files import annotation_digest
from gaitbench.annotating.gdf import GDF_FIELDS, GaitFactors
from gaitbench.card import Attribute
from gaitbench.errors import DatasetError, UsageError

if TYPE_CHECKING:
    from gaitbench.dataset import GaitDataset

__all__ = [
    "VIEWPOINT",
    "AnnotationFile",
    "Told",
    "Wording",
    "told_by_annotations",
    "told_by_attributes",
    "told_by_views",
]

_log = logging.getLogger("gaitbench")

Wording = Literal["factors", "summary", "both"]
"""What of an annotation is put into its sentence: the graded factors, the annotating model's own summary, or both."""

VIEWPOINT = Attribute(name="viewpoint", title="Viewpoint", classes=DIRECTIONS)
"""The direction of the walk, which every source tells."""
_ADVICE = "gaitbench annotate DATASET --schema gdf --model LLM --base-url URL writes one"
_NOBODY_KNOWS = "A person walking."


class AnnotationFile(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A file of ``gaitbench annotate --schema gdf``; where only its path is given, it is hashed.

    Example:
        >>> AnnotationFile.model_validate("nowhere.parquet")
        Traceback (most recent call last):
        pydantic_core._pydantic_core.ValidationError: ... cannot read the annotations nowhere.parquet: ...
    """

    path: Path
    """A ``.parquet`` or ``.json`` file. A finished run needs it no more."""
    sha256: str = Field("", pattern="^([0-9a-f]{64})?$")
    """Hash of the file, so that other annotations under the same name make another run."""

    @model_validator(mode="before")
    @classmethod
    def _hash(cls, value: object) -> object:
        """Accept a bare path, and look the hash up where it is missing."""
        fields = dict(value) if isinstance(value, Mapping) else {"path": value}
        if not fields.get("sha256") and isinstance(path := fields.get("path"), str | Path):
            try:
                fields["sha256"] = annotation_digest(path)
            except OSError as error:
                raise ValueError(f"cannot read the annotations {path}: {error.strerror}; {_ADVICE}") from error
        return fields

    def factors(self, dataset: str) -> dict[str, GaitFactors]:
        """Sequence id to its factors, of the sequences with a usable answer.

        Args:
            dataset: Name of the dataset that they must be of.

        Raises:
            DatasetError: The file is missing, another one than was configured, damaged, or of other annotations.
        """
        try:
            found = annotation_digest(self.path)
        except OSError as error:
            raise DatasetError(f"cannot read the annotations {self.path}: {error.strerror}; {_ADVICE}") from error
        if found != self.sha256:
            raise DatasetError(
                f"{self.path} is not the file that was configured: its sha256 is {found}, not {self.sha256}; restore "
                "it, or give the path alone"
            )
        annotations = read_annotations(self.path)
        try:
            factors = gait_factors(annotations)
        except DatasetError as error:
            raise DatasetError(f"annotations {self.path}: {error}; {_ADVICE}") from error
        if annotations.header.dataset != dataset:
            raise DatasetError(
                f"annotations {self.path} are of the dataset {annotations.header.dataset}, and {dataset} is trained "
                f"on; {_ADVICE}"
            )
        return factors


class Told(NamedTuple):
    """What is told of N sequences."""

    sentences: tuple[str, ...]
    """Each once, sorted."""
    sentence: NDArray[np.int64]
    """``[N]`` index into them."""
    schema: tuple[Attribute, ...]
    """What heads learn to tell."""
    classes: NDArray[np.int64]
    """``[N, A]``, -1 where unknown."""


def told_by_views(data: "GaitDataset") -> Told:
    """The sentence of each sequence's direction, and the direction itself.

    Source:
        What is told where nothing was annotated is ours: SG-CrossGait (TIFS 2026) has annotations of every sequence.
    """
    directions = _directions(data)
    return _told([_seen_from(direction) for direction in directions], (VIEWPOINT,), [[each] for each in directions])


def told_by_attributes(data: "GaitDataset", chosen: Sequence[str]) -> Told:
    """The attributes that the dataset's card declares, in a sentence of our own and as classes, behind the direction.

    A dataset that declares a viewpoint of its own has its own one told.

    Args:
        data: The training sequences.
        chosen: Names of the attributes that count; none for all.

    Raises:
        DatasetError: The dataset has no attributes.
        UsageError: One that was chosen does not exist, or was chosen twice.
    """
    schema = data.card.attributes
    if not schema:
        raise DatasetError(
            f"{data.card.name} declares no attributes to make texts of; annotate it ({_ADVICE}) and set annotations, "
            "or set source=views"
        )
    names = [attribute.name for attribute in schema]
    if unknown := [name for name in chosen if name not in names]:
        raise UsageError(
            f"{data.card.name} has no attribute {unknown[0]!r}; it has {', '.join(names)} (--set attributes_told)"
        )
    if len(set(chosen)) < len(chosen):
        raise UsageError(f"attributes_told names an attribute twice: {', '.join(chosen)}")
    columns = [names.index(name) for name in chosen] or list(range(len(names)))
    schema = tuple(schema[column] for column in columns)
    classes = data.table.attributes[:, columns].astype(np.int64)
    directions = _directions(data)
    sentences = []
    for direction, row in zip(directions, classes.tolist(), strict=True):
        known = [(attribute, index) for attribute, index in zip(schema, row, strict=True) if index >= 0]
        traits = ", ".join(f"{attribute.title.lower()} {attribute.classes[index]}" for attribute, index in known)
        seen = _seen_from(direction)
        sentences.append(f"{seen.removesuffix('.')}; {traits}." if traits else seen)
    if VIEWPOINT.name in {attribute.name for attribute in schema}:
        return _told(sentences, schema, classes.tolist())
    viewed = [[direction, *row] for direction, row in zip(directions, classes.tolist(), strict=True)]
    return _told(sentences, (VIEWPOINT, *schema), viewed)


def told_by_annotations(data: "GaitDataset", file: AnnotationFile, wording: Wording) -> Told:
    """What an annotation file says; of a sequence without a usable answer, its direction alone.

    Raises:
        DatasetError: The file cannot be used, or tells of none of the sequences.
    """
    factors = file.factors(data.card.name)
    ids = data.table.sequence_id.tolist()
    missing = [name for name in ids if name not in factors]
    if len(missing) == len(ids):
        raise DatasetError(
            f"annotations {file.path} tell of none of the {len(ids)} training sequences of {data.card.name} (first: "
            f"{ids[0]}); annotate the training sequences (gaitbench annotate ... --split train)"
        )
    if missing:
        _log.warning(
            "annotations %s have no usable answer for %d of %d training sequences (first: %s); of these the direction "
            "alone is told. Run the same gaitbench annotate again to complete them",
            file.path,
            len(missing),
            len(ids),
            missing[0],
        )
    fields = [field for field in GDF_FIELDS if field.choices]
    sentences, classes = [], []
    for name, direction in zip(ids, _directions(data), strict=True):
        known = factors.get(name)
        sentences.append(_seen_from(direction) if known is None else _worded(known, wording))
        grades = [None if known is None else getattr(known, field.name) for field in fields]
        classes.append([-1 if grade is None else grade for grade in grades])
    schema = tuple(
        Attribute(
            name=field.name,
            title=field.title,
            classes=DIRECTIONS if field.name == "viewpoint" else tuple(str(choice) for choice in field.choices),
        )
        for field in fields
    )
    return _told(sentences, schema, classes)


def _worded(factors: GaitFactors, wording: Wording) -> str:
    parts = {"factors": (factors.sentence(),), "summary": (factors.summary,)}
    return " ".join(parts.get(wording, (factors.sentence(), factors.summary)))


def _directions(data: "GaitDataset") -> list[int]:
    """Of each sequence, -1 where nobody knows the view."""
    return [direction_index(view) if math.isfinite(view) else -1 for view in data.table.view_deg.tolist()]


def _seen_from(direction: int) -> str:
    return _NOBODY_KNOWS if direction < 0 else view_sentence(direction)


def _told(sentences: list[str], schema: tuple[Attribute, ...], classes: list[list[int]]) -> Told:
    distinct, index = np.unique(np.array(sentences, dtype=np.str_), return_inverse=True)
    values = np.array(classes, dtype=np.int64).reshape(len(sentences), len(schema))
    return Told(tuple(distinct.tolist()), index.reshape(-1).astype(np.int64), schema, values)
