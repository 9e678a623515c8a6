"""A prepared dataset: a folder with a card, memory-mapped Arrow shards and a manifest; and what makes one.

::

    DATASET/
      dataset.json                 card: name, version, modalities, attribute schema, licence, citation, source
      sequences.arrow              one row per sequence: ids, condition, view, attributes
      streams/MODALITY/*.arrow     one row per sequence, in the same order: packed frames
      manifest.parquet             sequence id, modality, frames, bytes, sha256

Axes: T frames, C channels, H rows, W columns, V joints.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from gaitbench.sequence import Frames, SequenceInfo

__all__ = ["Attribute", "BuilderOptions", "DatasetBuilder", "DatasetCard", "StreamInfo"]


class Attribute(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One labelled trait of a subject or a walk."""

    name: str
    """Lower case with underscores, such as ``forward_head``."""
    title: str
    """As a reader sees it."""
    classes: tuple[str, ...]
    """Class words, in index order."""


class StreamInfo(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The frames of one modality in this dataset."""

    frame_shape: tuple[int, ...]
    """``(C, H, W)`` of rasters, ``(V, D)`` of joints, ``(D,)`` of points."""
    frame_rate_hz: float
    """Frames per second."""
    scale_to_unit: float = 1.0
    """Factor from stored values to the modality's unit."""


class DatasetCard(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What the dataset is, in ``dataset.json``."""

    format_version: int = 1
    """Version of the folder's layout."""
    name: str
    """As registered."""
    version: str
    """Raised when any frame or label changes."""
    title: str
    """One line."""
    description: str = ""
    """What it is and what it is not."""
    streams: dict[str, StreamInfo]
    """Every modality that the dataset can have, present in this folder or not."""
    attributes: tuple[Attribute, ...] = ()
    """Attribute schema; empty without labels."""
    options: dict[str, object] = Field(default_factory=dict)
    """Options it was built with; they belong to the fingerprint."""
    fingerprint_covers: str = "sequence table and the bytes of every stream"
    """What the fingerprint covers, in words."""
    licence: str = ""
    """Licence or terms."""
    citation: str = ""
    """What to cite."""
    source: str = ""
    """Where it comes from."""


class BuilderOptions(BaseModel):
    """Base of the options of a builder; they are stored in the card."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DatasetBuilder(ABC):
    """Reads an official layout, or generates a dataset. Everything it yields depends on its arguments alone.

    Args:
        options: An instance of the class named by :attr:`gaitbench.specs.DatasetSpec.options`.
        source: The folder of the official files; None for generated datasets.

    It is rebuilt from these two in every worker process, so the constructor must be cheap.
    """

    frames_per_second_hint: ClassVar[float | None] = None

    def __init__(self, options: BuilderOptions, source: Path | None = None) -> None:
        self.options = options
        self.source = source

    @abstractmethod
    def card(self) -> DatasetCard:
        """Describe the dataset; raises :class:`gaitbench.errors.DatasetError` when the source is not it."""

    @abstractmethod
    def sequences(self) -> Sequence[SequenceInfo]:
        """All sequences, in an order that is always the same."""

    @abstractmethod
    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames]:
        """Yield the decoded frames of these sequences, one item per sequence and in their order.

        What is yielded for a sequence does not depend on which others are asked for with it.
        """
