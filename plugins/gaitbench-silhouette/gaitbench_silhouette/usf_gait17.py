"""USF HumanID gait challenge 1.7 as tensors of 32x22 pixels and 10 frames.

One sample is half a gait cycle, time-normalised to ten frames; it becomes one sequence. One subject in one condition
has several of them, which the protocol compares as a set.

Axes: H rows, W columns, T frames, S samples.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gaitbench.dataset import BuilderOptions, DatasetBuilder, DatasetCard, StreamInfo
from gaitbench.errors import DatasetError
from gaitbench.protocol import Protocol, Selection
from gaitbench.sequence import Frames, SequenceInfo
from gaitbench_silhouette.matfile import read_arrays

__all__ = ["CITATION", "FILES", "PROTOCOL", "UNKNOWN", "UsfGait17", "UsfGait17Options"]

CITATION = (
    "H. Lu, K. N. Plataniotis, A. N. Venetsanopoulos, MPCA: Multilinear Principal Component Analysis of Tensor "
    "Objects, IEEE Transactions on Neural Networks 19(1):18-39, January 2008"
)
"""What every document that reports work with the data must cite."""
UNKNOWN = "unknown"
"""Subject of all people who are not in the gallery: they are not told apart, and the protocol leaves them out."""
FRAME_SHAPE = (32, 22)
"""Rows and columns."""
NUM_FRAMES = 10
"""Frames of every sample."""
NUM_SUBJECTS = 71
"""People in the gallery."""


class _File(NamedTuple):
    name: str
    condition: str
    """Surface (grass, cement), shoe (A, B) and camera (right, left)."""
    group: str
    """The protocol's name of the probe set; empty for the gallery."""


FILES = (
    _File("USF17Gal.mat", "GAR", ""),
    _File("PrbA.mat", "GAL", "A"),
    _File("PrbB.mat", "GBR", "B"),
    _File("PrbC.mat", "GBL", "C"),
    _File("PrbD.mat", "CAR", "D"),
    _File("PrbE.mat", "CBR", "E"),
    _File("PrbF.mat", "CAL", "F"),
    _File("PrbG.mat", "CBL", "G"),
)
"""The files of the release. The gallery is needed; of the probes, any subset."""

PROTOCOL = Protocol(
    name="usf-gait17",
    dataset="usf-gait17",
    title="Gait challenge 1.7: gallery GAR, probe sets A to G, sets of half-cycles, trained on the gallery",
    source=f"{CITATION}, section on gait recognition and Table VII",
    notes=(
        "features are learned on the gallery alone, so training and test subjects are the same people",
        "the paper does not fix the distance of two samples for all its methods; here it is the cosine",
        "people who are not in the gallery (label 0 in probe D) are not scored",
        "the published systems worked on 128x88 silhouettes, these tensors have 32x22 pixels",
    ),
    train=Selection(subjects=("001..071",), conditions=("GAR",)),
    test_subjects=("001..071",),
    gallery=Selection(conditions=("GAR",)),
    probes={file.group: Selection(conditions=(file.condition,)) for file in FILES if file.group},
    optional_groups=tuple(file.group for file in FILES if file.group),
    averaging="probes",
    unit="set",
    distance="cosine",
    headline="mean",
    num_train_subjects=NUM_SUBJECTS,
    num_test_subjects=NUM_SUBJECTS,
    is_closed_set=True,
    published={"dataset": "USF-Gait17"},
)
"""The paper's protocol; probe sets whose file is absent are left out of the mean, and it is said."""


class UsfGait17Options(BuilderOptions):
    """There is nothing to choose."""


