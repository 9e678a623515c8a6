"""What CLIP gives, taken to the width of the features.

Axes: C channels in, D out.
"""

from typing import Literal

from torch import Tensor, nn

from gaitbench.errors import ModelError
from gaitbench.layers import init_parameters

__all__ = ["Adapter"]


class Adapter(nn.Module):
    """A two-layer MLP, with a layer norm in front where it is asked for.

    Args:
        in_width: C.
        inner: Width between the layers.
        out_width: D.
        has_norm: Whether what comes in is normalised; images are, sentences are not.
        kind: ``residual`` adds to what comes in and starts at 0; C must be D then.

    Raises:
        ModelError: A residual adapter would change the width.

    Source:
        TCFDNet, CVPR 2026, adapters behind CLIP's frozen encoders; its activation is not told, GELU is CLIP's.

    Example:
        >>> import torch
        >>> Adapter(8, 4, 6, has_norm=True)(torch.zeros(2, 17, 8)).shape
        torch.Size([2, 17, 6])
    """

    def __init__(
        self, in_width: int, inner: int, out_width: int, *, has_norm: bool, kind: Literal["plain", "residual"] = "plain"
    ) -> None:
        super().__init__()
        if kind == "residual" and in_width != out_width:
            raise ModelError(
                f"a residual adapter keeps its width, and {in_width} numbers of CLIP meet features of {out_width}; use "
                "adapter='plain', or towers and channels of one width"
            )
        self.is_residual = kind == "residual"
        self.norm = nn.LayerNorm(in_width) if has_norm else None
        last = nn.Linear(inner, out_width)
        self.layers = nn.Sequential(nn.Linear(in_width, inner), nn.GELU(), last)
        init_parameters(self.layers)
        if self.is_residual:
            nn.init.zeros_(last.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., C]`` to ``[..., D]``."""
        inner: Tensor = self.layers(x if self.norm is None else self.norm(x))
        return x + inner if self.is_residual else inner
