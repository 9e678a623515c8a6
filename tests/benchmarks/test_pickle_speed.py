"""How fast pickles of frames are read, beside Python's own unpickler on the same files.

``make bench ARGS="-k pickle"``; both are read from the page cache, so a disk adds the same to both.
"""

import pickle
from pathlib import Path

import numpy as np
import pytest

from gaitbench.reading.unpickle import read_pickle

RNG = np.random.default_rng(0)
WALKS = {
    "silhouettes": (RNG.random((80, 64, 64)) > 0.5).astype(np.uint8),
    "colours": RNG.integers(0, 256, (80, 3, 128, 128), np.uint8),
    "points": [RNG.random((size, 3)) for size in RNG.integers(300, 900, 80)],
}


def read_plain(path: Path) -> object:
    with path.open("rb") as file:
        return pickle.load(file)


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("reader", [read_pickle, read_plain])
def test_pickle(benchmark: object, tmp_path: Path, walk: str, reader: object) -> None:
    path = tmp_path / "walk.pkl"
    path.write_bytes(pickle.dumps(WALKS[walk]))
    benchmark(reader, path)  # type: ignore[operator]
