"""Contrastive loss of pairs: two sensors' views of one moment find each other among those of the batch.

Axes: N pairs, D embedding width.
"""

import torch
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ShapeError

__all__ = ["paired_contrastive"]


def paired_contrastive(a: Tensor, b: Tensor, *, temperature: float = 0.07) -> Tensor:
    """Ask of each row of one side which row of the other belongs to it, and the other way round.

    The mean of two cross-entropies over cosines divided by the temperature. Nobody's label is read: other pairs of the
    same subject are wrong answers too. Computed in float32 or better, also under autocast.

    Args:
        a: ``[N, D]`` of one sensor.
        b: ``[N, D]`` of the other, row by row the same moments.
        temperature: Above 0.

    Returns:
        Scalar; swapping a and b changes nothing.

    Raises:
        ShapeError: The sides differ in shape.
        ValueError: ``temperature`` is not above 0.

    Source:
        van den Oord et al., "Representation Learning with Contrastive Predictive Coding", arXiv 1807.03748, equation 4;
        both ways as in Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML
        2021, figure 3.

    Example:
        >>> paired_contrastive(torch.eye(2), torch.eye(2), temperature=1.0)  # log(1 + exp(-1))
        tensor(0.3133)
    """
    if a.dim() != 2 or a.shape != b.shape:
        raise ShapeError(f"pairs need two embeddings [N, D] of one shape, got {list(a.shape)} and {list(b.shape)}")
    if temperature <= 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    with torch.autocast(a.device.type, enabled=False):
        dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
        x, y = (functional.normalize(side.to(dtype), dim=1) for side in (a, b))
        logits = x @ y.T / temperature  # [N, N]
        right = torch.arange(len(logits), device=logits.device)
        return (functional.cross_entropy(logits, right) + functional.cross_entropy(logits.T, right)) / 2
