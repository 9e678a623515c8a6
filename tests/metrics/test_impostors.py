"""Counting piece by piece, against the whole matrix at once."""

import math

import numpy as np
import pytest
import torch

from gaitbench.errors import ModelError
from gaitbench.metrics import impostors
from gaitbench.metrics.impostors import ImpostorsAhead, RocCounter, sort_rows
from gaitbench.metrics.ranking import rank_matches
from gaitbench.metrics.verification import roc_counts

SHARES = np.array([0.1, 0.5, 0.9, 1.0])


def made_up(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Distances ``[9, 15]`` with few values and some infinite ones, match and valid."""
    rng = torch.Generator().manual_seed(seed)
    distance = torch.randint(0, 6, (9, 15), generator=rng).float()
    distance[distance == 5] = math.inf
    match, valid = torch.randint(0, 3, (2, 9, 15), generator=rng) > 0
    return distance, match, valid


@pytest.mark.parametrize("width", [1, 4, 15])
@pytest.mark.parametrize("seed", range(10))
def test_ranks_are_those_of_the_whole_matrix(seed: int, width: int) -> None:
    distance, match, valid = made_up(seed)
    row, column = (match & valid).nonzero().unbind(1)
    ahead = ImpostorsAhead(row, distance[row, column], num_segments=9)
    left = distance.masked_fill(match | ~valid, torch.inf)
    for start in range(0, 15, width):
        for rows in (slice(0, 5), slice(5, 9)):
            piece = left[rows, start : start + width].contiguous()
            ahead.add(torch.arange(9)[rows], sort_rows(piece))
    expected = rank_matches(distance, match, valid)
    for got, told in zip(ahead.ranks(0, 9, valid.sum(dim=1)), expected, strict=True):
        assert torch.equal(got, told)


@pytest.mark.parametrize("held", [1, 40, 1 << 22])
@pytest.mark.parametrize("seed", range(10))
def test_curve_is_that_of_all_pairs(seed: int, held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(impostors, "HELD_ELEMENTS", held)
    distance, match, valid = made_up(seed)
    subject = torch.arange(9) % 4
    row, column = (match & valid).nonzero().unbind(1)
    is_impostor = ~match & valid
    totals = torch.zeros(4, dtype=torch.int64).index_add_(0, subject, is_impostor.sum(dim=1))
    counter = RocCounter(distance[row, column], subject[row], totals, SHARES)
    left = distance.masked_fill(~is_impostor, torch.inf)
    for start in range(0, 15, 6):
        counter.add(sort_rows(left[:, start : start + 6].contiguous()), subject)
    curve, by_subject = counter.finish()
    expected = roc_counts(distance[match & valid], distance[is_impostor])
    for got, told in zip(curve[:3], expected[:3], strict=True):
        np.testing.assert_array_equal(got, told)
    assert curve.num_impostors == expected.num_impostors
    share = np.cumsum(expected.genuine) / expected.genuine.sum()
    knots = [-math.inf, *np.unique([float(counter.threshold[(share >= s).argmax()]) for s in SHARES]), math.inf]
    for number in range(4):
        for kind, counts in ((match & valid, by_subject.genuine), (is_impostor, by_subject.impostors)):
            values = distance[(subject == number)[:, None] & kind]
            upto = [int((values <= knot).sum()) for knot in knots[1:-1]] + [len(values)]
            assert np.diff(upto, prepend=0).tolist() == counts[number].tolist()


def test_without_matches_nothing_is_counted() -> None:
    nothing = torch.zeros(0, dtype=torch.int64)
    ahead = ImpostorsAhead(nothing, torch.zeros(0), num_segments=2)
    ahead.add(torch.arange(2), torch.rand(2, 3).sort(dim=1).values)
    assert ahead.ranks(0, 2, torch.tensor([3, 3])).num_matches.tolist() == [0, 0]
    counter = RocCounter(torch.zeros(0), nothing, torch.tensor([6]), SHARES)
    counter.add(torch.rand(2, 3).sort(dim=1).values, torch.tensor([0, 0]))
    curve, by_subject = counter.finish()
    assert (curve.num_genuine, curve.num_impostors, by_subject.impostors.tolist()) == (0, 6, [[6]])


def test_a_distance_that_is_no_number() -> None:
    with pytest.raises(ModelError, match="distances of 1 of 2 probes are NaN"):
        sort_rows(torch.tensor([[1.0, math.nan, 0.0], [1.0, 2.0, 0.0]]))
