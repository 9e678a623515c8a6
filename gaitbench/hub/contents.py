"""``gaitbench.json``: what a dataset repository holds, so that reading it back gives the very dataset it was made of.

::

    README.md                    the card that the hub shows; tells `datasets` which files belong to which split
    gaitbench.json               this
    gaitbench/index.parquet      a row per sequence, in the dataset's order: the table as stored, file and row, and per
                                 modality the frames, the hash of the stored form, and why there are none
    data/SPLIT-00000.parquet     a row per sequence, a column per modality

It holds the hash of the index and of every data file, and its own; the index holds those of the stored frames.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, PositiveInt, StringConstraints, ValidationError

import gaitbench
from gaitbench.card import DatasetCard, FileEntry, LeftOut, PreparedStream
from gaitbench.digest import json_digest
from gaitbench.errors import DatasetError
from gaitbench.modality import Modality

__all__ = ["CONTENTS_FILE", "INDEX_FILE", "README_FILE", "Contents", "DataFile"]

CONTENTS_FILE = "gaitbench.json"
INDEX_FILE = "gaitbench/index.parquet"
README_FILE = "README.md"

_MOST_FRAME_VALUES = 2**27
_AGAIN = "export the dataset again, or read the repository's commit before"


class DataFile(FileEntry, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A Parquet file of the repository."""

    path: Annotated[str, StringConstraints(pattern=r"^data/[a-z]{1,32}-[0-9]{5,9}\.parquet$")]
    """Relative to the repository."""
    split: Annotated[str, StringConstraints(pattern=r"^[a-z]{1,32}$")]
    """Where its rows belong."""
    num_rows: PositiveInt
    """Sequences."""


class Contents(BaseModel):
    """What a repository holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    format: Literal["gaitbench-repository"] = "gaitbench-repository"
    """Tells the file from others of the name."""
    format_version: int = 1
    """Version of the layout."""
    written_by: str = f"gaitbench {gaitbench.__version__}"
    """For those who look for the reason of something odd."""
    export_id: str
    """Hash of everything that determines the files: data, splits, size of files."""
    card: DatasetCard
    """The dataset's card."""
    streams: dict[str, PreparedStream]
    """The modalities in the repository, as they were stored; the lists of shards are empty."""
    left_out: tuple[LeftOut, ...] = ()
    """What of the official files was passed over."""
    num_sequences: PositiveInt
    """Rows of all files together."""
    fingerprint: str
    """Of the dataset in all these modalities."""
    undivided: str = ""
    """Why there is a single split; empty where there are several."""
    index: FileEntry
    """The index."""
    files: tuple[DataFile, ...]
    """The data, in the order of the splits' rows."""

    @property
    def splits(self) -> dict[str, int]:
        """Split to its number of sequences."""
        found: dict[str, int] = {}
        for file in self.files:
            found[file.split] = found.get(file.split, 0) + file.num_rows
        return found

    def modality(self, name: str) -> Modality:
        """How a modality was stored."""
        return self.streams[name].modality(name)

    def content(self) -> dict[str, Any]:
        """The JSON object, with its checksum."""
        content = self.model_dump(mode="json", exclude_none=True)
        return {**content, "checksum": json_digest(content)}

    @classmethod
    def parse(cls, content: object, where: str) -> Self:
        """Check a JSON object.

        Args:
            content: What the file holds.
            where: The file, for messages.

        Raises:
            DatasetError: It is none of ours, of another version, altered, or contradicts itself.
        """
        if not isinstance(content, dict) or content.get("format") != "gaitbench-repository":
            raise DatasetError(f"{where} was not written by gaitbench export; {_AGAIN}")
        if content.get("format_version") != cls.model_fields["format_version"].default:
            raise DatasetError(
                f"{where} has layout version {content.get('format_version')!r}, this gaitbench reads version "
                f"{cls.model_fields['format_version'].default}; install the version that wrote it "
                f"({content.get('written_by')!r})"
            )
        content = dict(content)
        checksum = content.pop("checksum", None)
        try:
            if checksum != json_digest(content):
                raise DatasetError(f"{where} was altered after it was written: its checksum does not agree; {_AGAIN}")
            found = cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise DatasetError(
                f"{where} has {error.error_count()} wrong fields ({place}: {first['msg']}); {_AGAIN}"
            ) from error
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{where} is altered ({error}); {_AGAIN}") from error
        found._check(where)
        return found

    def _check(self, where: str) -> None:
        """Stop at what no export writes."""
        problem = ""
        if self.index.path != INDEX_FILE:
            problem = f"the index is {self.index.path!r}, not {INDEX_FILE}"
        elif len({file.path for file in self.files}) != len(self.files):
            problem = "a file is listed twice"
        elif sum(file.num_rows for file in self.files) != self.num_sequences:
            problem = f"the files have other numbers of rows than {self.num_sequences} together"
        elif not self.streams or (unknown := sorted(self.streams.keys() - self.card.streams.keys())):
            problem = f"the card does not describe {', '.join(unknown)}" if self.streams else "there are no modalities"
        elif bad := [name for name in self.streams if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)]:
            problem = f"{bad[0]!r} is no name of a modality"
        else:
            for name in self.streams:
                size = 1
                for length in self.card.streams[name].frame_shape:
                    size *= length
                if size > _MOST_FRAME_VALUES:
                    problem = f"frames of {name} have {size} values"
        if problem:
            raise DatasetError(f"{where} contradicts itself: {problem}; {_AGAIN}")
