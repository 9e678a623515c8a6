import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.losses.multi_similarity import mine_multi_similarity, multi_similarity_triplet


def slow_loss(embedding: torch.Tensor, labels: torch.Tensor, margin: float, epsilon: float) -> float:
    parts = []
    for part in range(embedding.shape[2]):
        x = torch.nn.functional.normalize(embedding[:, :, part].double(), dim=1)
        similarity = (x @ x.T).tolist()
        terms = []
        for a in range(len(labels)):
            positive = [i for i in range(len(labels)) if i != a and labels[i] == labels[a]]
            negative = [i for i in range(len(labels)) if labels[i] != labels[a]]
            if not positive or not negative:
                continue
            nearest = max(similarity[a][i] for i in negative)
            farthest = min(similarity[a][i] for i in positive)
            kept = [i for i in positive if similarity[a][i] < nearest + epsilon]
            strangers = [i for i in negative if similarity[a][i] > farthest - epsilon]
            terms += [margin + similarity[a][n] - similarity[a][p] for p in kept for n in strangers]
        terms = [term for term in terms if term > 0]
        parts.append(sum(terms) / len(terms) if terms else 0.0)
    return sum(parts) / len(parts)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.5])
def test_agrees_with_loops(seed: int, epsilon: float) -> None:
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (10,), generator=rng)
    embedding = torch.randn(10, 5, 3, generator=rng) + 2 * torch.randn(4, 5, 3, generator=rng)[labels]
    got = multi_similarity_triplet(embedding, labels, margin=0.3, epsilon=epsilon)
    assert got.item() == pytest.approx(slow_loss(embedding, labels, 0.3, epsilon), abs=1e-5)


def test_easy_pairs_are_left_out() -> None:
    similarity = torch.tensor([[[1.0, 0.9, 0.3], [0.9, 1.0, 0.2], [0.3, 0.2, 1.0]]])
    mined = mine_multi_similarity(similarity, torch.tensor([0, 0, 1]), epsilon=0.1)
    assert not mined.positive.any()
    assert not mined.negative.any()


def test_more_tolerance_keeps_more() -> None:
    similarity = torch.tensor([[[1.0, 0.9, 0.3], [0.9, 1.0, 0.2], [0.3, 0.2, 1.0]]])
    mined = mine_multi_similarity(similarity, torch.tensor([0, 0, 1]), epsilon=0.65)
    assert mined.positive[0].nonzero().tolist() == [[0, 1]]
    assert mined.negative[0].nonzero().tolist() == [[0, 2]]


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]], ids=["one-subject", "no-positives"])
def test_nothing_to_compare_costs_nothing_and_can_be_descended(labels: list[int]) -> None:
    embedding = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = multi_similarity_triplet(embedding, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0
    assert embedding.grad is not None
    assert not embedding.grad.any()


def test_length_of_embeddings_does_not_matter() -> None:
    rng = torch.Generator().manual_seed(0)
    embedding, labels = torch.randn(6, 4, 1, generator=rng), torch.tensor([0, 0, 1, 1, 2, 2])
    stretch = torch.rand(6, 1, 1, generator=rng) + 0.5
    torch.testing.assert_close(
        multi_similarity_triplet(embedding, labels), multi_similarity_triplet(stretch * embedding, labels)
    )


def test_gradient_agrees_with_differences() -> None:
    embedding = torch.randn(6, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).requires_grad_()
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    assert torch.autograd.gradcheck(lambda x: multi_similarity_triplet(x, labels, margin=0.3), embedding)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\[3, 2\]"):
        multi_similarity_triplet(torch.zeros(3, 2), torch.zeros(3))
    with pytest.raises(ShapeError, match=r"similarity \[P, N, N\]"):
        mine_multi_similarity(torch.zeros(1, 2, 3), torch.zeros(2))
