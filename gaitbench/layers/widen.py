"""Numbers that must not lose digits."""

import torch
from torch import Tensor

__all__ = ["widen"]


def widen(x: Tensor) -> Tensor:
    """Bring numbers to float32 where they have less; float64 stays, so that a whole network can be checked in it.

    Args:
        x: Any shape, floating point.

    Returns:
        The same numbers in float32 or float64, the same tensor where it is either.

    Example:
        >>> [widen(torch.zeros(1, dtype=kind)).dtype for kind in (torch.bfloat16, torch.float32, torch.float64)]
        [torch.float32, torch.float32, torch.float64]
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))
