"""What the text side costs at test time: the published sizes with the text tower and sealed.

Run with ``pytest plugins/gaitbench-lmgait/tests/benchmarks --benchmark-only``; otherwise it is skipped.
"""

import gc
from typing import Any

import pytest
import torch
from gaitbench_lmgait.config import LMGaitConfig
from gaitbench_lmgait.model import LMGait

from gaitbench.checkpoint import weights_of
from gaitbench.model import GaitBatch

NUM_FRAMES = 2


def megabytes(model: LMGait) -> float:
    """Of all weights in memory, those of the towers too."""
    parts: list[Any] = [model, model.encoder.tower.tower]
    if hasattr(model.text, "tower"):
        parts.append(model.text.tower.tower)
    return sum(weight.numel() * weight.element_size() for part in parts for weight in part.parameters()) / 2**20


@pytest.mark.slow
@pytest.mark.parametrize("is_sealed", [False, True], ids=["with-text-tower", "sealed"])
def test_embedding_a_sequence(is_sealed: bool, benchmark: Any) -> None:
    torch.manual_seed(0)
    model = LMGait(LMGaitConfig()).eval()
    if is_sealed:
        model.seal()
    inputs = {"rgb": torch.rand(1, 3, NUM_FRAMES, 256, 128), "aspect-ratio": torch.full((1, 1, NUM_FRAMES, 1), 0.4)}
    batch = GaitBatch(inputs, dict.fromkeys(inputs, torch.tensor([NUM_FRAMES])))
    gc.collect()
    with torch.inference_mode():
        model(batch)
        benchmark.extra_info["weights_in_memory_mb"] = round(megabytes(model), 1)
        saved = sum(x.numel() * x.element_size() for x in weights_of(model).values()) / 2**20
        benchmark.extra_info["weights_saved_mb"] = round(saved, 1)
        benchmark.pedantic(model, args=(batch,), rounds=3, iterations=1)
