"""The losses of this method against slow versions of themselves."""

import math

import pytest
import torch
from gaitbench_sgcrossgait.alignment import positive_pairs, soft_contrastive, symmetric_divergence
from torch.nn import functional

from gaitbench.errors import ShapeError


def test_contrastive_by_definition() -> None:
    torch.manual_seed(0)
    features, texts = torch.randn(5, 3), torch.randn(5, 3)
    positive = positive_pairs(torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 1, 1, 2, 3]))
    scale, total = 3.0, 0.0
    for row in range(5):
        for anchor, others, wanted in (
            (features[row], texts, positive[row]),
            (texts[row], features, positive[:, row]),
        ):
            cosines = [float(functional.cosine_similarity(anchor, other, dim=0)) * scale for other in others]
            log_total = math.log(sum(math.exp(cosine) for cosine in cosines))
            terms = [log_total - cosine for cosine, is_one in zip(cosines, wanted.tolist(), strict=True) if is_one]
            total += sum(terms) / len(terms) / 10
    torch.testing.assert_close(soft_contrastive(features, texts, positive, scale), torch.tensor(total))


def test_equal_cosines_cost_the_logarithm_of_the_batch_whatever_is_positive() -> None:
    same = torch.ones(8, 4)
    for positive in (torch.eye(8).bool(), torch.ones(8, 8).bool()):
        torch.testing.assert_close(soft_contrastive(same, same, positive, 10.0), torch.tensor(math.log(8)))


def test_exchanging_features_and_texts_changes_nothing_and_length_does_not_count() -> None:
    torch.manual_seed(0)
    features, texts, positive = torch.randn(4, 3), torch.randn(4, 3), torch.eye(4).bool()
    loss = soft_contrastive(features, texts, positive, 2.0)
    torch.testing.assert_close(soft_contrastive(texts, features, positive, 2.0), loss)
    torch.testing.assert_close(soft_contrastive(7 * features, texts, positive, 2.0), loss)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        pytest.param("text", [[1, 0, 1], [0, 1, 0], [1, 0, 1]], id="text"),
        pytest.param("subject", [[1, 1, 0], [1, 1, 0], [0, 0, 1]], id="subject"),
        pytest.param("text-or-subject", [[1, 1, 1], [1, 1, 0], [1, 0, 1]], id="either"),
    ],
)
def test_positive_pairs_by_hand(kind: str, expected: list[list[int]]) -> None:
    found = positive_pairs(torch.tensor([0, 0, 1]), torch.tensor([4, 5, 4]), kind)  # type: ignore[arg-type]
    assert found.int().tolist() == expected


def test_divergence_by_definition() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(3, 4, 2), torch.randn(3, 4, 2)
    total = 0.0
    for row in range(3):
        for part in range(2):
            p, q = (torch.softmax(x[row, :, part] * 16 / 4, dim=0) for x in (a, b))
            total += float((p * (p / q).log()).sum() + (q * (q / p).log()).sum()) / 12
    torch.testing.assert_close(symmetric_divergence(a, b), torch.tensor(total), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(symmetric_divergence(b, a), symmetric_divergence(a, b))
    assert symmetric_divergence(a, a) == 0


def test_shapes_are_checked() -> None:
    with pytest.raises(ShapeError, match=r"features and texts must be \[N, C\]"):
        soft_contrastive(torch.zeros(2, 3), torch.zeros(2, 4), torch.eye(2).bool(), 1.0)
    with pytest.raises(ShapeError, match=r"must be \[N, classes, P\] of one shape"):
        symmetric_divergence(torch.zeros(2, 3, 1), torch.zeros(2, 4, 1))


def test_a_row_without_a_positive_has_a_loss_of_0() -> None:
    torch.manual_seed(0)
    features, texts = torch.randn(2, 3, 4)
    positive = torch.eye(3).bool()
    positive[2] = False
    cosine = functional.normalize(features, dim=1) @ functional.normalize(texts, dim=1).T
    # Of feature 2 nothing is wanted, and of text 2 neither.
    terms = [-functional.log_softmax(x, dim=1)[row, row] for x in (cosine, cosine.T) for row in (0, 1)]
    torch.testing.assert_close(soft_contrastive(features, texts, positive, 1.0), torch.stack(terms).sum() / 6)
    assert soft_contrastive(features, texts, torch.zeros(3, 3).bool(), 1.0) == 0


def test_there_is_no_other_kind_of_positive() -> None:
    with pytest.raises(ValueError, match="kind must be one of text-or-subject, text, subject, got 'foo'"):
        positive_pairs(torch.tensor([0]), torch.tensor([0]), "foo")  # type: ignore[arg-type]
