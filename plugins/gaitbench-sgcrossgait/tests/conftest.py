"""SG-CrossGait at a size at which a test takes milliseconds, with a cache of sentences of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gaitbench_sgcrossgait.config import SgCrossGaitConfig
from gaitbench_sgcrossgait.model import SgCrossGait

from gaitbench.model import GaitBatch
from gaitbench.testing import synthetic_batch

SENTENCES = ("A person walking, seen from the front.", "A person walking, seen from the left.")
SCHEMA = (
    {"name": "viewpoint", "title": "Viewpoint", "classes": ("front", "left", "back")},
    {"name": "humpback", "title": "Humpback", "classes": ("no", "yes")},
)
SIZES: dict[str, Any] = {
    "height_px": 16,
    "width_px": 16,
    "image": {
        "architecture": "open_clip:ViT-B-16",
        "overrides": {"patch_size": 8, "width": 16, "layers": 1, "head_width": 8, "embed_dim": 8, "image_size": 16},
    },
    "image_px": (16, 16),
    "text": {"architecture": "hashing", "overrides": {"width": 6}},
    "channels": (4, 4, 6, 8),
    "heads": 2,
    "ffn_factor": 1,
    "embedding_width": 6,
    "bins": (4,),
}


@pytest.fixture(autouse=True)
def own_cache(gaitbench_cache: Path) -> Path:
    """Sentences are kept for the test alone."""
    return gaitbench_cache


@pytest.fixture
def sizes() -> dict[str, Any]:
    """Fields of the small configuration."""
    return dict(SIZES)


@pytest.fixture
def small() -> Callable[..., SgCrossGait]:
    """Makes a small model, with texts and without attributes; fields differ from the small configuration."""

    def make(**fields: Any) -> SgCrossGait:
        torch.manual_seed(0)
        return SgCrossGait(SgCrossGaitConfig(**{**SIZES, "sentences": SENTENCES, "num_classes": 2, **fields}))

    return make


@pytest.fixture
def whole(small: Callable[..., SgCrossGait]) -> Callable[..., SgCrossGait]:
    """Makes a small model with texts and attributes."""

    def make(**fields: Any) -> SgCrossGait:
        return small(**{"attributes": SCHEMA, **fields})

    return make


@pytest.fixture
def pairs() -> Callable[..., GaitBatch]:
    """Makes pairs of clips as a training batch has them: attributes, then the number of the text."""

    def make(model: SgCrossGait, **fields: Any) -> GaitBatch:
        batch = synthetic_batch(model.inputs, **{"num_frames": 3, **fields})
        number = torch.arange(len(batch.inputs["silhouette"]))
        sizes = [len(each.classes) for each in model.config.attributes]
        columns = [number % size for size in sizes] + [number % 2]
        batch.attributes = torch.stack(columns, dim=1)
        return batch

    return make
