"""Opening a large dataset: 5,000 sequences measured, so that 20 times the time is that of 100,000.

Run with ``pytest tests/benchmarks --benchmark-only``.
"""

import pytest

from gaitbench.dataset import GaitDataset
from tests.support.tiny_dataset import prepare_tiny


def test_open(benchmark: "object", tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("many") / "d"
    prepare_tiny(root, num_subjects=1250, min_frames=1, max_frames=2, height_px=4, width_px=8, workers=1)
    dataset = benchmark.pedantic(lambda: GaitDataset.open(root), rounds=10, warmup_rounds=1)  # type: ignore[operator, attr-defined]
    assert len(dataset) == 5000
    if benchmark.stats is not None:  # type: ignore[attr-defined]
        seconds = 20 * benchmark.stats.stats.median  # type: ignore[attr-defined]
        benchmark.extra_info["seconds_for_100000_sequences"] = round(seconds, 2)  # type: ignore[attr-defined]
        print(f"\n100,000 sequences would open in {seconds:.2f} s")
