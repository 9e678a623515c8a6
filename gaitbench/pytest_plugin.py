"""Pytest fixtures for plugin authors; pytest finds them when gaitbench is installed.

Importing this module imports nothing heavy, because pytest does so in every project.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gaitbench.dataset import GaitDataset
    from gaitbench.model import GaitBatch

__all__ = ["gait_batch", "gaitbench_cache", "tiny_walkers"]


@pytest.fixture
def gaitbench_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, instead of the user's own, for this test and the processes it starts."""
    folder = tmp_path / "gaitbench-cache"
    monkeypatch.setenv("GAITBENCH_CACHE", str(folder))
    return folder


@pytest.fixture
def gait_batch() -> "Callable[..., GaitBatch]":
    """:func:`gaitbench.testing.synthetic_batch`."""
    from gaitbench.testing.synthetic import synthetic_batch

    return synthetic_batch


@pytest.fixture(scope="session")
def tiny_walkers(tmp_path_factory: pytest.TempPathFactory) -> "GaitDataset":
    """The embedded walkers in small: 4 training and 3 test subjects, 3 conditions, 2 views, silhouettes."""
    from gaitbench.api import load
    from gaitbench.progress import quiet

    with quiet():
        return load(
            "walkers",
            modalities=("silhouette",),
            root=tmp_path_factory.mktemp("walkers") / "tiny",
            num_train_subjects=4,
            num_test_subjects=3,
            conditions=("nm-01", "nm-02", "bg-01"),
            views_deg=(0, 90),
            num_frames=6,
        )
