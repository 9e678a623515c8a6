"""The modality gap: how far the sensors lie from each other in the space that they share.

A run keeps the embeddings of its test sequences, each as every modality sees it. From these alone come

* the distances of genuine pairs (one person) and impostor pairs (two people), within each modality and across;
* one number for each two modalities A and B, the *gap*: the distance of their centres over the spread of a person ::

      gap(A, B) = mean over parts p of  |c_A - c_B| / s,      s^2 = (W_A + W_B) / 2
      W_m       = mean over people of the mean squared distance of their sequences from their own centre in m

  with ``c_m`` the mean over people of their centres in m; a person of n sequences has n - 1 in the denominator of the
  mean, and one of a single sequence counts in the centre alone. The gap is 0 where the sensors lie on
  each other, and 1 where they are as far apart as the sequences of one person are from their centre. By chance alone,
  S people with n sequences each have one of about ``sqrt(2 / (S n))``.

Axes: N sequences, D embedding width, P parts.
"""

from collections.abc import Mapping
from itertools import combinations, combinations_with_replacement
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from gaitbench.errors import ModelError, ShapeError, UsageError
from gaitbench.metrics.distance import part_distance
from gaitbench.table import SequenceTable

__all__ = ["Distances", "Gap", "ModalityGap", "PairDistances", "chosen_rows", "modality_gap"]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of the distances that are kept."""
NUM_BINS = 60
"""Of the histograms, which all share their edges."""
_ROWS_AT_ONCE = 256

DistanceKind = Literal["euclidean", "cosine"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Distances(_Part):
    """How some pairs are distributed."""

    num: int
    """Pairs; all other numbers are 0 where there is none."""
    mean: float
    std: float
    quantiles: tuple[float, ...]
    """At :data:`QUANTILES`."""
    counts: tuple[int, ...]
    """Pairs between the edges of the histogram."""


class PairDistances(_Part):
    """Distances of two modalities, or of one to itself; a sequence is never compared with itself in any modality."""

    first: str
    second: str
    genuine: Distances
    """Two sequences of one person."""
    impostor: Distances
    """Sequences of two people."""
    separation: float | None
    """Share of all (genuine, impostor) couples of pairs in which the genuine one is nearer, ties as a half: the area
    under the ROC. None where either kind is missing."""


class Gap(_Part):
    """The gap of two modalities."""

    first: str
    second: str
    gap: float | None
    """See :mod:`gaitbench.explaining.gap`; None where no person has any spread, as of a model that maps all to a
    point."""
    centre_distance: float
    """``|c_A - c_B|``, mean over parts."""
    spread: float
    """``s``, mean over parts."""


class ModalityGap(_Part):
    """Everything that was measured of a space."""

    modalities: tuple[str, ...]
    distance: DistanceKind
    """Of the run's protocol; with ``cosine`` the parts are brought to length 1 before anything is measured."""
    num_sequences: int
    """Test sequences."""
    num_compared: int
    """Those that were taken, whole people at equal distances in the order of their names."""
    num_subjects: int
    """People among these."""
    edges: tuple[float, ...]
    """Of the histograms."""
    pairs: tuple[PairDistances, ...]
    """Each modality with itself, then each two."""
    gaps: tuple[Gap, ...]
    """Each two modalities."""


