"""Losses of attribute logits: a sigmoid per label, or a softmax per attribute. Unknown labels take no part.

Axes: N batch, A attributes, L labels of the vector.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ModelError, ShapeError
from gaitbench.metrics.label_encoding import EncodingKind, label_encoding

__all__ = ["attribute_bce", "attribute_cross_entropy"]


def attribute_bce(
    logits: Tensor, attributes: Tensor, num_classes: Sequence[int], *, kind: EncodingKind = "onehot"
) -> Tensor:
    """Binary cross-entropy of every label by itself, unweighted.

    Args:
        logits: ``[N, L]``, in the order of the label vector.
        attributes: ``[N, A]`` int64 class indices, -1 where unknown.
        num_classes: ``[A]`` classes of each attribute.
        kind: What the labels are.

    Returns:
        Scalar, the mean over known labels; zero, with a gradient of zero, where nothing is known.

    Raises:
        ShapeError: There is not one logit per label, or not one class per attribute.
        ModelError: A class does not exist.

    Example:
        >>> attribute_bce(torch.zeros(1, 3), torch.tensor([[2]]), [3])
        tensor(0.6931)
    """
    encoding = label_encoding(num_classes, kind)
    if logits.shape != (len(attributes), len(encoding)):
        raise ShapeError(f"{encoding.name} needs logits [{len(attributes)}, {len(encoding)}], got {list(logits.shape)}")
    _check(attributes, num_classes)
    attribute, cls = (torch.from_numpy(x).to(attributes.device) for x in (encoding.attribute, encoding.cls))
    told = attributes[:, attribute]  # [N, L]
    loss = functional.binary_cross_entropy_with_logits(logits, (told == cls).to(logits.dtype), reduction="none")
    is_known = told >= 0
    return (loss * is_known).sum() / is_known.sum().clamp_min(1)


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
    _check(attributes, [part.shape[1] for part in logits])
    losses = torch.stack(
        [
            functional.cross_entropy(part, label, ignore_index=-1, reduction="sum", label_smoothing=label_smoothing)
            / (label >= 0).sum().clamp_min(1)
            for part, label in zip(logits, attributes.T, strict=True)
        ]
    )
    num_known = (attributes >= 0).any(dim=0).sum()
    return losses.sum() / num_known.clamp_min(1)


def _check(attributes: Tensor, num_classes: Sequence[int]) -> None:
    if attributes.ndim != 2 or attributes.shape[1] != len(num_classes):
        raise ShapeError(f"attributes must be [N, {len(num_classes)}], got {list(attributes.shape)}")
    if attributes.is_cuda or not attributes.numel():
        return  # asking a GPU in every step would stall it; datasets are checked before training
    most = attributes.amax(dim=0)
    if bool((most >= torch.tensor(list(num_classes))).any()):
        raise ModelError(f"attributes hold classes up to {most.tolist()}, there are {list(num_classes)} of each")
