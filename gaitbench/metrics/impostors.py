"""Counting impostors from distances that come in pieces, in any order, without keeping them.

What is counted is known before the first piece: the distances of the matches. Counts are exact.

Axes: E matches of all probes, S segments (a probe and a cell), M matches of the segment that has most, T distinct
genuine distances of a group, K knots; q probes and g gallery sequences of a piece.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gaitbench.errors import ModelError
from gaitbench.metrics.ranking import MatchRanks
from gaitbench.metrics.verification import RocCounts

__all__ = ["ImpostorsAhead", "RocBySubject", "RocCounter", "sort_rows"]

HELD_ELEMENTS = 1 << 22
"""Distances gathered (16 MiB) before they are sorted and the thresholds looked up in them; changes no result."""


def sort_rows(distance: Tensor) -> Tensor:
    """Sort every row, in place where that can be done.

    Args:
        distance: ``[q, g]`` float32 whose rows are contiguous.

    Returns:
        ``[q, g]``, ascending.

    Raises:
        ModelError: A distance is NaN.

    Example:
        >>> sort_rows(torch.tensor([[0.3, 0.1, 0.2]]))
        tensor([[0.1000, 0.2000, 0.3000]])
    """
    if distance.device.type == "cpu":
        distance.numpy().sort(axis=1)  # no indices, and vectorised: many times faster than torch.sort
    else:
        distance = distance.sort(dim=1).values
    # NaN sorts last.
    if distance.shape[1] and (num_nan := int(distance[:, -1].isnan().sum())):
        raise ModelError(f"distances of {num_nan} of {len(distance)} probes are NaN; check the embeddings")
    return distance


class ImpostorsAhead:
    """For every match, the impostors that are at most as far: what CMC, AP and INP are computed from.

    Args:
        segment: ``[E]`` int64 segment of each match, ascending.
        distance: ``[E]`` float32.
        num_segments: S.

    Example:
        >>> ahead = ImpostorsAhead(torch.tensor([0, 0]), torch.tensor([0.5, 0.1]), num_segments=1)
        >>> ahead.add(torch.tensor([0]), torch.tensor([[0.05, 0.3, 0.9]]))
        >>> ahead.ranks(0, 1, torch.tensor([5])).impostors_ahead
        tensor([[1, 2]])
    """

    def __init__(self, segment: Tensor, distance: Tensor, num_segments: int) -> None:
        self._count = torch.bincount(segment, minlength=num_segments)
        self._start = self._count.cumsum(0) - self._count
        self._distance = distance.clone()
        self._ahead = torch.zeros(len(distance), dtype=torch.int64, device=distance.device)
        for first in range(0, num_segments, 1 << 16):
            here = torch.arange(first, min(first + (1 << 16), num_segments), device=distance.device)
            place, is_match = self._places(here)
            nearest_first = sort_rows(self._filled(place, is_match))
            self._distance[place[is_match]] = nearest_first[is_match]

    def add(self, segment: Tensor, ordered: Tensor) -> None:
        """Count in distances of impostors.

        Args:
            segment: ``[q]`` int64.
            ordered: ``[q, g]`` float32 distances of impostors of these segments, ascending; infinite where a pair is
                none.
        """
        place, is_match = self._places(segment)
        found = torch.searchsorted(ordered, self._filled(place, is_match), right=True)
        self._ahead[place[is_match]] += found[is_match]

    def ranks(self, start: int, stop: int, num_valid: Tensor) -> MatchRanks:
        """The matches of some segments, nearest first.

        Args:
            start: First segment.
            stop: Behind the last one.
            num_valid: ``[stop - start]`` int64 valid gallery sequences of each segment, matches included.

        Returns:
            What :func:`gaitbench.metrics.ranking.rank_matches` gives for the whole distances.
        """
        place, is_match = self._places(torch.arange(start, stop, device=self._start.device))
        count = self._count[start:stop]
        if not place.shape[1]:
            return MatchRanks(place, count, num_valid)
        ahead = self._ahead[place]
        # Behind a match at infinity every impostor is counted; pairs that are none were put there as well.
        ahead = torch.where(self._distance[place].isinf(), (num_valid - count)[:, None], ahead)
        return MatchRanks(ahead * is_match, count, num_valid)

    def _places(self, segment: Tensor) -> tuple[Tensor, Tensor]:
        """``[q, M]`` where the matches of segments stand, and whether there is one; others are given any place."""
        count = self._count[segment]
        rank = torch.arange(int(count.max()) if len(count) else 0, device=count.device)
        place = (self._start[segment, None] + rank).clamp_(max=max(0, len(self._distance) - 1))
        return place, rank < count[:, None]

    def _filled(self, place: Tensor, is_match: Tensor) -> Tensor:
        return self._distance[place].masked_fill_(~is_match, torch.inf)


class RocBySubject(NamedTuple):
    """The curve by subject at a few genuine distances."""

    genuine: NDArray[np.int64]
    """``[subjects, K + 1]`` genuine pairs beyond knot - 1 and up to knot."""
    impostors: NDArray[np.int64]
    """``[subjects, K + 1]`` impostor pairs likewise."""


class RocCounter:
    """Impostors below and at every distinct genuine distance, and by subject at a few of them.

    Args:
        distance: ``[E]`` float32 of the genuine pairs.
        subject: ``[E]`` int64 subject of their probes, 0 to ``num_subjects`` - 1.
        num_impostors: ``[num_subjects]`` int64 impostor pairs of each subject.
        shares: Shares of the genuine pairs at which there is a knot.

    Example:
        >>> counter = RocCounter(torch.tensor([0.1, 0.3]), torch.tensor([0, 0]), torch.tensor([3]), np.array([1.0]))
        >>> counter.add(torch.tensor([[0.2, 0.3, 0.4]]), torch.tensor([0]))
        >>> curve, by_subject = counter.finish()
        >>> curve.impostors_below.tolist(), curve.impostors_tied.tolist(), by_subject.impostors.tolist()
        ([0, 1], [0, 1], [[2, 1]])
    """

    def __init__(self, distance: Tensor, subject: Tensor, num_impostors: Tensor, shares: NDArray[np.float64]) -> None:
        self.threshold, at, self._count = torch.unique(distance, return_inverse=True, return_counts=True)  # [T]
        knot = torch.from_numpy(_knots(self._count.cpu().numpy(), shares)).to(distance.device)
        self._num_impostors = num_impostors
        self._below, self._upto = (torch.zeros_like(self._count) for _ in range(2))
        self._at_knot = self.threshold[knot]
        self._by_subject = torch.zeros(len(num_impostors), len(knot), dtype=torch.int64, device=distance.device)
        bins = len(knot) + 1
        place = subject * bins + torch.searchsorted(knot, at)
        self._genuine = torch.bincount(place, minlength=len(num_impostors) * bins).view(-1, bins)
        self._held: dict[int, list[Tensor]] = {}
        self._num_held = 0

    def add(self, ordered: Tensor, subject: Tensor, times: int = 1) -> None:
        """Count in distances of impostors.

        Args:
            ordered: ``[q, g]`` float32 distances of impostors, ascending in each row; infinite where a pair is none.
            subject: ``[q]`` int64 subject of each row.
            times: How often each of them counts.
        """
        if not len(self.threshold) or not ordered.numel() or not times:
            return
        knots = self._at_knot.expand(len(ordered), -1).contiguous()
        self._by_subject.index_add_(0, subject, times * torch.searchsorted(ordered, knots, right=True))
        self._held.setdefault(times, []).append(ordered.reshape(-1))
        self._num_held += ordered.numel()
        if self._num_held >= HELD_ELEMENTS:
            self._count_held()

    def finish(self) -> tuple[RocCounts, RocBySubject]:
        """The counts; nothing can be added any more."""
        self._count_held()
        total = self._num_impostors.sum()
        upto = torch.where(self.threshold.isinf(), total, self._upto)
        count, below, tied = (part.cpu().numpy() for part in (self._count, self._below, upto - self._below))
        curve = RocCounts(count, below, tied, int(total))
        passed = torch.where(self._at_knot.isinf(), self._num_impostors[:, None], self._by_subject)
        passed = torch.cat([passed, self._num_impostors[:, None]], dim=1)
        between = passed.diff(dim=1, prepend=torch.zeros_like(passed[:, :1]))
        return curve, RocBySubject(self._genuine.cpu().numpy(), between.cpu().numpy())

    def _count_held(self) -> None:
        for times, held in self._held.items():
            everything = sort_rows(torch.cat(held)[None])[0]
            below = torch.searchsorted(everything, self.threshold)
            is_tied = everything[below.clamp(max=len(everything) - 1)] == self.threshold
            self._below += times * below
            self._upto += times * below
            upto = torch.searchsorted(everything, self.threshold[is_tied], right=True)
            self._upto[is_tied] += times * (upto - below[is_tied])
        self._held, self._num_held = {}, 0


def _knots(count: NDArray[np.int64], shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Thresholds, by index, at which the shares of the genuine pairs are reached."""
    if count.size == 0:
        return np.zeros(0, dtype=np.int64)
    return np.unique(np.minimum(np.searchsorted(np.cumsum(count) / count.sum(), shares), count.size - 1))
