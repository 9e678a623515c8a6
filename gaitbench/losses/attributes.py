"""Losses of attribute logits: a sigmoid per label, or a softmax per attribute. Unknown labels take no part.

Axes: N batch, A attributes, L labels of the vector.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ModelError, ShapeError
from gaitbench.metrics.label_encoding import EncodingKind, label_encoding

__all__ = ["attribute_bce", "attribute_cross_entropy", "check_classes"]


def attribute_bce(
    logits: Tensor,
    attributes: Tensor,
    num_classes: Sequence[int],
    *,
    kind: EncodingKind = "onehot",
    reduction: Literal["mean", "sum"] = "mean",
    share: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy of every label by itself.

    Args:
        logits: ``[N, L]``, in the order of the label vector.
        attributes: ``[N, A]`` int64 class indices, -1 where unknown.
        num_classes: ``[A]`` classes of each attribute.
        kind: What the labels are.
        reduction: ``mean`` over known labels, or their ``sum`` over each sequence, then the mean over sequences.
        share: ``[L]`` share of training sequences that have each label. A label counts exp(1 - share) where it is
            positive and exp(share) where it is not, so that rare ones are not lost; None counts all alike.

    Returns:
        Scalar; zero, with a gradient of zero, where nothing is known.

    Raises:
        ShapeError: There is not one logit, or not one share, per label, or not one class per attribute.
        ModelError: A class does not exist.

    Source:
        The weights: Li et al., "Multi-attribute Learning for Pedestrian Attribute Recognition in Surveillance
        Scenarios", ACPR 2015 (DeepMAR, with sigma 1).

    Example:
        >>> attribute_bce(torch.zeros(1, 3), torch.tensor([[2]]), [3])
        tensor(0.6931)
    """
    encoding = label_encoding(num_classes, kind)
    if logits.shape != (len(attributes), len(encoding)):
        raise ShapeError(f"{encoding.name} needs logits [{len(attributes)}, {len(encoding)}], got {list(logits.shape)}")
    check_classes(attributes, num_classes)
    attribute, cls = (torch.from_numpy(x).to(attributes.device) for x in (encoding.attribute, encoding.cls))
    told = attributes[:, attribute]  # [N, L]
    is_positive = told == cls
    loss = functional.binary_cross_entropy_with_logits(logits, is_positive.to(logits.dtype), reduction="none")
    if share is not None:
        if share.shape != (len(encoding),):
            raise ShapeError(f"{encoding.name} needs shares [{len(encoding)}], got {list(share.shape)}")
        loss = loss * torch.exp(torch.where(is_positive, 1 - share, share))
    is_known = told >= 0
    count = is_known.sum() if reduction == "mean" else is_known.any(dim=1).sum()
    return (loss * is_known).sum() / count.clamp_min(1)


def attribute_cross_entropy(logits: Sequence[Tensor], attributes: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of the classes of each attribute.

    Args:
        logits: A tensor ``[N, classes]`` for each attribute.
        attributes: ``[N, A]`` int64 class indices, -1 where unknown.
        label_smoothing: Share of the target spread over all classes of an attribute.

    Returns:
        Scalar, the mean over attributes of the mean over the sequences of which it is known; an attribute that is not
        known of any is left out. Zero, with a gradient of zero, where nothing is known.

    Raises:
        ShapeError: There is not one tensor for each attribute.
        ModelError: A class does not exist.

    Example:
        >>> attribute_cross_entropy([torch.zeros(2, 4)], torch.tensor([[3], [-1]]))
        tensor(1.3863)
    """
    if len(logits) != attributes.shape[1]:
        raise ShapeError(f"{attributes.shape[1]} attributes need as many tensors of logits, got {len(logits)}")
    check_classes(attributes, [part.shape[1] for part in logits])
    losses = torch.stack(
        [
            functional.cross_entropy(part, label, ignore_index=-1, reduction="sum", label_smoothing=label_smoothing)
            / (label >= 0).sum().clamp_min(1)
            for part, label in zip(logits, attributes.T, strict=True)
        ]
    )
    num_known = (attributes >= 0).any(dim=0).sum()
    return losses.sum() / num_known.clamp_min(1)


def check_classes(attributes: Tensor, num_classes: Sequence[int]) -> None:
    """Stop at attributes that are no classes; on a GPU, only at those of another number.

    Args:
        attributes: ``[N, A]`` int64 class indices, -1 where unknown.
        num_classes: ``[A]`` classes of each attribute.

    Raises:
        ShapeError: There is not one class per attribute.
        ModelError: A class does not exist.
    """
    if attributes.ndim != 2 or attributes.shape[1] != len(num_classes):
        raise ShapeError(f"attributes must be [N, {len(num_classes)}], got {list(attributes.shape)}")
    if attributes.is_cuda or not attributes.numel():
        return  # asking a GPU in every step would stall it; datasets are checked before training
    most = attributes.amax(dim=0)
    if (least := int(attributes.amin())) < -1:
        raise ModelError(f"attributes hold the class {least}; classes count from 0, and -1 is unknown")
    if bool((most >= torch.tensor(list(num_classes))).any()):
        raise ModelError(f"attributes hold classes up to {most.tolist()}, there are {list(num_classes)} of each")
