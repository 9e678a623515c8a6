"""Reading back what :mod:`gaitbench.hub.export` wrote: the same table, the same stored bytes."""

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gaitbench.atomic import write_bytes
from gaitbench.card import DatasetCard, LeftOut
from gaitbench.errors import DatasetError
from gaitbench.hub.columns import FrameColumn
from gaitbench.hub.contents import CONTENTS_FILE, INDEX_FILE, Contents
from gaitbench.hub.files import RepositoryFiles
from gaitbench.hub.parquet import ParquetRows
from gaitbench.hub.reader import RepositoryReader
from gaitbench.modality import Modality
from gaitbench.sequence import Absent, PointFrames
from gaitbench.storage.codec import Packed, unpack
from gaitbench.table import SequenceTable

__all__ = ["ExportedReader"]

_MOST_CONTENTS_BYTES = 64 * 2**20
_MOST_INDEX_BYTES = 4 * 2**30
_AGAIN = "fetch the repository again, or ask who made it"
_TABLE = ("sequence_id", "subject_id", "condition", "view", "view_deg", "num_frames", "attributes")


class ExportedReader(RepositoryReader):
    """A repository with ``gaitbench.json``.

    Args:
        files: The repository.
        repository: ``ORG/NAME@COMMIT`` for the card; empty for a folder.
        cache: Folder for copies of the small files; None to read them each time.

    Raises:
        DatasetError: ``gaitbench.json`` or the index is missing, altered or contradicts itself.
    """

    def __init__(self, files: RepositoryFiles, repository: str = "", cache: Path | None = None) -> None:
        self._where = files.where
        self._files = files
        self._cache = cache
        try:
            content = json.loads(self._small(CONTENTS_FILE, _MOST_CONTENTS_BYTES))
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{files.where}: {CONTENTS_FILE} is truncated or altered; {_AGAIN}") from error
        self.contents = Contents.parse(content, f"{files.where}: {CONTENTS_FILE}")
        self._card = self.contents.card.model_copy(update={"repository": repository})
        self._index = self._read_index()
        self._table = self._read_table()
        paths = [file.path for file in self.contents.files]
        sizes = [file.num_bytes for file in self.contents.files]
        self._rows = ParquetRows(files, paths, sizes, num_kept=4 * len(self.contents.streams))

    @property
    def card(self) -> DatasetCard:
        """The card of the dataset that was exported."""
        return self._card

    @property
    def table(self) -> SequenceTable:
        """The rows of the dataset that was exported, in its order."""
        return self._table

    @property
    def counted_table(self) -> SequenceTable:
        """The table with the frames that the index counts where the dataset did not know them."""
        counts = [self._index.column(f"{name}.num_frames").to_numpy() for name in self.contents.streams]
        stored = self._table.num_frames
        return replace(self._table, num_frames=np.where(stored == 0, np.max(counts, axis=0), stored))

    @property
    def modalities(self) -> tuple[str, ...]:
        """What was exported."""
        return tuple(self.contents.streams)

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What of the official files was passed over."""
        return self.contents.left_out

    @property
    def is_exact(self) -> bool:
        """It is."""
        return True

    def modality(self, name: str) -> Modality:
        """As it was stored."""
        return self.contents.modality(name)

    def frames(self, rows: Iterable[int], modality: str) -> Iterator[Packed | Absent]:
        """Yield the stored form of rows; each is compared with its hash."""
        column = FrameColumn(self.contents.modality(modality), self._card.streams[modality])
        files, places = (self._index.column(name).to_numpy() for name in ("file", "row"))
        counts = self._index.column(f"{modality}.num_frames").to_numpy()
        hashes, reasons, defects = (
            self._index.column(f"{modality}.{name}") for name in ("sha256", "absent", "is_defect")
        )
        for row in rows:
            if (reason := reasons[row].as_py()) is not None:
                yield Absent(reason, bool(defects[row].as_py()))
                continue
            sequence_id, file = str(self._table.sequence_id[row]), int(files[row])
            where = f"{self._rows.where(file)}: sequence {sequence_id}, {modality}"
            ids, at = self._rows.cell(file, int(places[row]), "sequence_id")
            if ids[at].as_py() != sequence_id:
                raise DatasetError(f"{where} is not in row {places[row]}, where the index has it; {_AGAIN}")
            cells, at = self._rows.cell(file, int(places[row]), modality)
            column.check_type(cells.type, self._rows.where(file))
            try:
                packed = column.packed(cells, at)
            except DatasetError as error:
                raise DatasetError(f"{where}: {error}; {_AGAIN}") from error
            if packed is None or packed.num_frames != counts[row] or packed.sha256() != hashes[row].as_py():
                raise DatasetError(f"{where} was altered after it was exported: its hash does not agree; {_AGAIN}")
            self._check_values(packed, column, where)
            yield packed

    def check_files(self) -> None:
        """Compare every data file with its hash; for files that are near.

        Raises:
            DatasetError: A file is missing, truncated or altered.
        """
        import hashlib

        for entry in self.contents.files:
            with self._files.open(entry.path, entry.num_bytes) as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
            if digest != entry.sha256:
                raise DatasetError(f"{self._where}: {entry.path} is truncated or altered; {_AGAIN}")

    def _check_values(self, packed: Packed, column: FrameColumn, where: str) -> None:
        """Values are what the modality allows, whoever made the repository and its hashes."""
        modality = column.modality
        if column.form in ("jpeg", "mask"):
            return
        frames = unpack(packed, modality, column.info)
        values = frames.points if isinstance(frames, PointFrames) else frames
        low, high = modality.value_range
        # Half precision may round a point beyond the range that its float had.
        slack = 0.1 if column.form == "points" else 0.0
        if values.size and not (values.min() >= low - slack and values.max() <= high + slack):
            raise DatasetError(
                f"{where}: values go from {values.min()} to {values.max()}, not {low:g} to {high:g}; {_AGAIN}"
            )

    def _small(self, path: str, most_bytes: int) -> bytes:
        """Read a small file, once for all processes that share the cache."""
        copy = None if self._cache is None else self._cache / path
        if copy is not None and copy.is_file():
            return copy.read_bytes()
        data = self._files.read(path, most_bytes)
        if copy is not None:
            write_bytes(copy, data)
        return data

    def _read_index(self) -> pa.Table:
        import hashlib

        where = f"{self._where}: {INDEX_FILE}"
        data = self._small(INDEX_FILE, _MOST_INDEX_BYTES)
        if hashlib.sha256(data).hexdigest() != self.contents.index.sha256:
            raise DatasetError(f"{where} is truncated or altered; {_AGAIN}")
        try:
            with pq.ParquetFile(io.BytesIO(data), pre_buffer=False) as file:
                index = file.read(use_threads=False).combine_chunks()
            index.validate(full=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DatasetError(f"{where} is no sound Parquet file ({error}); {_AGAIN}") from error
        self._check_index(index, where)
        return index

    def _check_index(self, index: pa.Table, where: str) -> None:
        wanted = {"file": pa.int32(), "row": pa.int64()}
        for name in self.contents.streams:
            wanted |= {f"{name}.num_frames": pa.int64(), f"{name}.sha256": pa.binary(32)}
            wanted |= {f"{name}.absent": pa.string(), f"{name}.is_defect": pa.bool_()}
        for name, kind in wanted.items():
            if name not in index.schema.names or index.schema.field(name).type != kind:
                raise DatasetError(f"{where} has no column {name} of {kind}; {_AGAIN}")
        may_be_null = tuple(f"{name}.{part}" for name in self.contents.streams for part in ("absent", "is_defect"))
        if any(index.column(name).null_count for name in index.schema.names if name not in may_be_null):
            raise DatasetError(f"{where} has empty cells; {_AGAIN}")
        if len(index) != self.contents.num_sequences:
            raise DatasetError(f"{where} has {len(index)} rows, not {self.contents.num_sequences}; {_AGAIN}")
        file, row = index.column("file").to_numpy(), index.column("row").to_numpy()
        lengths = np.array([each.num_rows for each in self.contents.files])
        if file.min() < 0 or file.max() >= len(lengths) or row.min() < 0 or bool((row >= lengths[file]).any()):
            raise DatasetError(f"{where} names rows that no file has; {_AGAIN}")
        if len(np.unique(file.astype(np.int64) * (int(lengths.max()) + 1) + row)) != len(index):
            raise DatasetError(f"{where} names a row twice; {_AGAIN}")
        for name in self.contents.streams:
            counts = index.column(f"{name}.num_frames").to_numpy()
            has_reason = pc.is_valid(index.column(f"{name}.absent")).to_numpy()
            if counts.min() < 0 or bool(((counts == 0) != has_reason).any()):
                raise DatasetError(f"{where}: sequences without {name} and the reasons for it do not agree; {_AGAIN}")

    def _read_table(self) -> SequenceTable:
        where = Path(f"{self._where}/{INDEX_FILE}")
        missing = [name for name in _TABLE if name not in self._index.schema.names]
        if missing:
            raise DatasetError(f"{where} has no column {missing[0]}; {_AGAIN}")
        sink = io.BytesIO()
        table = self._index.select(list(_TABLE))
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return SequenceTable.from_bytes(sink.getvalue(), where)
