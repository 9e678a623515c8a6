import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.losses import part_distance


def test_agrees_with_cdist_and_does_not_depend_on_the_origin() -> None:
    rng = torch.Generator().manual_seed(0)
    a, b = torch.randn(5, 8, 3, generator=rng), torch.randn(4, 8, 3, generator=rng)
    exact = torch.cdist(a.double().permute(2, 0, 1), b.double().permute(2, 0, 1))
    torch.testing.assert_close(part_distance(a, b).double(), exact, rtol=1e-5, atol=1e-5)
    shifted = part_distance(a.double() + 1e6, b.double() + 1e6)
    torch.testing.assert_close(shifted, exact, rtol=1e-6, atol=1e-6)


def test_gradient_and_coinciding_points() -> None:
    a = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    b = torch.randn(2, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(part_distance, (a, b))
    same = torch.ones(3, 4, 2, requires_grad=True)
    part_distance(same, same).sum().backward()
    assert torch.equal(same.grad, torch.zeros_like(same))


def test_half_precision_is_not_used() -> None:
    a = torch.randn(3, 4, 2).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        got = part_distance(a, a)
    assert got.dtype == torch.float32
    torch.testing.assert_close(
        got, torch.cdist(a.float().permute(2, 0, 1), a.float().permute(2, 0, 1)), atol=1e-3, rtol=0
    )


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match="equal D and P"):
        part_distance(torch.zeros(2, 3, 4), torch.zeros(2, 4, 4))
