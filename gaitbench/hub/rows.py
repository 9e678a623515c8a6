"""The rows of a dataset as everybody can read them: what is known of a sequence, and a column per modality."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gaitbench.dataset import GaitDataset
from gaitbench.hub.columns import Cell, FrameColumn
from gaitbench.sequence import Absent
from gaitbench.storage.bank import FrameBank
from gaitbench.storage.codec import Packed

if TYPE_CHECKING:
    import datasets

__all__ = ["ROWS_AT_ONCE", "RowSource"]

ROWS_AT_ONCE = 128
"""Most rows of a batch, which is a row group of a Parquet file."""
BATCH_BYTES = 32 * 2**20
"""Size at which a batch is cut before; a sequence that is larger makes a batch of its own."""


class Batch(NamedTuple):
    """Some rows, one after the other."""

    table: pa.Table
    num_bytes: int
    """Before compression."""


class RowSource:
    """Turns sequences of a dataset into rows.

    Args:
        dataset: Its frames are read as they are asked for.
        modalities: The columns.

    Raises:
        DatasetError: A modality is not in the dataset's folder.
    """

    def __init__(self, dataset: GaitDataset, modalities: Sequence[str]) -> None:
        self._dataset = dataset
        self._columns = {
            name: FrameColumn(dataset.stream(name).modality(name), dataset.card.streams[name])
            for name in sorted(set(modalities))
        }
        self._banks: dict[str, FrameBank] = {}
        self._absent = {name: dataset.absent(name) for name in self._columns}

    @property
    def modalities(self) -> tuple[str, ...]:
        """The columns of frames, in alphabetical order."""
        return tuple(self._columns)

    def features(self) -> "datasets.Features":
        """What :meth:`batches` yields, in the words of `datasets`."""
        import datasets

        text = datasets.Value("string")
        found: dict[str, object] = dict.fromkeys(("sequence_id", "subject_id", "condition", "view"), text)
        found["view_deg"] = datasets.Value("float32")
        found["num_frames"] = datasets.Value("int64")
        if attributes := self._dataset.card.attributes:
            found["attributes"] = {each.name: datasets.ClassLabel(names=list(each.classes)) for each in attributes}
        for name, column in self._columns.items():
            found[name] = _feature(column)
        return datasets.Features(found)

    def batches(self, rows: NDArray[np.int64]) -> Iterator[Batch]:
        """Yield the rows in their order, a bounded number of them and of bytes at a time."""
        schema = self.features().arrow_schema
        waiting: dict[str, list[Cell]] = {name: [] for name in self._columns}
        first, size = 0, 0
        for at, row in enumerate(rows.tolist()):
            for name, column in self._columns.items():
                waiting[name].append(cell := column.cell(self._stored(name, row)))
                size += column.nbytes(cell)
            if at + 1 - first == ROWS_AT_ONCE or size >= BATCH_BYTES or at + 1 == len(rows):
                yield Batch(self._table(rows[first : at + 1], waiting, schema), size)
                waiting = {name: [] for name in self._columns}
                first, size = at + 1, 0

    def _stored(self, name: str, row: int) -> Packed | Absent:
        absent = self._absent[name]
        why = absent.get(str(self._dataset.table.sequence_id[row])) if absent else None
        return why or self._bank(name).packed(row)

    def _bank(self, name: str) -> FrameBank:
        if name not in self._banks:
            self._banks[name] = self._dataset.bank(name)
        return self._banks[name]

    def _table(self, rows: NDArray[np.int64], cells: dict[str, list[Cell]], schema: pa.Schema) -> pa.Table:
        table = self._dataset.table.take(rows)
        arrays: dict[str, pa.Array] = {
            name: pa.array(getattr(table, name).tolist(), pa.string())
            for name in ("sequence_id", "subject_id", "condition", "view")
        }
        arrays["view_deg"] = pa.array(table.view_deg, pa.float32(), mask=np.isnan(table.view_deg))
        arrays["num_frames"] = pa.array(table.num_frames, pa.int64())
        if attributes := self._dataset.card.attributes:
            values = [pa.array(column.astype(np.int64), pa.int64(), mask=column < 0) for column in table.attributes.T]
            arrays["attributes"] = pa.StructArray.from_arrays(values, names=[each.name for each in attributes])
        arrays |= {name: column.assemble(cells[name]) for name, column in self._columns.items()}
        return pa.Table.from_arrays([arrays[name] for name in schema.names], schema=schema)


def _feature(column: FrameColumn) -> object:
    import datasets

    if column.is_pictures:
        return datasets.Sequence(datasets.Image())
    if column.form == "points":
        return {
            "points": datasets.Sequence(datasets.Sequence(datasets.Value("float16"))),
            "offsets": datasets.Sequence(datasets.Value("int64")),
            "origin": datasets.Sequence(datasets.Value("float32")),
        }
    nested: object = datasets.Value(column.modality.dtype)
    for _ in range(1 + len(column.info.frame_shape)):
        nested = datasets.Sequence(nested)
    return nested
