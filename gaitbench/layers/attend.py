"""Multi-head attention between vectors that have been mapped to queries, keys and values already.

Axes: M sequences, A and B tokens, D width, H heads.
"""

import torch
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.layers.widen import widen

__all__ = ["attend", "split_heads"]


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Divide the width among heads, which see neighbouring channels: ``[M, A, D]`` to ``[M, H, A, D / H]``.

    Raises:
        ShapeError: There are other axes, or the heads do not divide D.

    Example:
        >>> import torch
        >>> split_heads(torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]), 2).tolist()
        [[[[1.0, 2.0]], [[3.0, 4.0]]]]
    """
    if x.dim() != 3 or heads < 1 or x.shape[2] % heads:
        raise ShapeError(f"{heads} heads divide the width of tokens [M, A, D], got {list(x.shape)}")
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, *, mask: Tensor | None = None) -> Tensor:
    """Let each of A tokens collect values of B tokens, head by head; how much is the softmax of scaled products.

    What maps tokens to queries, keys and values, and what comes behind, is the layer's own.

    Args:
        query: ``[M, A, D]``.
        key: ``[M, B, D]``.
        value: ``[M, B, D]``.
        heads: H, a divisor of D.
        mask: ``[M, B]`` bool, true where a sequence may look; somewhere for each.

    Returns:
        ``[M, A, D]``, the heads side by side, in the precision of the queries. A CPU computes in float32 or
            better.

    Raises:
        ShapeError: There are other axes, or the heads do not divide D.

    Source:
        Vaswani et al., "Attention Is All You Need", NeurIPS 2017, sections 3.2.1 and 3.2.2, without the linear maps.

    Example:
        >>> alike, value = torch.zeros(1, 2, 4), torch.tensor([[[1.0, 2.0, 3.0, 4.0], [3.0, 2.0, 1.0, 0.0]]])
        >>> attend(alike[:, :1], alike, value, 2)
        tensor([[[2., 2., 2., 2.]]])
    """
    allowed = None if mask is None else mask[:, None, None, :]
    kind = query.device.type
    asked, seen, told = (split_heads(part, heads) for part in (query, key, value))
    if kind == "cpu":
        # In half precision it is several times slower backwards there, also where autocast would choose it.
        asked, seen, told = map(widen, (asked, seen, told))
    with torch.autocast(kind, enabled=kind != "cpu" and torch.is_autocast_enabled(kind)):
        attended = functional.scaled_dot_product_attention(asked, seen, told, attn_mask=allowed)
    return attended.transpose(1, 2).flatten(2).to(query.dtype)
