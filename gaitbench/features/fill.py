"""Compute the features that a folder lacks: every frame once, in parts, so that a run that is stopped goes on.

Axes: M frames computed together, C channels, H rows, W columns; features C', h, w.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gaitbench.clips import frame_reader
from gaitbench.dataset import GaitDataset
from gaitbench.errors import DatasetError, ModelError, NotFiniteError
from gaitbench.features.folder import FeatureFolder, KeptSequence
from gaitbench.frozen import FrozenFeatures
from gaitbench.model import InputSpec
from gaitbench.progress import Tracker

__all__ = ["Autocast", "Tower", "fill", "sequences_of"]

FRAMES_AT_ONCE = 64
"""Frames that are computed together; bounds memory, and changes nothing but the last bits."""
BATCHES_PER_BLOCK = 4
"""Such batches, about, between two chances to finish a part."""
PART_BYTES = 512 * 2**20
"""Size at which a part is finished."""
PART_SECONDS = 60.0
"""Time after which it is finished too; about as much is lost when the work is interrupted."""

Autocast = Callable[[], "contextlib.AbstractContextManager[object]"]


class Tower(NamedTuple):
    """What computes features, and where."""

    features: FrozenFeatures
    specs: tuple[InputSpec, ...]
    """How the model reads the stream that they are computed from, and those beside it."""
    device: torch.device
    """Where the tower is."""
    autocast: Autocast
    """Gives the context of the run's precision."""

    def reader(self, dataset: GaitDataset) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """Give a function that computes the features ``[M, C', h, w]`` of single frames of a dataset.

        It takes rows ``[M]`` of the dataset, frames ``[M]`` of these, and whether they are mirrored, ``[M]`` bool.

        Raises:
            DatasetError: The dataset does not fit the model, or the streams do not go together.
            ModelError: What is beside the frames would have to be mirrored, too.
        """
        banks = [dataset.bank(spec.modality) for spec in self.specs]
        for spec, bank in zip(self.specs[1:], banks[1:], strict=True):
            if bank.modality.kind != "joints":
                raise ModelError(
                    f"frozen features {self.features.name!r} read {spec.modality} beside {self.features.modality}; "
                    "only joints and single values can be, which mirroring leaves alone"
                )
            if not np.array_equal(bank.num_frames, banks[0].num_frames):
                row = int(np.flatnonzero(bank.num_frames != banks[0].num_frames)[0])
                raise DatasetError(
                    f"{dataset.card.name}: sequence {dataset.table.sequence_id[row]} has {banks[0].num_frames[row]} "
                    f"frames of {self.features.modality} and {bank.num_frames[row]} of {spec.modality}, so that their "
                    "features cannot be kept; leave the feature cache out"
                )
        readers = [frame_reader(dataset, spec, self.device) for spec in self.specs]

        def read(sequence: Tensor, frame: Tensor, is_flipped: Tensor) -> Tensor:
            frames, *beside = (each(sequence, frame) for each in readers)
            if bool(is_flipped.any()):
                frames = torch.where(is_flipped.to(frames.device)[:, None, None, None], frames.flip(-1), frames)
            return self._compute(frames, *beside)

        return read

    def _compute(self, frames: Tensor, *beside: Tensor) -> Tensor:
        """Features ``[M, C', h, w]`` of frames ``[M, C, H, W]``, checked.

        Raises:
            ModelError: They have another shape than the model says.
            NotFiniteError: They are not all finite, or too large for the numbers that they are kept as.
        """
        with torch.inference_mode(), self.autocast():
            found = self.features.compute(frames, *beside)
        expected = (len(frames), *self.features.shape)
        if tuple(found.shape) != expected or not found.is_floating_point():
            raise ModelError(
                f"frozen features {self.features.name!r} of {len(frames)} frames must be floats {list(expected)}, got "
                f"{found.dtype} {list(found.shape)}; correct the model's frozen_features"
            )
        kept = found.to(getattr(torch, self.features.dtype))
        if not bool(torch.isfinite(kept).all()):
            largest = float(found.float().abs().nan_to_num(torch.inf, torch.inf, torch.inf).max())
            hint = "; keep them as float32" if np.isfinite(largest) else ""
            raise NotFiniteError(
                f"frozen features {self.features.name!r} hold values that {self.features.dtype} cannot (largest "
                f"{largest:g}){hint}"
            )
        return kept


