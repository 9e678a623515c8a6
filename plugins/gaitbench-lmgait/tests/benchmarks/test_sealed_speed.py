"""What the text side costs at test time: the published sizes with the text tower, and sealed.

Run with ``pytest plugins/gaitbench-lmgait/tests/benchmarks --benchmark-only``; otherwise it is skipped. On a GPU where
there is one. Either model is measured as a user gets it: a fresh process loads a file of weights and embeds a sequence;
of the sealed file it never builds the text tower. Weights are drawn, which costs no less than published ones.
"""

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from gaitbench_lmgait.config import LMGaitConfig
from gaitbench_lmgait.model import LMGait
from gaitbench_lmgait.text_side import TextSide

from gaitbench.checkpoint import apply_weights, load_tensors, save_tensors, weights_of
from gaitbench.model import GaitBatch

NUM_FRAMES = 2
NUM_ROUNDS = 5


class Cost(NamedTuple):
    """Of one form of the model."""

    seconds: list[float]
    """For a sequence, one by one, after one that does not count."""
    memory_mb: float
    """GPU: the most that was allocated. CPU: the most that the process held, Python and torch included."""
    weights_mb: float
    """All weights in memory, those of the towers too."""


def megabytes(model: LMGait) -> float:
    """Of all weights in memory, those of the towers too."""
    parts: list[Any] = [model, model.encoder.tower.tower]
    if isinstance(model.text, TextSide):
        parts.append(model.text.tower.tower)
    return sum(x.numel() * x.element_size() for part in parts for x in (*part.parameters(), *part.buffers())) / 2**20


def measure(file: Path, num_threads: int) -> Cost:
    """Load a file of weights and embed a sequence again and again; for a process of its own."""
    torch.set_num_threads(num_threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = LMGait(LMGaitConfig()).eval()
    apply_weights(model, load_tensors(file), str(file))
    model.to(device)
    inputs = {"rgb": torch.rand(1, 3, NUM_FRAMES, 256, 128), "aspect-ratio": torch.full((1, 1, NUM_FRAMES, 1), 0.4)}
    inputs = {name: x.to(device) for name, x in inputs.items()}
    batch = GaitBatch(inputs, dict.fromkeys(inputs, torch.tensor([NUM_FRAMES], device=device)))
    seconds = []
    with torch.inference_mode():
        for _ in range(1 + NUM_ROUNDS):
            start = time.perf_counter()
            model(batch).embedding.cpu()  # a copy to the host waits for the device
            seconds.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else process_peak()
    return Cost(seconds[1:], peak, megabytes(model))


def process_peak() -> float:
    """The most that this process held. What getrusage tells begins with the peak of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 2**10


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Weights of one model, before and after it is sealed."""
    torch.manual_seed(0)
    folder, model = tmp_path_factory.mktemp("weights"), LMGait(LMGaitConfig()).eval()
    found = {}
    for is_sealed in (False, True):
        if is_sealed:
            model.seal()
        found[is_sealed] = folder / f"{is_sealed}.safetensors"
        save_tensors(found[is_sealed], weights_of(model))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("is_sealed", [False, True], ids=["with-text-tower", "sealed"])
def test_embedding_a_sequence(is_sealed: bool, files: dict[bool, Path], benchmark: Any) -> None:
    def run(function: Callable[..., Cost]) -> Cost:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(function, (files[is_sealed], torch.get_num_threads()))

    # The process as a whole is what pytest-benchmark times: loading and all. What counts stands in extra_info.
    cost: Cost = benchmark.pedantic(run, args=(measure,), rounds=1, iterations=1)
    benchmark.extra_info |= {
        "seconds_per_sequence": round(min(cost.seconds), 3),  # the least that other work on the machine disturbed
        "peak_memory_mb": round(cost.memory_mb, 1),
        "weights_in_memory_mb": round(cost.weights_mb, 1),
        "weights_saved_mb": round(files[is_sealed].stat().st_size / 2**20, 1),
    }
