"""How many augmented clips per second: whole batches from a prepared dataset, and the usual loader on the same data.

The usual way is a file per sequence with the frames as uint8, read, cut and augmented one sequence at a time by two
worker processes, and collated. Both give batches of the same shape from the same frames under the same probabilities.

Run with ``pytest tests/benchmarks --benchmark-only``; the two rows of the table are one comparison.
"""

import functools
import math
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from gaitbench.clips import ClipSampler
from gaitbench.dataset import GaitDataset
from gaitbench.model import InputSpec
from gaitbench.recipe import AugmentConfig, ClipConfig
from tests.support.tiny_dataset import prepare_tiny

CLIPS = ClipConfig(subjects_per_batch=8, sequences_per_subject=8, num_frames=30)
AUGMENT = AugmentConfig(perspective=0.2, flip=0.2, rotate=0.2)
SILHOUETTE = InputSpec(modality="silhouette", height_px=64, width_px=44)
BATCHES = 20
ROUNDS = 6


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> GaitDataset:
    """480 sequences of 60 to 100 frames, 64x64."""
    root = tmp_path_factory.mktemp("speed")
    return prepare_tiny(root / "d", num_subjects=40, num_sequences=12, min_frames=60, max_frames=100, workers=None)


@pytest.fixture(scope="module")
def pickles(dataset: GaitDataset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("pickles")
    paths = [root / f"{name}.pkl" for name in dataset.table.sequence_id]
    for path, sequence in zip(paths, dataset, strict=True):
        frames = sequence.frames["silhouette"]
        assert isinstance(frames, np.ndarray)
        path.write_bytes(pickle.dumps(frames[:, 0] * np.uint8(255)))
    return paths


def labels_of(dataset: GaitDataset) -> NDArray[np.int64]:
    return np.unique(dataset.table.subject_id, return_inverse=True)[1]


class PickledSequences(Dataset[tuple[Tensor, int]]):
    """One clip per item, as loaders of the field do it."""

    def __init__(self, paths: list[Path], labels: NDArray[np.int64]) -> None:
        self.paths = paths
        self.labels = labels

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        frames = pickle.loads(self.paths[i].read_bytes())
        chosen = np.random.choice(len(frames), CLIPS.num_frames, replace=len(frames) < CLIPS.num_frames)  # noqa: NPY002
        clip = frames[chosen].astype(np.float32) / 255
        return augment_one(torch.from_numpy(clip))[..., 10:54], int(self.labels[i])


def augment_one(clip: Tensor) -> Tensor:
    """``[T, H, W]``: perspective, flip and rotation, each with its probability, each applied when it is drawn."""
    size = clip.shape[1]
    if torch.rand(()) < AUGMENT.perspective:
        inwards = torch.rand(4) * 20 / size
        x = torch.tensor([-1.0, 1.0, -1.0, 1.0])
        y = torch.tensor([-1.0, -1.0, 1.0, 1.0])
        u, zero, one = x - x * inwards, torch.zeros(4), torch.ones(4)
        system = torch.cat(
            [
                torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], 1),
                torch.stack([zero, zero, zero, x, y, one, -y * x, -y * y], 1),
            ]
        )
        matrix = torch.cat([torch.linalg.solve(system, torch.cat([u, y])), torch.ones(1)]).reshape(3, 3)
        clip = warp(clip, matrix)
    if torch.rand(()) < AUGMENT.flip:
        clip = clip.flip(-1)
    if torch.rand(()) < AUGMENT.rotate:
        angle = math.radians(float(torch.rand(()) * 2 - 1) * AUGMENT.rotate_deg)
        c, s = math.cos(angle), math.sin(angle)
        clip = warp(clip, torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]))
    return clip


def warp(clip: Tensor, matrix: Tensor) -> Tensor:
    side = torch.linspace(-1, 1, clip.shape[1])
    row, column = torch.meshgrid(side, side, indexing="ij")
    at = torch.stack([column, row, torch.ones_like(row)], -1) @ matrix.T
    return functional.grid_sample(clip[None], (at[..., :2] / at[..., 2:])[None], align_corners=True)[0]


class RandomPK:
    """P subjects with K sequences each, without end."""

    def __init__(self, labels: NDArray[np.int64]) -> None:
        self.rows = [np.flatnonzero(labels == label) for label in np.unique(labels)]

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng(0)
        while True:
            subjects = rng.choice(len(self.rows), CLIPS.subjects_per_batch, replace=False)
            yield [
                int(row)
                for subject in subjects
                for row in rng.choice(self.rows[subject], CLIPS.sequences_per_subject, replace=False)
            ]


def check(clips: Tensor) -> None:
    assert clips.shape == (64, 1, 30, 64, 44)
    assert clips.dtype == torch.float32
    assert abs(float(clips.max()) - 1) < 1e-5
    # Squares of 4 to 7 pixels a side, some outside the cut.
    assert 0.002 < clips.mean() < 0.012


@pytest.mark.benchmark(group="64 clips of 30 augmented silhouettes")
def test_whole_batches(benchmark: "object", dataset: GaitDataset) -> None:
    source = ClipSampler(dataset, torch.from_numpy(labels_of(dataset)), CLIPS, (SILHOUETTE,), AUGMENT)
    steps = iter(range(10**9))

    def run() -> None:
        for _ in range(BATCHES):
            source.batch(next(steps))

    check(source.batch(next(steps)).inputs["silhouette"])
    benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)  # type: ignore[attr-defined]
    report(benchmark)


@pytest.mark.benchmark(group="64 clips of 30 augmented silhouettes")
def test_pickle_per_sequence_with_two_workers(benchmark: "object", dataset: GaitDataset, pickles: list[Path]) -> None:
    labels = labels_of(dataset)
    loader = DataLoader(
        PickledSequences(pickles, labels),
        batch_sampler=RandomPK(labels),
        num_workers=2,
        multiprocessing_context="spawn",
    )
    batches = iter(loader)

    def run() -> None:
        for _ in range(BATCHES):
            next(batches)

    try:
        check(next(batches)[0].unsqueeze(1))
        benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)  # type: ignore[attr-defined]
    finally:
        batches._shutdown_workers()  # type: ignore[attr-defined]
    report(benchmark)


@functools.cache
def _rates() -> dict[str, float]:
    return {}


def report(benchmark: "object") -> None:
    """Put sequences per second, and the ratio once both are known, beside the times.

    The mean counts: in a single round the loader may hand out what its workers had ready from the round before.
    """
    if benchmark.stats is None:  # type: ignore[attr-defined]
        return
    rate = BATCHES * 64 / benchmark.stats.stats.mean  # type: ignore[attr-defined]
    rates = _rates()
    rates[benchmark.name] = rate  # type: ignore[attr-defined]
    benchmark.extra_info["sequences_per_second"] = round(rate)  # type: ignore[attr-defined]
    print(f"\n{benchmark.name}: {rate:,.0f} sequences/s")  # type: ignore[attr-defined]
    if len(rates) == 2:
        whole, usual = rates["test_whole_batches"], rates["test_pickle_per_sequence_with_two_workers"]
        benchmark.extra_info["ratio"] = round(whole / usual, 1)  # type: ignore[attr-defined]
        print(f"whole batches are {whole / usual:.1f} times as fast")
