"""The contract of a model on sequences of several lengths.

Axes: N batch, T frames.
"""

from collections.abc import Sequence

import torch

from gaitbench.errors import ModelError
from gaitbench.model import GaitModel
from gaitbench.testing.batch_parts import first_frames, rows, shown_together, with_lengths
from gaitbench.testing.models import TOLERANCE, difference, embed
from gaitbench.testing.synthetic import synthetic_batch

__all__ = ["check_lengths"]


def check_lengths(model: GaitModel, lengths: Sequence[int] = (1, 2, 3, 5), *, tolerance: float = TOLERANCE) -> None:
    """Embed sequences of several lengths, alone and together.

    Checked: sequences of each length embed as finite numbers that differ from one sequence to the next; and, where
    the model says ``masked``, that a batch of all these lengths gives each sequence the embedding it has alone.

    Args:
        model: Small is fine; a closed-form one must be fitted. It is left in evaluation mode.
        lengths: Frames of the sequences.
        tolerance: Largest relative difference of an embedding.

    Raises:
        ModelError: What is wrong, and for which length.
    """
    name = type(model).__name__
    num_sequences = max(2, len(lengths))
    batch = synthetic_batch(model.inputs, num_sequences=num_sequences, num_frames=max(lengths))
    for shown in shown_together(model, batch):
        label = f"{name} on {' and '.join(shown.inputs)}"
        for length in lengths:
            where = f"{label}, sequences of {length} frames"
            embedded = embed(model, first_frames(shown, model.inputs, length), where)
            if torch.equal(embedded[0], embedded[1]):
                raise ModelError(f"{where}: two different sequences have the same embedding.")
        if model.padding != "masked":
            continue
        cycled = [lengths[row % len(lengths)] for row in range(num_sequences)]
        together = embed(model, with_lengths(shown, model.inputs, cycled), label)
        for row, length in enumerate(cycled):
            alone = embed(model, first_frames(rows(shown, [row]), model.inputs, length), label)
            if (error := difference(alone[0], together[row])) > tolerance:
                raise ModelError(
                    f"{label}: a sequence of {length} frames embeds differently alone and padded to {max(lengths)} "
                    f"(relative difference {error:.1e}). Mask frames from num_frames on, or set padding = 'refused'."
                )
