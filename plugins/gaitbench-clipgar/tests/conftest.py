"""CLIP-GAR at a size at which a test takes milliseconds, with a cache of sentences of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gaitbench_clipgar.config import ClipGarConfig
from gaitbench_clipgar.model import ClipGar

from gaitbench.model import GaitBatch
from gaitbench.testing import synthetic_batch
from gaitbench.walkers.attributes import ATTRIBUTES

SCHEMA = (
    {"name": "gender", "title": "Gender", "classes": ("male", "female")},
    {"name": "toe", "title": "Toe", "classes": ("straight", "in", "out")},
)
SIZES: dict[str, Any] = {
    "attributes": SCHEMA,
    "text": {"architecture": "hashing", "overrides": {"width": 24}},
    "channels": (4, 6, 8, 16),
    "num_blocks": (1, 1, 1, 1),
    "heads": 4,
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
def small() -> Callable[..., ClipGar]:
    """Makes a small model; fields differ from the small configuration."""

    def make(**fields: Any) -> ClipGar:
        torch.manual_seed(0)
        return ClipGar(ClipGarConfig(**{**SIZES, **fields}))

    return make


@pytest.fixture
def clips() -> Callable[..., GaitBatch]:
    """Makes clips with attributes that a model reads."""

    def make(model: ClipGar, **fields: Any) -> GaitBatch:
        return synthetic_batch(model.inputs, **{"num_frames": 3, "attribute_classes": model.num_classes, **fields})

    return make


@pytest.fixture
def walkers_schema() -> tuple[Any, ...]:
    """The 15 attributes of RA-GAR as walkers have them."""
    return ATTRIBUTES