class UsfGait17(DatasetBuilder):
    """Reads ``USF17Gal.mat`` and whichever of ``PrbA.mat`` to ``PrbG.mat`` are there.

    Source:
        The public tensor release by Haiping Lu, University of Toronto, 29 February 2008.
    """

    def __init__(self, options: BuilderOptions, source: Path | None = None) -> None:
        super().__init__(options, source)
        self._read: dict[str, tuple[NDArray[np.uint8], NDArray[np.str_]]] = {}
        self._index: dict[str, dict[str, int]] = {}

    def card(self) -> DatasetCard:
        """Describe the release, and which of its probe sets are here.

        Raises:
            DatasetError: The folder, the gallery or all probe sets are missing.
        """
        present = [path.name for path in self._paths().values()]
        missing = [file.name for file in FILES if file.name not in present]
        return DatasetCard(
            name="usf-gait17",
            version="1",
            title="USF HumanID gait challenge 1.7, tensors of 32x22 pixels and 10 frames",
            description=(
                "Real silhouettes of people walking outdoors. One sequence is half a gait cycle, time-normalised to "
                "ten frames; its frame rate is nominal. Condition: surface (G grass, C cement), shoe (A, B), camera "
                f"(R, L). Subject {UNKNOWN!r}: people who are not in the gallery, not told apart. "
                f"Files read: {', '.join(present)}. Missing: {', '.join(missing) or 'none'}."
            ),
            streams={"silhouette": StreamInfo(frame_shape=(1, *FRAME_SHAPE), frame_rate_hz=20.0)},
            licence="Free for research; every document that reports work with the data cites the MPCA paper",
            citation=CITATION,
            source="Tensor release of the USF HumanID gait challenge 1.7 by Haiping Lu, 29 February 2008",
        )

    def sequences(self) -> Sequence[SequenceInfo]:
        """All samples: gallery first, then the probe sets; within a file in its order.

        Raises:
            DatasetError: A file is missing, cut short, altered, or not what the release has under its name.
        """
        infos: list[SequenceInfo] = []
        seen: dict[str, str] = {}
        for condition, path in self._paths().items():
            tensor, labels = self._arrays(condition)
            digest = hashlib.sha256(tensor.tobytes()).hexdigest()
            if digest in seen:
                raise DatasetError(f"{path} holds the same samples as {seen[digest]}; one of the two is misnamed")
            seen[digest] = path.name
            if condition == "GAR":
                known = set(labels.tolist())
                if UNKNOWN in known:
                    raise DatasetError(f"{path} has samples of label 0, which the gallery cannot have; copy it again")
            elif strangers := sorted(set(labels.tolist()) - known - {UNKNOWN}):
                raise DatasetError(
                    f"{path} has subjects who are not in the gallery: {', '.join(strangers[:5])}. Gallery and probes "
                    "must come from the same release."
                )
            counts: dict[str, int] = {}
            for subject in labels.tolist():
                number = counts[subject] = counts.get(subject, -1) + 1
                infos.append(
                    SequenceInfo(
                        sequence_id=f"{condition}-{subject}-{number:03d}",
                        subject_id=subject,
                        condition=condition,
                        view=condition[-1],
                        num_frames=NUM_FRAMES,
                    )
                )
        return infos

    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames]:
        """Yield masks ``[10, 1, 32, 22]`` uint8, 1 where the person is.

        Raises:
            DatasetError: The modality is not ``silhouette``, a sequence is not of this dataset, or a file is unsound.
        """
        if modality != "silhouette":
            raise DatasetError(f"usf-gait17 has silhouettes only, not {modality}")
        for info in sequences:
            try:
                at = self._positions(info.condition)[info.sequence_id]
            except KeyError:
                raise DatasetError(f"usf-gait17 has no sequence {info.sequence_id!r} in {self.source}") from None
            sample = self._arrays(info.condition)[0][:, :, :, at]  # [H, W, T]
            yield np.ascontiguousarray(1 - sample.transpose(2, 0, 1)[:, None])

    def _paths(self) -> dict[str, Path]:
        """Condition to the file at hand, in the order of :data:`FILES`."""
        wanted = "USF17Gal.mat and some of PrbA.mat to PrbG.mat"
        if self.source is None:
            raise DatasetError(f"usf-gait17 is read from files: name the folder with {wanted}")
        if not self.source.is_dir():
            raise DatasetError(f"{self.source} is no folder; usf-gait17 needs the one with {wanted}")
        paths = {file.condition: path for file in FILES if (path := self.source / file.name).exists()}
        if "GAR" not in paths:
            raise DatasetError(f"{self.source} has no USF17Gal.mat, the gallery; usf-gait17 needs {wanted}")
        if len(paths) == 1:
            raise DatasetError(f"{self.source} has a gallery but no probe set; usf-gait17 needs {wanted}")
        return paths

    def _arrays(self, condition: str) -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
        """Samples ``[H, W, T, S]``, 0 where the person is, and subject ids ``[S]`` of one file, read once."""
        if condition not in self._read:
            paths = self._paths()
            if condition not in paths:
                raise DatasetError(f"usf-gait17: {self.source} has no file of condition {condition!r}")
            self._read[condition] = _read_file(paths[condition])
        return self._read[condition]

    def _positions(self, condition: str) -> dict[str, int]:
        """Sequence id to the sample's place in its file."""
        if not self._index:
            for info in self.sequences():
                places = self._index.setdefault(info.condition, {})
                places[info.sequence_id] = len(places)
        return self._index[condition]


def _read_file(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
    arrays = read_arrays(path, ("fea3D", "gnd"))
    tensor, labels = arrays["fea3D"], arrays["gnd"]
    if tensor.ndim == 3:
        tensor = tensor[..., None]  # MATLAB drops the last axis of a single sample
    expected = f"fea3D uint8 [32, 22, 10, S] and gnd [S, 1], got {list(tensor.shape)} and {list(labels.shape)}"
    if tensor.ndim != 4 or tensor.shape[:3] != (*FRAME_SHAPE, NUM_FRAMES) or tensor.shape[3] == 0:
        raise DatasetError(f"{path}: needs {expected}. This is another file or another release.")
    if labels.ndim != 2 or 1 not in labels.shape or labels.size != tensor.shape[3]:
        raise DatasetError(f"{path}: needs {expected}: one label per sample. The file is altered; copy it again.")
    values = np.unique(tensor)
    if tensor.dtype.kind not in "bu" or not np.isin(values, (0, 1)).all():
        raise DatasetError(
            f"{path}: fea3D must be 0 (person) and 1 (background), got {tensor.dtype} with values "
            f"{', '.join(map(str, values[:5]))}. The file is altered; copy it again."
        )
    numbers = labels.ravel()
    if not np.isfinite(numbers).all() or (numbers != np.round(numbers)).any():
        raise DatasetError(f"{path}: gnd must hold whole numbers. The file is altered; copy it again.")
    if numbers.min() < 0 or numbers.max() > NUM_SUBJECTS:
        raise DatasetError(
            f"{path}: labels run from {numbers.min()} to {numbers.max()}, the release has 1 to {NUM_SUBJECTS} and 0 "
            "for people who are not in the gallery. The file is altered; copy it again."
        )
    empty = np.flatnonzero((tensor == 1).all(axis=(0, 1, 2)))
    if empty.size:
        raise DatasetError(f"{path}: sample {empty[0]} shows nobody in any frame. The file is altered; copy it again.")
    subjects = [f"{int(number):03d}" if number else UNKNOWN for number in numbers.tolist()]
    return tensor.astype(np.uint8), np.array(subjects, dtype=np.str_)
