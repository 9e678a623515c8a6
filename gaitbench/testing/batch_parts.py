"""Parts of a batch: some modalities, some sequences, clips of several lengths.

Axes: N batch, T frames.
"""

import copy
from collections.abc import Sequence

import torch

from gaitbench.model import GaitBatch, GaitModel, InputSpec
from gaitbench.testing.synthetic import kind_of

__all__ = ["first_frames", "only", "rows", "shown_together", "with_lengths"]

RUBBISH = 7.0
"""What padded frames hold, so that looking at them shows."""


def only(batch: GaitBatch, modalities: Sequence[str]) -> GaitBatch:
    """The batch with these modalities alone."""
    return GaitBatch(
        inputs={key: batch.inputs[key] for key in modalities},
        num_frames={key: batch.num_frames[key] for key in modalities},
        labels=batch.labels,
    )


def rows(batch: GaitBatch, chosen: Sequence[int]) -> GaitBatch:
    """Some of the sequences, without labels."""
    index = torch.tensor(chosen)
    return GaitBatch(
        inputs={key: value[index] for key, value in batch.inputs.items()},
        num_frames={key: value[index] for key, value in batch.num_frames.items()},
    )


def first_frames(batch: GaitBatch, inputs: Sequence[InputSpec], length: int) -> GaitBatch:
    """The first frames of every clip, without labels."""
    axes = {spec.modality: _time_axis(spec) for spec in inputs}
    return GaitBatch(
        inputs={key: value.narrow(axes[key], 0, length) for key, value in batch.inputs.items()},
        num_frames={key: torch.full_like(value, length) for key, value in batch.num_frames.items()},
    )


def with_lengths(batch: GaitBatch, inputs: Sequence[InputSpec], lengths: Sequence[int]) -> GaitBatch:
    """Clips of several lengths, without labels: the first frames of each, then rubbish as padding.

    Args:
        batch: Clips of T frames.
        inputs: The model's.
        lengths: N numbers. One above T adds as many frames of rubbish, and the clip stays as long as it is.
    """
    axes = {spec.modality: _time_axis(spec) for spec in inputs}
    padded, num_frames = {}, {}
    for key, value in batch.inputs.items():
        frames = value.movedim(axes[key], 1)
        num_frames[key] = torch.tensor(lengths).minimum(batch.num_frames[key])
        if (extra := max(lengths) - frames.shape[1]) > 0:
            frames = torch.cat([frames, frames[:, :1].expand(-1, extra, *frames.shape[2:])], dim=1)
        is_padding = torch.arange(frames.shape[1]) >= num_frames[key][:, None]  # [N, T]
        frames = frames.clone()
        frames[is_padding] = RUBBISH
        padded[key] = frames.movedim(1, axes[key]).contiguous()
    return GaitBatch(inputs=padded, num_frames=num_frames)


def shown_together(model: GaitModel, batch: GaitBatch) -> list[GaitBatch]:
    """What a model is shown at a time in a test: each modality by itself, unless the model fuses them.

    Modalities that only training reads are left out.
    """
    # Only in training does every model take all of its modalities at once.
    trained = copy.deepcopy(model).train()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        is_apart = bool(trained(batch).by_modality)
    at_test = [spec.modality for spec in model.inputs if not spec.is_for_training and spec.modality in batch.inputs]
    return [only(batch, [key]) for key in at_test] if is_apart else [only(batch, at_test)]


def _time_axis(spec: InputSpec) -> int:
    """Points are ``[N, T, M, C]``, everything else has T behind the channels."""
    return 1 if kind_of(spec) == "points" else 2
