import pytest
import torch

from gaitbench.metrics.cmc import cmc, first_rank
from gaitbench.metrics.rank_k import rank_k


@pytest.mark.parametrize("seed", range(10))
def test_every_column_is_rank_k(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    distance = torch.randint(0, 5, (7, 9), generator=rng).float()
    match, valid = torch.randint(0, 2, (2, 7, 9), generator=rng).bool()
    curve = cmc(distance, match, valid, max_rank=12)
    for k in range(1, 13):
        torch.testing.assert_close(curve[:, k - 1], rank_k(distance, match, valid, k=k), equal_nan=True)


def test_first_rank_by_hand() -> None:
    match = torch.tensor([[False, True, True], [False, False, False]])
    distance = torch.tensor([[0.2, 0.2, 0.1], [0.1, 0.2, 0.3]])
    assert first_rank(distance, match, torch.ones_like(match)).tolist() == [1, 0]
    assert first_rank(distance, match & (distance > 0.15), torch.ones_like(match)).tolist() == [3, 0]


def test_max_rank_below_one() -> None:
    with pytest.raises(ValueError, match="max_rank must be 1 or more, got 0"):
        cmc(torch.zeros(1, 1), torch.ones(1, 1).bool(), torch.ones(1, 1).bool(), max_rank=0)
