"""Tell the person from the background by a linear map of an image encoder's features.

Axes: K pixels, D width of the features.
"""

from torch import Tensor, nn

from gaitbench.layers.init_parameters import init_parameters

__all__ = ["MaskHead"]


class MaskHead(nn.Module):
    """Dropout, batch norm without parameters, and a linear map to two classes.

    Args:
        in_channels: D.
        dropout: Share of features that training hides.

    Source:
        Ye et al., "BigGait: Learning Gait Representation You Want by Large Vision Models", CVPR 2024, section "Mask
        Branch".

    Example:
        >>> head = MaskHead(384)
        >>> sum(weight.numel() for weight in head.parameters())
        770
    """

    def __init__(self, in_channels: int, *, dropout: float = 0.5) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.BatchNorm1d(in_channels, affine=False)
        self.linear = nn.Linear(in_channels, 2)
        init_parameters(self.linear)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map ``[K, D]`` to logits ``[K, 2]``."""
        logits: Tensor = self.linear(self.norm(self.dropout(pixels)))
        return logits
