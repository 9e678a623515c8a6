"""Triplet loss between two modalities of the same walks.

Axes: N and M batches, D embedding width, P parts.
"""

from typing import NamedTuple

from torch import Tensor

from gaitbench.errors import ShapeError
from gaitbench.losses.part_distance import part_distance
from gaitbench.losses.triplet import mean_active_hinge

__all__ = ["CrossModalTriplet", "cross_modal_triplet"]


class CrossModalTriplet(NamedTuple):
    """The loss in both directions; sum or weigh as the recipe says."""

    a_to_b: Tensor
    """Scalar: anchors from A, candidates from B."""
    b_to_a: Tensor
    """Scalar: anchors from B, candidates from A."""


def cross_modal_triplet(
    a: Tensor, b: Tensor, labels_a: Tensor, labels_b: Tensor | None = None, *, margin: float = 0.2
) -> CrossModalTriplet:
    """Batch-all triplet loss whose positives and negatives come from the other modality.

    The walk that an anchor was taken from is among its positives: another sensor saw it.

    Args:
        a: ``[N, D, P]`` embeddings of modality A.
        b: ``[M, D, P]`` embeddings of modality B.
        labels_a: ``[N]`` int64 subject indices of A.
        labels_b: ``[M]`` of B; None when the batches show the same walks.
        margin: In units of distance.

    Returns:
        Both directions; swapping A and B swaps them. Identical embeddings everywhere give exactly the margin.

    Raises:
        ShapeError: Labels and embeddings do not fit together.

    Source:
        The cross-modal triplet term common to UniCrossGait (TMM 2026) and MMGait: Euclidean, batch-all, margin 0.2,
        mean over the non-zero terms of each part.

    Example:
        >>> import torch
        >>> same = torch.zeros(4, 8, 2)
        >>> loss = cross_modal_triplet(same, same, torch.tensor([0, 0, 1, 1]))
        >>> round(loss.a_to_b.item(), 6), round(loss.b_to_a.item(), 6)
        (0.2, 0.2)
    """
    labels_b = labels_a if labels_b is None else labels_b
    if labels_a.shape != a.shape[:1] or labels_b.shape != b.shape[:1]:
        raise ShapeError(
            f"labels {list(labels_a.shape)} and {list(labels_b.shape)} do not fit embeddings "
            f"{list(a.shape)} and {list(b.shape)}"
        )
    distance = part_distance(a, b)  # [P, N, M]
    match = labels_a[:, None] == labels_b[None, :]  # [N, M]
    return CrossModalTriplet(
        mean_active_hinge(distance, match, ~match, margin),
        mean_active_hinge(distance.transpose(1, 2), match.T, ~match.T, margin),
    )