def modality_gap(
    embeddings: Mapping[str, Tensor],
    table: SequenceTable,
    *,
    distance: DistanceKind = "euclidean",
    limit: int = 1500,
) -> ModalityGap:
    """Measure the gap between the modalities of a space.

    Args:
        embeddings: Modality to ``[N, D, P]`` of the same sequences, two modalities or more.
        table: ``[N]`` rows in the same order.
        distance: As in scoring.
        limit: Sequences compared at most, roughly; see :func:`chosen_rows`.

    Raises:
        UsageError: There is one modality only.
        ShapeError: The embeddings differ in shape, or from the table.
        ModelError: An embedding holds NaN or infinity.

    Example:
        >>> from gaitbench.sequence import SequenceInfo
        >>> infos = [SequenceInfo(sequence_id=s + v, subject_id=s, condition="nm", view=v) for s in "ab" for v in "12"]
        >>> place = torch.tensor([0.0, 2.0, 10.0, 12.0])[:, None, None]
        >>> found = modality_gap({"rgb": place, "lidar": place + 3}, SequenceTable.from_infos(infos))
        >>> found.gaps[0].centre_distance, round(found.gaps[0].spread, 4), round(found.gaps[0].gap, 4)
        (3.0, 1.4142, 2.1213)
    """
    names = tuple(embeddings)
    if len(names) < 2:
        raise UsageError(f"a gap lies between two modalities, and these embeddings are of {', '.join(names) or 'none'}")
    first = embeddings[names[0]]
    for name in names:
        found = embeddings[name]
        if found.dim() != 3 or found.shape != first.shape or len(found) != len(table.subject_id):
            raise ShapeError(
                f"embeddings of {name} must be [N, D, P] like those of {names[0]} {list(first.shape)}, with N the "
                f"{len(table.subject_id)} sequences; got {list(found.shape)}"
            )
        if num_bad := int((~torch.isfinite(found)).any(dim=2).any(dim=1).sum()):
            raise ModelError(f"embeddings of {name} hold NaN or infinity in {num_bad} of {len(found)} sequences")
    if len(first) < 2:
        raise UsageError(f"a gap is measured over two sequences or more, got {len(first)}")
    rows = chosen_rows(table, limit)
    people, subject = np.unique(table.subject_id[rows], return_inverse=True)
    taken = {name: embeddings[name][torch.from_numpy(rows)].double() for name in names}
    if distance == "cosine":
        taken = {name: torch.nn.functional.normalize(found, dim=1) for name, found in taken.items()}
    label = torch.from_numpy(subject)
    measured = {
        pair: _distances(taken[pair[0]], taken[pair[1]], label, distance, is_within=pair[0] == pair[1])
        for pair in sorted(combinations_with_replacement(names, 2), key=lambda pair: pair[0] != pair[1])
    }
    farthest = max((float(found.max()) for pair in measured.values() for found in pair if len(found)), default=0.0)
    edges = np.linspace(0, farthest or 1.0, NUM_BINS + 1)
    pairs = [
        PairDistances(
            first=one,
            second=other,
            genuine=_summary(genuine, edges),
            impostor=_summary(impostor, edges),
            separation=_separation(genuine, impostor),
        )
        for (one, other), (genuine, impostor) in measured.items()
    ]
    clouds = {name: _cloud(found, label, len(people)) for name, found in taken.items()}
    return ModalityGap(
        modalities=names,
        distance=distance,
        num_sequences=len(first),
        num_compared=len(rows),
        num_subjects=len(people),
        edges=tuple(edges.tolist()),
        pairs=tuple(pairs),
        gaps=tuple(_gap(one, other, clouds) for one, other in combinations(names, 2)),
    )


