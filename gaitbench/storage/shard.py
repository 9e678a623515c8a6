"""One shard: an Arrow IPC stream with one record batch, a row per sequence, memory-mapped as it lies.

Columns: ``sequence_id``, ``num_frames``, ``frames`` (all stored bytes of the sequence), ``sha256`` of
:class:`gaitbench.storage.codec.Packed`; ``offsets`` for ``jpeg`` and ``points16``; ``origin`` for ``points16``;
``absent`` and ``is_defect`` in shards that have sequences without frames: why, and whether a file should be mended.

Axes: S sequences of the shard, T frames of one sequence, D values per point.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gaitbench.atomic import atomic_path
from gaitbench.card import ShardEntry, StreamInfo
from gaitbench.errors import DatasetError
from gaitbench.modality import Modality
from gaitbench.sequence import Absent
from gaitbench.storage.codec import Packed, frame_nbytes, pack_nothing

__all__ = ["Shard", "shard_schema", "write_shard"]

_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"


def shard_schema(modality: Modality, info: StreamInfo, *, has_absent: bool = False) -> pa.Schema:
    """The columns of a shard of this modality; with ``has_absent``, of one with sequences without frames."""
    fields = [
        pa.field("sequence_id", pa.string(), nullable=False),
        pa.field("num_frames", pa.int64(), nullable=False),
        pa.field("frames", pa.large_binary(), nullable=False),
        pa.field("sha256", pa.binary(32), nullable=False),
    ]
    if modality.codec in ("jpeg", "points16"):
        fields.append(pa.field("offsets", pa.list_(pa.int64()), nullable=False))
    if modality.codec == "points16":
        fields.append(pa.field("origin", pa.list_(pa.float32(), info.frame_shape[0]), nullable=False))
    if has_absent:
        fields += [pa.field("absent", pa.string()), pa.field("is_defect", pa.bool_())]
    return pa.schema(fields)


def write_shard(
    root: Path, name: str, rows: Iterable[tuple[str, Packed | Absent]], modality: Modality, info: StreamInfo
) -> ShardEntry:
    """Write a shard, atomically. The same rows give the same bytes.

    Args:
        root: The dataset's folder.
        name: The file, relative to it.
        rows: Sequence id and stored form, or why there are no frames; held in memory until the file is written.
        modality: What a frame is and how it is stored.
        info: The stream in this dataset.

    Returns:
        The file, with its hash.

    Raises:
        OutputError: The file cannot be written.
    """
    ids: list[str] = []
    packed: list[Packed] = []
    absent: list[Absent | None] = []
    for sequence_id, item in rows:
        ids.append(sequence_id)
        absent.append(item if isinstance(item, Absent) else None)
        packed.append(pack_nothing(modality, info) if isinstance(item, Absent) else item)
    schema = shard_schema(modality, info, has_absent=any(absent))
    starts = np.cumsum([0, *(item.data.nbytes for item in packed)], dtype=np.int64)
    data = np.concatenate([item.data for item in packed])
    hashes = [item.sha256() for item in packed]
    columns = [
        pa.array(ids, pa.string()),
        pa.array([item.num_frames for item in packed], pa.int64()),
        pa.LargeBinaryArray.from_buffers(
            pa.large_binary(), len(packed), [None, pa.py_buffer(starts), pa.py_buffer(data)]
        ),
        pa.array(hashes, pa.binary(32)),
    ]
    if "offsets" in schema.names:
        columns.append(pa.array([item.offsets for item in packed], schema.field("offsets").type))
    if "origin" in schema.names:
        columns.append(pa.array([item.origin for item in packed], schema.field("origin").type))
    if "absent" in schema.names:
        columns.append(pa.array([item and item.reason for item in absent], pa.string()))
        columns.append(pa.array([item and item.is_defect for item in absent], pa.bool_()))
    batch = pa.record_batch(columns, schema=schema)
    with atomic_path(root / name) as temp:
        with pa.OSFile(str(temp), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
            writer.write_batch(batch)
        sha256 = Shard.open(temp, modality, info).file_sha256(hashes)
        num_bytes = temp.stat().st_size
    return ShardEntry(path=name, num_bytes=num_bytes, sha256=sha256, hashed="sequences")


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard in the memory map. Nothing is read from the disk until it is touched."""

    path: Path
    """The file."""
    sequence_id: pa.Array
    """``[S]`` strings."""
    num_frames: NDArray[np.int64]
    """``[S]``."""
    sha256: pa.Array
    """``[S]`` of 32 bytes each."""
    data: NDArray[np.uint8]
    """``[bytes]``: stored frames of all sequences."""
    starts: NDArray[np.int64]
    """``[S + 1]``: bytes before each sequence."""
    around: tuple[memoryview, memoryview]
    """Bytes of the file before and after the frames."""
    offsets: NDArray[np.int64] | None
    """``[sum(T + 1)]``: the sequences' offsets, one after the other; None where frames have one size."""
    origin: NDArray[np.float32] | None
    """``[S, D]`` for points; None otherwise."""
    absent: dict[int, Absent] = field(default_factory=dict)
    """Rows without frames, and why."""

    @classmethod
    def open(cls, path: Path, modality: Modality, info: StreamInfo) -> "Shard":
        """Memory-map a shard and check its structure, not its content.

        Raises:
            DatasetError: The file is missing, truncated, altered, or no shard of this stream.
        """
        try:
            with path.open("rb") as file:
                file.seek(-len(_END_OF_STREAM), 2)
                is_whole = file.read() == _END_OF_STREAM
            if not is_whole:
                raise pa.ArrowInvalid("the end marker is missing")
            with pa.memory_map(str(path)) as source:
                whole = source.read_buffer()
            with pa.ipc.open_stream(pa.BufferReader(whole)) as reader:
                has_absent = "absent" in reader.schema.names
                if reader.schema != shard_schema(modality, info, has_absent=has_absent):
                    raise pa.ArrowInvalid("its columns are not those of this stream")
                batch = reader.read_next_batch()
                batch.validate(full=True)
                if any(True for _ in reader):
                    raise pa.ArrowInvalid("it holds more than one record batch")
            return cls._from_batch(path, whole, batch, modality, info)
        except FileNotFoundError as error:
            raise DatasetError(f"{path} is missing; {_AGAIN}") from error
        except (pa.ArrowException, OSError, StopIteration, ValueError) as error:
            raise DatasetError(f"{path} is truncated, altered or foreign ({error}); {_AGAIN}") from error

    @classmethod
    def _from_batch(
        cls, path: Path, whole: pa.Buffer, batch: pa.RecordBatch, modality: Modality, info: StreamInfo
    ) -> "Shard":
        columns = {name: batch.column(name) for name in batch.schema.names}
        _, start_buffer, data_buffer = columns["frames"].buffers()
        starts = np.frombuffer(start_buffer, np.int64, len(batch) + 1)
        data = np.frombuffer(data_buffer or b"", np.uint8, int(starts[-1]))
        num_frames = columns["num_frames"].to_numpy()
        offsets = origin = None
        sizes = np.diff(starts)
        if "offsets" in columns:
            offsets = columns["offsets"].flatten().to_numpy()
            ends = np.cumsum(num_frames + 1) - 1
            per_unit = 2 * info.frame_shape[0] if modality.codec == "points16" else 1
            if len(offsets) != ends[-1] + 1 or not np.array_equal(offsets[ends] * per_unit, sizes):
                raise pa.ArrowInvalid("its offsets do not agree with its frames")
        if "origin" in columns:
            origin = columns["origin"].flatten().to_numpy().reshape(len(batch), -1)
        nbytes = frame_nbytes(modality, info)
        absent = _absent_rows(columns)
        is_empty = np.zeros(len(batch), bool)
        is_empty[list(absent)] = True
        if not np.array_equal(num_frames < 1, is_empty):
            raise pa.ArrowInvalid("a sequence without frames does not say why")
        if nbytes is not None and not np.array_equal(num_frames * nbytes, sizes):
            raise pa.ArrowInvalid("its numbers of frames do not agree with its bytes")
        first = data_buffer.address - whole.address if len(data) else whole.size
        around = memoryview(whole)[:first], memoryview(whole)[first + len(data) :]
        return cls(
            path, columns["sequence_id"], num_frames, columns["sha256"], data, starts, around, offsets, origin, absent
        )

    def __len__(self) -> int:
        return len(self.num_frames)

    def packed(self, row: int) -> Packed:
        """The stored form of one sequence, without a copy."""
        data = self.data[self.starts[row] : self.starts[row + 1]]
        offsets = None
        if self.offsets is not None:
            first = int(self.num_frames[:row].sum()) + row
            offsets = self.offsets[first : first + int(self.num_frames[row]) + 1]
        return Packed(int(self.num_frames[row]), data, offsets, None if self.origin is None else self.origin[row])

    def sequence_hashes(self) -> list[bytes]:
        """Hash every sequence and compare with what the shard says of itself.

        Returns:
            ``[S]`` of 32 bytes each.

        Raises:
            DatasetError: The frames of a sequence were altered.
        """
        hashes = [self.packed(row).sha256() for row in range(len(self))]
        for row, found in enumerate(hashes):
            if found != self.sha256[row].as_py():
                raise DatasetError(
                    f"{self.path}: the frames of sequence {self.sequence_id[row].as_py()} were altered; {_AGAIN}"
                )
        return hashes

    def file_sha256(self, sequence_hashes: Sequence[bytes] | None = None) -> str:
        """Hash of every bit of the file, in which each sequence's frames stand as their own hash.

        Args:
            sequence_hashes: What :meth:`sequence_hashes` gives, where it is known; None reads the frames.

        Returns:
            64 hex digits.

        Raises:
            DatasetError: The frames of a sequence were altered.
        """
        before, after = self.around
        digest = hashlib.sha256(before)
        digest.update(b"".join(self.sequence_hashes() if sequence_hashes is None else sequence_hashes))
        digest.update(after)
        return digest.hexdigest()


def _absent_rows(columns: dict[str, pa.Array]) -> dict[int, Absent]:
    if "absent" not in columns:
        return {}
    pairs = zip(columns["absent"].to_pylist(), columns["is_defect"].to_pylist(), strict=True)
    return {row: Absent(reason, bool(is_defect)) for row, (reason, is_defect) in enumerate(pairs) if reason is not None}


_AGAIN = "remove the dataset's folder and run `gaitbench prepare` again"
