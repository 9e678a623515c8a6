"""Ragged clouds from pickles."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from gaitbench.errors import DatasetError
from gaitbench.sequence import Absent, PointFrames
from gaitbench.streams.points import pickled_points

RNG = np.random.default_rng(0)
CLOUDS = [RNG.normal(size=(count, 3)) for count in (5, 0, 2)]


def read(path: Path, value: object, **options: object):
    path.write_bytes(pickle.dumps(value))
    return pickled_points("*.pkl", 10, **options).read([path])  # type: ignore[arg-type]


def test_clouds_lie_one_behind_the_other(tmp_path: Path) -> None:
    found = read(tmp_path / "a.pkl", CLOUDS)
    assert isinstance(found, PointFrames)
    assert found.offsets.tolist() == [0, 5, 5, 7]
    np.testing.assert_array_equal(found.points, np.concatenate(CLOUDS).astype(np.float32))


def test_further_values_of_a_point_are_cut_off_or_kept(tmp_path: Path) -> None:
    wide = RNG.normal(size=(2, 6, 4)).astype(np.float32)
    np.testing.assert_array_equal(read(tmp_path / "a.pkl", wide).points, wide[..., :3].reshape(-1, 3))
    np.testing.assert_array_equal(read(tmp_path / "a.pkl", wide, num_values=4).points, wide.reshape(-1, 4))


def test_no_frames_are_no_defect(tmp_path: Path) -> None:
    found = read(tmp_path / "a.pkl", [])
    assert isinstance(found, Absent)
    assert not found.is_defect


@pytest.mark.parametrize(
    "value",
    [[np.zeros((3, 2))], [np.zeros(3)], [np.full((2, 3), np.inf)], [np.zeros((2, 3), bool)], {"points": CLOUDS}],
)
def test_other_content_is_refused_with_the_file(tmp_path: Path, value: object) -> None:
    with pytest.raises(DatasetError, match=r"a\.pkl"):
        read(tmp_path / "a.pkl", value)
