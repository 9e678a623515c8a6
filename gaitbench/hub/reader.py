"""What every kind of repository is read as: a card, a table, and the frames of any rows."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from gaitbench.card import DatasetCard, LeftOut
from gaitbench.modality import Modality
from gaitbench.sequence import Absent, Frames
from gaitbench.storage.codec import Packed
from gaitbench.table import SequenceTable

__all__ = ["RepositoryReader"]


class RepositoryReader(ABC):
    """An open repository. Nothing but the table is read before it is asked for."""

    @property
    @abstractmethod
    def card(self) -> DatasetCard:
        """The card of the dataset that the repository becomes."""

    @property
    @abstractmethod
    def table(self) -> SequenceTable:
        """The rows as the dataset stores them; ``num_frames`` is 0 where only reading tells."""

    @property
    def counted_table(self) -> SequenceTable:
        """The table with every number of frames that can be known without reading frames."""
        return self.table

    @property
    @abstractmethod
    def modalities(self) -> tuple[str, ...]:
        """What the repository has."""

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What of the official files was passed over before the repository was made."""
        return ()

    @property
    def is_exact(self) -> bool:
        """True when stored frames are taken over as they are, reasons for absent ones included."""
        return False

    @abstractmethod
    def modality(self, name: str) -> Modality:
        """What a frame of a modality is and how it is stored."""

    @abstractmethod
    def frames(self, rows: Iterable[int], modality: str) -> Iterator[Frames | Packed | Absent]:
        """Yield the frames of rows of the table, stored or decoded, or why there are none.

        Raises:
            DatasetError: A file is missing, broken, or not what the repository says it is.
        """
