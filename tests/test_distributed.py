"""Slices of all ranks are the batch, whatever their number."""

import pytest
import torch

from gaitbench.distributed import map_output, slice_batch, slice_sizes
from gaitbench.errors import TrainingError
from gaitbench.model import GaitBatch, GaitOutput


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_slices_make_the_batch(world_size: int) -> None:
    x = torch.arange(7.0)[:, None]
    batch = GaitBatch({"a": x}, {"a": torch.arange(7)}, torch.arange(7), torch.arange(7)[:, None], step=5)
    parts = [slice_batch(batch, rank, world_size) for rank in range(world_size)]
    assert torch.equal(torch.cat([part.inputs["a"] for part in parts]), x)
    assert torch.equal(torch.cat([part.labels for part in parts]), batch.labels)
    assert torch.equal(torch.cat([part.attributes for part in parts]), batch.attributes)
    assert torch.equal(torch.cat([part.num_frames["a"] for part in parts]), batch.num_frames["a"])
    assert [part.step for part in parts] == [5] * world_size
    sizes = slice_sizes(7, world_size)
    assert sum(sizes) == 7
    assert max(sizes) - min(sizes) <= 1


def test_more_ranks_than_clips() -> None:
    with pytest.raises(TrainingError, match="2 clips cannot be divided among 3 devices"):
        slice_sizes(2, 3)


def test_map_reaches_every_tensor_once() -> None:
    shared = torch.ones(2, 3, 1)
    output = GaitOutput(
        shared,
        logits=torch.ones(2, 4, 1),
        attributes={"hair": torch.ones(2)},
        by_modality={"a": GaitOutput(shared, extras={"e": torch.ones(1)})},
    )
    calls = 0

    def double(x: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return x * 2

    mapped = map_output(output, double)
    assert calls == 4
    assert mapped.by_modality["a"].embedding is mapped.embedding
    assert float(mapped.attributes["hair"][0]) == float(mapped.by_modality["a"].extras["e"]) == 2
