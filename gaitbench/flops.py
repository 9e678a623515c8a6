"""Size and arithmetic of a model."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gaitbench.model import GaitBatch

__all__ = ["count_flops", "count_parameters"]


def count_parameters(model: nn.Module) -> int:
    """Count a model's parameters, frozen ones too; a shared one counts once. Buffers do not count.

    Example:
        >>> count_parameters(nn.Linear(3, 2))
        8
    """
    return sum(parameter.numel() for parameter in model.parameters())


def count_flops(model: nn.Module, batch: GaitBatch) -> int:
    """Count floating-point operations of one forward pass, a multiply-add as two.

    Products and convolutions count, elementwise work and pooling do not, as is the habit of the field.

    Args:
        model: In evaluation mode; nothing in it changes.
        batch: What it is given, on the model's device.

    Example:
        >>> model = nn.Linear(3, 2)
        >>> model.forward = lambda batch: model.weight @ batch.inputs["x"]
        >>> count_flops(model, GaitBatch(inputs={"x": torch.zeros(3, 5)}, num_frames={}))
        60
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        # The counter fails at a module that is handed a view of a parameter, as of a learned query, while this trains.
        for parameter in trained:
            parameter.requires_grad_(False)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(batch)
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
    return int(counter.get_total_flops())