def sequences_of(dataset: GaitDataset, modalities: Sequence[str], *, is_flipped: bool) -> list[KeptSequence]:
    """Describe the sequences of a dataset as a folder finds them, in their order.

    Args:
        dataset: The sequences.
        modalities: The stream of the frames, and those beside it.
        is_flipped: Describe the mirrored ones.

    Raises:
        DatasetError: A sequence has no frames.
    """
    manifest = dataset.manifest(modalities[0])
    if not (is_there := manifest["num_frames"].to_numpy() > 0).all():
        raise DatasetError(
            f"{dataset.card.name}: {int((~is_there).sum())} sequences have no {modalities[0]} (first: "
            f"{dataset.table.sequence_id[~is_there][0]}), so there is nothing to compute features of; take the others "
            "with dataset.present"
        )
    ids, counts = (manifest[name].to_pylist() for name in ("sequence_id", "num_frames"))
    hashes = zip(*(dataset.manifest(name)["sha256"].to_pylist() for name in modalities), strict=True)
    return [
        KeptSequence(sequence_id=i, num_frames=n, source_sha256=b"".join(sha256).hex(), is_flipped=is_flipped)
        for i, n, sha256 in zip(ids, counts, hashes, strict=True)
    ]


def fill(
    folder: FeatureFolder,
    tower: Tower,
    dataset: GaitDataset,
    missing: Sequence[tuple[int, KeptSequence]],
    tracker: Tracker,
) -> None:
    """Compute and keep the features of sequences; only within the folder's lock.

    Args:
        folder: Where to.
        tower: Computes them.
        dataset: Holds the frames.
        missing: Rows of the dataset, and what is to be found there afterwards.
        tracker: Told of every frame.

    Raises:
        DatasetError: A stored frame is broken.
        ModelError: The features are not as the model says.
        NotFiniteError: They are not finite.
        OutputError: They cannot be written.
    """
    compute = tower.reader(dataset)
    blocks = _blocks(missing)
    block = next(blocks, None)
    while block is not None:
        began = time.monotonic()
        with folder.new_part() as part:
            while block is not None:
                for row, frame, is_flipped in _frames_of(block):
                    part.write(compute(row, frame, is_flipped).cpu().numpy())
                    tracker.advance(len(row))
                part.sequences += [sequence for _, sequence in block]
                block = next(blocks, None)
                if part.num_bytes >= PART_BYTES or time.monotonic() - began > PART_SECONDS:
                    break


def _blocks(missing: Sequence[tuple[int, KeptSequence]]) -> Iterator[list[tuple[int, KeptSequence]]]:
    """Divide sequences into blocks, whose frames are computed in full batches but for the last one."""
    block: list[tuple[int, KeptSequence]] = []
    num_frames = 0
    for row, sequence in missing:
        block.append((row, sequence))
        num_frames += sequence.num_frames
        if num_frames >= BATCHES_PER_BLOCK * FRAMES_AT_ONCE:
            yield block
            block, num_frames = [], 0
    if block:
        yield block


def _frames_of(block: Sequence[tuple[int, KeptSequence]]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """All frames of a block, some at a time: rows of the dataset, frames of these, and whether they are mirrored."""
    lengths = torch.tensor([sequence.num_frames for _, sequence in block])
    which = torch.repeat_interleave(torch.arange(len(block)), lengths)
    row = torch.tensor([row for row, _ in block])[which]
    frame = torch.arange(len(which)) - (lengths.cumsum(0) - lengths)[which]
    is_flipped = torch.tensor([sequence.is_flipped for _, sequence in block])[which]
    return zip(*(torch.split(x, FRAMES_AT_ONCE) for x in (row, frame, is_flipped)), strict=True)
