"""Dual-stream cross-attention fusion (DCF): a sensor's residual features and CLIP's patches look at each other.

Axes: M sequences, D width, C width of CLIP's space, o patches of h' x w', h rows and w columns of maps.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.layers import init_parameters, widen
from gaitbench_sgcrossgait.attention import CrossAttention
from gaitbench_sgcrossgait.config import SgCrossGaitConfig

__all__ = ["DualStreamFusion"]


class DualStreamFusion(nn.Module):
    """Layers of attention in both directions, then both streams side by side through a convolution of 1x1.

    Attention and a feed-forward network are added to what each stream was; both directions read what the layer before
    gave.

    Args:
        config: d, heads, layers.
        clip_width: C.

    Source:
        SG-CrossGait, TIFS 2026: the name and its purpose, fine-grained features. Everything inside is ours.

    Example:
        >>> fusion = DualStreamFusion(SgCrossGaitConfig(channels=(8, 8, 8, 8), heads=2), 6)
        >>> fusion(torch.zeros(3, 8, 16, 16), torch.zeros(3, 6, 4, 4)).shape
        torch.Size([3, 8, 16, 16])
    """

    def __init__(self, config: SgCrossGaitConfig, clip_width: int) -> None:
        super().__init__()
        width = config.width
        self.enter = nn.Linear(clip_width, width)
        self.to_local = nn.ModuleList(_Block(config) for _ in range(config.num_layers))
        self.to_patches = nn.ModuleList(_Block(config) for _ in range(config.num_layers))
        self.merge = nn.Sequential(
            nn.Conv2d(2 * width, width, 1, bias=False), nn.BatchNorm2d(width), nn.LeakyReLU(0.02)
        )
        init_parameters(self.enter)
        init_parameters(self.merge)

    def forward(self, maps: Tensor, patches: Tensor) -> Tensor:
        """Fuse ``[M, D, h, w]`` and ``[M, C, h', w']`` to ``[M, D, h, w]``."""
        # Both streams stay in float32; only what is added to them is computed in autocast's precision.
        local = widen(maps).flatten(2).transpose(1, 2)  # [M, h*w, D]
        tokens = widen(self.enter(patches.flatten(2).transpose(1, 2)))  # [M, o, D]
        for to_local, to_patches in zip(self.to_local, self.to_patches, strict=True):
            local, tokens = to_local(local, tokens), to_patches(tokens, local)
        fine = local.transpose(1, 2).reshape(maps.shape)
        coarse = tokens.transpose(1, 2).reshape(len(maps), -1, *patches.shape[2:])
        coarse = functional.interpolate(coarse, maps.shape[2:], mode="bilinear", align_corners=False)
        merged: Tensor = self.merge(torch.cat([fine, coarse], dim=1))
        return merged


class _Block(nn.Module):
    """One stream attends to the other, then thinks about it; both are added to what it was."""

    def __init__(self, config: SgCrossGaitConfig) -> None:
        super().__init__()
        width, inner = config.width, config.ffn_factor * config.width
        self.attention = CrossAttention(width, width, config.heads)
        self.norm = nn.LayerNorm(width)
        self.network = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))
        init_parameters(self.network)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """``[M, A, D]`` and ``[M, B, D]`` to ``[M, A, D]``."""
        x = x + self.attention(x, y)
        out: Tensor = x + self.network(self.norm(x))
        return out
