"""A prepared dataset as a torch Dataset, for training loops of one's own with a DataLoader and workers.

Axes: T frames, C channels, H rows, W columns, V joints, D values per joint or point, M points of all frames together.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from gaitbench.errors import DatasetError, UsageError
from gaitbench.seeding import derive_seed

if TYPE_CHECKING:
    from gaitbench.dataset import GaitDataset
    from gaitbench.storage.bank import FrameBank

__all__ = ["ClipDataset"]


class ClipDataset(Dataset[dict[str, Tensor | str]]):
    """Sequences, or clips of them, decoded as they are asked for.

    An item has ``sequence_id``, ``subject_id``, ``condition`` and ``view`` (text), ``label`` (int64, index into
    :attr:`subjects`), ``view_deg`` (float32, NaN where there is none), ``attributes`` (``[A]`` int64, -1 where
    unknown), ``num_frames`` (int64), and each modality by its name:

    - rasters ``[T, C, H, W]`` and joints ``[T, V, D]``, in the dtype that they are stored in;
    - points ``[M, D]`` float32 with ``NAME.offsets`` ``[T + 1]`` int64; with ``num_points``, ``[T, num_points, D]``.

    With ``num_frames``, items have one size, and the default ``collate_fn`` makes batches of them.

    Args:
        dataset: The sequences.
        modalities: What items have; None for all in the dataset's folder.
        num_frames: Consecutive frames of a clip, of the first modality; the clips of the others show the same moments.
            A sequence that is shorter goes on at its beginning. None gives whole sequences.
        num_points: Points drawn per frame, with replacement; a frame without any is all zero. None gives all points.
        seed: Clips and points depend on it, on the epoch and on the item, never on workers or on the order of asking.

    Raises:
        UsageError: A number is below 1, or clips of points are asked for without ``num_points``.
        DatasetError: A modality is not in the dataset's folder, or a sequence has no frames in one of them.
    """

    def __init__(
        self,
        dataset: "GaitDataset",
        modalities: Sequence[str] | None = None,
        *,
        num_frames: int | None = None,
        num_points: int | None = None,
        seed: int = 0,
    ) -> None:
        for name, value in (("num_frames", num_frames), ("num_points", num_points)):
            if value is not None and value < 1:
                raise UsageError(f"{name} must be 1 or more, got {value}")
        self.dataset = dataset
        self.modalities = tuple(dict.fromkeys(modalities or dataset.modalities))
        self.subjects: tuple[str, ...] = tuple(np.unique(dataset.table.subject_id).tolist())
        self._labels = np.searchsorted(np.array(self.subjects), dataset.table.subject_id)
        self._num_frames = num_frames
        self._num_points = num_points
        self._seed = seed
        # Shared memory, so that workers that outlive an epoch see the next one.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self._banks: dict[str, FrameBank] = {}
        for name in self.modalities:
            bank = self._bank(name)
            if num_frames is not None and bank.modality.kind == "points" and num_points is None:
                raise UsageError(f"clips of {name} have points of any number; give num_points to draw as many of each")
            if (is_absent := bank.num_frames == 0).any():
                first = dataset.table.sequence_id[is_absent][0]
                raise DatasetError(
                    f"{int(is_absent.sum())} of {len(dataset)} sequences have no {name} (first: {first}); take the "
                    f"others with dataset.present([{', '.join(map(repr, self.modalities))}])"
                )

    def __getstate__(self) -> dict[str, object]:
        """Travel to a worker without the open files, which are mapped again there."""
        return {**self.__dict__, "_banks": {}}

    def __len__(self) -> int:
        return len(self.dataset)

    def set_epoch(self, epoch: int) -> None:
        """Draw other clips and points than in other epochs; workers that are running see it too."""
        self._epoch[0] = epoch

    def __getitem__(self, i: int) -> dict[str, Tensor | str]:
        """One sequence or clip.

        Raises:
            IndexError: There is no such row.
        """
        if not -len(self) <= i < len(self):
            raise IndexError(f"sequence {i} of {len(self)}")
        i %= len(self)
        table = self.dataset.table
        rng = torch.Generator().manual_seed(derive_seed(self._seed, "clip", int(self._epoch), i))
        item: dict[str, Tensor | str] = {
            name: str(getattr(table, name)[i]) for name in ("sequence_id", "subject_id", "condition", "view")
        }
        item["label"] = torch.tensor(int(self._labels[i]))
        item["view_deg"] = torch.tensor(float(table.view_deg[i]))
        item["attributes"] = torch.from_numpy(table.attributes[i].astype(np.int64))
        leader = self._bank(self.modalities[0])
        moment = self._moments(int(leader.num_frames[i]), rng)
        item["num_frames"] = torch.tensor(len(moment))
        for name in self.modalities:
            bank = self._bank(name)
            length = int(bank.num_frames[i])
            if self._num_frames is None:
                frame = torch.arange(length)
            else:
                ratio = bank.info.frame_rate_hz / leader.info.frame_rate_hz
                frame = (moment * ratio).round().long().clamp(max=length - 1)
            sequence = torch.tensor([i])
            if bank.modality.kind != "points":
                item[name] = bank.gather(sequence, frame[None])[0]
            elif self._num_points is not None:
                draw = torch.rand((1, len(frame), self._num_points), generator=rng)
                item[name] = bank.sample_points(sequence, frame[None], draw)[0]
            else:
                item[name], item[f"{name}.offsets"] = bank.gather_points(sequence, frame[None])
        return item

    def _moments(self, length: int, rng: torch.Generator) -> Tensor:
        """``[T]`` int64 frames of the first modality: all of them, or a window that goes on at the beginning."""
        if self._num_frames is None:
            return torch.arange(length)
        start = int(torch.randint(max(0, length - self._num_frames) + 1, (), generator=rng))
        return (start + torch.arange(self._num_frames)) % length

    def _bank(self, name: str) -> "FrameBank":
        if name not in self._banks:
            self._banks[name] = self.dataset.bank(name)
        return self._banks[name]
