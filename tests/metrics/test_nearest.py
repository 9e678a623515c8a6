import pytest
import torch

from gaitbench.errors import ModelError, ShapeError
from gaitbench.metrics import nearest


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_a_stable_sort(seed: int) -> None:
    distance = torch.randint(0, 4, (6, 30), generator=torch.Generator().manual_seed(seed)).float()  # many ties
    for k in (1, 7, 30):
        assert torch.equal(nearest(distance, k), distance.argsort(dim=1, stable=True)[:, :k])


def test_infinite_distances_come_last_and_first() -> None:
    distance = torch.tensor([[torch.inf, 1.0, -torch.inf, torch.inf]])
    assert nearest(distance, 4).tolist() == [[2, 1, 0, 3]]


def test_what_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"the 3 nearest need distances \[Q, G\] with G of 3 or more, got \[2, 2\]"):
        nearest(torch.zeros(2, 2), 3)
    with pytest.raises(ShapeError, match="the 0 nearest"):
        nearest(torch.zeros(2, 2), 0)
    with pytest.raises(ModelError, match="1 of 2 distances are NaN"):
        nearest(torch.tensor([[0.0, torch.nan]]), 1)
