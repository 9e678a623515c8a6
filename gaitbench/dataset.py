"""A prepared dataset: a folder with a card, memory-mapped Arrow shards and a manifest; and what makes one.

::

    DATASET/
      dataset.json                 card: name, version, modalities, attribute schema, licence, citation, source;
                                   and every file below with its size and hash
      sequences.arrow              one row per sequence: ids, condition, view, attributes
      streams/MODALITY/*.arrow     one row per sequence, in the same order: packed frames
      manifest.parquet             sequence id, modality, frames, bytes, sha256

Opening reads the first two and the manifest whole, compares them with their hashes, and compares the size of every
shard. A stream's shards are compared with their hashes when the stream is first used, by
:mod:`gaitbench.storage.integrity`.

Axes: N sequences, T frames, C channels, H rows, W columns, V joints.
"""

import functools
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from gaitbench.card import (
    CARD_FILE,
    Attribute,
    DatasetCard,
    FileEntry,
    LeftOut,
    PreparedCard,
    PreparedStream,
    ShardEntry,
    StreamInfo,
)
from gaitbench.errors import DatasetError
from gaitbench.modality import Modality
from gaitbench.sequence import Absent, Frames, SequenceInfo
from gaitbench.sequence import Sequence as GaitSequence
from gaitbench.storage.codec import Packed
from gaitbench.storage.integrity import check_hashes, check_sizes, file_sha256
from gaitbench.storage.shard import Shard
from gaitbench.table import SequenceTable

if TYPE_CHECKING:
    import datasets

    from gaitbench.clip_dataset import ClipDataset
    from gaitbench.protocol import Protocol
    from gaitbench.storage.bank import FrameBank

__all__ = [
    "Attribute",
    "BuilderOptions",
    "DatasetBuilder",
    "DatasetCard",
    "GaitDataset",
    "SequenceTable",
    "StreamInfo",
    "VerifyReport",
    "verify",
]

_AGAIN = "remove the folder and run `gaitbench prepare` again"


