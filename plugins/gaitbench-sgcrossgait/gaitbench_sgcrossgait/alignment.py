"""Losses of SG-CrossGait that others do not have: features against texts, one sensor's judgement against the other's.

Axes: N pairs, C width of the text space, P parts.
"""

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.layers import widen

__all__ = ["positive_pairs", "soft_contrastive", "symmetric_divergence"]


_Kind = Literal["text-or-subject", "text", "subject"]


def positive_pairs(subject: Tensor, text: Tensor, kind: _Kind = "text-or-subject") -> Tensor:
    """Tell which walk's feature belongs to which walk's text.

    Args:
        subject: ``[N]`` int64 of the walks.
        text: ``[N]`` int64, the number of each walk's text.
        kind: What makes a pair positive.

    Returns:
        ``[N, N]`` bool, true on the diagonal.

    Raises:
        ValueError: There is no such kind.

    Example:
        >>> positive_pairs(torch.tensor([0, 0, 1]), torch.tensor([5, 6, 6])).int()
        tensor([[1, 1, 0],
                [1, 1, 1],
                [0, 1, 1]], dtype=torch.int32)
    """
    if kind not in get_args(_Kind):
        raise ValueError(f"kind must be one of {', '.join(get_args(_Kind))}, got {kind!r}")
    same_subject = subject[:, None] == subject
    same_text = text[:, None] == text
    if kind == "text":
        return same_text
    return same_subject if kind == "subject" else same_subject | same_text


def soft_contrastive(features: Tensor, texts: Tensor, positive: Tensor, scale: Tensor | float) -> Tensor:
    """Ask each feature for its texts and each text for its features, with equal shares for all positive ones.

    Args:
        features: ``[N, C]``, of any length.
        texts: ``[N, C]``.
        positive: ``[N, N]`` bool; rows are features, columns texts. One without any positive counts
            in the mean with a loss of 0.
        scale: 1 / temperature.

    Returns:
        Scalar: the mean of both directions' cross-entropies. With equal cosines everywhere it is log N.

    Raises:
        ShapeError: The shapes do not fit.

    Source:
        Contrastive pairs in both directions: Radford et al., "Learning Transferable Visual Models From Natural Language
        Supervision", ICML 2021; soft targets: the authors' log of SG-CrossGait (TIFS 2026), as its constant lets guess.

    Example:
        >>> x = torch.eye(2)
        >>> soft_contrastive(x, x, torch.ones(2, 2).bool(), 1.0) > soft_contrastive(x, x, torch.eye(2).bool(), 1.0)
        tensor(True)
    """
    if features.dim() != 2 or features.shape != texts.shape or positive.shape != (len(features), len(features)):
        raise ShapeError(
            f"features and texts must be [N, C] and positive [N, N], got {list(features.shape)}, {list(texts.shape)} "
            f"and {list(positive.shape)}"
        )
    with torch.autocast(features.device.type, enabled=False):
        cosine = functional.normalize(widen(features), dim=1) @ functional.normalize(widen(texts), dim=1).T
        logits, wanted = scale * cosine, positive.to(cosine.dtype)
        # A count of 0 stays a share of 0: asking which rows have none would wait for the device.
        per_feature, per_text = (wanted.sum(dim=dim, keepdim=True).clamp(min=1) for dim in (1, 0))
        to_texts = functional.cross_entropy(logits, wanted / per_feature)
        to_features = functional.cross_entropy(logits.T, (wanted / per_text).T)
        return 0.5 * (to_texts + to_features)


def symmetric_divergence(a: Tensor, b: Tensor, *, scale: float = 16.0, temperature: float = 4.0) -> Tensor:
    """Measure how far two judgements about the same walks lie apart.

    Args:
        a: ``[N, classes, P]`` cosines.
        b: The same of the other sensor.
        scale: Factor on the cosines.
        temperature: What scaled cosines are divided by.

    Returns:
        Scalar, 0 or more: the mean over walks and parts of half of both Kullback-Leibler divergences. Exchanging the
        sensors changes nothing. It is not multiplied by the squared temperature, as the log's values are small.

    Raises:
        ShapeError: The shapes differ.

    Source:
        The authors' log of SG-CrossGait (TIFS 2026) has a term ``kldiv``; of what is ours.

    Example:
        >>> symmetric_divergence(torch.ones(2, 3, 1), torch.zeros(2, 3, 1))
        tensor(0.)
    """
    if a.dim() != 3 or a.shape != b.shape:
        raise ShapeError(f"both must be [N, classes, P] of one shape, got {list(a.shape)} and {list(b.shape)}")
    with torch.autocast(a.device.type, enabled=False):
        log_a, log_b = (functional.log_softmax(widen(x) * (scale / temperature), dim=1) for x in (a, b))
        # Both divergences together: (a - b) log (a / b).
        return 0.5 * ((log_a.exp() - log_b.exp()) * (log_a - log_b)).sum(dim=1).mean()
