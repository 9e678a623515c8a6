import json
import os
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.losses import batch_all_triplet, batch_hard_triplet, part_distance
from gaitbench.losses import triplet as triplet_module
from gaitbench.losses.triplet import mean_active_hinge

LOSSES = Path(os.environ.get("GAITBENCH_SHARED", Path(__file__).parents[3] / "shared")) / "parity" / "losses.json"


def slow_batch_all(embedding: torch.Tensor, labels: list[int], margin: float = 0.2) -> torch.Tensor:
    means = []
    for distance in torch.cdist(embedding.permute(2, 0, 1), embedding.permute(2, 0, 1)):
        terms = [
            margin + distance[a, p] - distance[a, n]
            for a, p, n in product(range(len(labels)), repeat=3)
            if labels[a] == labels[p] != labels[n]
        ]
        active = [term for term in terms if term > 0]
        means.append(torch.stack(active).mean() if active else embedding.sum() * 0)
    return torch.stack(means).mean()


@pytest.mark.parametrize("margin", [0.2, 5.0])
@pytest.mark.parametrize(
    "labels",
    [
        pytest.param([0, 0, 0, 1, 1, 1, 2, 2, 2], id="regular"),
        pytest.param([5, 0, 0, 5, 5, 2, 0, 5, 9], id="uneven-and-unsorted"),
        pytest.param([0, 1, 2, 3, 4, 5, 6, 7, 7], id="mostly-single"),
    ],
)
def test_batch_all_agrees_with_a_loop_in_value_and_gradient(labels: list[int], margin: float) -> None:
    embedding = torch.randn(9, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    fast = batch_all_triplet(embedding, torch.tensor(labels), margin=margin)
    slow = slow_batch_all(embedding, labels, margin)
    torch.testing.assert_close(fast, slow)
    (fast_grad,) = torch.autograd.grad(fast, embedding)
    (slow_grad,) = torch.autograd.grad(slow, embedding)
    torch.testing.assert_close(fast_grad, slow_grad)
    assert fast_grad.abs().max() > 0


def test_an_anchor_is_its_own_positive() -> None:
    """Two people a step apart, one walk each: nothing but the anchors themselves to be nearer than the negative."""
    points = torch.tensor([0.0, 1.0]).reshape(2, 1, 1)
    assert batch_all_triplet(points, torch.tensor([0, 1]), margin=1.5).item() == pytest.approx(0.5)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    embedding, labels = torch.randn(12, 6, 4), torch.arange(12) // 3
    whole = batch_all_triplet(embedding, labels)
    monkeypatch.setattr(triplet_module, "_CHUNK", 40)
    assert torch.equal(batch_all_triplet(embedding, labels), whole)


def test_only_the_non_zero_terms_are_averaged() -> None:
    distance = torch.tensor([[[1.0, 0.5, 2.0, 1.1]], [[1.0, 5.0, 5.0, 5.0]]])  # part 1 has no active triplet
    positive = torch.tensor([[True, False, False, False]])
    got = mean_active_hinge(distance, positive, ~positive, 0.2)
    assert got.item() == pytest.approx(((0.7 + 0.1) / 2 + 0) / 2)


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 1, 2, 3]], ids=["one-subject", "no-pair"])
@pytest.mark.parametrize("loss", [batch_all_triplet, batch_hard_triplet])
def test_batches_without_a_triplet_give_zero_and_no_nan(loss: object, labels: list[int]) -> None:
    embedding = torch.randn(4, 3, 2, requires_grad=True)
    value = loss(embedding, torch.tensor(labels))
    value.backward()
    assert value.item() == 0
    assert torch.equal(embedding.grad, torch.zeros_like(embedding))


@pytest.mark.parametrize("loss", [batch_all_triplet, batch_hard_triplet])
def test_collapsed_embeddings_give_the_margin_and_finite_gradients(loss: object) -> None:
    embedding = torch.ones(6, 3, 2, requires_grad=True)
    value = loss(embedding, torch.tensor([0, 0, 1, 1, 2, 2]), margin=0.3)
    value.backward()
    assert value.item() == pytest.approx(0.3)
    assert embedding.grad.isfinite().all()


@pytest.mark.parametrize("loss", [batch_all_triplet, batch_hard_triplet])
def test_order_of_the_batch_and_names_of_subjects_do_not_matter(loss: object) -> None:
    rng = torch.Generator().manual_seed(3)
    embedding, labels = torch.randn(12, 5, 3, generator=rng), torch.arange(12) // 3
    order = torch.randperm(12, generator=rng)
    expected = loss(embedding, labels)
    torch.testing.assert_close(loss(embedding[order], labels[order]), expected)
    torch.testing.assert_close(loss(embedding, 7 - labels), expected)


def test_batch_hard_agrees_with_a_loop() -> None:
    embedding, labels = torch.randn(8, 4, 3, dtype=torch.float64), [0, 0, 1, 1, 1, 2, 2, 3]
    terms = []
    for distance in part_distance(embedding, embedding):
        for a, mine in enumerate(labels[:7]):  # the last subject has no positive
            far = max(distance[a, p] for p in range(8) if labels[p] == mine and p != a)
            near = min(distance[a, n] for n in range(8) if labels[n] != mine)
            terms.append((0.2 + far - near).clamp_min(0))
    torch.testing.assert_close(batch_hard_triplet(embedding, torch.tensor(labels)), torch.stack(terms).mean())


def test_a_large_batch_stays_small_in_memory() -> None:
    embedding = torch.randn(128, 8, 62, requires_grad=True)
    with torch.profiler.profile(profile_memory=True) as profile:
        batch_all_triplet(embedding, torch.arange(128) // 16).backward()
    largest = max(event.self_cpu_memory_usage for event in profile.events())
    assert largest < 64 * 2**20  # all triplets at once would take 62 * 128 * 15 * 112 * 4 = 53 MB per copy


@pytest.mark.needs_data
@pytest.mark.skipif(not LOSSES.exists(), reason="needs the parity vectors under GAITBENCH_SHARED")
def test_parity() -> None:
    expected = json.loads(LOSSES.read_text())
    rng = np.random.default_rng(5)
    embedding = torch.tensor(rng.standard_normal((12, 32, 4)).astype(np.float32))
    labels = torch.arange(4).repeat_interleave(3)
    got = batch_all_triplet(embedding, labels, margin=0.2).item()
    assert got == pytest.approx(expected["triplet_margin0.2_mean_over_parts"], rel=1e-5)
    per_part = [batch_all_triplet(embedding[:, :, [part]], labels).item() for part in range(4)]
    assert per_part == pytest.approx(expected["triplet_per_part"], rel=1e-5)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"embeddings \[N, D, P\] and labels \[N\]"):
        batch_all_triplet(torch.zeros(4, 3, 2), torch.zeros(3, dtype=torch.int64))
