"""Pictures of any number of channels."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from gaitbench.errors import DatasetError
from gaitbench.streams.rasters import pickled_rasters

MAPS = np.random.default_rng(0).integers(0, 256, (4, 2, 8, 6), dtype=np.uint8)


def read(path: Path, value: object, channels: int = 2, dtype: type = np.uint8):
    path.write_bytes(pickle.dumps(value))
    return pickled_rasters("*.pkl", (channels, 8, 6), 10, modality="skeleton-map", dtype=dtype).read([path])


def test_channels_come_first_and_values_stay(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(tmp_path / "a.pkl", MAPS), MAPS)
    np.testing.assert_array_equal(read(tmp_path / "a.pkl", MAPS.transpose(0, 2, 3, 1)), MAPS)
    np.testing.assert_array_equal(read(tmp_path / "a.pkl", MAPS[:, 0], channels=1), MAPS[:, :1])


def test_floats_of_any_size_become_single(tmp_path: Path) -> None:
    found = read(tmp_path / "a.pkl", MAPS / 3, dtype=np.float32)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, (MAPS / 3).astype(np.float32))


@pytest.mark.parametrize("value", [MAPS[:, 0], MAPS / 2, MAPS[:, :, :, 0, None, None], MAPS > 3])
def test_other_content_is_refused_with_the_file(tmp_path: Path, value: object) -> None:
    with pytest.raises(DatasetError, match=r"a\.pkl holds"):
        read(tmp_path / "a.pkl", value)
