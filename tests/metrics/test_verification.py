import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from gaitbench.errors import ModelError, ShapeError
from gaitbench.metrics.verification import eer, roc_counts, tar_at_far


def test_by_hand() -> None:
    genuine = torch.tensor([1.0, 2, 3, 6])
    impostor = torch.tensor([2.5, 5, 7, 8])
    counts = roc_counts(genuine, impostor)
    assert counts.genuine.tolist() == [1, 1, 1, 1]
    assert counts.impostors_below.tolist() == [0, 0, 1, 2]
    assert counts.impostors_tied.tolist() == [0, 0, 0, 0]
    assert eer(genuine, impostor) == 0.25
    assert tar_at_far(genuine, impostor, far=0.25) == 0.75
    assert tar_at_far(genuine, impostor, far=0.1) == 0.5
    assert tar_at_far(genuine, impostor, far=1.0) == 1.0


def test_ties_are_accepted_together() -> None:
    genuine, impostor = torch.tensor([1.0, 1.0]), torch.tensor([1.0, 2.0])
    assert roc_counts(genuine, impostor).impostors_tied.tolist() == [1]
    assert tar_at_far(genuine, impostor, far=0.4) == 0.0
    assert tar_at_far(genuine, impostor, far=0.5) == 1.0
    # From (FAR 0, FRR 1) to (1/2, 0) in one step: the rates meet at 1/3.
    assert eer(genuine, impostor) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("genuine", "impostor", "expected"),
    [
        pytest.param([1.0, 2.0], [3.0, 4.0], 0.0, id="separated"),
        pytest.param([3.0, 4.0], [1.0, 2.0], 1.0, id="inverted"),
        pytest.param([1.0, 1.0], [1.0, 1.0], 0.5, id="one-point"),
        pytest.param([], [1.0], math.nan, id="no-genuine"),
        pytest.param([1.0], [], math.nan, id="no-impostor"),
    ],
)
def test_extremes(genuine: list[float], impostor: list[float], expected: float) -> None:
    assert eer(torch.tensor(genuine), torch.tensor(impostor)) == pytest.approx(expected, nan_ok=True)
    if math.isnan(expected):
        assert math.isnan(tar_at_far(torch.tensor(genuine), torch.tensor(impostor)))


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([4, 20, 10_000]))
def test_agrees_with_slow_definitions_and_sklearn(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    genuine = rng.integers(0, levels, 23).astype(np.float32)
    impostor = rng.integers(levels // 4, levels + levels // 4, 41).astype(np.float32)
    pair = torch.from_numpy(genuine), torch.from_numpy(impostor)
    for far in (0.5, 0.1, 0.01):
        allowed = [t for t in np.unique(np.concatenate([genuine, impostor])) if (impostor <= t).mean() <= far]
        expected = (genuine <= max(allowed)).mean() if allowed else 0.0
        assert tar_at_far(*pair, far=far) == pytest.approx(expected)
    label = np.repeat([1, 0], [23, 41])
    fpr, tpr, _ = roc_curve(label, -np.concatenate([genuine, impostor]), drop_intermediate=False)
    frr = 1 - tpr
    after = int(np.argmax(fpr >= frr))
    gap = (frr - fpr)[after - 1 : after + 1]
    expected = fpr[after - 1] + gap[0] / (gap[0] - gap[1]) * (fpr[after] - fpr[after - 1])
    assert eer(*pair) == pytest.approx(expected, abs=1e-9)
    assert eer(pair[0] * 4 + 1, pair[1] * 4 + 1) == eer(*pair)


def test_bad_input() -> None:
    with pytest.raises(ModelError, match="1 of 2 genuine distances are NaN"):
        eer(torch.tensor([0.0, math.nan]), torch.tensor([1.0]))
    with pytest.raises(ModelError, match="impostor distances are NaN"):
        tar_at_far(torch.tensor([0.0]), torch.tensor([math.nan]))
    with pytest.raises(ShapeError, match="differ in dtype"):
        eer(torch.tensor([0.0]), torch.tensor([1.0]).double())
    with pytest.raises(ValueError, match=r"far must lie in \[0, 1\], got 1.5"):
        tar_at_far(torch.tensor([0.0]), torch.tensor([1.0]), far=1.5)
