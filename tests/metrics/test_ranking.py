import math

import pytest
import torch

from gaitbench.errors import ModelError, ShapeError
from gaitbench.metrics.ranking import rank_matches


def test_by_hand() -> None:
    distance = torch.tensor([[0.1, 0.4, 0.2, 0.4, 0.9]])
    match = torch.tensor([[False, True, True, False, False]])
    ranks = rank_matches(distance, match, torch.ones_like(match))
    assert ranks.impostors_ahead.tolist() == [[1, 2]]
    assert (ranks.num_matches.item(), ranks.num_valid.item()) == (2, 5)


def test_absent_probe_has_no_rank() -> None:
    match = torch.tensor([[True, False], [False, False]])
    ranks = rank_matches(torch.rand(2, 2), match, torch.ones_like(match))
    assert ranks.num_matches.tolist() == [1, 0]
    assert ranks.impostors_ahead[1].tolist() == [0]


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_counting_pair_by_pair(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    distance = torch.randint(0, 6, (9, 15), generator=rng).float()
    distance[distance == 5] = math.inf
    match, valid = torch.randint(0, 3, (2, 9, 15), generator=rng) > 0
    ranks = rank_matches(distance, match, valid)
    for row in range(9):
        ours = sorted(float(distance[row, g]) for g in range(15) if match[row, g] and valid[row, g])
        others = [float(distance[row, g]) for g in range(15) if valid[row, g] and not match[row, g]]
        expected = [sum(other <= one for other in others) for one in ours]
        assert ranks.impostors_ahead[row, : len(ours)].tolist() == expected
        assert ranks.num_valid[row] == len(ours) + len(others)


def test_bad_input() -> None:
    ones = torch.ones(2, 3).bool()
    with pytest.raises(ShapeError, match="one shape"):
        rank_matches(torch.zeros(2, 3), ones[:1], ones)
    with pytest.raises(ShapeError, match=r"must be bool tensors, got torch\.int64"):
        rank_matches(torch.zeros(2, 3), ones.long(), ones)
    with pytest.raises(ModelError, match="6 of 6 distances are NaN"):
        rank_matches(torch.full((2, 3), math.nan), ones, ones)
