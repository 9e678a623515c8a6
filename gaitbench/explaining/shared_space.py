"""The space that several sensors share, of a finished run: its stored embeddings, and their picture in two dimensions.

Axes: N sequences, D embedding width, P parts, F = D * P numbers of a sequence.
"""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gaitbench.cells.run_folder import RunFolder
from gaitbench.checkpoint import load_tensors
from gaitbench.errors import RecordError, UsageError
from gaitbench.explaining.finished_run import FinishedRun
from gaitbench.explaining.gap import ModalityGap, modality_gap
from gaitbench.protocol import Protocol
from gaitbench.table import SequenceTable

__all__ = ["SHARING_TASK", "Plane", "SharedSpace", "principal_plane", "shared_space", "shares_a_space"]

SHARING_TASK = "crossmodal"
"""The task whose runs embed several modalities into one space."""
_NUM_ITERATIONS = 30
_NUM_SPARE = 6
"""Directions beside the two that are wanted, so that these are found soon."""


class SharedSpace(NamedTuple):
    """The test sequences of a run, as each of its modalities sees them."""

    embeddings: dict[str, Tensor]
    """Modality to ``[N, D, P]``."""
    table: SequenceTable
    """``[N]``."""
    protocol: Protocol
    """Of the run."""

    def gap(self, limit: int = 1500) -> ModalityGap:
        """Measure the gap; see :func:`gaitbench.explaining.gap.modality_gap`."""
        return modality_gap(self.embeddings, self.table, distance=self.protocol.distance, limit=limit)

    def sample(self, num_subjects: int, limit: int) -> "SharedSpace":
        """Some people at equal distances in the order of their names, and some sequences of each, likewise.

        Args:
            num_subjects: People at most.
            limit: Sequences of all of them together, at most.
        """
        people, subject = np.unique(self.table.subject_id, return_inverse=True)
        picked = _spread(len(people), num_subjects)
        each = max(1, limit // len(picked))
        of_each = [np.flatnonzero(subject == person) for person in picked]
        rows = np.sort(np.concatenate([found[_spread(len(found), each)] for found in of_each]))
        index = torch.from_numpy(rows)
        embeddings = {name: found[index] for name, found in self.embeddings.items()}
        return SharedSpace(embeddings, self.table.take(rows), self.protocol)


class Plane(NamedTuple):
    """Where embeddings lie along the two directions in which all of them together differ most."""

    places: dict[str, NDArray[np.float64]]
    """Modality to ``[N, 2]``."""
    shares: tuple[float, float]
    """Of the variance of all, along the two."""


def shares_a_space(run: FinishedRun) -> bool:
    """Tell whether a run embeds several modalities into one space."""
    return run.record.task == SHARING_TASK


def shared_space(run: FinishedRun, data: Path | None = None) -> SharedSpace:
    """Read the embeddings that a cross-modal run was scored on.

    Args:
        run: The run.
        data: Where its data are now; None for where they were.

    Raises:
        UsageError: The run is of another task.
        RecordError: Its embeddings are missing or altered.
        DatasetError: Its data are not there, or have changed.
    """
    if not shares_a_space(run):
        raise UsageError(
            f"run {run.record.run_id[:12]} is of task {run.record.task}, which has no modalities to compare; give a "
            "run of crossmodal (gaitbench run --task crossmodal)"
        )
    folder = RunFolder(run.folder)
    info = folder.read_json(folder.embeddings_info)
    if info is None or info.get("run_id") != run.record.run_id or not folder.embeddings.is_file():
        lost = folder.embeddings if info is not None and not folder.embeddings.is_file() else folder.embeddings_info
        raise RecordError(
            f"{lost} is missing, damaged or of another run; the command that began the run makes the "
            "embeddings again once record.json is removed"
        )
    stored = load_tensors(folder.embeddings, str(info.get("sha256")))
    # Fusions of modalities have no side of a gap.
    alone = [key for key in stored if "+" not in key]
    names = [name for name in run.record.data.modalities if name in alone]
    embeddings = {name: stored[name] for name in chain(names, (key for key in alone if key not in names))}
    table = run.open_data("test", run.record.data.modalities, data).table
    for name, found in embeddings.items():
        if found.dim() != 3 or len(found) != len(table.subject_id):
            raise RecordError(
                f"{folder.embeddings} has {list(found.shape)} for {name}, and the run's test part "
                f"{len(table.subject_id)} sequences; remove record.json and run the cell again"
            )
    return SharedSpace(embeddings, table, run.protocol)


def principal_plane(embeddings: Mapping[str, Tensor]) -> Plane:
    """Find the two directions in which the embeddings of all modalities together differ most (PCA).

    Args:
        embeddings: Modality to ``[N, D, P]``.

    Returns:
        The same for the same embeddings: of either end of a direction, that one is right (or up) in which its
        largest number is positive.

    Example:
        >>> line = torch.tensor([0.0, 1.0, 2.0])[:, None, None] * torch.tensor([0.0, 3.0, 0.0])[:, None]
        >>> plane = principal_plane({"rgb": line, "lidar": line})
        >>> plane.places["rgb"][:, 0].round(6).tolist(), round(plane.shares[0], 6)
        ([-3.0, 0.0, 3.0], 1.0)
    """
    flat = torch.cat([found.double().flatten(1) for found in embeddings.values()])  # [sum of N, F]
    flat = flat - flat.mean(dim=0)
    width = min(2 + _NUM_SPARE, flat.shape[1])
    start = torch.randn(flat.shape[1], width, dtype=flat.dtype, generator=torch.Generator().manual_seed(0))
    basis = torch.linalg.qr(start).Q
    for _ in range(_NUM_ITERATIONS):
        basis = torch.linalg.qr(flat.T @ (flat @ basis)).Q
    within = flat @ basis  # [sum of N, width]
    values, turn = torch.linalg.eigh(within.T @ within)
    order = values.argsort(descending=True)[:2]
    directions = basis @ turn[:, order]  # [F, 2 or 1]
    sign = torch.gather(directions, 0, directions.abs().argmax(dim=0, keepdim=True)).sign()
    places = torch.nn.functional.pad(flat @ (directions * sign), (0, 2 - len(order)))
    total = float(flat.square().sum())
    share = [float(values[i]) / total if total else 0.0 for i in order] + [0.0] * (2 - len(order))
    parts = torch.split(places, [len(found) for found in embeddings.values()])
    return Plane({name: part.numpy() for name, part in zip(embeddings, parts, strict=True)}, (share[0], share[1]))


def _spread(num: int, most: int) -> NDArray[np.int64]:
    """Up to ``most`` of ``num`` places, at equal distances."""
    return np.linspace(0, num, min(num, most), endpoint=False).astype(np.int64)
