"""Frames that are no padding, and nothing else, reach the batch norms of a network that trains on ragged clips."""

import torch
from gaitbench_baselines.gaitbase import GaitBase, GaitBaseConfig
from gaitbench_baselines.raster_input import on_real_frames

from gaitbench.model import GaitBatch
from gaitbench.recipe import Stage


def test_only_real_frames_are_seen_and_stay_in_their_place() -> None:
    frames = torch.arange(1.0, 7.0)[:, None, None, None].requires_grad_()
    seen: list[list[float]] = []

    def network(x: torch.Tensor) -> torch.Tensor:
        seen.append(x.flatten().tolist())
        return 10 * x

    out = on_real_frames(network, frames, torch.tensor([1, 3, 2][:2]))
    assert seen == [[1.0, 4.0, 5.0, 6.0]]
    assert out.flatten().tolist() == [10.0, 0.0, 0.0, 40.0, 50.0, 60.0]
    out.sum().backward()
    assert frames.grad is not None
    assert frames.grad.flatten().tolist() == [10.0, 0.0, 0.0, 10.0, 10.0, 10.0]
    on_real_frames(network, frames, torch.tensor([2, 2, 2]))
    assert len(seen[1]) == 6


def test_padding_changes_nothing_in_training() -> None:
    """As in the published code, which puts clips of different lengths one behind the other."""
    clips = torch.rand(4, 1, 5, 64, 44, generator=torch.Generator().manual_seed(0)).round()
    num_frames = torch.tensor([3, 5, 2, 4])
    results = []
    for rubbish in (0.0, 9.0):
        torch.manual_seed(1)
        model = GaitBase(GaitBaseConfig(channels=(4, 6, 8, 10), embedding_width=12, num_classes=2)).train()
        padded = clips.clone()
        for clip, length in zip(padded, num_frames.tolist(), strict=True):
            clip[:, length:] = rubbish
        batch = GaitBatch({"silhouette": padded}, {"silhouette": num_frames}, labels=torch.tensor([0, 0, 1, 1]))
        output = model(batch)
        sum(model.losses(output, batch, Stage()).values()).backward()
        gradient = model.trunk.stem[0].weight.grad
        results.append((output.embedding, model.trunk.stem[1].running_var, gradient))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
