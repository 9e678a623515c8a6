import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from torchmetrics.functional.retrieval import retrieval_average_precision

from gaitbench.errors import ModelError
from gaitbench.metrics.average_precision import (
    average_precision,
    inverse_negative_penalty,
    mean_ap,
    mean_inp,
)


@pytest.mark.parametrize(
    ("match", "valid", "ap", "inp"),
    [
        pytest.param([1, 0, 1, 0], [1, 1, 1, 1], (1 + 2 / 3) / 2, 2 / 3, id="first-and-third"),
        pytest.param([0, 0, 0, 1], [1, 1, 1, 1], 1 / 4, 1 / 4, id="last"),
        pytest.param([0, 0, 0, 1], [0, 1, 0, 1], 1 / 2, 1 / 2, id="impostors-excluded"),
        pytest.param([1, 1, 1, 1], [1, 1, 1, 1], 1.0, 1.0, id="nobody-else"),
        pytest.param([1, 0, 0, 0], [0, 1, 1, 1], math.nan, math.nan, id="absent"),
    ],
)
def test_by_hand(match: list[int], valid: list[int], ap: float, inp: float) -> None:
    pairs = torch.tensor([[0.1, 0.2, 0.3, 0.4]]), torch.tensor([match]).bool(), torch.tensor([valid]).bool()
    assert average_precision(*pairs).item() == pytest.approx(ap, nan_ok=True)
    assert inverse_negative_penalty(*pairs).item() == pytest.approx(inp, nan_ok=True)


def test_ties_count_against_the_probe() -> None:
    match = torch.tensor([[True, False, False, True]])
    pairs = torch.zeros(1, 4), match, torch.ones_like(match)
    assert average_precision(*pairs).item() == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert inverse_negative_penalty(*pairs).item() == pytest.approx(1 / 2)


@settings(deadline=None)
@given(seed=st.integers(0, 10_000))
def test_agrees_with_sorting_torchmetrics_and_sklearn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    distance = rng.permutation(60).reshape(4, 15).astype(np.float32)
    match, valid = rng.random((2, 4, 15)) < [[[0.3]], [[0.8]]]
    got = average_precision(*map(torch.from_numpy, (distance, match, valid)))
    penalty = inverse_negative_penalty(*map(torch.from_numpy, (distance, match, valid)))
    for row in range(4):
        is_match = match[row, valid[row]]
        if not is_match.any():
            assert math.isnan(got[row])
            assert math.isnan(penalty[row])
            continue
        score = 100 - distance[row, valid[row]]
        place = 1 + np.flatnonzero(is_match[np.argsort(-score)])
        by_hand = np.mean([(i + 1) / rank for i, rank in enumerate(place)])
        assert got[row].item() == pytest.approx(by_hand, abs=1e-6)
        assert penalty[row].item() == pytest.approx(len(place) / place[-1], abs=1e-6)
        assert got[row].item() == pytest.approx(average_precision_score(is_match, score), abs=1e-6)
        theirs = retrieval_average_precision(torch.from_numpy(score), torch.from_numpy(is_match))
        assert got[row].item() == pytest.approx(theirs.item(), abs=1e-5)


@settings(deadline=None)
@given(seed=st.integers(0, 10_000))
def test_gallery_order_and_scale_do_not_matter(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    distance = torch.randint(0, 5, (6, 10), generator=rng).float()
    match, valid = torch.randint(0, 2, (2, 6, 10), generator=rng).bool()
    perm = torch.randperm(10, generator=rng)
    for metric in (mean_ap, mean_inp):
        got = metric(distance, match, valid)
        torch.testing.assert_close(metric(distance[:, perm], match[:, perm], valid[:, perm]), got, equal_nan=True)
        torch.testing.assert_close(metric(2 * distance + 7, match, valid), got, equal_nan=True)


def test_nan_is_refused() -> None:
    ones = torch.ones(1, 2).bool()
    with pytest.raises(ModelError, match="NaN"):
        mean_ap(torch.tensor([[0.0, math.nan]]), ones, ones)
