"""Weigh an image's features by their likeness to a text.

Axes: K frames, C channels of maps, D width of the image tower, Z vectors of a text, h rows and w columns of tokens.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gaitbench_lmgait.config import LEAST_TAU, TextConfig

__all__ = ["SemanticAttention"]


class SemanticAttention(nn.Module):
    """M = sigmoid(cos(z, f) / tau) for every pixel, or sigmoid(z) for every channel.

    Args:
        config: Which of the two, how it is applied, and tau.

    Source:
        Wu et al., arXiv 2601.11931, section on the fusion of text and image ("semantic attention mask"). The paper does
        not say how the mask is computed; this form is ours.

    Example:
        >>> attention = SemanticAttention(TextConfig())
        >>> f = torch.ones(1, 4, 2, 2)
        >>> attention.mask(torch.ones(1, 1, 4), f)[0, 0, 0, 0]
        tensor(1.0000, grad_fn=<SelectBackward0>)
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        # Learned as a change of its logarithm: no step of any size makes tau negative or stops its gradient, and weight
        # decay draws it to where it started.
        change = torch.zeros(())
        if config.is_tau_learned and config.attention == "spatial":
            self.log_change = nn.Parameter(change)
        else:
            self.register_buffer("log_change", change)

    @property
    def tau(self) -> Tensor:
        """What likeness is divided by, above ``LEAST_TAU``."""
        return LEAST_TAU + (self.config.tau - LEAST_TAU) * self.log_change.exp()

    def mask(self, text: Tensor, last: Tensor) -> Tensor:
        """Compute M, in float32 also under autocast.

        Args:
            text: ``[K or 1, Z, D]``; of several vectors the one that is most alike counts.
            last: ``[K, D, h, w]``.

        Returns:
            ``[K, 1, h, w]``, or ``[K or 1, D, 1, 1]`` where channels are gated, in [0, 1].
        """
        with torch.autocast(last.device.type, enabled=False):
            text = text.float()
            if self.config.attention == "channel-gate":
                return torch.sigmoid(text.mean(dim=1))[:, :, None, None]
            likeness = torch.einsum(
                "kzd,kdhw->kzhw",
                functional.normalize(text, dim=2).expand(len(last), -1, -1),
                functional.normalize(last.float(), dim=1),
            )
            return torch.sigmoid(likeness.amax(dim=1, keepdim=True) / self.tau)

    def weigh(self, maps: Tensor, mask: Tensor) -> Tensor:
        """Apply M to ``[K, C, h, w]``, where C is D or a multiple of it: stacked layers are gated alike."""
        if mask.shape[1] > 1:
            mask = mask.repeat(1, maps.shape[1] // mask.shape[1], 1, 1)
        mask = mask.to(maps.dtype)
        return maps * mask if self.config.attention_use == "product" else maps * (1 + mask)
