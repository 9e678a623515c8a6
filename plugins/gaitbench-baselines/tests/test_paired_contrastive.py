import math

import pytest
import torch
from gaitbench_baselines.paired_contrastive import paired_contrastive

from gaitbench.errors import ShapeError


def by_definition(a: torch.Tensor, b: torch.Tensor, temperature: float) -> float:
    def side(x: torch.Tensor, y: torch.Tensor) -> float:
        total = 0.0
        for i in range(len(x)):
            likeness = [float(torch.cosine_similarity(x[i], y[j], dim=0)) / temperature for j in range(len(y))]
            total -= likeness[i] - math.log(sum(math.exp(value) for value in likeness))
        return total / len(x)

    return (side(a, b) + side(b, a)) / 2


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_the_definition(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, 5, 7, generator=rng)
    assert paired_contrastive(a, b, temperature=0.3).item() == pytest.approx(by_definition(a, b, 0.3), rel=1e-5)


def test_sides_may_be_swapped_and_scaled() -> None:
    a, b = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))
    loss = paired_contrastive(a, b)
    torch.testing.assert_close(paired_contrastive(b, a), loss)
    torch.testing.assert_close(paired_contrastive(3 * a, b / 7), loss)


def test_pairs_that_belong_together_cost_less_than_others() -> None:
    a = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    assert paired_contrastive(a, a) < paired_contrastive(a, a.roll(1, 0))


def test_bad_input_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"one shape, got \[3, 4\] and \[2, 4\]"):
        paired_contrastive(torch.zeros(3, 4), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="temperature"):
        paired_contrastive(torch.ones(2, 4), torch.ones(2, 4), temperature=0)
