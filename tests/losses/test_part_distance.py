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


def test_near_points_keep_their_distance_beside_a_far_one() -> None:
    a = torch.randn(6, 32, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    a[5] *= 1e5
    exact = torch.cdist(a.permute(2, 0, 1), a.permute(2, 0, 1))
    torch.testing.assert_close(part_distance(a.float(), a.float()).double(), exact, rtol=1e-6, atol=1e-6)
    twin = a[:1] + 1e-3
    assert part_distance(a[:1].float(), twin.float())[0].item() == pytest.approx(1e-3 * 32**0.5, rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_huge_and_tiny_values(dtype: torch.dtype) -> None:
    for size in (1e30, 1e10, 1e-10) if dtype != torch.float16 else (6e4, 1e-4):
        a = (torch.randn(4, 8, 2, generator=torch.Generator().manual_seed(0)) * size / 4).to(dtype).requires_grad_()
        got = part_distance(a, a)
        exact = torch.cdist(a.detach().double().permute(2, 0, 1), a.detach().double().permute(2, 0, 1))
        torch.testing.assert_close(got.double() / size, exact / size, rtol=1e-5, atol=1e-5)
        got.sum().backward()
        assert a.grad is not None
        assert a.grad.isfinite().all()
        assert a.grad.abs().max() > 0.1


def test_gradient_agrees_with_that_of_cdist() -> None:
    rng = torch.Generator().manual_seed(0)
    a, b, weight = torch.randn(7, 16, 3, generator=rng), torch.randn(5, 16, 3, generator=rng), torch.randn(3, 7, 5)
    fast, slow = (part.clone().requires_grad_() for part in (a + 100, (a + 100).double()))
    (part_distance(fast, b) * weight).sum().backward()
    (torch.cdist(slow.permute(2, 0, 1), b.double().permute(2, 0, 1)) * weight).sum().backward()
    torch.testing.assert_close(fast.grad.double(), slow.grad, rtol=1e-4, atol=1e-5)


def test_half_precision_is_not_used() -> None:
    a = torch.randn(3, 4, 2).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        got = part_distance(a, a)
    assert got.dtype == torch.float32
    torch.testing.assert_close(
        got, torch.cdist(a.float().permute(2, 0, 1), a.float().permute(2, 0, 1)), atol=1e-3, rtol=0
    )


def test_an_empty_batch_has_no_pairs() -> None:
    nothing, some = torch.zeros(0, 3, 2), torch.zeros(4, 3, 2)
    assert part_distance(nothing, some).shape == (2, 0, 4)
    assert part_distance(some, nothing).shape == (2, 4, 0)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match="equal D and P"):
        part_distance(torch.zeros(2, 3, 4), torch.zeros(2, 4, 4))
