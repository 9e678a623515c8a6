"""Range images in jet colours, as published, and as one channel."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from gaitbench.errors import DatasetError
from gaitbench.streams.depth import pickled_depth

COLOURED = np.random.default_rng(0).integers(0, 256, (4, 3, 8, 6), dtype=np.uint8)


def read(path: Path, value: object, *, is_coloured: bool):
    path.write_bytes(pickle.dumps(value))
    return pickled_depth("*.pkl", (8, 6), 10, is_coloured=is_coloured).read([path])


def test_colours_are_kept_and_said(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(tmp_path / "a.pkl", COLOURED, is_coloured=True), COLOURED)
    behind = COLOURED.transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(read(tmp_path / "a.pkl", behind, is_coloured=True), COLOURED)
    info = pickled_depth("*.pkl", (8, 6), 10).info
    assert (info.frame_shape, info.colour_map) == ((3, 8, 6), "jet")


def test_one_channel_with_its_axis_or_without(tmp_path: Path) -> None:
    for value in (COLOURED[:, 0], COLOURED[:, :1]):
        np.testing.assert_array_equal(read(tmp_path / "a.pkl", value, is_coloured=False), COLOURED[:, :1])
    info = pickled_depth("*.pkl", (8, 6), 10, is_coloured=False).info
    assert (info.frame_shape, info.colour_map) == ((1, 8, 6), None)


@pytest.mark.parametrize("value", [COLOURED[:, 0], COLOURED.astype(float)])
def test_other_content_is_refused_with_the_file(tmp_path: Path, value: object) -> None:
    with pytest.raises(DatasetError, match=r"a\.pkl holds"):
        read(tmp_path / "a.pkl", value, is_coloured=True)
