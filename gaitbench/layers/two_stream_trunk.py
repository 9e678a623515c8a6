"""ResNet9 with two entrances: a stem and a stage for either input, fused, then the stages they share.

Axes: M images, C channels, H rows, W columns.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from gaitbench.layers.attention_fusion import AttentionFusion
from gaitbench.layers.init_parameters import init_parameters
from gaitbench.layers.residual import ResidualBlock2d

__all__ = ["TwoStreamTrunk"]


class TwoStreamTrunk(nn.Module):
    """Two stems with a residual block each, attention between them, and further residual blocks.

    Args:
        in_channels: C of either input.
        channels: Width of the stages, the first of which each stream has for itself.
        strides: Stride of each stage.
        squeeze: Of the fusion.

    Source:
        Ye et al., "BigGait: Learning Gait Representation You Want by Large Vision Models", CVPR 2024, the downstream
        gait network.

    Example:
        >>> import torch
        >>> trunk = TwoStreamTrunk(16, channels=(4, 8, 16, 32))
        >>> trunk(torch.zeros(2, 16, 64, 32), torch.zeros(2, 16, 64, 32)).shape
        torch.Size([2, 32, 16, 8])
    """

    def __init__(
        self,
        in_channels: int,
        *,
        channels: Sequence[int] = (64, 128, 256, 512),
        strides: Sequence[int] = (1, 2, 2, 1),
        squeeze: int = 16,
    ) -> None:
        super().__init__()
        if len(channels) != len(strides) or not channels:
            raise ValueError(f"channels {channels} and strides {strides} must name the same stages")
        width = channels[0]
        self.first = _stem(in_channels, width, strides[0])
        self.second = _stem(in_channels, width, strides[0])
        self.fusion = AttentionFusion(width, squeeze=squeeze, score_order="channels")
        self.stages = nn.Sequential()
        for out_width, stride in zip(channels[1:], strides[1:], strict=True):
            self.stages.append(ResidualBlock2d(width, out_width, stride=stride))
            width = out_width
        init_parameters(self)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Map two ``[M, C, H, W]`` to ``[M, channels[-1], H/4, W/4]`` (with the default strides)."""
        out: Tensor = self.stages(self.fusion(self.first(first), self.second(second)))
        return out


def _stem(in_channels: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        ResidualBlock2d(width, width, stride=stride),
    )
