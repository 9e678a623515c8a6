"""A linear map of its own for every part.

Axes: N batch, C input channels, D embedding width, P parts.
"""

import torch
from torch import Tensor, nn

from gaitbench.errors import ShapeError

__all__ = ["SeparateFC"]


class SeparateFC(nn.Module):
    """Map each part vector by that part's own matrix, without bias.

    Computed in the number format of its weight, also under autocast: these are the numbers that retrieval compares.

    Args:
        num_parts: P.
        in_channels: C.
        out_channels: D.

    Source:
        Chao et al., "GaitSet", AAAI 2019, section "Horizontal Pyramid Mapping" (a fully connected layer per strip).

    Example:
        >>> SeparateFC(num_parts=16, in_channels=512, out_channels=256)(torch.zeros(2, 512, 16)).shape
        torch.Size([2, 256, 16])
    """

    def __init__(self, num_parts: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_parts, in_channels, out_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform with the fans of one part's matrix."""
        for matrix in self.weight:
            nn.init.xavier_uniform_(matrix)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, P]`` to ``[N, D, P]``.

        Raises:
            ShapeError: C or P differ from those of the layer.
        """
        num_parts, in_channels, _ = self.weight.shape
        if x.dim() != 3 or x.shape[1:] != (in_channels, num_parts):
            raise ShapeError(f"SeparateFC needs [N, {in_channels}, {num_parts}], got {list(x.shape)}")
        with torch.autocast(x.device.type, enabled=False):
            by_part = x.to(self.weight.dtype).permute(2, 0, 1) @ self.weight  # [P, N, D]
            return by_part.permute(1, 2, 0)
