"""Rows of the Parquet files of a repository, read a row group and a column at a time; files are not trusted."""

import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import BinaryIO, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gaitbench.errors import DatasetError
from gaitbench.hub.files import RepositoryFiles

__all__ = ["ParquetRows"]

T = TypeVar("T")

MOST_COLUMN_BYTES = 2**32
"""Largest column of a row group, uncompressed; more is not read."""
_OPEN_FILES = 8


class ParquetRows:
    """Rows of several Parquet files, addressed by file and row.

    Args:
        files: The repository.
        paths: The Parquet files.
        sizes: Their sizes in bytes.
        num_kept: Columns of row groups that stay in memory.
    """

    def __init__(
        self, files: RepositoryFiles, paths: Sequence[str], sizes: Sequence[int], *, num_kept: int = 4
    ) -> None:
        self._files = files
        self._num_kept = num_kept
        self.paths = tuple(paths)
        self._sizes = tuple(sizes)
        self._open: OrderedDict[int, tuple[BinaryIO, pq.ParquetFile, NDArray[np.int64]]] = OrderedDict()
        self._columns: OrderedDict[tuple[int, int, str], pa.Array] = OrderedDict()
        weakref.finalize(self, _close, self._open)

    def where(self, file: int) -> str:
        """Name of a file, for messages."""
        return f"{self._files.where}: {self.paths[file]}"

    def num_rows(self, file: int) -> int:
        """Rows of a file.

        Raises:
            DatasetError: It is no Parquet file, or broken.
        """
        return int(self._opened(file)[1][-1])

    def schema(self, file: int) -> pa.Schema:
        """Columns of a file.

        Raises:
            DatasetError: It is no Parquet file, or broken.
        """
        return self._reading(file, lambda: self._opened(file)[0].schema_arrow)

    def starts(self, file: int) -> NDArray[np.int64]:
        """``[groups + 1]``: the row at which each row group begins.

        Raises:
            DatasetError: It is no Parquet file, or broken.
        """
        return self._opened(file)[1]

    def cell(self, file: int, row: int, name: str) -> tuple[pa.Array, int]:
        """The column of the row group that a row is in, and the row's place in it.

        Raises:
            DatasetError: The file is broken, or lacks the row or the column.
        """
        starts = self.starts(file)
        if not 0 <= row < starts[-1]:
            raise DatasetError(f"{self.where(file)} has {starts[-1]} rows, row {row} is asked for")
        group = int(np.searchsorted(starts, row, side="right")) - 1
        return self.column(file, group, name), row - int(starts[group])

    def column(self, file: int, group: int, name: str) -> pa.Array:
        """A column of a row group, as one array.

        Raises:
            DatasetError: The file is broken, lacks the column, or claims a size that nobody can want.
        """
        key = (file, group, name)
        if key not in self._columns:
            if name not in (schema := self.schema(file)).names:
                raise DatasetError(f"{self.where(file)} has no column {name!r}, only {', '.join(schema.names)}")
            self._columns[key] = self._reading(file, lambda: self._read(file, group, name))
            while len(self._columns) > self._num_kept:
                self._columns.popitem(last=False)
        self._columns.move_to_end(key)
        return self._columns[key]

    def _read(self, file: int, group: int, name: str) -> pa.Array:
        parquet, _ = self._opened(file)
        described = parquet.metadata.row_group(group)
        claimed = 0
        for i in range(described.num_columns):
            leaf = described.column(i)
            if leaf.path_in_schema == name or leaf.path_in_schema.startswith(f"{name}."):
                claimed += leaf.total_uncompressed_size
        if not 0 <= claimed <= MOST_COLUMN_BYTES:
            raise DatasetError(f"{self.where(file)}: column {name} of row group {group} claims {claimed:,} bytes")
        # Arrow's reader threads may abort the process at exit (apache/arrow issue 34314): read without any.
        table = parquet.read_row_group(group, columns=[name], use_threads=False)
        column = table.column(name)
        array = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
        array.validate(full=True)
        if len(array) != described.num_rows:
            raise DatasetError(f"{self.where(file)}: row group {group} has {len(array)} rows, not {described.num_rows}")
        return array

    def _opened(self, file: int) -> tuple[pq.ParquetFile, NDArray[np.int64]]:
        if file not in self._open:
            stream = self._files.open(self.paths[file], self._sizes[file])
            try:
                parquet, starts = self._reading(file, lambda: _open(stream))
            except BaseException:
                stream.close()
                raise
            self._open[file] = (stream, parquet, starts)
            while len(self._open) > _OPEN_FILES:
                _, (oldest, _, _) = self._open.popitem(last=False)
                oldest.close()
        self._open.move_to_end(file)
        _, parquet, starts = self._open[file]
        return parquet, starts

    def _reading(self, file: int, read: Callable[[], T]) -> T:
        """Read, and turn Arrow's complaints into an error that names the file."""
        try:
            return read()
        except DatasetError:
            raise
        except (pa.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError, MemoryError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DatasetError(
                f"{self.where(file)} is no sound Parquet file ({reason}); fetch it again, or ask who made it"
            ) from error


def _close(opened: OrderedDict[int, tuple[BinaryIO, pq.ParquetFile, NDArray[np.int64]]]) -> None:
    for stream, _, _ in opened.values():
        stream.close()


def _open(stream: BinaryIO) -> tuple[pq.ParquetFile, NDArray[np.int64]]:
    parquet = pq.ParquetFile(stream, pre_buffer=False, page_checksum_verification=True)
    counts = [parquet.metadata.row_group(i).num_rows for i in range(parquet.metadata.num_row_groups)]
    if any(count < 0 for count in counts):
        raise ValueError("a row group has a negative number of rows")
    return parquet, np.cumsum([0, *counts], dtype=np.int64)
