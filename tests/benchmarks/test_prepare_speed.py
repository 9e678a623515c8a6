"""Preparing CASIA-B from pickles beside reading the same pickles once with plain pickle, from the disk and from memory.

Two workers make a prepared dataset: read, check, hash and write; one process unpickles each file and drops it. Both
begin with no file in memory (the kernel is told to forget them), or both with all of them. The time that the workers
take to start is told apart, as it does not grow with the dataset.

Run with ``pytest tests/benchmarks/test_prepare_speed.py --benchmark-only -s``.
"""

import os
import pickle
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gaitbench.prepare import prepare
from gaitbench.streams.silhouettes import SilhouetteOptions

NUM_SUBJECTS, NUM_FRAMES = 6, 100
CONDITIONS = ("nm-01", "nm-02", "nm-03", "nm-04", "nm-05", "nm-06", "bg-01", "bg-02", "cl-01", "cl-02")
VIEWS = tuple(f"{angle:03d}" for angle in range(0, 181, 18))
ROUNDS = 3
BUILDER = "gaitbench_silhouette.casia_b:CasiaB"


def write(root: Path, num_subjects: int) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = []
    for subject in range(1, num_subjects + 1):
        for condition in CONDITIONS:
            for view in VIEWS:
                frames = rng.integers(0, 256, (NUM_FRAMES, 64, 64), dtype=np.uint8)
                path = root / f"{subject:03d}" / condition / view / f"{view}.pkl"
                path.parent.mkdir(parents=True)
                with path.open("wb") as file:
                    pickle.dump(frames, file)
                    os.fsync(file.fileno())
                paths.append(path)
    return paths


def forget(paths: list[Path]) -> None:
    """Have the kernel drop the files from memory; it does so for whatever is on the disk already."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def unpickle(paths: list[Path]) -> None:
    for path in paths:
        with path.open("rb") as file:
            assert len(pickle.load(file)) == NUM_FRAMES


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@pytest.mark.parametrize("memory", ["cold", "warm"])
@pytest.mark.parametrize("edges", ["soft", "binary"])
def test_prepare(benchmark: "object", tmp_path: Path, edges: str, memory: str) -> None:
    pytest.importorskip("gaitbench_silhouette")
    source, little = tmp_path / "casia-b", tmp_path / "little"
    paths, first = write(source, NUM_SUBJECTS), write(little, 1)
    num_bytes = sum(path.stat().st_size for path in paths)

    def make(root: Path = source) -> None:
        options = SilhouetteOptions(edges=edges)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        prepare(BUILDER, options, root, tmp_path / "out", ["silhouette"], workers=2, progress=False)

    def before() -> None:
        if memory == "cold":
            forget(paths)

    plain = []
    for _ in range(ROUNDS):
        before()
        plain.append(seconds(lambda: unpickle(paths)))
    start = min(seconds(lambda: make(little)) for _ in range(ROUNDS))
    benchmark.pedantic(make, setup=before, rounds=ROUNDS)  # type: ignore[attr-defined]
    if benchmark.stats is None:  # type: ignore[attr-defined]
        return
    best, whole = min(plain), benchmark.stats.stats.min  # type: ignore[attr-defined]
    per_file = (whole - start) / (len(paths) - len(first))
    told = {
        "megabytes": round(num_bytes / 1e6),
        "plain_pickle_s": round(best, 2),
        "prepare_s": round(whole, 2),
        "of_which_start_s": round(start - per_file * len(first), 2),
    }
    benchmark.extra_info.update(told)  # type: ignore[attr-defined]
    print(f"\n{edges}, {memory}: {told}")
