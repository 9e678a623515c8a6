"""The field's usual way to start a network."""

from torch import nn

__all__ = ["init_parameters"]


def init_parameters(module: nn.Module) -> None:
    """Fill convolutions and linear maps Xavier-uniform, biases with 0, batch-norm weights from N(1, 0.02).

    Per-part matrices (:class:`gaitbench.layers.SeparateFC`) start themselves in the same way.

    Args:
        module: A network; all its parts are visited.

    Source:
        The defaults of the published code that the parity vectors come from.

    Example:
        >>> import torch
        >>> norm = torch.nn.BatchNorm2d(1000)
        >>> init_parameters(norm)
        >>> bool((norm.weight - 1).abs().max() < 0.2), norm.bias.abs().max().item()
        (True, 0.0)
    """
    for part in module.modules():
        if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) and part.affine:
            nn.init.normal_(part.weight, 1.0, 0.02)
            nn.init.zeros_(part.bias)
