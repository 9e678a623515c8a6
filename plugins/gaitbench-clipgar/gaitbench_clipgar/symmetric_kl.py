"""Contrastive loss between clips and sentences, attribute by attribute and in both directions.

Axes: N sequences, A attributes, S classes of all attributes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gaitbench.errors import ShapeError
from gaitbench.losses import check_classes

__all__ = ["symmetric_kl"]


def symmetric_kl(logits: Tensor, attributes: Tensor, num_classes: Sequence[int]) -> Tensor:
    """Half the sum of two Kullback-Leibler divergences, the mean over attributes.

    For an attribute of n classes and its one-hot labels y ``[N, n]``, with p the softmax of the logits over the classes
    (a clip looks for its sentence) or over the batch (a sentence looks for its clips): KL(y, p), where rows or columns
    of y are divided by their sum. The mean is over clips there, and here over the classes that the batch has.

    Args:
        logits: ``[N, S]`` scaled likeness of clips and sentences.
        attributes: ``[N, A]`` int64 class indices. A clip of which an attribute is unknown, -1, takes no part in it.
        num_classes: ``[A]`` classes of each attribute.

    Returns:
        Scalar, 0 or more; attributes that are known of nobody are left out, and it is 0, with a gradient of 0, where
        all are.

    Raises:
        ShapeError: There is not one logit per class, or not one class per attribute.
        ModelError: A class does not exist.

    Source:
        Wang et al., RA-GAR and CLIP-GAR, AAAI 2025, equation 1. It prints KL(p, y), which is infinite for one-hot y;
        the order of the arguments, the division by sums and the mean over attributes are ours.

    Example:
        >>> symmetric_kl(torch.zeros(2, 2), torch.tensor([[0], [1]]), [2])
        tensor(0.6931)
    """
    check_classes(attributes, num_classes)
    if logits.shape != (len(attributes), sum(num_classes)):
        raise ShapeError(f"logits must be [{len(attributes)}, {sum(num_classes)}], got {list(logits.shape)}")
    losses = [
        _of_attribute(part, label)
        for part, label in zip(torch.split(logits, list(num_classes), dim=1), attributes.T, strict=True)
    ]
    num_known = (attributes >= 0).any(dim=0).sum()
    return torch.stack(losses).sum() / num_known.clamp_min(1)


def _of_attribute(logits: Tensor, label: Tensor) -> Tensor:
    is_known = label >= 0
    is_target = label[:, None] == torch.arange(logits.shape[1], device=label.device)  # [N, n]
    to_text = -_picked(logits.log_softmax(dim=1), is_target).sum() / is_known.sum().clamp_min(1)
    # Not infinity, of which a batch of unknown labels would make NaN.
    lowest = torch.finfo(logits.dtype).min
    over_clips = logits.masked_fill(~is_known[:, None], lowest).log_softmax(dim=0)
    count = is_target.sum(dim=0)  # [n]
    share = 1 / count.clamp_min(1)
    to_clips = (-share * _picked(over_clips, is_target).sum(dim=0) + share.log()).sum() / (count > 0).sum().clamp_min(1)
    return 0.5 * (to_text + to_clips)


def _picked(x: Tensor, where: Tensor) -> Tensor:
    return torch.where(where, x, torch.zeros_like(x))
