"""What a loss needs from a batch and from a model's output, or an error that says what is missing."""

from torch import Tensor

from gaitbench.errors import ModelError
from gaitbench.model import GaitBatch, GaitOutput

__all__ = ["labels_of", "logits_of"]


def labels_of(batch: GaitBatch) -> Tensor:
    """``[N]`` int64 labels of a training batch.

    Raises:
        ModelError: The batch is not from training.
    """
    if batch.labels is None:
        raise ModelError("losses need labels, and this batch has none; only training batches do")
    return batch.labels


def logits_of(output: GaitOutput) -> Tensor:
    """``[N, classes, P]`` logits of an output.

    Raises:
        ModelError: The output has none.
    """
    if output.logits is None:
        raise ModelError("cross-entropy needs logits, and this output has none")
    return output.logits