class BuilderOptions(BaseModel):
    """Base of the options of a builder; they are stored in the card. Numbers are finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


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
    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames | Packed | Absent]:
        """Yield the decoded frames of these sequences, one item per sequence and in their order.

        Where a sequence has none, or its file is broken, :class:`gaitbench.sequence.Absent` says why. What is yielded
        for a sequence does not depend on which others are asked for with it. A builder that reads the stored form
        itself yields it as it is, and answers for its being right.
        """

    def left_out(self) -> Sequence[LeftOut]:
        """What of the source is not among :meth:`sequences`, and why; asked after them."""
        return ()

    def fit_protocol(self, protocol: "Protocol") -> "Protocol":
        """Adapt a protocol of this dataset to the options, where they change who is there; most builders need not."""
        return protocol


class GaitDataset:
    """A prepared dataset, or some of its sequences. Nothing is read before it is used, and nothing is written.

    Attributes:
        root: The folder.
        card: What the dataset is.
        table: One row per sequence.
        modalities: What is present in the folder, in alphabetical order.
    """

    def __init__(self, files: "_Folder", index: NDArray[np.int64] | None) -> None:
        self._files = files
        self._index = index
        self.root = files.root
        self.card = files.card.card()
        self.table = files.table if index is None else files.table.take(index)
        self.modalities = tuple(sorted(files.card.prepared))

    @classmethod
    def open(cls, root: Path | str) -> "GaitDataset":
        """Open a folder, and check that every file is there, whole, and of the right kind.

        Args:
            root: The folder that :func:`gaitbench.prepare.prepare` wrote.

        Raises:
            DatasetError: The folder is no prepared dataset, or a file is missing, truncated or altered; the message
                names the file and the next step.
        """
        return cls(_Folder.open(Path(root)), None)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, i: int) -> GaitSequence:
        """One recorded walk; its frames are decoded as they are asked for.

        Raises:
            IndexError: There is no such row.
        """
        if not -len(self) <= i < len(self):
            raise IndexError(f"sequence {i} of {len(self)}")
        row = i % len(self)
        return GaitSequence(info=self.table.info(row), frames=_LazyFrames(self, row))

    def __iter__(self) -> Iterator[GaitSequence]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"GaitDataset({self.card.name} {self.card.version}, {len(self)} sequences, {', '.join(self.modalities)})"

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_] | Sequence[int]) -> "GaitDataset":
        """Some of the sequences, by an index array or a mask, in its order; banks follow.

        Raises:
            IndexError: An index lies outside the dataset.
        """
        rows = np.arange(len(self)) if self._index is None else self._index
        chosen = np.asarray(index)
        return GaitDataset(self._files, rows[chosen.astype(np.int64) if chosen.size == 0 else chosen])

    def present(self, modalities: Sequence[str]) -> "GaitDataset":
        """The sequences that have frames in every one of these modalities.

        Raises:
            DatasetError: A stream is not in this folder.
        """
        rows = [self._files.manifest_rows(name)["num_frames"].to_numpy() > 0 for name in modalities]
        has_all = np.logical_and.reduce(rows) if rows else np.ones(len(self._files.table), bool)
        if self._index is not None:
            has_all = has_all[self._index]
        return self if has_all.all() else self.take(has_all)

    def absent(self, modality: str) -> dict[str, Absent]:
        """Ids of the sequences that have no frames in a modality, and why.

        Raises:
            DatasetError: The stream is not in this folder, or a file of it is missing, truncated or altered.
        """
        found = self._files.absent(modality)
        return found if self._index is None else {i: found[i] for i in self.table.sequence_id.tolist() if i in found}

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What of the source was passed over when the dataset was prepared, and why."""
        return self._files.card.left_out or ()

    def num_bytes(self, modality: str) -> int:
        """Size of a modality's files, whole, whichever sequences were taken.

        Raises:
            DatasetError: The stream is not in this folder.
        """
        return sum(entry.num_bytes for entry in self._files.stream(modality).shards)

    @property
    def stored_table(self) -> SequenceTable:
        """The rows as the builder listed them: ``num_frames`` is 0 where only reading tells."""
        stored = self._files.stored_table
        return stored if self._index is None else stored.take(self._index)

    def stream(self, modality: str) -> PreparedStream:
        """How a modality is stored in this folder.

        Raises:
            DatasetError: The stream is not in this folder.
        """
        return self._files.stream(modality)

    def manifest(self, modality: str) -> pa.Table:
        """``num_frames``, ``num_bytes`` and ``sha256`` of the stored form of each sequence, in the order of the table.

        Raises:
            DatasetError: The stream is not in this folder.
        """
        rows = self._files.manifest_rows(modality)
        return rows if self._index is None else rows.take(pa.array(self._index))

    def bank(self, modality: str) -> "FrameBank":
        """The frames of one modality, addressed in whole batches.

        The shards' hashes are checked the first time.

        Raises:
            DatasetError: The stream is not in this folder, or a file of it is missing, truncated or altered.
        """
        bank = self._files.bank(modality)
        return bank if self._index is None else bank.take(self._index)

    def fingerprint(self, modalities: Sequence[str]) -> str:
        """Hash of everything about these sequences that a result depends on; see ``card.fingerprint_covers``.

        It does not change when other modalities are added to the folder, nor with the order of the names.

        Args:
            modalities: The streams in use.

        Returns:
            64 hex digits.

        Raises:
            DatasetError: A stream is not in this folder.
        """
        parts: dict[str, object] = {
            "name": self.card.name,
            "version": self.card.version,
            "options": self.card.options,
            "attributes": [attribute.model_dump(mode="json") for attribute in self.card.attributes],
        }
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
        stored = self._files.stored_table if self._index is None else self._files.stored_table.take(self._index)
        digest.update(json.dumps([column.tolist() for column in stored.columns()]).encode())
        for name in sorted(set(modalities)):
            stream = self._files.stream(name)
            rows = self._files.manifest_rows(name)
            if self._index is not None:
                rows = rows.take(pa.array(self._index))
            about = [
                name,
                stream.codec,
                stream.dtype,
                self.card.streams[name].model_dump(mode="json", exclude_none=True),
            ]
            digest.update(json.dumps(about, sort_keys=True).encode())
            counts = [rows["sequence_id"].to_pylist(), rows["num_frames"].to_pylist()]
            digest.update(json.dumps(counts).encode())
            if stream.is_exact:
                digest.update(b"".join(rows["sha256"].to_pylist()))
        return digest.hexdigest()

    def to_hf(self, modalities: Sequence[str] | None = None) -> "datasets.Dataset":
        """The sequences as a memory-mapped Hugging Face dataset, with the columns of ``gaitbench export``.

        Rasters are lists of pictures, joints nested lists, points lists with offsets and origin. The rows are encoded
        once, into the cache.

        Args:
            modalities: Columns of frames; None for all in the folder.

        Raises:
            DatasetError: A stream is not in this folder or damaged, or there is no sequence.
            OutputError: The cache cannot be written.
        """
        from gaitbench.hub.arrow import as_hugging_face
        from gaitbench.store import cache_root

        return as_hugging_face(self, cache_root(), modalities)

    def to_torch(
        self,
        modalities: Sequence[str] | None = None,
        *,
        num_frames: int | None = None,
        num_points: int | None = None,
        seed: int = 0,
    ) -> "ClipDataset":
        """The sequences as a torch Dataset, for a DataLoader; see :class:`gaitbench.clip_dataset.ClipDataset`.

        Args:
            modalities: What items have; None for all in the folder.
            num_frames: Frames of a clip; None gives whole sequences.
            num_points: Points drawn per frame; None gives all.
            seed: Of clips and points.

        Raises:
            UsageError: A number is below 1, or clips of points are asked for without ``num_points``.
            DatasetError: A stream is not in this folder, or a sequence has no frames in it.
        """
        from gaitbench.clip_dataset import ClipDataset

        return ClipDataset(self, modalities, num_frames=num_frames, num_points=num_points, seed=seed)

    def __reduce__(self) -> "tuple[Callable[..., GaitDataset], tuple[Path, NDArray[np.int64] | None]]":
        """Travel to another process as a path and rows; the files are opened again there."""
        return _reopen, (self.root, self._index)


