"""A cache of one's own, and the model with a frozen convolution."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from gaitbench.dataset import GaitDataset
from gaitbench.quarantine import PluginInfo
from gaitbench.registry import Registry, build_registry
from tests.support.tiny_dataset import prepare_tiny

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import frozen_plugin


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(frozen_plugin.ConvFeatures, "num_computed", 0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path / "cache"
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> GaitDataset:
    """24 sequences of 8 to 20 frames."""
    return prepare_tiny(tmp_path_factory.mktemp("squares") / "d", ["silhouette", "rgb"])


@pytest.fixture(scope="session")
def registry() -> Registry:
    registry = build_registry([])
    info = PluginInfo(name="frozen", distribution="gaitbench-frozen", version="0.1", target="frozen_plugin")
    registry.load_plugin(info, lambda: frozen_plugin)
    assert [each.error for each in registry.plugins() if each.status != "loaded"] == []
    return registry
