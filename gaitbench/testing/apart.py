"""The contract of a model that embeds several modalities into one space: in a test each embedding stands alone.

Axes: N batch.
"""

from dataclasses import replace

import torch
from torch import Tensor

from gaitbench.errors import ModelError
from gaitbench.model import GaitBatch, GaitModel
from gaitbench.testing.batch_parts import only
from gaitbench.testing.models import TOLERANCE, difference, embed
from gaitbench.testing.synthetic import synthetic_batch

__all__ = ["check_apart"]


def check_apart(
    model: GaitModel, batch: GaitBatch | None = None, *, num_frames: int = 4, tolerance: float = TOLERANCE
) -> None:
    """Ask what an embedding of one modality depends on in evaluation: on that sequence's own frames, and nothing else.

    Checked, for each modality: it embeds the same alone and beside the others; the same whatever the others show; the
    same whatever labels and attributes the batch carries, and without any; and a sequence embeds the same whoever else
    is in the batch, in whichever row. Otherwise a probe would be told something of the gallery, or of the answer.

    Args:
        model: Small is fine. It is left in evaluation mode.
        batch: Sequences of all modalities that are embedded in a test; None for made-up ones.
        num_frames: Frames of made-up ones.
        tolerance: Largest relative difference of an embedding; labels and attributes may not change a bit.

    Raises:
        ModelError: What an embedding depends on; or the model does not embed modalities by themselves.
    """
    name = type(model).__name__
    if batch is None:
        batch = synthetic_batch(model.inputs, num_frames=num_frames)
    present = [spec.modality for spec in model.inputs if not spec.is_for_training and spec.modality in batch.inputs]
    if len(present) < 2 or not _beside(model, only(batch, present)):
        raise ModelError(f"{name} does not embed several modalities, each by itself; check_apart has nothing to ask.")
    for modality in present:
        label = f"{name} on {modality}"
        shown = only(batch, [modality])
        alone = embed(model, replace(shown, labels=None), label)
        told = replace(shown, labels=batch.labels, attributes=batch.attributes)
        others = replace(told, labels=_other(batch.labels), attributes=_other(batch.attributes), step=7)
        if not (torch.equal(embed(model, told, label), alone) and torch.equal(embed(model, others, label), alone)):
            raise ModelError(f"{label}: labels or attributes of the batch change the embedding in evaluation.")
        upside_down = GaitBatch(
            {modality: shown.inputs[modality].flip(0)}, {modality: shown.num_frames[modality].flip(0)}
        )
        half = GaitBatch({modality: shown.inputs[modality][1::2]}, {modality: shown.num_frames[modality][1::2]})
        for company in (embed(model, upside_down, label).flip(0)[1::2], embed(model, half, label)):
            if (error := difference(company, alone[1::2])) > tolerance:
                raise ModelError(
                    f"{label}: sequences embed differently in other company (relative difference {error:.1e}); nothing "
                    "may be averaged, normalised or retrieved over the batch in evaluation."
                )
        for beside in (batch, _with_others(batch, modality)):
            found = _beside(model, only(beside, present))[modality]
            if (error := difference(found, alone)) > tolerance:
                raise ModelError(
                    f"{label}: it embeds differently alone and beside {' and '.join(set(present) - {modality})} "
                    f"(relative difference {error:.1e}); in a test a probe's sensor knows nothing of the gallery's."
                )


def _beside(model: GaitModel, batch: GaitBatch) -> dict[str, Tensor]:
    """The embedding of each modality of a batch of several."""
    model.eval()
    with torch.inference_mode():
        return {key: output.embedding.clone() for key, output in model(batch).by_modality.items()}


def _with_others(batch: GaitBatch, modality: str) -> GaitBatch:
    """The same frames of one modality beside those of other people."""
    inputs = {key: x if key == modality else x.roll(1, dims=0) for key, x in batch.inputs.items()}
    num_frames = {key: x if key == modality else x.roll(1, dims=0) for key, x in batch.num_frames.items()}
    return replace(batch, inputs=inputs, num_frames=num_frames)


def _other(values: Tensor | None) -> Tensor | None:
    """Labels or attributes that are wrong of nearly everybody, and known."""
    return None if values is None else (values - values.roll(1, dims=0)).abs()
