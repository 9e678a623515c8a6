"""Residual blocks.

Axes: M images, C channels, H rows, W columns.
"""

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ResidualBlock2d", "every_pixel"]


class ResidualBlock2d(nn.Module):
    """Two 3x3 convolutions with batch norm, added to the input.

    Where the shape changes, the input passes a 1x1 convolution with batch norm, at every stride-th pixel.

    Args:
        in_channels: Channels that come in.
        out_channels: Channels that go out.
        stride: Stride of the first convolution and of the shortcut.

    Source:
        He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, figure 5 left (the basic block, with
        projection shortcuts).

    Example:
        >>> import torch
        >>> ResidualBlock2d(8, 16, stride=2)(torch.zeros(1, 8, 64, 44)).shape
        torch.Size([1, 16, 32, 22])
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.stride = stride
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[M, C, H, W]`` to ``[M, C', ceil(H/stride), ceil(W/stride)]``."""
        inner = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        # Picking pixels first is the strided 1x1 convolution; torch's own writes out of bounds in its backward pass
        # (CPU, float32, channels last, 4 to 6 channels; seen in 2.15).
        out: Tensor = self.norm2(self.conv2(inner)) + self.shortcut(every_pixel(x, self.stride))
        return functional.relu(out, inplace=True)


def every_pixel(x: Tensor, stride: int) -> Tensor:
    """Pick every stride-th pixel of ``[M, C, H, W]`` in both directions, the first one with them.

    Pooling over single pixels is indexing whose gradient keeps the order in memory; that of a slice always has channels
    first, which makes all behind it slow where they are last.
    """
    return x if stride == 1 else functional.avg_pool2d(x, 1, stride)