def _reopen(root: Path, index: NDArray[np.int64] | None) -> GaitDataset:
    whole = GaitDataset.open(root)
    return whole if index is None else whole.take(index)


class _LazyFrames(Mapping[str, Frames]):
    def __init__(self, dataset: GaitDataset, row: int) -> None:
        self._dataset = dataset
        self._row = row

    def __getitem__(self, modality: str) -> Frames:
        if modality not in self._dataset.modalities:
            raise KeyError(modality)
        return self._dataset.bank(modality).frames(self._row)

    def __iter__(self) -> Iterator[str]:
        return iter(self._dataset.modalities)

    def __len__(self) -> int:
        return len(self._dataset.modalities)


class _Folder:
    """The open files, shared by all views on them."""

    def __init__(self, root: Path, card: PreparedCard, stored_table: SequenceTable, manifest: pa.Table) -> None:
        self.root = root
        self.card = card
        self.stored_table = stored_table
        self._manifest = manifest
        self._banks: dict[str, FrameBank] = {}
        self.table = self._with_frame_counts(stored_table)

    @classmethod
    def open(cls, root: Path) -> "_Folder":
        card = PreparedCard.read(root)
        while True:
            try:
                return cls(root, card, _read_table(root, card), _read_manifest(root, card))
            except DatasetError:
                # Another process may just have added a stream: then the card on disk is a newer one.
                newer = PreparedCard.read(root)
                if newer == card:
                    raise
                card = newer

    def stream(self, name: str) -> PreparedStream:
        try:
            return self.card.prepared[name]
        except KeyError:
            have = ", ".join(sorted(self.card.prepared))
            possible = name in self.card.streams
            step = (
                f"add it with `gaitbench prepare {self.card.name} --modalities {name}`"
                if possible
                else f"{self.card.name} can supply {', '.join(sorted(self.card.streams))}"
            )
            raise DatasetError(f"{self.root} has no stream {name}, only {have}; {step}") from None

    def manifest_rows(self, name: str) -> pa.Table:
        # Workers that prepare data start without these two libraries, which take longer to import than numpy.
        import pyarrow.compute as pc

        self.stream(name)
        return self._manifest.filter(pc.equal(self._manifest["modality"], name))

    def absent(self, name: str) -> dict[str, Absent]:
        stream, found = self.stream(name), {}
        if not (self.manifest_rows(name)["num_frames"].to_numpy() == 0).any():
            return {}
        for entry in stream.shards:
            shard = Shard.open(self.root / entry.path, stream.modality(name), self.card.streams[name])
            found.update({shard.sequence_id[row].as_py(): why for row, why in shard.absent.items()})
        return found

    def bank(self, name: str) -> "FrameBank":
        if name not in self._banks:
            # Imports torch, which a worker that prepares data does without.
            from gaitbench.storage.bank import FrameBank

            stream = self.stream(name)
            modality, info = stream.modality(name), self.card.streams[name]
            check_hashes(self.root, stream.shards, lambda entry: _shard_sha256(self.root, entry, modality, info))
            shards = [Shard.open(self.root / entry.path, modality, info) for entry in stream.shards]
            rows = self.manifest_rows(name)
            ids = pa.chunked_array([shard.sequence_id for shard in shards])
            counts = np.concatenate([shard.num_frames for shard in shards])
            if not (ids.equals(rows["sequence_id"]) and np.array_equal(counts, rows["num_frames"].to_numpy())):
                raise DatasetError(f"{self.root}: the shards of {name} do not agree with the manifest; {_AGAIN}")
            self._banks[name] = FrameBank.from_shards(modality, info, shards)
        return self._banks[name]

    def _with_frame_counts(self, table: SequenceTable) -> SequenceTable:
        """Fill in the frames of sequences whose number only reading told."""
        unknown = table.num_frames == 0
        if not unknown.any() or not self.card.prepared:
            return table
        counts = np.max([self.manifest_rows(name)["num_frames"].to_numpy() for name in self.card.prepared], axis=0)
        return replace(table, num_frames=np.where(unknown, counts, table.num_frames))


