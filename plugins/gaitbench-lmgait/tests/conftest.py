"""LMGait at a size at which a test takes milliseconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gaitbench_lmgait.config import LMGaitConfig
from gaitbench_lmgait.model import LMGait

from gaitbench.annotating import Annotation, AnnotationHeader, Annotations, write_annotations
from gaitbench.annotating.motion import MotionPromptsSchema
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

Rounds = tuple[tuple[str, str, str], ...]
ROUNDS: Rounds = (
    ("Arms swing.", "Legs step.", "They alternate."),
    ("Both arms swing.", "Legs step.", "Sides take turns."),
)


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


@pytest.fixture
def write_prompts() -> Callable[..., Path]:
    """Writes a file as ``gaitbench annotate --schema prompts`` does."""

    def write(path: Path, rounds: Rounds = ROUNDS, *, num_rounds: int = 2, **header: Any) -> Path:
        schema = MotionPromptsSchema(max(2, num_rounds))
        (steps,) = schema.chains()
        about = {
            "schema_name": schema.name,
            "schema_version": schema.version,
            "prompt_sha256": schema.prompt_sha256(),
            "fields": (),
            "dataset": "walkers",
            "dataset_version": "",
            "num_rounds": num_rounds,
            "model": "some-llm",
            "endpoint_host": "localhost:8000",
            "answer_format": "json_schema",
            "written_by": "0",
            **header,
        }
        records = []
        for step, sentences in zip(steps, rounds, strict=False):
            values = dict(zip((field.name for field in step.fields), sentences, strict=True))
            records.append(
                Annotation(sequence_id=step.entry, status="ok", values=values, sentences=schema.sentences(values))
            )
        write_annotations(path, Annotations(header=AnnotationHeader(**about), records=tuple(records)))
        return path

    return write
