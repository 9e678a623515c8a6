"""Attention of places of a feature map, or of patches, to something else.

Axes: M sequences, A and B tokens, D width, E width of what is attended to, H heads.
"""

import torch
from torch import Tensor, nn

from gaitbench.layers import attend, init_parameters, split_heads

__all__ = ["CrossAttention"]


class CrossAttention(nn.Module):
    """Multi-head attention of one stream (queries) to another (keys and values), both normalised in front.

    Args:
        width: D.
        seen_width: E.
        heads: H, a divisor of D.

    Source:
        Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.2.2; norms in front as in Xiong et al.,
        "On Layer Normalization in the Transformer Architecture", ICML 2020.

    Example:
        >>> CrossAttention(8, 6, 2)(torch.zeros(2, 5, 8), torch.zeros(2, 3, 6)).shape
        torch.Size([2, 5, 8])
    """

    def __init__(self, width: int, seen_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_query, self.norm_seen = nn.LayerNorm(width), nn.LayerNorm(seen_width)
        self.query = nn.Linear(width, width)
        # Without a bias of the keys, which the softmax would take out again.
        self.key = nn.Linear(seen_width, width, bias=False)
        self.value = nn.Linear(seen_width, width)
        self.out = nn.Linear(width, width)
        init_parameters(self)

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Let ``[M, A, D]`` attend to ``[M, B, E]``.

        Args:
            x: What asks.
            y: What is asked; one row, ``[1, B, E]``, where all sequences ask the same.
            mask: ``[M, B]`` bool, true where a sequence may look; each somewhere.

        Returns:
            ``[M, A, D]``, which is not added to ``x``.
        """
        seen = self.norm_seen(y)
        query = self.query(self.norm_query(x))
        key, value = (part.expand(len(x), -1, -1) for part in (self.key(seen), self.value(seen)))
        out: Tensor = self.out(attend(query, key, value, self.heads, mask=mask))
        return out

    def weights(self, x: Tensor, y: Tensor) -> Tensor:
        """How much of ``y`` each place of ``x`` looks at: ``[M, A, B]``, the mean over heads; shapes as above."""
        query = split_heads(self.query(self.norm_query(x)), self.heads)
        key = split_heads(self.key(self.norm_seen(y)), self.heads)
        scores = query @ key.transpose(2, 3) * query.shape[3] ** -0.5
        return torch.softmax(scores, dim=3).mean(dim=1)
