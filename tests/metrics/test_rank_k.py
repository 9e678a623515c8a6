import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gaitbench.errors import ModelError, ShapeError
from gaitbench.metrics.rank_k import rank_1, rank_5, rank_10, rank_k


@pytest.mark.parametrize(
    ("match", "valid", "expected"),
    [
        pytest.param([1, 0, 0], [1, 1, 1], 1.0, id="nearest-is-the-subject"),
        pytest.param([0, 1, 0], [1, 1, 1], 0.0, id="nearest-is-an-impostor"),
        pytest.param([0, 1, 0], [0, 1, 1], 1.0, id="impostor-excluded-by-protocol"),
        pytest.param([1, 0, 0], [0, 1, 1], math.nan, id="absent-probe"),
        pytest.param([1, 1, 1], [1, 1, 1], 1.0, id="nobody-else"),
    ],
)
def test_rank_1_by_hand(match: list[int], valid: list[int], expected: float) -> None:
    distance = torch.tensor([[0.1, 0.2, 0.3]])
    got = rank_k(distance, torch.tensor([match]).bool(), torch.tensor([valid]).bool())
    torch.testing.assert_close(got, torch.tensor([expected]), equal_nan=True)


def test_one_point_for_everybody_scores_zero() -> None:
    match = torch.eye(5).bool()
    hit = rank_k(torch.zeros(5, 5), match, torch.ones(5, 5).bool(), k=4)
    assert hit.tolist() == [0.0] * 5
    assert rank_k(torch.zeros(5, 5), match, torch.ones(5, 5).bool(), k=5).tolist() == [1.0] * 5


def test_no_gallery_makes_every_probe_absent() -> None:
    nothing = torch.zeros(3, 0)
    assert rank_k(nothing, nothing.bool(), nothing.bool()).isnan().all()


def test_infinity_is_the_farthest_and_ties_with_itself() -> None:
    distance = torch.tensor([[math.inf, math.inf, 1.0]])
    match = torch.tensor([[True, False, False]])
    assert rank_k(distance, match, torch.ones_like(match), k=2).item() == 0
    assert rank_k(distance, match, torch.ones_like(match), k=3).item() == 1


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 6))
def test_agrees_with_a_loop_and_ignores_gallery_order(seed: int, k: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    distance = torch.randint(0, 5, (8, 12), generator=rng).float()
    match, valid = torch.randint(0, 2, (2, 8, 12), generator=rng).bool()
    got = rank_k(distance, match, valid, k=k)
    for row in range(8):
        pairs = [(float(distance[row, g]), bool(match[row, g])) for g in range(12) if valid[row, g]]
        # Impostors sort before matches at the same distance.
        order = sorted(pairs)
        expected = math.nan if not any(m for _, m in pairs) else float(any(m for _, m in order[:k]))
        assert got[row].item() == pytest.approx(expected, nan_ok=True)
    perm = torch.randperm(12, generator=rng)
    shuffled = rank_k(distance[:, perm], match[:, perm], valid[:, perm], k=k)
    torch.testing.assert_close(shuffled, got, equal_nan=True)
    torch.testing.assert_close(rank_k(distance.exp() * 3, match, valid, k=k), got, equal_nan=True)


def test_registered_names() -> None:
    distance = torch.arange(12.0)[None]
    valid = torch.ones(1, 12).bool()
    for metric, k in ((rank_1, 1), (rank_5, 5), (rank_10, 10)):
        for place in (k - 1, k):
            match = torch.zeros(1, 12).bool()
            match[0, place] = True
            assert metric(distance, match, valid).item() == float(place < k)


def test_bad_input() -> None:
    ones = torch.ones(2, 3).bool()
    with pytest.raises(ShapeError, match=r"one shape \[Q, G\], got \[\[2, 3\], \[2, 3\], \[2, 2\]\]"):
        rank_k(torch.zeros(2, 3), ones, ones[:, :2])
    with pytest.raises(ShapeError):
        rank_k(torch.zeros(3), ones[0], ones[0])
    with pytest.raises(ModelError, match="1 of 6 distances are NaN"):
        rank_k(torch.tensor([[0.0, 1, 2], [3, 4, math.nan]]), ones, ones)
    with pytest.raises(ValueError, match="k must be 1 or more, got 0"):
        rank_k(torch.zeros(2, 3), ones, ones, k=0)
