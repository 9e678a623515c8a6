"""What keeps a feature's two parts apart, and one of them near its text.

Axes: N sequences of one modality, D width.
"""

import torch
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.layers import widen

__all__ = ["alignment", "hsic", "overlap"]


def alignment(modality: Tensor, text: Tensor) -> Tensor:
    """Ask the modality's part to point where its sentences do.

    Args:
        modality: ``[N, D]``, the part, averaged over places.
        text: ``[N, D]``, the mean of the sentences that were retrieved.

    Returns:
        Scalar in [0, 2]: 1 minus the mean cosine.

    Source:
        TCFDNet, CVPR 2026, modality alignment loss.

    Example:
        >>> alignment(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]]))
        tensor(1.)
    """
    _check(modality, text)
    return 1 - functional.cosine_similarity(widen(modality), widen(text), dim=1).mean()


def overlap(shared: Tensor, modality: Tensor) -> Tensor:
    """The cosine of both parts of each sequence, over all channels and places.

    Args:
        shared: ``[N, ...]``.
        modality: ``[N, ...]`` of the same shape.

    Returns:
        ``[N]`` in [-1, 1]; 0 where a part is 0.

    Source:
        TCFDNet, CVPR 2026, orthogonality loss, the mean of these numbers.
    """
    _check(shared, modality)
    return functional.cosine_similarity(widen(shared).flatten(1), widen(modality).flatten(1), dim=1)


def hsic(a: Tensor, b: Tensor) -> Tensor:
    """Estimate how far two features of the same sequences depend on each other, with linear kernels.

    In float32 or better, also under autocast.

    Args:
        a: ``[N, D]``.
        b: ``[N, E]``.

    Returns:
        Scalar, 0 or more: tr(K_c L_c) / (N - 1)^2 with centred K = a a^T and L = b b^T; 0 for a single sequence.

    Source:
        Gretton et al., "Measuring Statistical Dependence with Hilbert-Schmidt Norms", ALT 2005, definition 2; in
        TCFDNet, CVPR 2026, with linear kernels. With those the trace is the squared norm of the cross-covariance, which
        is how it is computed: never below 0, and no ``[N, N]`` is made.

    Example:
        >>> x = torch.tensor([[1.0], [2.0], [3.0]])
        >>> hsic(x, x), hsic(x, torch.ones(3, 1))
        (tensor(1.), tensor(0.))
    """
    if a.dim() != 2 or b.dim() != 2 or len(a) != len(b):
        raise ShapeError(f"hsic needs features [N, D] and [N, E], got {list(a.shape)} and {list(b.shape)}")
    a, b = widen(a), widen(b)
    if len(a) < 2:
        return a.new_zeros(())
    with torch.autocast(a.device.type, enabled=False):
        cross = (a - a.mean(dim=0)).T @ (b - b.mean(dim=0))  # [D, E]
        return torch.square(cross / (len(a) - 1)).sum()


def _check(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape or a.dim() < 2:
        raise ShapeError(f"both must be [N, D ...] of one shape, got {list(a.shape)} and {list(b.shape)}")
