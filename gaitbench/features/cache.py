"""The kept features of some sequences: computed where they lack, and compared with what the model computes now.

A few frames are computed again whenever features are opened. A key that does not cover all that determines the values,
weights that were replaced, and a tower that was trained after all are found so, and are errors.

Axes: N sequences; M frames; features C', h, w.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from gaitbench.dataset import GaitDataset
from gaitbench.digest import json_digest
from gaitbench.errors import DatasetError, ModelError, OutputError
from gaitbench.features.bank import FeatureBank
from gaitbench.features.cacheable import kept_features, source_specs
from gaitbench.features.fill import Autocast, Tower, fill, sequences_of
from gaitbench.features.folder import FeatureFolder, Kept, KeptSequence, features_root
from gaitbench.modality import Modality
from gaitbench.model import GaitModel
from gaitbench.progress import announce, track
from gaitbench.recipe import Precision
from gaitbench.storage.bank import FrameBank

__all__ = ["FeatureCache", "Wanted"]

_FORMAT = 1
_GIB = 1 << 30
_SPARE_BYTES = 64 << 20
_NUM_CHECKED = 4
_MOST_DEVIATION: dict[Precision, float] = {"32-true": 1e-2, "16-mixed": 5e-2, "bf16-mixed": 5e-2}
"""Mean difference between kept and computed features, over their mean size, that rounding and devices explain."""


class Wanted(NamedTuple):
    """Sequences whose features are needed."""

    dataset: GaitDataset
    is_mirrored: bool = False
    """Those of their mirror images too."""


class _Job(NamedTuple):
    """Sequences that a folder shall have."""

    folder: FeatureFolder
    dataset: GaitDataset
    sequences: list[tuple[int, KeptSequence]]
    """With their rows of the dataset."""

    def lacking(self, kept: Kept) -> list[tuple[int, KeptSequence]]:
        return [(row, sequence) for row, sequence in self.sequences if sequence not in kept.places]


def _num_frames(sequences: Sequence[tuple[int, KeptSequence]]) -> int:
    return sum(sequence.num_frames for _, sequence in sequences)


class FeatureCache:
    """The kept features of a model.

    Args:
        model: On its device, with the weights that it runs with.
        device: Where it is.
        autocast: Gives the context of the run's precision.
        precision: Its name; features of another precision are other features.

    Raises:
        UsageError: The model has no frozen features.
        ModelError: They are not of one of its inputs.
    """

    def __init__(
        self, model: GaitModel, *, device: torch.device | str, autocast: Autocast, precision: Precision
    ) -> None:
        self._name = type(model).__name__
        self._features = features = kept_features(model, self._name)
        self._tower = Tower(features, source_specs(model, features), torch.device(device), autocast)
        self._precision = precision
        self._folders: dict[Path, FeatureFolder] = {}

    @property
    def modality(self) -> str:
        """The stream that the features stand for."""
        return self._features.modality

    def require(self, wanted: Sequence[Wanted]) -> None:
        """Compute what is missing; says how much it is first, and stops when the disk has no room for it.

        Args:
            wanted: Everything that a run will ask for.

        Raises:
            OutputError: The disk is too small, or cannot be written.
            DatasetError: A stored frame is broken.
            ModelError: The features are not as the model says.
            NotFiniteError: They are not finite.
        """
        jobs = [_Job(self._folder(each.dataset), each.dataset, self._sequences(each)) for each in wanted]
        there = {folder.root: folder.read() for folder in {job.folder.root: job.folder for job in jobs}.values()}
        todo = [(job, lacking) for job in jobs if (lacking := job.lacking(there[job.folder.root]))]
        if not todo:
            return
        num_frames = sum(_num_frames(lacking) for _, lacking in todo)
        self._announce(todo[0][0].folder, sum(len(lacking) for _, lacking in todo), num_frames)
        with track(num_frames, f"features {self._features.name}") as tracker:
            for job, lacking in todo:
                with job.folder.lock():
                    # Another process may have computed some meanwhile.
                    still = job.lacking(job.folder.read(sweep=True))
                    tracker.advance(_num_frames(lacking) - _num_frames(still))
                    fill(job.folder, self._tower, job.dataset, still, tracker)

    def bank(self, wanted: Wanted) -> FeatureBank:
        """Open the features of some sequences, in their order, having computed what is missing.

        Raises:
            ModelError: They are not what the model computes now.
            DatasetError: They were removed meanwhile.
            GaitbenchError: As :meth:`require`.
        """
        self.require([wanted])
        dataset, folder = wanted.dataset, self._folder(wanted.dataset)
        kept = folder.read()
        sequences = [sequence for _, sequence in self._sequences(wanted)]
        try:
            places = [kept.places[sequence] for sequence in sequences]
        except KeyError as error:
            raise DatasetError(
                f"{folder.root} lost features while it was being opened; another process removed or damaged them. Run "
                "it again"
            ) from error
        source = dataset.bank(self.modality)
        modality = Modality(
            name=self._features.name,
            title=f"Frozen features of {self.modality}",
            kind="raster",
            codec="raw",
            dtype=self._features.dtype,
            channels=self._features.shape[0],
            value_range=(-np.inf, np.inf),
            is_exact=False,
        )
        rows = FrameBank.from_rows(
            modality,
            source.info.model_copy(update={"frame_shape": self._features.shape}),
            np.array([sequence.num_frames for sequence in sequences], np.int64),
            folder.tables(kept),
            np.array([place.part for place in places], np.int64),
            np.array([place.first for place in places], np.int64),
        )
        found = FeatureBank(self._features.name, self.modality, rows, wanted.is_mirrored)
        self._compare(found, dataset, folder)
        return found

    def _folder(self, dataset: GaitDataset) -> FeatureFolder:
        if dataset.root not in self._folders:
            features = self._features
            # The whole dataset names the folder, so that runs on different parts of it share what they have in common.
            fingerprint = GaitDataset.open(dataset.root).fingerprint([self.modality, *features.beside])
            about: dict[str, object] = {
                "format": _FORMAT,
                "name": features.name,
                "modality": self.modality,
                "inputs": [spec.model_dump(mode="json", exclude_defaults=True) for spec in self._tower.specs],
                "shape": list(features.shape),
                "dtype": features.dtype,
                "precision": self._precision,
                "key": features.key,
            }
            name = f"{fingerprint[:12]}-{json_digest(about)[:12]}"
            about = {"dataset": [dataset.card.name, dataset.card.version, fingerprint], "model": self._name, **about}
            self._folders[dataset.root] = FeatureFolder(features_root() / name, features.shape, features.dtype, about)
        return self._folders[dataset.root]

    def _sequences(self, wanted: Wanted) -> list[tuple[int, KeptSequence]]:
        """Sequences with their rows; mirror images behind all others."""
        modalities = (self.modality, *self._features.beside)
        upright = sequences_of(wanted.dataset, modalities, is_flipped=False)
        flipped = sequences_of(wanted.dataset, modalities, is_flipped=True) if wanted.is_mirrored else []
        return [*enumerate(upright), *enumerate(flipped)]

    def _announce(self, folder: FeatureFolder, num_sequences: int, num_frames: int) -> None:
        """Say what will be computed, and stop when it does not fit."""
        num_bytes, free = num_frames * folder.frame_nbytes, folder.free_bytes()
        shape = "x".join(str(size) for size in folder.shape)
        what = (
            f"{self._features.name} of {num_sequences:,} sequences ({num_frames:,} frames of {shape} "
            f"{self._features.dtype}): {num_bytes / _GIB:.2f} GiB in {folder.root.parent}, where "
            f"{free / _GIB:.2f} GiB are free"
        )
        if num_bytes + _SPARE_BYTES > free:
            raise OutputError(
                f"there is no room for the features {what}. Set GAITBENCH_CACHE to a folder on a larger disk, remove "
                "others ('gaitbench features'), keep float16, fewer layers or smaller maps where the model has such an "
                "option, or leave the feature cache out"
            )
        announce(f"computing the features {what}")

    def _compare(self, found: FeatureBank, dataset: GaitDataset, folder: FeatureFolder) -> None:
        """Compute a few frames again."""
        row = torch.from_numpy(np.unique(np.linspace(0, len(dataset) - 1, _NUM_CHECKED).round().astype(np.int64)))
        frame = torch.from_numpy(found.rows.num_frames)[row] // 2
        flip = np.arange(len(row)) % 2 == 1 if found.is_mirrored else np.zeros(len(row), bool)
        computed = self._tower.reader(dataset)(row, frame, torch.from_numpy(flip)).float()
        kept = found.read(row, frame[:, None], computed.device, flip)[:, :, 0]
        deviation = float((kept - computed).abs().mean() / computed.abs().mean().clamp(min=1e-12))
        if not deviation <= _MOST_DEVIATION[self._precision]:
            raise ModelError(
                f"the features kept in {folder.root} are not those that {self._name} computes now: they differ by "
                f"{deviation:.1%} on average. Its frozen tower was trained or got other weights, which the key "
                f"of its frozen_features does not tell. Remove them with 'gaitbench features --remove "
                f"{folder.root.name}', and have the key cover all that determines the values"
            )
