"""TCFDNet at a size at which a test takes milliseconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gaitbench_tcfdnet.config import TcfdNetConfig
from gaitbench_tcfdnet.model import TcfdNet

from gaitbench.model import GaitBatch
from gaitbench.testing import synthetic_batch

SIZES: dict[str, Any] = {
    "height_px": 16,
    "width_px": 16,
    "image": {
        "architecture": "open_clip:ViT-B-16",
        "overrides": {"patch_size": 8, "width": 16, "layers": 1, "head_width": 8, "embed_dim": 8, "image_size": 16},
    },
    "image_px": (16, 16),
    "text": {"architecture": "hashing", "overrides": {"width": 8}},
    "adapter_width": 6,
    "num_retrieved": 4,
    "channels": (4, 4, 6, 8),
    "heads": 2,
    "sw_width": 4,
    "gate_width": 4,
    "fse_width": 4,
    "exchange_grid": (2, 2),
    "embedding_width": 6,
    "bins": (4,),
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sentences are encoded for each test, and nobody else's are read."""
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def sizes() -> dict[str, Any]:
    """Fields of the small configuration."""
    return dict(SIZES)


@pytest.fixture
def small() -> Callable[..., TcfdNet]:
    """Makes a small model; fields differ from the small configuration."""

    def make(**fields: Any) -> TcfdNet:
        torch.manual_seed(0)
        return TcfdNet(TcfdNetConfig(**{**SIZES, "num_classes": 2, **fields}))

    return make


@pytest.fixture
def pairs() -> Callable[..., GaitBatch]:
    """Makes pairs of clips that a model reads in training."""

    def make(model: TcfdNet, **fields: Any) -> GaitBatch:
        return synthetic_batch(model.inputs, **{"num_frames": 3, **fields})

    return make