def chosen_rows(table: SequenceTable, limit: int) -> NDArray[np.int64]:
    """Choose people at equal distances in the order of their names, each with every sequence, up to a number.

    Somebody with more than half of that number is left out, so that there are always two people.

    Args:
        table: The sequences.
        limit: Sequences at most; where only one person at most has as few as half of it, some sequences of all.

    Returns:
        Rows, ascending; all where there are no more than ``limit``.

    Example:
        >>> from gaitbench.sequence import SequenceInfo
        >>> infos = [SequenceInfo(sequence_id=s + c, subject_id=s, condition=c, view="0") for s in "abcd" for c in "xy"]
        >>> chosen_rows(SequenceTable.from_infos(infos), 4).tolist()
        [0, 1, 4, 5]
    """
    if limit < 2:
        raise UsageError(f"limit must be 2 or more, got {limit}")
    num = len(table.subject_id)
    if num <= limit:
        return np.arange(num)
    _, subject, counts = np.unique(table.subject_id, return_inverse=True, return_counts=True)
    small = np.flatnonzero(counts <= limit // 2)
    if len(small) < 2:
        return np.linspace(0, num, limit, endpoint=False).astype(np.int64)
    for share in range(min(len(small), limit), 1, -1):
        picked = small[np.linspace(0, len(small), share, endpoint=False).astype(np.int64)]
        if counts[picked].sum() <= limit:
            break
    return np.flatnonzero(np.isin(subject, picked))


class _Cloud(NamedTuple):
    centre: Tensor
    """``[D, P]``."""
    within: Tensor
    """``[P]`` mean squared distance from a person's centre; zero where nobody has two sequences."""


def _cloud(found: Tensor, label: Tensor, num_subjects: int) -> _Cloud:
    counts = torch.bincount(label, minlength=num_subjects).double()
    centres = torch.zeros(num_subjects, *found.shape[1:], dtype=found.dtype).index_add_(0, label, found)
    centres /= counts[:, None, None]
    squared = (found - centres[label]).square().sum(dim=1)  # [N, P]
    # The centre of n sequences lies nearer to each of them than that of all would: n - 1, as in any variance.
    variance = torch.zeros(num_subjects, squared.shape[1], dtype=found.dtype).index_add_(0, label, squared)
    has_spread = counts > 1
    variance = variance[has_spread] / (counts[has_spread, None] - 1)
    within = variance.mean(dim=0) if len(variance) else torch.zeros(squared.shape[1], dtype=found.dtype)
    return _Cloud(centres.mean(dim=0), within)


def _gap(one: str, other: str, clouds: Mapping[str, _Cloud]) -> Gap:
    apart = (clouds[one].centre - clouds[other].centre).norm(dim=0)  # [P]
    spread = ((clouds[one].within + clouds[other].within) / 2).sqrt()
    is_spread = spread > 0
    return Gap(
        first=one,
        second=other,
        gap=float((apart[is_spread] / spread[is_spread]).mean()) if is_spread.any() else None,
        centre_distance=float(apart.mean()),
        spread=float(spread.mean()),
    )


def _distances(
    one: Tensor, other: Tensor, label: Tensor, kind: DistanceKind, *, is_within: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Genuine and impostor distances, each sorted."""
    genuine, impostor = [], []
    column = torch.arange(len(other))
    for start in range(0, len(one), _ROWS_AT_ONCE):
        block = part_distance(one[start : start + _ROWS_AT_ONCE], other, kind=kind)
        row = column[start : start + len(block), None]
        is_taken = row < column if is_within else row != column
        is_same = label[start : start + len(block), None] == label
        genuine.append(block[is_taken & is_same])
        impostor.append(block[is_taken & ~is_same])
    return torch.cat(genuine).sort().values.numpy(), torch.cat(impostor).sort().values.numpy()


def _summary(found: NDArray[np.float32], edges: NDArray[np.float64]) -> Distances:
    if not len(found):
        return Distances(num=0, mean=0.0, std=0.0, quantiles=(0.0,) * len(QUANTILES), counts=(0,) * (len(edges) - 1))
    wide = found.astype(np.float64)
    return Distances(
        num=len(found),
        mean=float(wide.mean()),
        std=float(wide.std()),
        quantiles=tuple(np.quantile(wide, QUANTILES).tolist()),
        counts=tuple(np.histogram(wide, edges)[0].tolist()),
    )


def _separation(genuine: NDArray[np.float32], impostor: NDArray[np.float32]) -> float | None:
    if not len(genuine) or not len(impostor):
        return None
    farther = len(impostor) - np.searchsorted(impostor, genuine, side="right").astype(np.float64)
    tied = np.searchsorted(impostor, genuine, side="right") - np.searchsorted(impostor, genuine, side="left")
    return float((farther + tied / 2).mean() / len(impostor))
