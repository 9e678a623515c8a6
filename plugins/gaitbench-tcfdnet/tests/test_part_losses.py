"""Every loss about a feature's parts against its definition, written out."""

import numpy as np
import pytest
import torch
from gaitbench_tcfdnet.part_losses import alignment, hsic, overlap
from torch import Tensor

from gaitbench.errors import ShapeError


def cosine(x: list[float], y: list[float]) -> float:
    product = sum(a * b for a, b in zip(x, y, strict=True))
    return product / (sum(a * a for a in x) ** 0.5 * sum(b * b for b in y) ** 0.5)


def hsic_by_definition(a: Tensor, b: Tensor) -> float:
    n = len(a)
    centring = np.eye(n) - np.ones((n, n)) / n
    kernels = [centring @ (x @ x.T) @ centring for x in (a.double().numpy(), b.double().numpy())]
    return float(np.trace(kernels[0] @ kernels[1]) / (n - 1) ** 2)


@pytest.mark.parametrize("seed", range(5))
def test_hsic_is_the_trace_of_centred_kernels(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    a, b = torch.randn(7, 5, generator=rng) + 3, torch.randn(7, 4, generator=rng)
    assert hsic(a, b).item() == pytest.approx(hsic_by_definition(a, b), rel=1e-4)
    assert hsic(a, b).item() == pytest.approx(hsic(b, a).item(), rel=1e-4)
    assert hsic(a, b) >= 0


def test_losses_keep_their_digits_under_autocast_and_in_float64() -> None:
    rng = torch.Generator().manual_seed(3)
    a, b = (torch.randn(6, 5, generator=rng, dtype=torch.float64) for _ in range(2))
    assert hsic(a, b).item() == pytest.approx(hsic_by_definition(a, b), rel=1e-12)
    mean = sum(cosine(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)) / 6
    assert alignment(a, b).item() == pytest.approx(1 - mean, rel=1e-12)
    assert overlap(a, b).mean().item() == pytest.approx(mean, rel=1e-12)
    single = a.float(), b.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert hsic(*single).dtype == torch.float32
        assert hsic(*single).item() == pytest.approx(hsic_by_definition(a, b), rel=1e-5)


def test_hsic_of_a_constant_batch_is_zero() -> None:
    a = torch.rand(1, 5).expand(6, 5)
    assert hsic(a, torch.rand(6, 5)).item() == pytest.approx(0, abs=1e-10)
    assert hsic(a[:1], a[:1]) == 0


def test_hsic_falls_when_it_is_descended() -> None:
    torch.manual_seed(0)
    a = torch.randn(8, 3).requires_grad_()
    b = torch.randn(8, 3)
    before = hsic(a, b)
    before.backward()
    assert a.grad is not None
    assert hsic(a - 0.1 * a.grad, b) < before


def test_alignment_by_definition() -> None:
    torch.manual_seed(1)
    a, b = torch.randn(2, 4, 3)
    mean = sum(cosine(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)) / 4
    assert alignment(a, b).item() == pytest.approx(1 - mean, abs=1e-6)
    assert alignment(a, 5 * a).item() == pytest.approx(0, abs=1e-6)
    assert alignment(a, -a).item() == pytest.approx(2, abs=1e-6)


def test_overlap_by_definition() -> None:
    torch.manual_seed(2)
    a, b = torch.randn(2, 3, 2, 2, 2)
    expected = [cosine(x, y) for x, y in zip(a.flatten(1).tolist(), b.flatten(1).tolist(), strict=True)]
    assert overlap(a, b).tolist() == pytest.approx(expected, abs=1e-6)
    assert overlap(torch.zeros_like(a), b).tolist() == [0, 0, 0]


def test_shapes_are_checked() -> None:
    with pytest.raises(ShapeError, match="of one shape"):
        alignment(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ShapeError, match="hsic needs features"):
        hsic(torch.zeros(2, 3), torch.zeros(3, 3))
