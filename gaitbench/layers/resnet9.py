"""ResNet9, the trunk of GaitBase and of most gait models after it.

Axes: M images, C channels, H rows, W columns.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from torch import Tensor, nn
from torch.nn import functional

from gaitbench.layers.init_parameters import init_parameters
from gaitbench.layers.residual import ResidualBlock2d

__all__ = ["PUBLISHED_KEYS", "ResNet9"]

PUBLISHED_KEYS: Mapping[str, str] = MappingProxyType(
    {
        r"conv1\.conv\.weight": r"stem.0.weight",
        r"bn1\.(.+)": r"stem.1.\1",
        r"layer(\d)\.(\d+)\.conv(\d)\.weight": r"stages.@\1.\2.conv\3.weight",
        r"layer(\d)\.(\d+)\.bn(\d)\.(.+)": r"stages.@\1.\2.norm\3.\4",
        r"layer(\d)\.(\d+)\.downsample\.(.+)": r"stages.@\1.\2.shortcut.\3",
    }
)
"""Published key to ours, for :func:`gaitbench.layers.rename_published`; ``@3`` becomes 2."""


class ResNet9(nn.Module):
    """A stem and four stages of residual blocks, without the usual early max-pool.

    Args:
        in_channels: Channels of the images.
        channels: Width of the stages; the stem is as wide as the first one.
        strides: Stride of each stage, applied by its first block.
        num_blocks: Residual blocks of each stage.
        stem_stride: 1 as published; 2 quarters the cost of everything behind the stem.

    Source:
        Fan et al., "OpenGait: Revisiting Gait Recognition Toward Better Practicality", CVPR 2023, section
        "GaitBase" (the backbone).

    Example:
        >>> import torch
        >>> ResNet9(1, channels=(4, 8, 16, 32))(torch.zeros(2, 1, 64, 44)).shape
        torch.Size([2, 32, 16, 11])
    """

    def __init__(
        self,
        in_channels: int,
        *,
        channels: Sequence[int] = (64, 128, 256, 512),
        strides: Sequence[int] = (1, 2, 2, 1),
        num_blocks: Sequence[int] = (1, 1, 1, 1),
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        if not len(channels) == len(strides) == len(num_blocks) > 0:
            raise ValueError(
                f"channels {channels}, strides {strides} and num_blocks {num_blocks} must name the same stages"
            )
        width = channels[0]
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, stride=stem_stride, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        self.stages = nn.Sequential()
        for out_width, stride, count in zip(channels, strides, num_blocks, strict=True):
            blocks = [ResidualBlock2d(width, out_width, stride=stride)]
            blocks += [ResidualBlock2d(out_width, out_width) for _ in range(count - 1)]
            self.stages.append(nn.Sequential(*blocks))
            width = out_width
        init_parameters(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[M, C, H, W]`` to ``[M, channels[-1], H/4, W/4]`` (with the default strides)."""
        out: Tensor = self.stages(functional.relu(self.stem(x), inplace=True))
        return out
