"""Feature stability enhancement (FSE): a weight for every channel of the shared feature.

Axes: M sequences, D channels, h rows, w columns.
"""

import torch
from torch import Tensor, nn

from gaitbench.layers import init_parameters, widen
from gaitbench_tcfdnet.config import TcfdNetConfig

__all__ = ["StabilityEnhancement"]


class StabilityEnhancement(nn.Module):
    """A 3x3 convolution, an MLP over all that it gives, and a convolution of width 3 along the channels: beta.

    Args:
        config: d, size of the maps, stride, d', what makes beta of numbers.

    Source:
        TCFDNet, CVPR 2026, feature stability enhancement. Stride and d' are ours; of two notes on the paper one has a
        softmax and one a sigmoid.

    Example:
        >>> beta = StabilityEnhancement(TcfdNetConfig(channels=(8, 8, 8, 8)))(torch.zeros(2, 8, 16, 16))
        >>> beta.shape
        torch.Size([2, 8])
    """

    def __init__(self, config: TcfdNetConfig) -> None:
        super().__init__()
        width, stride = config.width, config.fse_stride
        rows, columns = (-(-pixels // stride) for pixels in config.map_px)
        self.is_softmax = config.squash == "softmax"
        self.conv = nn.Conv2d(width, width, 3, stride=stride, padding=1)
        self.mlp = nn.Sequential(
            nn.Linear(width * rows * columns, config.fse_width),
            nn.LeakyReLU(0.01),
            nn.Linear(config.fse_width, width),
        )
        self.along_channels = nn.Conv1d(1, 1, 3, padding=1)
        init_parameters(self)

    def forward(self, shared: Tensor) -> Tensor:
        """Beta ``[M, D]`` of ``[M, D, h, w]``."""
        inner = self.mlp(self.conv(shared).flatten(1))  # [M, D]
        numbers = widen(self.along_channels(inner[:, None])[:, 0])
        return torch.softmax(numbers, dim=1) if self.is_softmax else numbers.sigmoid()