def _read_checked(root: Path, entries: Sequence[FileEntry]) -> bytes:
    path = root / entries[0].path
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} is missing ({error.strerror}); {_AGAIN}") from error
    sha256 = hashlib.sha256(data).hexdigest()
    if all(sha256 != entry.sha256 for entry in entries):
        kind = "truncated" if len(data) < min(entry.num_bytes for entry in entries) else "altered"
        raise DatasetError(f"{path} was {kind} after it was written; {_AGAIN}")
    return data


def _read_table(root: Path, card: PreparedCard) -> SequenceTable:
    table = SequenceTable.from_bytes(_read_checked(root, [card.table]), root / card.table.path)
    if len(table) != card.num_sequences:
        raise DatasetError(f"{root / card.table.path} has {len(table)} rows, not {card.num_sequences}; {_AGAIN}")
    return table


def _read_manifest(root: Path, card: PreparedCard) -> pa.Table:
    check_sizes(root, [entry for stream in card.prepared.values() for entry in stream.shards])
    import pyarrow.parquet as pq

    # Arrow's reader threads may abort the process at exit (apache/arrow issue 34314): read without any.
    content = pa.BufferReader(_read_checked(root, card.manifest))
    with pq.ParquetFile(content, pre_buffer=False) as file:
        manifest = file.read(use_threads=False)
    counts = {row["values"]: row["counts"] for row in manifest["modality"].value_counts().to_pylist()}
    for name in card.prepared:
        if counts.get(name) != card.num_sequences:
            raise DatasetError(
                f"{root / card.manifest[0].path} lists {counts.get(name, 0)} of {card.num_sequences} sequences of "
                f"{name}; {_AGAIN}"
            )
    return manifest


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What :func:`verify` found."""

    root: Path
    """The folder."""
    num_sequences: int
    """Rows of the table; 0 when the card cannot be read."""
    modalities: tuple[str, ...]
    """Streams in the folder."""
    num_files: int
    """Files looked at."""
    num_bytes: int
    """Their size together."""
    is_deep: bool
    """True when every byte was read."""
    problems: tuple[str, ...]
    """What is wrong, a sentence each, with file name and next step; empty when all is well."""

    @property
    def is_sound(self) -> bool:
        """True without problems."""
        return not self.problems

    def raise_problems(self) -> None:
        """Raise when anything is wrong.

        Raises:
            DatasetError: With all problems, a line each.
        """
        if self.problems:
            raise DatasetError("\n".join(self.problems))


def verify(root: Path | str, deep: bool = True) -> VerifyReport:
    """Look at every file of a prepared dataset, and go on after a problem.

    Args:
        root: The folder.
        deep: Read every byte and compare hashes, of files and of each sequence; otherwise compare names, sizes,
            counts and columns.

    Returns:
        What was found; nothing is raised for a broken dataset.
    """
    root = Path(root)
    problems: list[str] = []

    def attempt(check: Callable[[], object]) -> None:
        try:
            check()
        except DatasetError as error:
            problems.append(str(error))

    try:
        card = PreparedCard.read(root)
    except DatasetError as error:
        return VerifyReport(root, 0, (), 0, 0, deep, (str(error),))
    entries = [card.table, card.manifest[-1], *(entry for s in card.prepared.values() for entry in s.shards)]
    attempt(lambda: _read_table(root, card))
    attempt(lambda: _Folder.open(root))
    for name, stream in card.prepared.items():
        for entry in stream.shards:
            attempt(functools.partial(_verify_shard, root, card, name, entry, deep))
    listed = {entry.path for entry in entries} | {CARD_FILE}
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    problems += [
        f"{root / path} does not belong to the dataset; remove it, or run `gaitbench prepare` again if that was "
        "interrupted"
        for path in sorted(found - listed)
        if not Path(path).name.startswith(".")
    ]
    return VerifyReport(
        root=root,
        num_sequences=card.num_sequences,
        modalities=tuple(sorted(card.prepared)),
        num_files=len(entries) + 1,
        num_bytes=sum(entry.num_bytes for entry in entries),
        is_deep=deep,
        problems=tuple(dict.fromkeys(problems)),
    )


def _verify_shard(root: Path, card: PreparedCard, name: str, entry: ShardEntry, deep: bool) -> None:
    path = root / entry.path
    check_sizes(root, [entry])
    modality, info = card.prepared[name].modality(name), card.streams[name]
    if deep and _shard_sha256(root, entry, modality, info) != entry.sha256:
        raise DatasetError(f"{path} was altered after it was written; {_AGAIN}")
    shard = Shard.open(path, modality, info)
    if deep and entry.hashed == "bytes":
        shard.sequence_hashes()


def _shard_sha256(root: Path, entry: ShardEntry, modality: Modality, info: StreamInfo) -> str:
    path = root / entry.path
    return file_sha256(path) if entry.hashed == "bytes" else Shard.open(path, modality, info).file_sha256()
