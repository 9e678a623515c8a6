from itertools import permutations

import numpy as np
import pytest
import torch

from gaitbench.metrics import average_precision, inverse_negative_penalty, rank_k
from gaitbench.metrics.chance import chance_average_precision, chance_inverse_negative_penalty, chance_rank_k


@pytest.mark.parametrize(("n", "total"), [(1, 1), (1, 5), (2, 5), (3, 6), (6, 6)])
def test_agrees_with_all_orders_of_the_gallery(n: int, total: int) -> None:
    orders = torch.tensor(list(permutations(range(total)))).float()
    match = (torch.arange(total) < n).expand(len(orders), -1)
    valid = torch.ones_like(match)
    for k in (1, 2, 5):
        assert chance_rank_k([n], [total], k=k)[0] == pytest.approx(rank_k(orders, match, valid, k=k).mean().item())
    assert chance_average_precision([n], [total])[0] == pytest.approx(
        average_precision(orders, match, valid).mean().item(), abs=1e-6
    )
    assert chance_inverse_negative_penalty([n], [total])[0] == pytest.approx(
        inverse_negative_penalty(orders, match, valid).mean().item(), abs=1e-6
    )


def test_absent_probes_have_no_chance() -> None:
    for chance in (chance_rank_k, chance_average_precision, chance_inverse_negative_penalty):
        assert np.isnan(chance([0, 0], [5, 0])).all()


def test_large_gallery_does_not_overflow() -> None:
    assert chance_rank_k([4], [1_000_000])[0] == pytest.approx(4e-6)
    assert 0 < chance_inverse_negative_penalty([50], [200_000])[0] < 1e-3


def test_bad_counts() -> None:
    with pytest.raises(ValueError, match="between 0 and num_valid"):
        chance_rank_k([3], [2])
    with pytest.raises(ValueError, match="differ in shape"):
        chance_average_precision([1, 2], [3])
    with pytest.raises(ValueError, match="k must be 1 or more"):
        chance_rank_k([1], [2], k=0)
