"""Triplet loss on the pairs that multi-similarity mining keeps.

Axes: N batch, D embedding width, P parts.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.layers.widen import widen
from gaitbench.losses.triplet import mean_active_hinge

__all__ = ["MinedPairs", "mine_multi_similarity", "multi_similarity_triplet"]


class MinedPairs(NamedTuple):
    """Pairs that are informative."""

    positive: Tensor
    """``[P, N, N]`` bool: pairs of one subject that are less alike than the anchor's most alike stranger."""
    negative: Tensor
    """``[P, N, N]`` bool: pairs of two subjects that are more alike than the anchor's least alike positive."""


def mine_multi_similarity(similarity: Tensor, labels: Tensor, *, epsilon: float = 0.1) -> MinedPairs:
    """Keep the pairs that are on the wrong side of their anchor's hardest pair of the other kind, by a tolerance.

    Args:
        similarity: ``[P, N, N]``, larger means more alike; anchors are rows.
        labels: ``[N]`` int64 subject indices; an anchor without a positive or without a negative keeps nothing.
        epsilon: Tolerance in units of similarity: larger keeps more.

    Returns:
        The pairs kept.

    Raises:
        ShapeError: ``labels`` and ``similarity`` do not fit.

    Source:
        Wang et al., "Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning", CVPR 2019, section
        "Pair Mining".

    Example:
        >>> similarity = torch.tensor([[[1.0, 0.9, 0.2], [0.9, 1.0, 0.85], [0.2, 0.85, 1.0]]])
        >>> mined = mine_multi_similarity(similarity, torch.tensor([0, 0, 1]))
        >>> mined.positive[0].nonzero().tolist(), mined.negative[0].nonzero().tolist()
        ([[1, 0]], [[1, 2]])
    """
    if similarity.dim() != 3 or similarity.shape[1:] != (len(labels), len(labels)):
        raise ShapeError(
            f"mining needs similarity [P, N, N] and labels [N], got {list(similarity.shape)} and {list(labels.shape)}"
        )
    same = labels[:, None] == labels[None, :]  # [N, N]
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    hardest_positive = similarity.masked_fill(~positive, torch.inf).amin(dim=2, keepdim=True)  # [P, N, 1]
    hardest_negative = similarity.masked_fill(same, -torch.inf).amax(dim=2, keepdim=True)
    return MinedPairs(
        positive=positive & (similarity - epsilon < hardest_negative),
        negative=~same & (similarity + epsilon > hardest_positive),
    )


def multi_similarity_triplet(
    embedding: Tensor, labels: Tensor, *, margin: float = 0.01, epsilon: float = 0.1
) -> Tensor:
    """Ask every mined positive to be nearer to its anchor than every mined negative, by a margin of cosine distance.

    For each part: the mean of ``max(0, margin + d(anchor, positive) - d(anchor, negative))`` over the triplets of
    mined pairs for which it is not zero; then the mean over parts. Zero where nothing is mined.

    Args:
        embedding: ``[N, D, P]`` of any length; compared by cosine, in float32 or better also under autocast.
        labels: ``[N]`` int64 subject indices.
        margin: In units of cosine distance, 0 to 2.
        epsilon: Tolerance of the mining.

    Returns:
        Scalar.

    Raises:
        ShapeError: ``labels`` does not have one entry per embedding.

    Source:
        Wang et al., CVPR 2019 (mining); Pinyoanuntapong et al., "GaitMixer", ICASSP 2023, section on training (the
        combination). That the loss measures by cosine, as the test does, and means over non-zero terms is our reading.

    Example:
        >>> points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]).unsqueeze(2)
        >>> multi_similarity_triplet(points, torch.tensor([0, 0, 1]))  # anchors 0: 1 - 0.4, and 1: 1 - 0.2
        tensor(0.7100)
    """
    if embedding.dim() != 3 or labels.shape != embedding.shape[:1]:
        raise ShapeError(
            f"a triplet loss needs embeddings [N, D, P] and labels [N], got {list(embedding.shape)} "
            f"and {list(labels.shape)}"
        )
    with torch.autocast(embedding.device.type, enabled=False):
        x = widen(embedding).permute(2, 0, 1)  # [P, N, D]
        x = functional.normalize(x, dim=2)
        similarity = x @ x.transpose(1, 2)
        mined = mine_multi_similarity(similarity.detach(), labels, epsilon=epsilon)
        losses = [
            mean_active_hinge(1 - part[None], positive, negative, margin)
            for part, positive, negative in zip(similarity, *mined, strict=True)
        ]
        return torch.stack(losses).mean()
