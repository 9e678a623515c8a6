"""The trunk of the DeepGaitV2 family: a stem on every frame, then stages of residual blocks that may look along time.

Axes: N batch, C channels, T frames, H rows, W columns.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn
from torch.nn import functional

from gaitbench.layers.frame_wise import frame_wise
from gaitbench.layers.residual_3d import BlockKind, ResidualStage

__all__ = ["StageSizes", "Stages", "Stem"]


class Stem(nn.Sequential):
    """The first convolution with batch norm and ReLU, on every frame: ``[N, C, T, H, W]`` to the same axes.

    Args:
        in_channels: Channels that come in.
        out_channels: Channels that go out.
        stride: In space.

    Example:
        >>> import torch
        >>> Stem(1, 8, stride=2)(torch.zeros(2, 1, 5, 64, 44)).shape
        torch.Size([2, 8, 5, 32, 22])
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(out_channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Run it."""
        return functional.relu(frame_wise(super().forward, x), inplace=True)


class StageSizes(Protocol):
    """What stages are built from: one number for each."""

    @property
    def channels(self) -> tuple[int, ...]:
        """Width."""

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride in space."""

    @property
    def num_blocks(self) -> tuple[int, ...]:
        """Residual blocks."""


class Stages(nn.ModuleList):
    """All stages of residual blocks that a configuration names, or the last ones of them.

    Args:
        config: Widths, strides and numbers of blocks.
        kinds: Kind of the blocks of the last ``len(kinds)`` stages.

    Source:
        Fan et al., "Exploring Deep Models for Practical Gait Recognition", arXiv 2303.03301, section "DeepGaitV2".
    """

    def __init__(self, config: StageSizes, kinds: Sequence[BlockKind]) -> None:
        first = len(config.channels) - len(kinds)
        widths = (config.channels[0], *config.channels)
        super().__init__(
            ResidualStage(
                kind,
                widths[index],
                widths[index + 1],
                stride=config.strides[index],
                num_blocks=config.num_blocks[index],
            )
            for index, kind in enumerate(kinds, start=first)
        )

    def forward(self, x: Tensor, is_padding: Tensor | None = None) -> Tensor:
        """Map ``[N, C, T, H, W]`` to the width of the last stage; ``is_padding`` is ``[N, T]`` bool."""
        for stage in self:
            x = stage(x, is_padding)
        return x
