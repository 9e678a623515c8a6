"""Colours of any axis order, from pickles."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from gaitbench.errors import DatasetError
from gaitbench.sequence import Absent
from gaitbench.streams.rgb import pickled_rgb

FRAMES = np.random.default_rng(0).integers(0, 256, (4, 3, 8, 6), dtype=np.uint8)


def read(path: Path, value: object):
    path.write_bytes(pickle.dumps(value))
    return pickled_rgb("*.pkl", (8, 6), 30).read([path])


@pytest.mark.parametrize(
    "value",
    [FRAMES, FRAMES.transpose(0, 2, 3, 1), list(FRAMES), np.ascontiguousarray(FRAMES.transpose(0, 2, 3, 1))],
    ids=["first", "last", "list", "last-contiguous"],
)
def test_channels_come_first_whatever_the_file_has(tmp_path: Path, value: object) -> None:
    np.testing.assert_array_equal(read(tmp_path / "rgb.pkl", value), FRAMES)


def test_storage_rate_and_clock_are_in_the_card() -> None:
    info = pickled_rgb("*.pkl", (8, 6), 30, storage="jpeg", clock="camera").info
    assert (info.frame_shape, info.frame_rate_hz, info.codec, info.clock) == ((3, 8, 6), 30, "jpeg", "camera")


def test_no_frames_are_no_defect(tmp_path: Path) -> None:
    for value in ([], FRAMES[:0]):
        found = read(tmp_path / "rgb.pkl", value)
        assert isinstance(found, Absent)
        assert not found.is_defect
        assert "rgb.pkl" in found.reason


@pytest.mark.parametrize("value", [FRAMES[:, :2], FRAMES[0], {"rgb": FRAMES}, [FRAMES[0], FRAMES[0, :, :4]], ["a"]])
def test_other_content_is_refused_with_the_file(tmp_path: Path, value: object) -> None:
    with pytest.raises(DatasetError, match=r"rgb\.pkl"):
        read(tmp_path / "rgb.pkl", value)
