import numpy as np
import pytest

from gaitbench.metrics.bootstrap import percentile_interval, subject_weights


def test_weights_are_draws_with_replacement() -> None:
    weights = subject_weights(7, 500, seed=1)
    assert weights.shape == (500, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert (weights == weights.round()).all()
    assert weights.mean() == 1
    assert weights.var() == pytest.approx(6 / 7, rel=0.1)  # binomial(7, 1/7)


def test_same_seed_same_resamples() -> None:
    assert (subject_weights(5, 10, seed=3) == subject_weights(5, 10, seed=3)).all()
    assert (subject_weights(5, 10, seed=3) != subject_weights(5, 10, seed=4)).any()


def test_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    weights = subject_weights(60, 400, seed=0)
    covered = 0
    for _ in range(300):
        values = rng.normal(size=60)
        low, high = percentile_interval(weights @ values / 60)
        covered += low <= 0 <= high
    assert 0.90 < covered / 300 < 0.98


def test_interval_leaves_out_what_could_not_be_scored() -> None:
    assert percentile_interval(np.array([1.0, np.nan, 1.0])) == (1, 1)
    assert np.isnan(percentile_interval(np.array([np.nan]))).all()


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="got 0 and 10"):
        subject_weights(0, 10)
    with pytest.raises(ValueError, match="level must lie"):
        percentile_interval(np.ones(3), level=1.0)
