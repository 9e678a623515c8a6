import math

import pytest
import torch
from gaitbench_baselines.distillation import (
    balance,
    feature_distance,
    part_affinity_distance,
    sample_affinity_distance,
    warm_up,
)
from torch import Tensor

from gaitbench.errors import ShapeError


def two(seed: int = 0) -> tuple[Tensor, Tensor]:
    teacher, student = torch.randn(2, 4, 6, 3, generator=torch.Generator().manual_seed(seed))
    return teacher, student


def cosine(x: Tensor, y: Tensor) -> float:
    return float((x * y).sum() / x.norm() / y.norm())


def test_feature_distance_agrees_with_the_definition() -> None:
    teacher, student = two()
    pairs = [cosine(teacher[n, :, p], student[n, :, p]) for n in range(4) for p in range(3)]
    assert feature_distance(teacher, student).item() == pytest.approx(1 - sum(pairs) / len(pairs), rel=1e-5)


def test_sample_affinities_agree_with_the_definition() -> None:
    teacher, student = two()
    t, s = teacher.max(dim=2).values, student.max(dim=2).values
    expected = [abs(cosine(t[i], t[j]) - cosine(s[i], s[j])) for i in range(4) for j in range(4)]
    assert sample_affinity_distance(teacher, student).item() == pytest.approx(sum(expected) / 16, rel=1e-5)


def test_part_affinities_agree_with_the_definition() -> None:
    teacher, student = two()
    expected = [
        abs(cosine(teacher[n, :, p], teacher[n, :, q]) - cosine(student[n, :, p], student[n, :, q]))
        for n in range(4)
        for p in range(3)
        for q in range(3)
    ]
    assert part_affinity_distance(teacher, student).item() == pytest.approx(sum(expected) / 36, rel=1e-4)


@pytest.mark.parametrize("term", [feature_distance, sample_affinity_distance, part_affinity_distance])
def test_scaling_a_side_changes_nothing_and_equal_sides_cost_nothing(term) -> None:  # type: ignore[no-untyped-def]
    teacher, student = two()
    torch.testing.assert_close(term(5 * teacher, 0.1 * student), term(teacher, student))
    assert term(teacher, teacher).item() == pytest.approx(0, abs=1e-6)
    with pytest.raises(ShapeError, match="one shape"):
        term(teacher, student[:2])


@pytest.mark.parametrize("seed", range(5))
def test_balance_stays_in_its_range(seed: int) -> None:
    first, second = 30 * torch.randn(2, 6, 4, 3, generator=torch.Generator().manual_seed(seed))
    labels = torch.arange(6) % 4
    for factor in balance(first, second, labels):
        assert 0.5 <= factor.item() <= 0.5 * (1 + math.tanh(1))


@pytest.mark.parametrize("factor", [1e-30, 1e-9, 1e30])
def test_features_of_any_length_have_a_direction(factor: float) -> None:
    teacher, student = two()
    torch.testing.assert_close(feature_distance(teacher, factor * student), feature_distance(teacher, student))


@pytest.mark.parametrize(
    ("wrong", "other", "expected"),
    [
        pytest.param(1000.0, 1000.0, (0.7311, 0.7311), id="both-vanish"),
        pytest.param(1000.0, 0.0, (0.8808, 0.5), id="one-vanishes"),
        pytest.param(1000.0, 1004.0, (0.6313, 0.8119), id="by-a-factor-of-e"),
    ],
)
def test_probabilities_that_vanish_are_still_compared(
    wrong: float, other: float, expected: tuple[float, float]
) -> None:
    # The truth is class 0; logits are divided by 4.
    first, second = (torch.tensor([[[-x], [x]]]) / 2 for x in (wrong, other))
    shares = balance(first, second, torch.tensor([0]))
    assert [round(share.item(), 4) for share in shares] == pytest.approx(expected, abs=1e-4)


def test_logits_of_different_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match="of one shape"):
        balance(torch.zeros(2, 3, 1), torch.zeros(2, 3, 2), torch.tensor([0, 1]))


def test_the_student_that_is_less_sure_is_taught_more() -> None:
    labels = torch.tensor([0, 1])
    sure = torch.eye(2)[:, :, None] * 20
    unsure = torch.zeros(2, 2, 1)
    shares = balance(sure, unsure, labels)
    theta = math.exp(5) / (math.exp(5) + 1)  # 20 over a temperature of 4
    assert shares.first.item() == pytest.approx(0.5 * (1 + math.tanh(0.5 / (0.5 + theta))), rel=1e-5)
    assert shares.second.item() == pytest.approx(0.5 * (1 + math.tanh(theta / (0.5 + theta))), rel=1e-5)
    swapped = balance(unsure, sure, labels)
    assert (swapped.first, swapped.second) == (shares.second, shares.first)


def test_gradients_pass_through_the_balance() -> None:
    logits = torch.zeros(2, 3, 1, requires_grad=True)
    balance(logits, torch.ones(2, 3, 1), torch.tensor([0, 1])).second.backward()
    assert logits.grad is not None
    assert logits.grad.any()


def test_warm_up_by_hand() -> None:
    assert [warm_up(step, start=0.1, end=1.5, num_steps=40_000) for step in (0, 20_000, 40_000, 50_000)] == (
        pytest.approx([0.1, 0.8, 1.5, 1.5])
    )
