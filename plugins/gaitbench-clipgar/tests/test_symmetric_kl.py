import math

import pytest
import torch
from gaitbench_clipgar.symmetric_kl import symmetric_kl

from gaitbench.errors import ModelError, ShapeError

NUM_CLASSES = (2, 3)


def by_definition(logits: list[list[float]], attributes: list[list[int]]) -> float:
    """Equation 1 in loops over numbers: divergence of softmax from the labels, divided by their sum, both ways."""
    found, start = [], 0
    for attribute, count in enumerate(NUM_CLASSES):
        rows = [n for n, labels in enumerate(attributes) if labels[attribute] >= 0]
        block = [[logits[n][start + k] for k in range(count)] for n in rows]
        truth = [[float(attributes[n][attribute] == k) for k in range(count)] for n in rows]
        start += count
        if not rows:
            continue

        def divergence(values: list[float], labels: list[float]) -> float:
            top = max(values)
            total = sum(math.exp(value - top) for value in values)
            shares = [math.exp(value - top) / total for value in values]
            target = [label / sum(labels) for label in labels]
            return sum(y * math.log(y / p) for y, p in zip(target, shares, strict=True) if y)

        to_text = [divergence(values, labels) for values, labels in zip(block, truth, strict=True)]
        columns = [([row[k] for row in block], [row[k] for row in truth]) for k in range(count)]
        to_clips = [divergence(values, labels) for values, labels in columns if any(labels)]
        found.append(0.5 * (sum(to_text) / len(to_text) + sum(to_clips) / len(to_clips)))
    return sum(found) / len(found)


@pytest.mark.parametrize(
    "attributes",
    [
        [[0, 2], [1, 0], [1, 1], [0, 2]],
        [[0, 2], [0, 2], [0, 0], [0, 2]],  # classes that the batch does not have
        [[0, -1], [-1, 0], [1, 1], [-1, 2]],
        [[-1, 2], [-1, 0], [-1, 1], [-1, -1]],  # an attribute that is known of nobody
        [[-1, -1], [0, -1], [-1, -1], [-1, -1]],
    ],
)
def test_equation_1_by_definition(attributes: list[list[int]]) -> None:
    logits = 5 * torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    found = symmetric_kl(logits, torch.tensor(attributes), NUM_CLASSES)
    assert found.item() == pytest.approx(by_definition(logits.tolist(), attributes), rel=1e-5)


def test_it_is_zero_where_clips_and_sentences_find_each_other() -> None:
    labels = torch.tensor([[0, 2], [1, 0], [1, 1], [0, 2]])
    logits = torch.full((4, 5), -200.0)
    for n, (first, second) in enumerate(labels.tolist()):
        logits[n, first] = logits[n, 2 + second] = 200.0
    assert symmetric_kl(logits, labels, NUM_CLASSES).item() == pytest.approx(0, abs=1e-5)


def test_the_order_of_clips_does_not_matter() -> None:
    labels = torch.tensor([[0, 2], [1, -1], [1, 1], [-1, 2]])
    logits = torch.randn(4, 5)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(
        symmetric_kl(logits[order], labels[order], NUM_CLASSES), symmetric_kl(logits, labels, NUM_CLASSES)
    )


def test_unknown_labels_get_no_gradient_and_nothing_known_gives_zero() -> None:
    logits = torch.randn(4, 5, requires_grad=True)
    symmetric_kl(logits, torch.tensor([[0, -1], [1, 2], [-1, 1], [-1, -1]]), NUM_CLASSES).backward()
    assert logits.grad is not None
    assert (logits.grad != 0).tolist() == [
        [True, True, False, False, False],
        [True, True, True, True, True],
        [False, False, True, True, True],
        [False, False, False, False, False],
    ]
    logits.grad = None
    loss = symmetric_kl(logits, torch.full((4, 2), -1), NUM_CLASSES)
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_what_does_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"logits must be \[1, 5\], got \[1, 4\]"):
        symmetric_kl(torch.zeros(1, 4), torch.tensor([[0, 0]]), NUM_CLASSES)
    with pytest.raises(ShapeError, match=r"attributes must be \[N, 2\]"):
        symmetric_kl(torch.zeros(1, 5), torch.tensor([[0]]), NUM_CLASSES)
    with pytest.raises(ModelError, match=r"classes up to \[2, 0\]"):
        symmetric_kl(torch.zeros(1, 5), torch.tensor([[2, 0]]), NUM_CLASSES)
