"""Attributes as label vectors: each class a label of its own, or binary attributes as one label.

Axes: N sequences, A attributes, L labels of the vector, S classes of all attributes together.

RA-GAR's schema (7 binary attributes, 8 with 31 classes together) is ``onehot45`` or ``binary38``; numbers of the two
are not comparable, as the share of positive labels differs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaitbench.errors import ShapeError

__all__ = ["ENCODINGS", "EncodingKind", "LabelEncoding", "LabelMatrix", "label_encoding"]

EncodingKind = Literal["onehot", "binary"]
"""``onehot``: a label for each class of each attribute. ``binary``: the same, but an attribute of two classes is one
label, which is positive for its second class."""

ENCODINGS: tuple[EncodingKind, ...] = ("onehot", "binary")
"""Both kinds, in the order of tables."""

BoolArray = NDArray[np.bool_]


class LabelMatrix(NamedTuple):
    """Labels of sequences."""

    value: BoolArray
    """``[N, L]``, true where a label is positive; false where it is not known."""
    known: BoolArray
    """``[N, L]``, false where the attribute is not known."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelEncoding:
    """Which attribute and class each label of a vector stands for."""

    kind: EncodingKind
    num_classes: tuple[int, ...]
    """``[A]`` classes of each attribute."""
    attribute: NDArray[np.int64]
    """``[L]`` index of each label's attribute."""
    cls: NDArray[np.int64]
    """``[L]`` index of each label's class within its attribute."""

    def __len__(self) -> int:
        return len(self.attribute)

    @property
    def name(self) -> str:
        """Kind and number of labels, as in ``onehot45``."""
        return f"{self.kind}{len(self)}"

    @property
    def places(self) -> NDArray[np.int64]:
        """``[L]`` place of each label among all S classes in their order."""
        start = np.concatenate([[0], np.cumsum(self.num_classes)[:-1]]).astype(np.int64)
        return start[self.attribute] + self.cls

    def of_classes(self, classes: ArrayLike) -> LabelMatrix:
        """Encode a class per attribute.

        Args:
            classes: ``[N, A]`` ints, -1 where unknown.

        Raises:
            ShapeError: There is not one column per attribute, or a class is none of its attribute.
        """
        index = _checked(classes, self.num_classes)
        value = index[:, self.attribute] == self.cls
        return LabelMatrix(value, (index >= 0)[:, self.attribute])

    def of_sets(self, positive: BoolArray) -> BoolArray:
        """Choose the labels of this encoding from ``[N, S]``, a column for each class of each attribute."""
        if positive.ndim != 2 or positive.shape[1] != sum(self.num_classes):
            raise ShapeError(f"label sets must be [N, {sum(self.num_classes)}], got {list(positive.shape)}")
        return np.asarray(positive[:, self.places], dtype=np.bool_)


def label_encoding(num_classes: Sequence[int], kind: EncodingKind = "onehot") -> LabelEncoding:
    """Lay out the label vector of a schema.

    Args:
        num_classes: ``[A]`` classes of each attribute, 2 or more.
        kind: Which encoding.

    Raises:
        ShapeError: There is no attribute, or one has fewer than two classes.

    Source:
        One label per class: the practice of pedestrian-attribute benchmarks (Li et al., "A Richly Annotated Pedestrian
        Dataset for Person Retrieval in Real Surveillance Scenarios", TIP 2019). Which of the two encodings a row of
        RA-GAR (AAAI 2025) was scored on is not printed; docs/attributes.md tells what its numbers imply.

    Example:
        >>> [label_encoding((2, 3), kind).name for kind in ("onehot", "binary")]
        ['onehot5', 'binary4']
        >>> label_encoding((2, 3), "binary").of_classes([[1, 2], [0, -1]]).value.astype(int)
        array([[1, 0, 0, 1],
               [0, 0, 0, 0]])
    """
    if not num_classes or min(num_classes) < 2:
        raise ShapeError(f"a label vector needs attributes of two or more classes, got {list(num_classes)} classes")
    pairs = [
        (attribute, cls)
        for attribute, count in enumerate(num_classes)
        for cls in (range(1, 2) if kind == "binary" and count == 2 else range(count))
    ]
    attribute, cls = np.array(pairs, dtype=np.int64).T
    return LabelEncoding(kind=kind, num_classes=tuple(num_classes), attribute=attribute, cls=cls)


def _checked(classes: ArrayLike, num_classes: tuple[int, ...]) -> NDArray[np.int64]:
    index = np.asarray(classes)
    if index.ndim != 2 or index.shape[1] != len(num_classes) or (index.size and index.dtype.kind not in "iu"):
        raise ShapeError(f"classes must be integers [N, {len(num_classes)}], got {index.dtype} {list(index.shape)}")
    index = index.astype(np.int64)
    is_wrong = (index < -1) | (index >= np.array(num_classes))
    if is_wrong.any():
        row, column = np.argwhere(is_wrong)[0].tolist()
        raise ShapeError(
            f"row {row} has class {index[row, column]} of attribute {column}, which has {num_classes[column]} classes "
            "(-1 is unknown)"
        )
    return index
