"""A learned temperature with a bound, from which it finds back."""

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["bounded_scale", "hold_scale"]


def bounded_scale(logit_scale: Tensor, max_scale: float) -> Tensor:
    """Factor on cosines, 1 / tau, of its logarithm.

    At the bound the gradient is that of the exponential, unlike a clamp's, which is 0 there and would keep the
    temperature where it is for good. Beyond the bound it is 0; :func:`hold_scale` keeps a parameter from going there.

    Args:
        logit_scale: Logarithm of the factor, a scalar.
        max_scale: Largest factor, above 0.

    Returns:
        The factor, at most ``max_scale``.

    Source:
        Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021, section
        2.5: a learned temperature whose factor is clipped at 100.

    Example:
        >>> bounded_scale(torch.tensor(0.0), 100.0).item(), round(bounded_scale(torch.tensor(9.0), 100.0).item())
        (1.0, 100)
    """
    most = _largest_logarithm(max_scale)
    return torch.where(logit_scale > most, most, logit_scale).exp()


def hold_scale(logit_scale: nn.Parameter, max_scale: float) -> None:
    """Bring a learned logarithm that a step has taken beyond the bound back to it; call it before a training forward.

    Args:
        logit_scale: As for :func:`bounded_scale`; left alone where it is not learned.
        max_scale: Largest factor.
    """
    if logit_scale.requires_grad:
        with torch.no_grad():
            logit_scale.clamp_(max=_largest_logarithm(max_scale))


@cache
def _largest_logarithm(max_scale: float) -> float:
    """A number of float32, so that what is held at it lies at it; a little below, as the exponential is rounded."""
    return float(np.nextafter(np.float32(math.log(max_scale)), np.float32("-inf")))
