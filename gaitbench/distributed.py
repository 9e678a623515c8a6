"""One batch on several devices: every rank embeds its slice, and all ranks see all embeddings before the losses.

Triplet and contrastive losses compare the members of a batch with each other, so the result depends on how large
that batch is. Here it is the same whatever the number of devices.

Axes: N batch, n this rank's share of it.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.distributed as dist
from torch import Tensor

from gaitbench.errors import TrainingError
from gaitbench.model import GaitBatch, GaitOutput

__all__ = ["gather_output", "map_output", "slice_batch", "slice_sizes"]


def slice_sizes(batch_size: int, world_size: int) -> list[int]:
    """Divide a batch among ranks as evenly as possible, larger shares first.

    Raises:
        TrainingError: There are more ranks than clips.

    Example:
        >>> slice_sizes(8, 3)
        [3, 3, 2]
    """
    if batch_size < world_size:
        raise TrainingError(
            f"a batch of {batch_size} clips cannot be divided among {world_size} devices; use fewer devices or a "
            "larger subjects_per_batch x sequences_per_subject"
        )
    share, rest = divmod(batch_size, world_size)
    return [share + (rank < rest) for rank in range(world_size)]


def slice_batch(batch: GaitBatch, rank: int, world_size: int) -> GaitBatch:
    """Take a rank's share of a batch; slices of all ranks, one after the other, are the batch."""
    if world_size == 1:
        return batch
    sizes = slice_sizes(_batch_size(batch), world_size)
    start = sum(sizes[:rank])
    part = slice(start, start + sizes[rank])
    return replace(
        batch,
        inputs={name: x[part] for name, x in batch.inputs.items()},
        num_frames={name: n[part] for name, n in batch.num_frames.items()},
        labels=None if batch.labels is None else batch.labels[part],
        attributes=None if batch.attributes is None else batch.attributes[part],
    )


def _batch_size(batch: GaitBatch) -> int:
    return next(iter(batch.inputs.values())).shape[0]


def gather_output(output: GaitOutput, rank: int, sizes: list[int]) -> GaitOutput:
    """Put the outputs of all ranks together, in the order of the batch, keeping gradients.

    Entries of ``extras`` whose first axis is not this rank's share stay as they are.
    """
    share = sizes[rank]

    def gather(x: Tensor) -> Tensor:
        if x.ndim == 0 or x.shape[0] != share:
            return x
        gathered: Tensor = _Gather.apply(x, rank, sizes)
        return gathered

    return map_output(output, gather)


def map_output(output: GaitOutput, function: Callable[[Tensor], Tensor]) -> GaitOutput:
    """Apply a function to every tensor of an output; one that appears twice is computed once."""
    done: dict[int, Tensor] = {}

    def once(x: Tensor) -> Tensor:
        if id(x) not in done:
            done[id(x)] = function(x)
        return done[id(x)]

    def walk(part: GaitOutput) -> GaitOutput:
        return GaitOutput(
            embedding=once(part.embedding),
            logits=None if part.logits is None else once(part.logits),
            attributes={name: once(x) for name, x in part.attributes.items()},
            by_modality={name: walk(inner) for name, inner in part.by_modality.items()},
            extras={name: once(x) for name, x in part.extras.items()},
        )

    return walk(output)


class _Gather(torch.autograd.Function):
    """All ranks' rows, one after the other.

    Every rank computes the same losses from the same rows, so a rank already holds the full gradient of its own rows.
    The mean over ranks that data-parallel training takes afterwards would divide it by the number of ranks; hence
    the factor in ``backward``. Parameters behind the gathering have the same gradient on all ranks, which a mean keeps.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, rank: int, sizes: list[int]) -> Tensor:
        ctx.rank, ctx.sizes = rank, sizes  # type: ignore[attr-defined]
        padded = x.new_zeros(max(sizes), *x.shape[1:])
        padded[: len(x)] = x
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None]:
        rank: int = ctx.rank  # type: ignore[attr-defined]
        sizes: list[int] = ctx.sizes  # type: ignore[attr-defined]
        start = sum(sizes[:rank])
        return grad[start : start + sizes[rank]] * len(sizes), None, None
