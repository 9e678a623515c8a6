"""The ResNet branch: from the image tower's stacked layers to the few channels of the representation.

Axes: K frames, C channels, h rows and w columns of tokens, H rows and W columns of maps.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.layers import ResidualBlock2d, init_parameters

__all__ = ["FeatureBranch"]


class FeatureBranch(nn.Module):
    """A 1x1 convolution, batch norm, GELU, a residual block, a 1x1 convolution and a softmax over the channels.

    Args:
        in_channels: Channels of the stacked layers.
        width: Channels within.
        out_channels: Channels of the representation.

    Source:
        Wu et al., arXiv 2601.11931, section "Representation Extractor" ("ResNet branch"); its layers are ours, with
        16 channels and the softmax of BigGait's denoising branch.

    Example:
        >>> branch = FeatureBranch(32, 8, 4)
        >>> branch(torch.rand(3, 32, 4, 2), torch.ones(3, 1, 8, 4)).shape
        torch.Size([3, 4, 8, 4])
    """

    def __init__(self, in_channels: int, width: int, out_channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(in_channels, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.block = ResidualBlock2d(width, width)
        self.assign = nn.Conv2d(width, out_channels, 1, bias=False)
        init_parameters(self)

    def forward(self, layers: Tensor, mask: Tensor) -> Tensor:
        """Map ``[K, C, h, w]`` and a mask ``[K, 1, H, W]`` to ``[K, out_channels, H, W]`` in [0, 1].

        Channels add up to 1 where the mask is not 0, and are 0 elsewhere.
        """
        # Convolving single pixels without bias, enlarging and masking may change places; so few channels are enlarged.
        reduced = functional.interpolate(self.reduce(layers), mask.shape[2:], mode="bilinear", align_corners=False)
        inner = functional.gelu(self.norm(reduced * mask.to(reduced.dtype)))
        share = torch.softmax(self.assign(self.block(inner)).float(), dim=1)
        return share * (mask > 0)
