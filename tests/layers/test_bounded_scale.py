import math

import pytest
import torch
from torch import nn

from gaitbench.layers import bounded_scale, hold_scale


@pytest.mark.parametrize("max_scale", [100.0, 64.0, 7.3, 0.5])
def test_is_the_exponential_up_to_the_bound(max_scale: float) -> None:
    logarithms = torch.linspace(math.log(max_scale) - 3, math.log(max_scale) + 3, 601)
    found = bounded_scale(logarithms, max_scale)
    assert found.max() <= max_scale
    torch.testing.assert_close(found, logarithms.exp().clamp(max=max_scale), rtol=1e-6, atol=0)


def test_what_is_held_at_the_bound_finds_back() -> None:
    logit_scale = nn.Parameter(torch.tensor(9.0))
    hold_scale(logit_scale, 100.0)
    assert logit_scale.item() == pytest.approx(math.log(100))
    optimizer = torch.optim.SGD([logit_scale], lr=1e-3)
    bounded_scale(logit_scale, 100.0).backward()
    assert logit_scale.grad is not None
    assert logit_scale.grad.item() == pytest.approx(100, rel=1e-5)
    optimizer.step()
    assert bounded_scale(logit_scale, 100.0) < 95
    # A clamp, from there, learns nothing.
    clamped = torch.tensor(math.log(100) + 1e-3, requires_grad=True)
    clamped.exp().clamp(max=100).backward()
    assert clamped.grad == 0


def test_what_is_not_learned_is_left_alone() -> None:
    fixed = nn.Parameter(torch.tensor(9.0), requires_grad=False)
    hold_scale(fixed, 100.0)
    assert fixed.item() == 9.0
    small = nn.Parameter(torch.tensor(1.0))
    hold_scale(small, 100.0)
    assert small.item() == 1.0
