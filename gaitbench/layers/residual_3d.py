"""Residual blocks that look along time, and stages of them.

Time is never strided: every block keeps T. Axes: N batch, C channels, T frames, H rows, W columns.
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from gaitbench.layers.frame_wise import unfold_frames
from gaitbench.layers.padding_mask import clear_padding
from gaitbench.layers.residual import ResidualBlock2d, every_pixel

__all__ = ["BlockKind", "ResidualBlock3d", "ResidualBlockP3d", "ResidualStage"]

BlockKind = Literal["2d", "p3d", "3d"]
"""``2d``: single frames. ``p3d``: 3x3 in space, 3 in time, one after the other. ``3d``: 3x3x3."""


class ResidualBlock3d(nn.Module):
    """Two 3x3x3 convolutions with batch norm, added to the input.

    Where the shape changes, the input passes a 1x1x1 convolution with batch norm, at every stride-th pixel.

    Args:
        in_channels: Channels that come in.
        out_channels: Channels that go out.
        stride: Stride in space of the first convolution and of the shortcut.

    Source:
        Hara et al., "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?", CVPR 2018, figure 3
        (the basic block); without stride in time as in Fan et al., "Exploring Deep Models for Practical Gait
        Recognition", arXiv 2303.03301 (DeepGaitV2-3D).

    Example:
        >>> import torch
        >>> ResidualBlock3d(8, 16, stride=2)(torch.zeros(1, 8, 5, 64, 44)).shape
        torch.Size([1, 16, 5, 32, 22])
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(in_channels, out_channels, 3, stride=(1, stride, stride), padding=1, bias=False)
        self.norm1 = nn.BatchNorm3d(out_channels)
        self.conv2 = nn.Conv3d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm3d(out_channels)
        self.stride = stride
        self.shortcut = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor, is_padding: Tensor | None = None) -> Tensor:
        """Map ``[N, C, T, H, W]`` to ``[N, C', T, ceil(H/stride), ceil(W/stride)]``.

        Args:
            x: Clips.
            is_padding: ``[N, T]`` bool, true for frames that must not reach their neighbours; None for no frame.
        """
        x = clear_padding(x, is_padding)
        inner = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        out: Tensor = self.norm2(self.conv2(clear_padding(inner, is_padding)))
        return functional.relu(out + self.shortcut(_every(x, self.stride)), inplace=True)


class ResidualBlockP3d(nn.Module):
    """A 3x3 convolution per frame, a residual convolution over 3 frames, another 3x3 per frame, added to the input.

    Where the shape changes, the input passes a 1x1x1 convolution with batch norm, at every stride-th pixel.

    Args:
        in_channels: Channels that come in.
        out_channels: Channels that go out.
        stride: Stride in space of the first convolution and of the shortcut.

    Source:
        Qiu et al., "Learning Spatio-Temporal Representation with Pseudo-3D Residual Networks", ICCV 2017, figure 2 (c)
        (P3D-C, the temporal convolution behind the spatial one, with a short cut of its own); as a basic block in Fan
        et al., "Exploring Deep Models for Practical Gait Recognition", arXiv 2303.03301 (DeepGaitV2-P3D).

    Example:
        >>> import torch
        >>> ResidualBlockP3d(8, 16, stride=2)(torch.zeros(1, 8, 5, 64, 44)).shape
        torch.Size([1, 16, 5, 32, 22])
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.temporal = nn.Conv3d(out_channels, out_channels, (3, 1, 1), padding=(1, 0, 0), bias=False)
        self.temporal_norm = nn.BatchNorm3d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.stride = stride
        self.shortcut = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor, is_padding: Tensor | None = None) -> Tensor:
        """Map ``[N, C, T, H, W]`` to ``[N, C', T, ceil(H/stride), ceil(W/stride)]``.

        Args:
            x: Clips.
            is_padding: ``[N, T]`` bool, true for frames that must not reach their neighbours; None for no frame.
        """
        clip_frames = x.shape[2]
        frames = functional.relu(self.norm1(self.conv1(_fold(x))), inplace=True)
        inner = clear_padding(unfold_frames(frames, clip_frames), is_padding)
        inner = functional.relu(inner + self.temporal_norm(self.temporal(inner)), inplace=True)
        out = unfold_frames(self.norm2(self.conv2(_fold(inner))), clip_frames)
        return functional.relu(out + self.shortcut(_every(x, self.stride)), inplace=True)


class ResidualStage(nn.ModuleList):
    """Residual blocks of one kind and width; the first one changes shape.

    Args:
        kind: Kind of the blocks.
        in_channels: Channels that come in.
        out_channels: Channels that go out.
        stride: Stride in space of the first block.
        num_blocks: How many, 1 or more.

    Raises:
        ValueError: ``num_blocks`` is below 1 or ``kind`` is unknown.

    Example:
        >>> import torch
        >>> ResidualStage("p3d", 8, 16, stride=2, num_blocks=4)(torch.zeros(1, 8, 5, 64, 44)).shape
        torch.Size([1, 16, 5, 32, 22])
    """

    def __init__(
        self, kind: BlockKind, in_channels: int, out_channels: int, *, stride: int = 1, num_blocks: int = 1
    ) -> None:
        if num_blocks < 1 or kind not in _BLOCKS:
            raise ValueError(
                f"a stage needs 1 or more blocks of kind {', '.join(_BLOCKS)}, got {num_blocks} of {kind!r}"
            )
        block = _BLOCKS[kind]
        rest = [block(out_channels, out_channels) for _ in range(num_blocks - 1)]
        super().__init__([block(in_channels, out_channels, stride=stride), *rest])

    def forward(self, x: Tensor, is_padding: Tensor | None = None) -> Tensor:
        """Map ``[N, C, T, H, W]`` to ``[N, C', T, ceil(H/stride), ceil(W/stride)]``.

        Args:
            x: Clips.
            is_padding: ``[N, T]`` bool, true for frames that must not reach their neighbours; None for no frame.
        """
        for block in self:
            if isinstance(block, ResidualBlock2d):
                x = unfold_frames(block(_fold(x)), x.shape[2])
            else:
                x = block(x, is_padding)
        return x


_BLOCKS: dict[str, type[ResidualBlock2d] | type[ResidualBlockP3d] | type[ResidualBlock3d]] = {
    "2d": ResidualBlock2d,
    "p3d": ResidualBlockP3d,
    "3d": ResidualBlock3d,
}


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv3d(in_channels, out_channels, 1, bias=False), nn.BatchNorm3d(out_channels))


def _every(x: Tensor, stride: int) -> Tensor:
    """Pick every stride-th pixel: with a 1x1x1 convolution behind it, the strided one (see ``residual.py``)."""
    return x if stride == 1 else unfold_frames(every_pixel(_fold(x), stride), x.shape[2])


def _fold(x: Tensor) -> Tensor:
    """``[N, C, T, H, W]`` to ``[N*T, C, H, W]``, without a copy where the channels are last in memory."""
    return x.transpose(1, 2).flatten(0, 1)
