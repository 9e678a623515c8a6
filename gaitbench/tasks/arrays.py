"""Score embeddings from anywhere under any protocol, without models.

Axes: N sequences, D embedding width, P parts.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gaitbench.device import DeviceName, device_named
from gaitbench.errors import ShapeError, UsageError
from gaitbench.protocol import Protocol
from gaitbench.table import SequenceTable
from gaitbench.tasks.base import EmbeddingSet, Evaluation, RankingMetric
from gaitbench.tasks.identity import IdentityTask

__all__ = ["evaluate_arrays", "evaluate_table", "table_of_arrays"]


def evaluate_arrays(
    embeddings: Tensor | NDArray[np.floating],
    subject_ids: ArrayLike,
    conditions: ArrayLike,
    views: ArrayLike,
    protocol: Protocol,
    *,
    sequence_ids: ArrayLike | None = None,
    view_deg: ArrayLike | None = None,
    allow_partial: bool = False,
    seed: int = 0,
    bootstrap: int = 1000,
    metrics: Mapping[str, RankingMetric] | None = None,
    device: torch.device | DeviceName = "cpu",
) -> Evaluation:
    """Score embeddings of one kind.

    Args:
        embeddings: ``[N, D, P]`` float16, float32 or float64.
        subject_ids: ``[N]`` words.
        conditions: ``[N]`` words.
        views: ``[N]`` words.
        protocol: How to divide and count; its training selection is not looked at.
        sequence_ids: ``[N]`` distinct words; None for ``subject-condition-view``.
        view_deg: ``[N]`` degrees; None reads them from views that are plain numbers.
        allow_partial: Go on when test subjects or listed sequences are missing.
        seed: Of the bootstrap.
        bootstrap: Resamples; 0 for no intervals.
        metrics: Further metrics per probe, by name.
        device: Where to compare and count: a device, ``auto``, ``cpu`` or ``cuda``. Embeddings are moved there piece
            by piece.

    Returns:
        Scores and their evidence.

    Raises:
        ShapeError: Arrays differ in length, or embeddings are not ``[N, D, P]``.
        ModelError: Embeddings hold NaN or infinity.
        IncompleteDataError: Subjects or listed sequences are missing.
        ProtocolError: The protocol does not apply to these sequences.
        UsageError: There is no such device here.

    Example:
        >>> from gaitbench.protocol import Selection
        >>> protocol = Protocol(name="p", dataset="d", title="Two walks", source="us", train=Selection(),
        ...     test_subjects=("*",), gallery=Selection(conditions=("nm",)), averaging="probes",
        ...     probes={"BG": Selection(conditions=("bg",))}, headline="BG")
        >>> walks = np.array([0.0, 0.1, 5.0, 5.2]).reshape(4, 1, 1)
        >>> evaluation = evaluate_arrays(walks, ["a", "a", "b", "b"], ["nm", "bg"] * 2, ["000"] * 4, protocol)
        >>> evaluation.score("rank_1", "BG").value
        1.0
    """
    return evaluate_table(
        torch.as_tensor(embeddings),
        table_of_arrays(subject_ids, conditions, views, sequence_ids=sequence_ids, view_deg=view_deg),
        protocol,
        allow_partial=allow_partial,
        seed=seed,
        bootstrap=bootstrap,
        metrics=metrics,
        device=device,
    )


def evaluate_table(
    embeddings: Tensor,
    table: SequenceTable,
    protocol: Protocol,
    *,
    allow_partial: bool = False,
    seed: int = 0,
    bootstrap: int = 1000,
    metrics: Mapping[str, RankingMetric] | None = None,
    device: torch.device | DeviceName = "cpu",
) -> Evaluation:
    """Score embeddings of the sequences of a table; see :func:`evaluate_arrays`.

    Args:
        embeddings: ``[N, D, P]`` float16, float32 or float64.
        table: ``[N]`` rows in the same order.
        protocol: How to divide and count; its training selection is not looked at.
        allow_partial: Go on when test subjects or listed sequences are missing.
        seed: Of the bootstrap.
        bootstrap: Resamples; 0 for no intervals.
        metrics: Further metrics per probe, by name.
        device: Where to compare and count: a device, ``auto``, ``cpu`` or ``cuda``. Embeddings are moved there piece
            by piece.

    Returns:
        Scores and their evidence.

    Raises:
        ShapeError: Embeddings are not ``[N, D, P]``.
        ModelError: Embeddings hold NaN or infinity.
        IncompleteDataError: Subjects or listed sequences are missing.
        ProtocolError: The protocol does not apply to these sequences.
        UsageError: There is no such device here.
    """
    place = device_named(device) if isinstance(device, str) else device
    division = protocol.divide(table, allow_partial=allow_partial, needs_train=False)
    embedded = {"embeddings": EmbeddingSet(embeddings, table)}
    try:
        return IdentityTask().evaluate(
            embedded, protocol, division, seed=seed, bootstrap=bootstrap, metrics=metrics, device=place
        )
    except torch.OutOfMemoryError as error:
        raise UsageError(f"{place} has too little memory for these embeddings ({error}); use device='cpu'") from error


def table_of_arrays(
    subject_ids: ArrayLike,
    conditions: ArrayLike,
    views: ArrayLike,
    *,
    sequence_ids: ArrayLike | None = None,
    view_deg: ArrayLike | None = None,
) -> SequenceTable:
    """Make a sequence table of plain arrays.

    Args:
        subject_ids: ``[N]`` words.
        conditions: ``[N]`` words.
        views: ``[N]`` words.
        sequence_ids: ``[N]`` distinct words; None for ``subject-condition-view``, with ``#2`` and so on where that
            occurs again.
        view_deg: ``[N]`` degrees; None reads them from views that are plain numbers.

    Returns:
        The table.

    Raises:
        ShapeError: Arrays differ in length, or sequence ids occur twice.

    Example:
        >>> table_of_arrays(["a", "a"], ["nm", "nm"], ["090", "090"]).sequence_id.tolist()
        ['a-nm-090', 'a-nm-090#2']
    """
    words = {
        name: np.asarray(values).astype(np.str_)
        for name, values in (("subject_ids", subject_ids), ("conditions", conditions), ("views", views))
    }
    shapes = {name: list(values.shape) for name, values in words.items()}
    if len({tuple(shape) for shape in shapes.values()}) != 1 or words["views"].ndim != 1:
        raise ShapeError(f"subject_ids, conditions and views must be arrays of one length [N], got {shapes}")
    subject, condition, view = words.values()
    number = len(subject)
    names = _names(subject, condition, view) if sequence_ids is None else np.asarray(sequence_ids).astype(np.str_)
    if names.shape != (number,) or len(np.unique(names)) != number:
        raise ShapeError(f"sequence_ids must be {number} distinct words, got {list(names.shape)}")
    degrees = _degrees(view) if view_deg is None else np.asarray(view_deg, dtype=np.float32)
    if degrees.shape != (number,):
        raise ShapeError(f"view_deg must have {number} entries, got {list(degrees.shape)}")
    return SequenceTable(
        sequence_id=names,
        subject_id=subject,
        condition=condition,
        view=view,
        view_deg=degrees,
        num_frames=np.zeros(number, dtype=np.int64),
        attributes=np.zeros((number, 0), dtype=np.int16),
    )


def _names(*words: NDArray[np.str_]) -> NDArray[np.str_]:
    seen: dict[str, int] = {}
    names = []
    for parts in zip(*(w.tolist() for w in words), strict=True):
        name = "-".join(parts)
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return np.array(names, dtype=np.str_)


def _degrees(views: NDArray[np.str_]) -> NDArray[np.float32]:
    return np.array([float(v) if v.isdecimal() else np.nan for v in views.tolist()], dtype=np.float32)
