"""Supervised contrastive loss: all samples of a subject attract each other, all others repel.

Axes: N batch, D embedding width, P parts.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.layers.widen import widen

__all__ = ["supervised_contrastive"]


def supervised_contrastive(
    embedding: Tensor,
    labels: Tensor,
    *,
    temperature: float = 0.07,
    base_temperature: float | None = None,
    similarity: Literal["cosine", "negative-distance"] = "cosine",
    is_mean_of_active: bool = False,
) -> Tensor:
    """Ask each sample to find the others of its subject among all others of the batch.

    For each part and anchor: minus the mean, over its positives, of the log of ``exp(s / temperature)`` over the sum
    of the same for every other sample, positive or negative. Then the mean over anchors, then over parts. Vectors are
    brought to length 1 first. Computed in float32 or better, also under autocast.

    Args:
        embedding: ``[N, D, P]``; several views of a sample are rows of their own.
        labels: ``[N]`` int64 subject indices. A subject with one sample gives negatives only: its sample is no anchor.
        temperature: Above 0.
        base_temperature: The loss is multiplied by ``temperature / base_temperature``; None for no factor.
        similarity: What s is: the cosine, or minus the Euclidean distance of the unit vectors.
        is_mean_of_active: Leave anchors whose loss is exactly 0 out of the mean.

    Returns:
        Scalar; 0 when no sample has a positive.

    Raises:
        ShapeError: ``labels`` does not have one entry per embedding.
        ValueError: A temperature is not above 0, or ``similarity`` is unknown.

    Source:
        Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, equation 2 (the sum over positives outside the
        logarithm). Minus the distance and the mean of active anchors: as GaitGraph2 is trained (Teepe et al., CVPRW
        2022).

    Example:
        >>> points = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])[:, :, None]
        >>> supervised_contrastive(points, torch.tensor([0, 0, 1]), temperature=1.0)  # log(1 + exp(-2))
        tensor(0.1269)
    """
    if embedding.dim() != 3 or labels.shape != embedding.shape[:1]:
        raise ShapeError(
            f"a contrastive loss needs embeddings [N, D, P] and labels [N], got {list(embedding.shape)} "
            f"and {list(labels.shape)}"
        )
    if temperature <= 0 or (base_temperature is not None and base_temperature <= 0):
        raise ValueError(f"temperatures must be above 0, got {temperature} and {base_temperature}")
    if similarity not in ("cosine", "negative-distance"):
        raise ValueError(f"similarity must be 'cosine' or 'negative-distance', got {similarity!r}")
    is_self = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    positive = (labels[:, None] == labels) & ~is_self  # [N, N]
    num_positives = positive.sum(dim=1)  # [N]
    with torch.autocast(embedding.device.type, enabled=False):
        x = widen(embedding).permute(2, 0, 1)
        x = functional.normalize(x, dim=2)  # [P, N, D]
        if similarity == "cosine":
            logits = x @ x.transpose(1, 2) / temperature
        else:
            # The fast product form loses the digits of small distances, which a small temperature makes large.
            logits = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist") / -temperature
        log_total = logits.masked_fill(is_self, -torch.inf).logsumexp(dim=2)  # [P, N]
        attraction = logits.masked_fill(~positive, 0).sum(dim=2) / num_positives.clamp_min(1)
        is_anchor = (num_positives > 0).expand_as(log_total)
        per_anchor = (log_total - attraction).masked_fill(~is_anchor, 0)
        if is_mean_of_active:
            is_anchor = is_anchor & (per_anchor > 0)
        loss = (per_anchor.sum(dim=1) / is_anchor.sum(dim=1).clamp_min(1)).mean()
        return loss if base_temperature is None else loss * (temperature / base_temperature)
