"""What is known of every sequence without its frames: arrays, one row per sequence.

Axes: N sequences, A attributes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gaitbench.errors import DatasetError
from gaitbench.sequence import SequenceInfo

__all__ = ["SequenceTable"]


@dataclass(frozen=True, slots=True, eq=False)
class SequenceTable:
    """The rows of a dataset; the fields are those of :class:`gaitbench.sequence.SequenceInfo`.

    Example:
        >>> rows = [SequenceInfo(sequence_id=f"a-{v}", subject_id="a", condition="nm", view=v) for v in ("000", "090")]
        >>> SequenceTable.from_infos(rows).take(np.array([1])).view.tolist()
        ['090']
    """

    sequence_id: NDArray[np.str_]
    """``[N]``."""
    subject_id: NDArray[np.str_]
    """``[N]``."""
    condition: NDArray[np.str_]
    """``[N]``."""
    view: NDArray[np.str_]
    """``[N]``."""
    view_deg: NDArray[np.float32]
    """``[N]``, NaN where the dataset has none."""
    num_frames: NDArray[np.int64]
    """``[N]``."""
    attributes: NDArray[np.int16]
    """``[N, A]``, -1 where unknown."""

    def __len__(self) -> int:
        return len(self.sequence_id)

    def columns(self) -> tuple[NDArray[np.generic], ...]:
        """All arrays, in the order of the fields."""
        return (
            self.sequence_id,
            self.subject_id,
            self.condition,
            self.view,
            self.view_deg,
            self.num_frames,
            self.attributes,
        )

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> "SequenceTable":
        """The rows of an index array or a mask, in its order."""
        return SequenceTable(
            sequence_id=self.sequence_id[index],
            subject_id=self.subject_id[index],
            condition=self.condition[index],
            view=self.view[index],
            view_deg=self.view_deg[index],
            num_frames=self.num_frames[index],
            attributes=self.attributes[index],
        )

    def info(self, i: int) -> SequenceInfo:
        """One row."""
        return SequenceInfo(
            sequence_id=str(self.sequence_id[i]),
            subject_id=str(self.subject_id[i]),
            condition=str(self.condition[i]),
            view=str(self.view[i]),
            view_deg=float(self.view_deg[i]),
            num_frames=int(self.num_frames[i]),
            attributes=tuple(self.attributes[i].tolist()),
        )

    @classmethod
    def from_infos(cls, infos: Sequence[SequenceInfo]) -> "SequenceTable":
        """Collect rows.

        Raises:
            DatasetError: Rows have different numbers of attributes.
        """
        widths = {len(info.attributes) for info in infos}
        if len(widths) > 1:
            raise DatasetError(f"sequences have different numbers of attributes: {sorted(widths)}; correct the builder")
        width = widths.pop() if widths else 0
        return cls(
            sequence_id=np.array([info.sequence_id for info in infos], dtype=np.str_),
            subject_id=np.array([info.subject_id for info in infos], dtype=np.str_),
            condition=np.array([info.condition for info in infos], dtype=np.str_),
            view=np.array([info.view for info in infos], dtype=np.str_),
            view_deg=np.array([info.view_deg for info in infos], dtype=np.float32),
            num_frames=np.array([info.num_frames for info in infos], dtype=np.int64),
            attributes=np.array([info.attributes for info in infos], dtype=np.int16).reshape(len(infos), width),
        )

    def to_arrow(self) -> pa.RecordBatch:
        """The table as one Arrow record batch."""
        width = self.attributes.shape[1]
        columns = {
            "sequence_id": pa.array(self.sequence_id.tolist(), pa.string()),
            "subject_id": pa.array(self.subject_id.tolist(), pa.string()),
            "condition": pa.array(self.condition.tolist(), pa.string()),
            "view": pa.array(self.view.tolist(), pa.string()),
            "view_deg": pa.array(self.view_deg),
            "num_frames": pa.array(self.num_frames),
            "attributes": pa.ListArray.from_arrays(
                pa.array(np.arange(len(self) + 1, dtype=np.int32) * width),
                pa.array(np.ascontiguousarray(self.attributes).reshape(-1), pa.int16()),
            ),
        }
        return pa.record_batch(list(columns.values()), names=list(columns))

    def to_bytes(self) -> bytes:
        """The table as an Arrow IPC stream; the same table gives the same bytes."""
        sink = pa.BufferOutputStream()
        batch = self.to_arrow()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        return bytes(sink.getvalue().to_pybytes())

    @classmethod
    def from_bytes(cls, data: bytes, path: Path) -> "SequenceTable":
        """Read what :meth:`to_bytes` wrote.

        Args:
            data: Content of the file.
            path: For messages.

        Raises:
            DatasetError: It is no sequence table.
        """
        try:
            with pa.ipc.open_stream(data) as reader:
                table = reader.read_all()
            table.validate(full=True)
            columns = {name: table.column(name).combine_chunks() for name in table.schema.names}
            text = {
                name: columns[name].to_numpy(zero_copy_only=False).astype(np.str_)
                for name in ("sequence_id", "subject_id", "condition", "view")
            }
            return cls(
                **text,
                view_deg=columns["view_deg"].to_numpy().astype(np.float32, copy=False),
                num_frames=columns["num_frames"].to_numpy().astype(np.int64, copy=False),
                attributes=columns["attributes"]
                .flatten()
                .to_numpy()
                .astype(np.int16, copy=False)
                .reshape(len(table), -1),
            )
        except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
            raise DatasetError(
                f"{path} is truncated, altered or foreign ({error}); remove the folder and run "
                "`gaitbench prepare` again"
            ) from error
