"""LMGait at a size at which a test takes milliseconds."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from gaitbench_lmgait.config import LMGaitConfig
from gaitbench_lmgait.model import LMGait

from gaitbench.model import GaitBatch
from gaitbench.testing import synthetic_batch

SIZES: dict[str, Any] = {
    "image": {
        "architecture": "vit_small_patch14_dinov2",
        "overrides": {"patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2, "img_size": (32, 16)},
    },
    "text": {"architecture": "ViT-B-32", "overrides": {"width": 16, "heads": 2, "layers": 3, "embed_dim": 8}},
    "image_px": (32, 16),
    "layers": (1, 2),
    "rgb_px": (64, 32),
    "rgb_form": "padded",
    "ratio": "frame",
    "silhouette_px": (64, 32),
    "silhouette_form": "padded",
    "mam_rank": 4,
    "map_px": (16, 8),
    "border_rows": 2,
    "branch_width": 8,
    "out_channels": 4,
    "channels": (4, 6, 8, 10),
    "strides": (1, 1, 1, 1),
    "embedding_width": 12,
}


@pytest.fixture
def sizes() -> dict[str, Any]:
    """Fields of the small configuration."""
    return dict(SIZES)


@pytest.fixture
def small() -> Callable[..., LMGait]:
    """Makes a small model; fields differ from the small configuration."""

    def make(**fields: Any) -> LMGait:
        torch.manual_seed(0)
        return LMGait(LMGaitConfig(**{**SIZES, "num_classes": 2, **fields}))

    return make


@pytest.fixture
def clips() -> Callable[..., GaitBatch]:
    """Makes clips that a model reads in training."""

    def make(model: LMGait, **fields: Any) -> GaitBatch:
        return synthetic_batch(model.inputs, **{"num_frames": 4, **fields})

    return make
