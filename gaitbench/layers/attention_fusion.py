"""Fuse two feature maps, pixel by pixel.

Axes: M images, C channels, H rows, W columns.
"""

from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["AttentionFusion"]


class AttentionFusion(nn.Module):
    """A weighted mean of two feature maps, with weights for every pixel and channel that add up to 1.

    Args:
        channels: C of either map.
        squeeze: Weights are worked out in C / squeeze channels, at least one.
        score_order: How the 2 C scores are laid out: all channels of the first map and then of the second
            (``maps``), or both maps of the first channel, then of the next (``channels``).

    Source:
        Fan et al., "SkeletonGait: Gait Recognition Using Skeleton Maps", AAAI 2024, section "SkeletonGait++" (the
        fusion by cross attention, order ``maps``); Ye et al., "BigGait", CVPR 2024 (order ``channels``). A softmax over
        two scores is the sigmoid of their difference.

    Example:
        >>> fusion = AttentionFusion(32).eval()
        >>> x = torch.rand(5, 32, 8, 8)
        >>> torch.equal(fusion(x, x), x)
        True
    """

    def __init__(self, channels: int, *, squeeze: int = 16, score_order: Literal["maps", "channels"] = "maps") -> None:
        super().__init__()
        hidden = max(1, channels // squeeze)
        self.score_order = score_order
        self.scores = nn.Sequential(
            nn.Conv2d(2 * channels, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, hidden, 3, padding=1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, 2 * channels, 1, bias=False),
        )

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Fuse two ``[M, C, H, W]`` into one."""
        scores = self.scores(torch.cat([first, second], dim=1))  # [M, 2 C, H, W]
        if self.score_order == "maps":
            of_first, of_second = scores.chunk(2, dim=1)
        else:
            of_first, of_second = scores[:, 0::2], scores[:, 1::2]
        weight = torch.sigmoid(of_first - of_second)
        return torch.lerp(second, first, weight.to(second.dtype))
