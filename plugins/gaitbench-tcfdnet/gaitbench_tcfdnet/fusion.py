"""Multi-grained fusion (MF): global tokens and local features attend to each other; and spatial weighting (SW).

Axes: M sequences, A and B tokens, D width, h rows, w columns.
"""

import torch
from torch import Tensor, nn

from gaitbench.layers import attend, init_parameters, widen
from gaitbench_tcfdnet.config import TcfdNetConfig

__all__ = ["CrossAttention", "MultiGrainedFusion", "SpatialWeighting"]


class CrossAttention(nn.Module):
    """Multi-head attention of one stream (queries) to another (keys, values).

    Args:
        width: D.
        heads: H, a divisor of D.
        is_residual: Whether both are normalised in front and the queries are added to what comes out.

    Source:
        Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.2.2; norms in front as in Xiong et al.,
        "On Layer Normalization in the Transformer Architecture", ICML 2020.

    Example:
        >>> CrossAttention(8, 2)(torch.zeros(2, 5, 8), torch.zeros(2, 17, 8)).shape
        torch.Size([2, 5, 8])
    """

    def __init__(self, width: int, heads: int, *, is_residual: bool = True) -> None:
        super().__init__()
        self.heads, self.is_residual = heads, is_residual
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)] if is_residual else [])
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        init_parameters(self)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Let ``[M, A, D]`` attend to ``[M, B, D]``; gives ``[M, A, D]``."""
        queried, seen = (self.norms[0](x), self.norms[1](y)) if self.is_residual else (x, y)
        key, value = self.key_value(seen).chunk(2, dim=2)
        out: Tensor = self.out(attend(self.query(queried), key, value, self.heads))
        return x + out if self.is_residual else out


class MultiGrainedFusion(nn.Module):
    """Layers in which global tokens attend to local features and the other way round; local streams are added up.

    Both directions read what the layer before gave. The last layer's tokens, which nobody would read,
    are not computed.

    Args:
        config: d, heads, layers.

    Source:
        TCFDNet, CVPR 2026, multi-grained visual encoder: bidirectional cross-attention, sum over layers, layer norm,
        linear map. Number of layers and heads, and residual connections, are ours.

    Example:
        >>> fusion = MultiGrainedFusion(TcfdNetConfig(channels=(8, 8, 8, 8), heads=2))
        >>> fusion(torch.zeros(3, 17, 8), torch.zeros(3, 8, 16, 16)).shape
        torch.Size([3, 8, 16, 16])
    """

    def __init__(self, config: TcfdNetConfig) -> None:
        super().__init__()

        def layers(count: int) -> nn.ModuleList:
            kind = config.has_mf_residual
            return nn.ModuleList([CrossAttention(config.width, config.heads, is_residual=kind) for _ in range(count)])

        self.to_tokens = layers(config.num_layers - 1)
        self.to_local = layers(config.num_layers)
        self.norm = nn.LayerNorm(config.width)
        self.linear = nn.Linear(config.width, config.width)
        init_parameters(self.linear)

    def forward(self, tokens: Tensor, maps: Tensor) -> Tensor:
        """Fuse ``[M, 1 + o, D]`` tokens and ``[M, D, h, w]`` maps to ``[M, D, h, w]``."""
        # Both streams stay in float32; only what is added to them is computed in autocast's precision.
        tokens, local = widen(tokens), widen(maps).flatten(2).transpose(1, 2)  # [M, h*w, D]
        total = torch.zeros_like(local)
        for number, to_local in enumerate(self.to_local):
            after = to_local(local, tokens)
            if number < len(self.to_tokens):
                tokens = self.to_tokens[number](tokens, local)
            local = after
            total = total + local
        fused: Tensor = self.linear(self.norm(total))
        return fused.transpose(1, 2).reshape(maps.shape)


class SpatialWeighting(nn.Module):
    """Two convolutions of 1x1 that give each place a weight.

    Args:
        config: d, inner width, what bounds a weight.

    Source:
        TCFDNet, CVPR 2026, spatial weighting: conv 1x1, batch norm, LeakyReLU, conv 1x1 to one channel. That weights
        start around 1 is ours.
    """

    def __init__(self, config: TcfdNetConfig) -> None:
        super().__init__()
        self.is_bounded = config.sw_activation == "sigmoid"
        self.layers = nn.Sequential(
            nn.Conv2d(config.width, config.sw_width, 1, bias=False),
            nn.BatchNorm2d(config.sw_width),
            nn.LeakyReLU(0.01),
            last := nn.Conv2d(config.sw_width, 1, 1),
        )
        init_parameters(self)
        if not self.is_bounded and last.bias is not None:
            nn.init.ones_(last.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """The weights ``[M, 1, h, w]`` of ``[M, D, h, w]``."""
        weights: Tensor = self.layers(maps)
        return weights.sigmoid() if self.is_bounded else weights
