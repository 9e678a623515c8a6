import math

import pytest
import torch
from torch.nn.functional import normalize

from gaitbench.errors import ShapeError
from gaitbench.losses import supervised_contrastive


def slow(x: torch.Tensor, labels: list[int], temperature: float, kind: str, is_mean_of_active: bool) -> torch.Tensor:
    """Loops over parts, anchors and positives."""
    means = []
    for part in normalize(x, dim=1).unbind(dim=2):
        terms = []
        for a in range(len(labels)):
            others = [i for i in range(len(labels)) if i != a]
            score = {i: (part[a] @ part[i] if kind == "cosine" else -(part[a] - part[i]).norm()) for i in others}
            total = sum(torch.exp(score[i] / temperature) for i in others)
            positives = [i for i in others if labels[i] == labels[a]]
            if positives:
                logs = [torch.log(torch.exp(score[i] / temperature) / total) for i in positives]
                terms.append(-sum(logs) / len(logs))
        kept = [term for term in terms if term > 0] if is_mean_of_active else terms
        means.append(torch.stack(kept).mean() if kept else x.sum() * 0)
    return torch.stack(means).mean()


def samples(n: int = 8) -> torch.Tensor:
    return torch.randn(n, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()


@pytest.mark.parametrize("kind", ["cosine", "negative-distance"])
@pytest.mark.parametrize("is_mean_of_active", [False, True])
@pytest.mark.parametrize("labels", [[0, 0, 0, 1, 1, 2, 2, 2], [3, 0, 9, 3, 3, 0, 1, 2]], ids=["groups", "singles"])
def test_agrees_with_loops_in_value_and_gradient(kind: str, is_mean_of_active: bool, labels: list[int]) -> None:
    x = samples()
    fast = supervised_contrastive(
        x, torch.tensor(labels), temperature=0.3, similarity=kind, is_mean_of_active=is_mean_of_active
    )
    expected = slow(x, labels, 0.3, kind, is_mean_of_active)
    torch.testing.assert_close(fast, expected)
    torch.testing.assert_close(torch.autograd.grad(fast, x)[0], torch.autograd.grad(expected, x)[0])


def test_two_pairs_by_hand() -> None:
    x = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 3.0]])[:, :, None]
    got = supervised_contrastive(x, torch.tensor([0, 0, 1, 1]), temperature=0.5)
    assert got.item() == pytest.approx(math.log(1 + 2 * math.exp(-2)))


def test_anchors_at_zero_are_left_out_on_request() -> None:
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.01], [-1.0, 0.02]], dtype=torch.float32)[:, :, None]
    labels = torch.tensor([0, 0, 1, 1, 2])
    every = supervised_contrastive(x, labels, temperature=0.01, similarity="negative-distance")
    active = supervised_contrastive(x, labels, temperature=0.01, similarity="negative-distance", is_mean_of_active=True)
    assert active.item() == pytest.approx(2 * every.item())  # two anchors of four are 200 temperatures from all others


def test_base_temperature_is_a_factor() -> None:
    x, labels = samples(), torch.arange(8) // 2
    plain = supervised_contrastive(x, labels, temperature=0.01)
    torch.testing.assert_close(supervised_contrastive(x, labels, temperature=0.01, base_temperature=0.07), plain / 7)


@pytest.mark.parametrize("kind", ["cosine", "negative-distance"])
def test_length_of_vectors_and_order_of_samples_do_not_matter(kind: str) -> None:
    x, labels = samples().detach(), torch.arange(8) // 2
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    scaled = (x * torch.linspace(0.5, 9, 8)[:, None, None])[order]
    torch.testing.assert_close(
        supervised_contrastive(scaled, labels[order], similarity=kind),
        supervised_contrastive(x, labels, similarity=kind),
    )


@pytest.mark.parametrize("kind", ["cosine", "negative-distance"])
@pytest.mark.parametrize("labels", [[0, 1, 2], [0]], ids=["singles", "one-sample"])
def test_without_a_positive_the_loss_is_zero_and_no_nan(kind: str, labels: list[int]) -> None:
    x = torch.randn(len(labels), 4, 2, requires_grad=True)
    loss = supervised_contrastive(x, torch.tensor(labels), similarity=kind, is_mean_of_active=True)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(x.grad, torch.zeros_like(x))


@pytest.mark.parametrize("kind", ["cosine", "negative-distance"])
def test_collapsed_samples_have_finite_gradients(kind: str) -> None:
    x = torch.ones(6, 4, 1, requires_grad=True)
    loss = supervised_contrastive(x, torch.arange(6) // 2, temperature=0.01, similarity=kind)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(5), rel=1e-4)
    assert x.grad.isfinite().all()


def test_half_precision_is_lifted() -> None:
    x = samples().detach().float()
    with torch.autocast("cpu", torch.bfloat16):
        got = supervised_contrastive(x, torch.arange(8) // 2, temperature=0.01)
        half = supervised_contrastive(x.bfloat16(), torch.arange(8) // 2, temperature=0.01)
    assert got.dtype == half.dtype == torch.float32
    torch.testing.assert_close(got, supervised_contrastive(x, torch.arange(8) // 2, temperature=0.01))


def test_wrong_calls_are_refused() -> None:
    x, labels = samples(), torch.arange(8)
    with pytest.raises(ShapeError, match=r"got \[8, 5, 3\] and \[7\]"):
        supervised_contrastive(x, labels[:7])
    with pytest.raises(ValueError, match=r"temperatures must be above 0, got 0\.0"):
        supervised_contrastive(x, labels, temperature=0.0)
    with pytest.raises(ValueError, match="similarity must be"):
        supervised_contrastive(x, labels, similarity="dot")  # type: ignore[arg-type]
