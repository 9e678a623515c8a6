"""Frames of one moment, by hand and against a slow version."""

from typing import Any

import numpy as np
import pytest
from gaitbench_lidar.synchronised import synchronise

from gaitbench.errors import DatasetError


def test_published_rates_give_a_pair_for_every_lidar_frame() -> None:
    lidar, camera = np.arange(20) / 10, np.arange(62) / 30
    pairs = synchronise(lidar, camera)
    np.testing.assert_array_equal(pairs.lidar, np.arange(20))
    assert np.abs(pairs.gap_s).max() < 0.02
    np.testing.assert_allclose(camera[pairs.other] - lidar - 0.05, pairs.gap_s)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_a_slow_version(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lidar, camera = np.sort(rng.uniform(0, 5, 40)), np.sort(rng.uniform(0, 5, 70))
    pairs = synchronise(lidar, camera, largest_gap_s=0.04, lidar_shift_s=-0.3)
    gap = np.abs(camera[None] - (lidar - 0.3)[:, None])
    slow = [
        (i, int(gap[i].argmin())) for i in range(40) if gap[i].min() < 0.04 and gap[:, gap[i].argmin()].argmin() == i
    ]
    assert list(zip(pairs.lidar.tolist(), pairs.other.tolist(), strict=True)) == slow


def test_twenty_milliseconds_are_no_pair_and_no_frame_is_used_twice() -> None:
    assert len(synchronise([0.0], [0.07]).lidar) == 0
    assert len(synchronise([0.0], [0.0699]).lidar) == 1
    pairs = synchronise([0.0, 0.01], [0.012], lidar_shift_s=0)
    assert (pairs.lidar.tolist(), pairs.other.tolist()) == ([1], [0])


@pytest.mark.parametrize("start", [0.0, 0.1, 7.3, 1000.1])
def test_of_two_equally_near_the_earlier_is_taken_whatever_the_rounding(start: float) -> None:
    lidar = start + np.array([0.0, 0.1])
    pairs = synchronise(lidar, start + np.array([0.04, 0.06, 0.14, 0.16]))
    assert (pairs.lidar.tolist(), pairs.other.tolist()) == ([0, 1], [0, 2])
    pairs = synchronise(start + np.array([0.04, 0.06]), [start + 0.05], lidar_shift_s=0)
    assert (pairs.lidar.tolist(), pairs.other.tolist()) == ([0], [0])


@pytest.mark.parametrize(
    ("seconds", "message"),
    [
        ({"largest_gap_s": np.nan}, "largest_gap_s must be a finite number of seconds above 0, got nan"),
        ({"largest_gap_s": np.inf}, "largest_gap_s must be .* got inf"),
        ({"largest_gap_s": 0.0}, "largest_gap_s must be .* got 0.0"),
        ({"lidar_shift_s": np.nan}, "lidar_shift_s must be a finite number of seconds, got nan"),
        ({"lidar_shift_s": -np.inf}, "lidar_shift_s must be .* got -inf"),
    ],
)
def test_seconds_that_are_none_are_refused(seconds: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        synchronise([0.0], [0.05], **seconds)


@pytest.mark.parametrize(("lidar", "other"), [([], []), ([], [1.0]), ([1.0], []), ([0.0], [9.0])])
def test_nothing_near_is_no_pair(lidar: list[float], other: list[float]) -> None:
    assert [len(part) for part in synchronise(lidar, other)] == [0, 0, 0]


@pytest.mark.parametrize("stamps", [[1.0, 1.0], [2.0, 1.0], [0.0, np.nan], [[0.0], [1.0]], [np.inf]])
def test_stamps_that_are_no_times_are_refused(stamps: list[float]) -> None:
    with pytest.raises(DatasetError, match="time stamps of the other sensor must be finite"):
        synchronise([0.0], stamps)


@pytest.mark.parametrize("stamps", [["a"], [[1.0], [1.0, 2.0]], [1j]])
def test_stamps_that_are_no_numbers_are_refused(stamps: list[Any]) -> None:
    with pytest.raises(DatasetError, match="time stamps of LiDAR must be numbers of seconds"):
        synchronise(stamps, [0.0])
