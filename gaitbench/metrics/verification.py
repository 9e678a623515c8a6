"""Verification: is this pair one subject? Equal error rate and true acceptance rate at a false acceptance rate.

Axes: T distinct genuine distances, ascending. Rates are fractions in [0, 1].

A pair is accepted when its distance is at most the threshold t. FAR(t) is the share of impostor pairs accepted,
FRR(t) the share of genuine pairs refused. Both are step functions of t, known exactly from the counts at the genuine
distances: nothing is binned.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gaitbench.errors import ModelError, ShapeError

__all__ = ["RocCounts", "eer", "eer_of", "roc_counts", "tar_at_far", "tar_at_far_of"]


class RocCounts(NamedTuple):
    """Exact counts of the receiver operating characteristic at every distinct genuine distance."""

    genuine: NDArray[np.int64]
    """``[T]`` genuine pairs at this distance."""
    impostors_below: NDArray[np.int64]
    """``[T]`` impostor pairs strictly nearer."""
    impostors_tied: NDArray[np.int64]
    """``[T]`` impostor pairs at exactly this distance."""
    num_impostors: int
    """All impostor pairs, those beyond the last genuine distance included."""

    @property
    def num_genuine(self) -> int:
        """All genuine pairs."""
        return int(self.genuine.sum())


def roc_counts(genuine: Tensor, impostor: Tensor) -> RocCounts:
    """Count the impostor pairs below and at every genuine distance.

    Args:
        genuine: Distances of pairs of one subject, any shape.
        impostor: Distances of pairs of two subjects, any shape.

    Returns:
        Counts; empty when there is no genuine pair.

    Raises:
        ModelError: A distance is NaN.
        ShapeError: The two differ in dtype, so that equal distances could compare unequal.

    Example:
        >>> counts = roc_counts(torch.tensor([0.1, 0.3]), torch.tensor([0.2, 0.3, 0.4]))
        >>> counts.impostors_below.tolist(), counts.impostors_tied.tolist(), counts.num_impostors
        ([0, 1], [0, 1], 3)
    """
    if genuine.dtype != impostor.dtype:
        raise ShapeError(f"genuine and impostor distances differ in dtype: {genuine.dtype} and {impostor.dtype}")
    for name, pairs in (("genuine", genuine), ("impostor", impostor)):
        if num_nan := int(pairs.isnan().sum()):
            raise ModelError(f"{num_nan} of {pairs.numel()} {name} distances are NaN; check the embeddings")
    threshold, count = torch.unique(genuine.flatten(), sorted=True, return_counts=True)
    pairs = impostor.flatten().sort().values
    below = torch.searchsorted(pairs, threshold)
    tied = torch.searchsorted(pairs, threshold, right=True) - below
    as_ints = [t.cpu().numpy().astype(np.int64) for t in (count, below, tied)]
    return RocCounts(as_ints[0], as_ints[1], as_ints[2], impostor.numel())


def eer(genuine: Tensor, impostor: Tensor) -> float:
    """Equal error rate: the value at which false acceptance and false refusal cross.

    Args:
        genuine: Distances of pairs of one subject, any shape; smaller means more alike.
        impostor: Distances of pairs of two subjects, any shape.

    Returns:
        A fraction; 0 for separated pairs, 0.5 for a model that maps everybody to one point, NaN without genuine
        or without impostor pairs.

    Raises:
        ModelError: A distance is NaN.
        ShapeError: The two differ in dtype.

    Source:
        ISO/IEC 19795-1, "Biometric performance testing and reporting", terms FAR, FRR and equal error rate. Between
        the two nearest thresholds both rates are interpolated linearly, which is our choice.

    Example:
        >>> eer(torch.tensor([0.1, 0.2, 0.6, 0.3]), torch.tensor([0.5, 0.7, 0.8, 0.9]))
        0.25
    """
    return eer_of(roc_counts(genuine, impostor))


def eer_of(counts: RocCounts) -> float:
    """Equal error rate from counts; see :func:`eer`.

    Args:
        counts: What :func:`roc_counts` gives.

    Returns:
        A fraction, or NaN without genuine or without impostor pairs.

    Example:
        >>> eer_of(RocCounts(np.array([4]), np.array([0]), np.array([4]), 4))  # everybody at one point
        0.5
    """
    if counts.num_genuine == 0 or counts.num_impostors == 0:
        return float("nan")
    far, frr = _rates(counts)
    after = int(np.argmax(far >= frr))  # the last point is (1, 0), the first (0, 1)
    before = after - 1
    gap_before, gap_after = frr[before] - far[before], frr[after] - far[after]
    share = gap_before / (gap_before - gap_after)
    return float(far[before] + share * (far[after] - far[before]))


def tar_at_far(genuine: Tensor, impostor: Tensor, *, far: float = 0.01) -> float:
    """Share of genuine pairs accepted at the largest threshold whose false acceptance rate is at most ``far``.

    Args:
        genuine: Distances of pairs of one subject, any shape; smaller means more alike.
        impostor: Distances of pairs of two subjects, any shape.
        far: Largest false acceptance rate allowed, in [0, 1].

    Returns:
        A fraction; NaN without genuine or without impostor pairs. With fewer than ``1 / far`` impostor pairs no
        impostor at all is accepted.

    Raises:
        ModelError: A distance is NaN.
        ShapeError: The two differ in dtype.
        ValueError: ``far`` lies outside [0, 1].

    Source:
        ISO/IEC 19795-1, "Biometric performance testing and reporting" (TAR is 1 - FRR).

    Example:
        >>> tar_at_far(torch.tensor([0.1, 0.4]), torch.tensor([0.2, 0.5, 0.6, 0.7]), far=0.25)
        1.0
    """
    return tar_at_far_of(roc_counts(genuine, impostor), far=far)


def tar_at_far_of(counts: RocCounts, *, far: float) -> float:
    """True acceptance rate from counts; see :func:`tar_at_far`.

    Args:
        counts: What :func:`roc_counts` gives.
        far: Largest false acceptance rate allowed, in [0, 1].

    Returns:
        A fraction, or NaN without genuine or without impostor pairs.

    Raises:
        ValueError: ``far`` lies outside [0, 1].

    Example:
        >>> tar_at_far_of(RocCounts(np.array([1, 1]), np.array([0, 1]), np.array([0, 0]), 4), far=0.1)
        0.5
    """
    if not 0 <= far <= 1:
        raise ValueError(f"far must lie in [0, 1], got {far}")
    if counts.num_genuine == 0 or counts.num_impostors == 0:
        return float("nan")
    is_allowed = (counts.impostors_below + counts.impostors_tied) / counts.num_impostors <= far  # [T], then never again
    return float(counts.genuine[is_allowed].sum() / counts.num_genuine)


def _rates(counts: RocCounts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """FAR and FRR ``[2T + 2]`` just below and at every genuine distance, from accepting nobody to everybody."""
    accepted = np.cumsum(counts.genuine)
    below, upto = counts.impostors_below, counts.impostors_below + counts.impostors_tied
    impostors = np.stack([below, upto], axis=1).ravel()
    genuine = np.stack([accepted - counts.genuine, accepted], axis=1).ravel()
    far = np.concatenate([[0], impostors, [counts.num_impostors]]) / counts.num_impostors
    frr = 1 - np.concatenate([[0], genuine, [counts.num_genuine]]) / counts.num_genuine
    return far, frr
