"""Triplet losses on part embeddings.

Axes: N anchors, M candidates, D embedding width, P parts, A positives and B negatives of an anchor.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gaitbench.errors import ShapeError
from gaitbench.losses.part_distance import part_distance

__all__ = ["batch_all_triplet", "batch_hard_triplet", "mean_active_hinge"]

_CHUNK = 1 << 23
"""Triplets compared at a time: 32 MiB in float32, several times that with temporaries."""


def batch_all_triplet(embedding: Tensor, labels: Tensor, *, margin: float = 0.2) -> Tensor:
    """Ask every positive pair to be nearer than every negative pair of the same anchor, by a margin.

    For each part: the mean of ``max(0, margin + d(anchor, positive) - d(anchor, negative))`` over the triplets of
    the batch for which it is not zero; then the mean over parts. A part without such a triplet contributes zero. An
    anchor is its own positive too, at distance 0, so that a negative nearer than the margin counts on its own.
    A few MiB whatever the batch: triplets are compared in chunks and only their effect on the distances is kept.

    Args:
        embedding: ``[N, D, P]``.
        labels: ``[N]`` int64 subject indices; a subject with one sequence has itself as its only positive.
        margin: In units of distance.

    Returns:
        Scalar, float32 or better.

    Raises:
        ShapeError: ``labels`` does not have one entry per embedding.

    Source:
        Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification", arXiv 2017, section "Batch
        All", with the mean over non-zero terms. That the anchor is among its positives is the habit of the field's
        implementations, not of the paper.

    Example:
        >>> points = torch.tensor([0.0, 1.0, 1.5]).reshape(3, 1, 1)
        >>> batch_all_triplet(points, torch.tensor([0, 0, 1]))  # only anchor 1 sees its negative too near
        tensor(0.7000)
    """
    _check(embedding, labels)
    same = labels[:, None] == labels[None, :]  # [N, N]
    return mean_active_hinge(part_distance(embedding, embedding), same, ~same, margin)


def batch_hard_triplet(embedding: Tensor, labels: Tensor, *, margin: float = 0.2) -> Tensor:
    """Compare, for each anchor, its farthest positive with its nearest negative.

    Args:
        embedding: ``[N, D, P]``.
        labels: ``[N]`` int64 subject indices; an anchor without a positive or without a negative is left out.
        margin: In units of distance.

    Returns:
        Scalar: the mean of ``max(0, margin + d(anchor, positive) - d(anchor, negative))`` over anchors and parts,
        zeros included; 0 when no anchor has both.

    Raises:
        ShapeError: ``labels`` does not have one entry per embedding.

    Source:
        Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification", arXiv 2017, equation "Batch
        Hard".

    Example:
        >>> points = torch.tensor([0.0, 1.0, 1.5, 9.0]).reshape(4, 1, 1)
        >>> batch_hard_triplet(points, torch.tensor([0, 0, 1, 2]))  # anchors 0 and 1: 0 and 0.7
        tensor(0.3500)
    """
    _check(embedding, labels)
    same = labels[:, None] == labels[None, :]  # [N, N]
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    distance = part_distance(embedding, embedding)  # [P, N, N]
    farthest = distance.masked_fill(~positive, -torch.inf).amax(dim=2)  # [P, N]
    nearest = distance.masked_fill(same, torch.inf).amin(dim=2)
    usable = positive.any(dim=1) & ~same.all(dim=1)  # [N]
    hinge = (margin + farthest - nearest).masked_fill(~usable, 0).clamp_min(0)
    return hinge.sum() / (usable.sum() * embedding.shape[2]).clamp_min(1)


def mean_active_hinge(distance: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Average the hinge of every (anchor, positive, negative), as :func:`batch_all_triplet` does.

    Args:
        distance: ``[P, N, M]`` from anchors to candidates.
        positive: ``[N, M]`` bool, candidates that show the anchor's subject.
        negative: ``[N, M]`` bool, candidates that show another subject.
        margin: In units of distance.

    Returns:
        Scalar: mean over the non-zero terms of each part, then over parts.

    Example:
        >>> distance = torch.tensor([[[1.0, 0.5, 2.0]]])
        >>> chosen = torch.tensor([[True, False, False]])
        >>> mean_active_hinge(distance, chosen, ~chosen, margin=0.2)
        tensor(0.7000)
    """
    per_part: Tensor = _MeanActiveHinge.apply(
        _choose(distance, positive, -torch.inf), _choose(distance, negative, torch.inf), margin
    )
    return per_part.mean()


class _MeanActiveHinge(torch.autograd.Function):
    """Mean non-zero hinge per part from ``[P, N, A]`` positive and ``[P, N, B]`` negative distances.

    A hinge is linear where it is active, so the backward pass needs only how often each distance took part.
    """

    @staticmethod
    def forward(ctx: Any, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
        num_parts, num_anchors, num_positives = positive.shape
        near, far = positive.flatten(0, 1) + margin, negative.flatten(0, 1)  # [P*N, A], [P*N, B]
        total, active = near.new_zeros(len(near)), near.new_zeros(len(near))
        near_count, far_count = torch.zeros_like(near), torch.zeros_like(far)
        step = max(1, _CHUNK // max(1, num_positives * far.shape[1]))
        for rows in (slice(start, start + step) for start in range(0, len(near), step)):
            hinge = (near[rows, :, None] - far[rows, None, :]).clamp_min_(0)  # [rows, A, B]
            total[rows] = hinge.sum(dim=(1, 2))
            is_active = hinge.sign_()
            near_count[rows], far_count[rows] = is_active.sum(dim=2), is_active.sum(dim=1)
            active[rows] = near_count[rows].sum(dim=1)
        num_active = active.view(num_parts, num_anchors).sum(dim=1).clamp_min(1)  # [P]
        ctx.save_for_backward(near_count.view_as(positive), far_count.view_as(negative), num_active)
        return total.view(num_parts, num_anchors).sum(dim=1) / num_active

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        near_count, far_count, num_active = ctx.saved_tensors
        weight = (grad / num_active)[:, None, None]
        return near_count * weight, -far_count * weight, None


def _choose(distance: Tensor, chosen: Tensor, fill: float) -> Tensor:
    """Gather the chosen candidates of each anchor: ``[P, N, M]`` to ``[P, N, most]``, short rows filled."""
    most = int(chosen.sum(dim=1).max())
    is_chosen, index = chosen.to(torch.uint8).topk(most, dim=1)  # [N, most]
    gathered = distance.gather(2, index.expand(len(distance), -1, -1))
    return gathered.masked_fill(is_chosen == 0, fill)


def _check(embedding: Tensor, labels: Tensor) -> None:
    if embedding.dim() != 3 or labels.shape != embedding.shape[:1]:
        raise ShapeError(
            f"a triplet loss needs embeddings [N, D, P] and labels [N], got {list(embedding.shape)} "
            f"and {list(labels.shape)}"
        )
