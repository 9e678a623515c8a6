"""From a prepared dataset and a trained model to part embeddings, checked before anything is scored.

Axes: N sequences, D embedding width, P parts.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gaitbench.clips import test_batches
from gaitbench.dataset import GaitDataset
from gaitbench.errors import DatasetError, ModelError
from gaitbench.model import GaitModel, GaitOutput
from gaitbench.progress import track
from gaitbench.tasks import EmbeddingSet

if TYPE_CHECKING:
    from gaitbench.features.bank import FeatureBank

__all__ = ["check_embeddings", "embed"]

Autocast = Callable[[], "contextlib.AbstractContextManager[object]"]


def embed(
    model: GaitModel,
    dataset: GaitDataset,
    index: NDArray[np.int64],
    modalities: Sequence[str],
    *,
    max_frames: int | None = None,
    frames_per_batch: int = 2048,
    device: torch.device | str = "cpu",
    autocast: Autocast = contextlib.nullcontext,
    features: "FeatureBank | None" = None,
    read: Callable[[GaitOutput], Tensor] | None = None,
    description: str = "embed",
) -> EmbeddingSet:
    """Embed sequences, each whole and on its own terms: the batch it shares changes nothing but the last bits.

    Args:
        model: On ``device``; it is put into evaluation mode.
        dataset: Holds all of ``modalities``.
        index: ``[N]`` rows of the dataset.
        modalities: What the model is shown; some or all of its inputs.
        max_frames: Longer sequences are cut to their first frames.
        frames_per_batch: Bounds memory. The same sequence in another batch agrees to about 1e-5 relative in float32
            and 1e-2 in bfloat16.
        device: Where the model is.
        autocast: Gives a context for mixed precision, such as ``fabric.autocast``.
        features: Kept features of these sequences, in the order of ``index``; None has the model compute them.
        read: What of an output is kept, ``[N, D, P]``; None for its embedding.
        description: Shown at the progress bar.

    Returns:
        Float32 embeddings ``[N, D, P]`` on the CPU with their rows of the sequence table, in the order of ``index``.

    Raises:
        ModelError: The output breaks its contract; see :func:`check_embeddings`.
        DatasetError: There is nothing to embed, or a modality does not fit the model.
    """
    if len(index) == 0:
        raise DatasetError("there is no sequence to embed; check the protocol's gallery and probes")
    chosen = dataset.take(index)
    inputs = [spec for spec in model.inputs if spec.modality in modalities]
    model.eval()
    embeddings: Tensor | None = None
    is_filled = torch.zeros(len(index), dtype=torch.bool)
    batches = test_batches(
        chosen,
        inputs,
        max_frames=max_frames,
        frames_per_batch=frames_per_batch,
        padding=model.padding,
        device=torch.device(device),
        features=features,
    )
    with torch.inference_mode(), autocast(), track(len(index), description) as bar:
        for rows, batch in batches:
            part = _kept_of(model, model(batch), len(rows), read).float().cpu()
            if embeddings is None:
                embeddings = torch.empty(len(index), *part.shape[1:])
            if part.shape[1:] != embeddings.shape[1:]:
                raise ModelError(
                    f"{type(model).__name__} gives [D, P] = {list(part.shape[1:])} for some sequences and "
                    f"{list(embeddings.shape[1:])} for others; the shape must not depend on the sequence"
                )
            embeddings[rows.cpu()] = part
            is_filled[rows.cpu()] = True
            bar.advance(len(rows))
    assert embeddings is not None
    assert bool(is_filled.all())
    # A copy outside inference mode, so that callers may compute with it as with any tensor.
    embeddings = embeddings.clone()
    check_embeddings(embeddings, chosen.table.sequence_id, type(model).__name__)
    return EmbeddingSet(embeddings=embeddings, table=chosen.table)


def _kept_of(
    model: GaitModel, output: GaitOutput, num_sequences: int, read: Callable[[GaitOutput], Tensor] | None
) -> Tensor:
    if not isinstance(output, GaitOutput):
        raise ModelError(f"{type(model).__name__}.forward must return a GaitOutput, got {type(output).__name__}")
    embedding = output.embedding if read is None else read(output)
    if embedding.ndim != 3 or embedding.shape[0] != num_sequences or 0 in embedding.shape:
        raise ModelError(
            f"{type(model).__name__} must embed {num_sequences} sequences as [{num_sequences}, D, P], "
            f"got {list(embedding.shape)}"
        )
    return embedding


def check_embeddings(embeddings: Tensor, sequence_id: NDArray[np.str_], name: str) -> None:
    """Stop before a broken model is scored.

    Args:
        embeddings: ``[N, D, P]`` float.
        sequence_id: ``[N]``, for the message.
        name: The model's name, for the message.

    Raises:
        ModelError: An embedding is NaN or infinite, or all sequences have the very same one.
    """
    is_bad = ~torch.isfinite(embeddings).flatten(1).all(dim=1)  # [N]
    if num_bad := int(is_bad.sum()):
        first = int(is_bad.nonzero()[0])
        raise ModelError(
            f"{name}: {num_bad} of {len(embeddings)} embeddings hold NaN or infinity (first: {sequence_id[first]}). "
            "Training diverged, or the model divides by zero on such input."
        )
    if len(embeddings) > 1 and torch.equal(embeddings.amin(dim=0), embeddings.amax(dim=0)):
        raise ModelError(
            f"{name}: all {len(embeddings)} embeddings are identical, so nothing can be told apart. Training "
            "collapsed, or the model ignores its input."
        )
