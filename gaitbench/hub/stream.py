"""Sequences of a repository, one after the other, without fetching or preparing all of it."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gaitbench.card import DatasetCard
from gaitbench.errors import DatasetError
from gaitbench.hub.reader import RepositoryReader
from gaitbench.sequence import Absent, Frames
from gaitbench.sequence import Sequence as GaitSequence
from gaitbench.storage.codec import Packed, pack_nothing, unpack
from gaitbench.table import SequenceTable

__all__ = ["StreamedDataset"]


class StreamedDataset:
    """A repository whose frames are fetched as sequences are looked at.

    Attributes:
        card: What the dataset is.
        table: One row per sequence; all of it is here.
        modalities: What a sequence has.
    """

    def __init__(
        self,
        reader: RepositoryReader,
        modalities: Sequence[str],
        title: str,
        index: NDArray[np.int64] | None = None,
    ) -> None:
        self._reader = reader
        self._title = title
        self._index = np.arange(len(reader.table)) if index is None else index
        self.card: DatasetCard = reader.card
        self.modalities = tuple(sorted(modalities))
        self.table: SequenceTable = reader.counted_table.take(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[GaitSequence]:
        """Yield the sequences in the order of the table, with their frames."""
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> GaitSequence:
        """One recorded walk; its frames are fetched as they are asked for.

        Raises:
            IndexError: There is no such row.
        """
        if not -len(self) <= i < len(self):
            raise IndexError(f"sequence {i} of {len(self)}")
        row = i % len(self)
        return GaitSequence(info=self.table.info(row), frames=_Fetched(self, int(self._index[row])))

    def __repr__(self) -> str:
        return f"StreamedDataset({self._title}, {len(self)} sequences, {', '.join(self.modalities)})"

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_] | Sequence[int]) -> "StreamedDataset":
        """Some of the sequences, by an index array or a mask, in its order."""
        chosen = np.asarray(index)
        rows = self._index[chosen.astype(np.int64) if chosen.size == 0 else chosen]
        return StreamedDataset(self._reader, self.modalities, self._title, rows)

    def _frames(self, row: int, modality: str) -> Frames:
        (item,) = self._reader.frames([row], modality)
        described, info = self._reader.modality(modality), self.card.streams[modality]
        if isinstance(item, Absent):
            if not self._reader.is_exact:
                raise DatasetError(f"{item.reason}; mend it, or pass over this sequence")
            item = pack_nothing(described, info)
        return unpack(item, described, info) if isinstance(item, Packed) else item


class _Fetched(Mapping[str, Frames]):
    def __init__(self, dataset: StreamedDataset, row: int) -> None:
        self._dataset = dataset
        self._row = row
        self._kept: dict[str, Frames] = {}

    def __getitem__(self, modality: str) -> Frames:
        if modality not in self._dataset.modalities:
            raise KeyError(modality)
        if modality not in self._kept:
            self._kept[modality] = self._dataset._frames(self._row, modality)
        return self._kept[modality]

    def __iter__(self) -> Iterator[str]:
        return iter(self._dataset.modalities)

    def __len__(self) -> int:
        return len(self._dataset.modalities)
