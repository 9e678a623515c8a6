"""Lay out the weights of a network as its convolutions are fastest with."""

import torch
from torch import nn

__all__ = ["channels_last"]


def channels_last(module: nn.Module) -> nn.Module:
    """Put the channels of 2D and 3D convolution weights last in memory; convolutions follow their weights.

    Unlike ``module.to(memory_format=torch.channels_last)`` it takes networks with 3D convolutions, whose weights have
    five axes and a memory format of their own. Numbers stay as they are.

    Args:
        module: Changed in place.

    Returns:
        The same module.

    Example:
        >>> channels_last(nn.Conv3d(2, 4, 3)).weight.stride()
        (54, 1, 18, 6, 2)
    """
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.dim() in formats:
            tensor.data = tensor.data.contiguous(memory_format=formats[tensor.dim()])
    return module
