"""The card of a dataset and, in a prepared folder, the list of its files: ``dataset.json``.

The checksum makes ``dataset.json`` the root of trust: it holds the hash of every other file, and its own.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from gaitbench.atomic import write_json
from gaitbench.errors import DatasetError
from gaitbench.modality import Codec, FrameKind, Modality

__all__ = [
    "Attribute",
    "DatasetCard",
    "FileEntry",
    "LeftOut",
    "PreparedCard",
    "PreparedStream",
    "ShardEntry",
    "StreamInfo",
]

CARD_FILE = "dataset.json"
MANIFEST_FILE = "manifest.parquet"
TABLE_FILE = "sequences.arrow"


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

    frame_shape: tuple[PositiveInt, ...]
    """``(C, H, W)`` of rasters, ``(V, D)`` of joints, ``(D,)`` of points."""
    frame_rate_hz: float = Field(gt=0, allow_inf_nan=False)
    """Frames per second."""
    scale_to_unit: float = 1.0
    """Factor from stored values to the modality's unit: 1/255 for grey silhouettes, which are 0 to 1 to a model."""
    codec: Codec | None = None
    """How this dataset stores the frames; None for the modality's own way."""
    value_range: tuple[float, float] | None = None
    """Smallest and largest stored value; None for the modality's own."""
    colour_map: Literal["jet"] | None = None
    """The map that coloured a range image, whose three channels stand for one distance."""
    clock: str | None = None
    """What timed the frames; streams of different clocks do not begin together. None for the dataset's only clock."""


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
    fingerprint_covers: str = (
        "name, version, options, attribute schema and sequence table; of every stream that is used, its shape and "
        "rate and, per sequence, the number of frames and, for streams that are exact, the hash of the stored bytes"
    )
    """What the fingerprint covers, in words."""
    licence: str = ""
    """Licence or terms."""
    citation: str = ""
    """What to cite."""
    source: str = ""
    """Where it comes from."""
    redistribution: bool | None = None
    """Whether the terms let anybody pass the data on; None where they do not say, which counts as no."""
    repository: str = ""
    """Hugging Face repository and commit that it was read from, ``ORG/NAME@COMMIT``; empty where it was not."""


class FileEntry(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A file of the folder."""

    path: str
    """Relative to the folder, with forward slashes."""
    num_bytes: NonNegativeInt
    """Size."""
    sha256: str
    """Hash of the content, 64 hex digits."""


class ShardEntry(FileEntry, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A shard of the folder."""

    hashed: Literal["bytes", "sequences"] = "bytes"
    """What ``sha256`` is the hash of: the file as it lies, or the file in which each sequence's frames are replaced by
    their own hash, so that frames are hashed once; see :meth:`gaitbench.storage.shard.Shard.file_sha256`."""


class LeftOut(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What of the source is not among the sequences, and why."""

    reason: str
    """A sentence without a full stop."""
    num: PositiveInt
    """Files or folders."""
    examples: tuple[str, ...] = ()
    """The first of them, relative to the source."""


class PreparedStream(BaseModel):
    """A modality that is present in the folder."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, ser_json_inf_nan="strings")

    title: str
    """See :class:`gaitbench.modality.Modality`, as are the next fields."""
    kind: FrameKind
    codec: Codec
    dtype: Literal["uint8", "uint16", "float32"]
    channels: PositiveInt
    value_range: tuple[float, float]
    unit: str
    is_exact: bool
    sequences_per_shard: PositiveInt
    """Rows of each shard but the last."""
    shards: tuple[ShardEntry, ...]
    """In order of the sequences."""

    def modality(self, name: str) -> Modality:
        """The description that the stream was written with, whatever is installed today."""
        fields = self.model_dump(exclude={"sequences_per_shard", "shards"})
        return Modality(name=name, **fields)


class PreparedCard(DatasetCard, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """``dataset.json`` of a prepared folder: the card, and every file with its hash."""

    num_sequences: PositiveInt
    """Rows of the sequence table."""
    table: FileEntry
    """The sequence table."""
    manifest: tuple[FileEntry, ...]
    """The manifest; two entries, old and new, for the moment in which a stream is being added."""
    prepared: dict[str, PreparedStream]
    """Modality name to the stream in this folder."""
    left_out: tuple[LeftOut, ...] | None = None
    """What of the source was passed over; None for nothing."""

    def card(self) -> DatasetCard:
        """The card alone."""
        return DatasetCard(**{name: getattr(self, name) for name in DatasetCard.model_fields})

    def write(self, root: Path) -> None:
        """Write ``dataset.json``, atomically.

        Raises:
            OutputError: The file cannot be written.
        """
        content = self.model_dump(mode="json")
        content["streams"] = {
            name: info.model_dump(mode="json", exclude_none=True) for name, info in self.streams.items()
        }
        for name, default in (("left_out", None), ("redistribution", None), ("repository", "")):
            if getattr(self, name) == default:
                del content[name]
        write_json(root / CARD_FILE, {**content, "checksum": _checksum(content)})

    @classmethod
    def read(cls, root: Path) -> "PreparedCard":
        """Read and check ``dataset.json``.

        Raises:
            DatasetError: The file is missing, broken, altered, or of another layout.
        """
        path = root / CARD_FILE
        try:
            content = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise DatasetError(
                f"{root} is not a prepared dataset: it has no {CARD_FILE}. Check the path, or make it with "
                "`gaitbench prepare`"
            ) from error
        except OSError as error:
            raise DatasetError(f"cannot read {path}: {error.strerror}; check its permissions") from error
        except ValueError as error:
            raise DatasetError(f"{path} is truncated or altered ({error}); {_AGAIN}") from error
        if not isinstance(content, dict) or not {"format_version", "checksum"} <= content.keys():
            raise DatasetError(f"{path} is not the card of a prepared dataset; check the path, or {_AGAIN}")
        if content["format_version"] != cls.model_fields["format_version"].default:
            raise DatasetError(
                f"{path} has layout version {content['format_version']}, this gaitbench reads version "
                f"{cls.model_fields['format_version'].default}; prepare the dataset again or install the other version"
            )
        checksum = content.pop("checksum")
        try:
            card = cls.model_validate(content)
        except ValidationError as error:
            raise DatasetError(f"{path} is altered ({error.error_count()} wrong fields); {_AGAIN}") from error
        if checksum != _checksum(content):
            raise DatasetError(f"{path} was altered after it was written: its checksum does not agree; {_AGAIN}")
        return card


_AGAIN = "remove the folder and run `gaitbench prepare` again"


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
