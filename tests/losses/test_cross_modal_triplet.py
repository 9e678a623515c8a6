from itertools import product

import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.losses import cross_modal_triplet


def test_agrees_with_a_loop() -> None:
    rng = torch.Generator().manual_seed(0)
    a, b = (
        torch.randn(6, 5, 2, dtype=torch.float64, generator=rng),
        torch.randn(6, 5, 2, dtype=torch.float64, generator=rng),
    )
    labels = [0, 0, 1, 1, 2, 2]
    means = []
    for distance in torch.cdist(a.permute(2, 0, 1), b.permute(2, 0, 1)):
        terms = [
            0.2 + distance[i, p] - distance[i, n]
            for i, p, n in product(range(6), repeat=3)
            if labels[i] == labels[p] != labels[n]  # the anchor's own walk, i == p, counts
        ]
        means.append(torch.stack([term for term in terms if term > 0]).mean())
    got = cross_modal_triplet(a, b, torch.tensor(labels))
    torch.testing.assert_close(got.a_to_b, torch.stack(means).mean())


def test_swapping_modalities_swaps_directions() -> None:
    a, b, labels = torch.randn(6, 5, 2), torch.randn(6, 5, 2), torch.arange(6) // 2
    one, two = cross_modal_triplet(a, b, labels), cross_modal_triplet(b, a, labels)
    torch.testing.assert_close((one.a_to_b, one.b_to_a), (two.b_to_a, two.a_to_b))
    assert one.a_to_b != one.b_to_a


def test_batches_may_differ_in_length() -> None:
    a, b = torch.randn(4, 5, 2, requires_grad=True), torch.randn(6, 5, 2, requires_grad=True)
    loss = cross_modal_triplet(a, b, torch.tensor([0, 0, 1, 1]), torch.tensor([1, 1, 0, 0, 2, 2]))
    sum(loss).backward()
    assert a.grad.abs().sum() > 0
    assert b.grad.abs().sum() > 0


def test_labels_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match="do not fit embeddings"):
        cross_modal_triplet(torch.zeros(4, 5, 2), torch.zeros(6, 5, 2), torch.zeros(4, dtype=torch.int64))
