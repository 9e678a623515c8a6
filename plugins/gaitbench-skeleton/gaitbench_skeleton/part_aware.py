"""Graph convolutions that stay within the parts of a partition of the body.

Axes: N batch, C channels, T frames, V joints, K = 3 subsets of neighbours (0, 1 and 2 hops away).
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gaitbench_skeleton.graph import COCO_EDGES, hop_adjacency

__all__ = ["Masking", "PartAwareBlock", "PartAwareConv", "PartAwareTemporalBlock", "Partition", "part_mask", "subgraph"]

Partition = tuple[tuple[int, ...], ...]
"""Parts of the body, each the numbers of its joints; a joint may be in several."""

Masking = Literal["product", "softmax", "none"]
"""How attention is kept within parts, if it is."""

MAX_HOP = 2


def part_mask(partition: Partition, joints: tuple[int, ...]) -> Tensor:
    """Tell which joints share a part.

    Args:
        partition: Parts, in numbers of the whole skeleton.
        joints: ``[V]`` numbers of the joints that are looked at.

    Returns:
        ``[V, V]`` float32, 1 where two joints have a part in common, else 0.

    Example:
        >>> part_mask(((0, 1), (2,)), (1, 0, 2))
        tensor([[1., 1., 0.],
                [1., 1., 0.],
                [0., 0., 1.]])
    """
    member = torch.tensor([[joint in part for joint in joints] for part in partition])  # [parts, V]
    return (member[:, :, None] & member[:, None, :]).any(dim=0).float()


def subgraph(joints: tuple[int, ...]) -> Tensor:
    """Give the hop matrices ``[K, V, V]`` of some joints and the edges between them.

    Example:
        >>> subgraph((5, 7, 9))[1]  # left shoulder, elbow, wrist
        tensor([[0.0000, 0.3333, 0.0000],
                [0.3333, 0.0000, 0.3333],
                [0.0000, 0.3333, 0.0000]])
    """
    place = {joint: index for index, joint in enumerate(joints)}
    edges = [(place[a], place[b]) for a, b in COCO_EDGES if a in place and b in place]
    return hop_adjacency(MAX_HOP, edges, len(joints))


class PartAwareConv(nn.Module):
    """Sum what the joints of the same parts send: by the skeleton, by a learned matrix and by attention.

    Args:
        in_channels: Channels that come in.
        out_channels: Channels that go out.
        adjacency: ``[K, V, V]`` from the sending joint to the receiving one.
        mask: ``[V, V]``, 0 where nothing may be sent.
        attention: ``sequence``: one attention for all frames. ``frame``: one for each frame.
        masking: Whether the mask multiplies the attention of all joints (``product``), attention is shared out among
            the joints of the same parts only (``softmax``), or parts do not matter (``none``).

    Source:
        Fu et al., "GPGait", ICCV 2023, section "Part-Aware Graph Convolutional Network"; the three terms as in Shi et
        al., "Two-Stream Adaptive Graph Convolutional Networks", CVPR 2019, equation 3. As in the published networks,
        attention is normalised over the sending joints, and biases are added after their sum.
    """

    adjacency: Tensor
    mask: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        adjacency: Tensor,
        mask: Tensor,
        attention: Literal["sequence", "frame"],
        masking: Masking = "product",
    ) -> None:
        super().__init__()
        num_subsets = len(adjacency)
        self.inner = max(1, out_channels // 4)
        self.attention = attention
        self.masking = masking
        self.queries = nn.ModuleList([nn.Conv2d(in_channels, self.inner, 1) for _ in range(num_subsets)])
        self.keys = nn.ModuleList([nn.Conv2d(in_channels, self.inner, 1) for _ in range(num_subsets)])
        self.convs = nn.ModuleList([nn.Conv2d(in_channels, out_channels, 1) for _ in range(num_subsets)])
        self.learned = nn.Parameter(torch.full_like(adjacency, 1e-6))
        self.register_buffer("adjacency", adjacency, persistent=False)
        self.register_buffer("mask", torch.ones_like(mask) if masking == "none" else mask, persistent=False)

    def weights(self, x: Tensor, is_padding: Tensor | None = None) -> Tensor:
        """How strongly joints are joined, in float32.

        Args:
            x: ``[N, C, T, V]``.
            is_padding: ``[N, T]`` bool, frames that do not count; None for no frame.

        Returns:
            ``[N, K, V, V]`` (``sequence``) or ``[N, K, T, V, V]`` (``frame``) from the sending joint to the receiving
            one. Without skeleton, learned matrix and mask, columns would sum to 1.
        """
        query, key = _all_at_once(self.queries, x), _all_at_once(self.keys, x)  # [N, K, C', T, V]
        with torch.autocast(x.device.type, enabled=False):
            query, key = query.float(), key.float()
            if self.attention == "frame":
                logits = torch.einsum("nkctv,nkctw->nktvw", query, key) / self.inner
                fixed = (self.adjacency + self.learned)[:, None]
            else:
                num_frames = x.new_full((len(x),), x.shape[2], dtype=torch.float32)
                if is_padding is not None:
                    query = query.masked_fill(is_padding[:, None, None, :, None], 0)
                    key = key.masked_fill(is_padding[:, None, None, :, None], 0)
                    num_frames = (~is_padding).sum(dim=1).float()
                size = (self.inner * num_frames)[:, None, None, None]
                logits = torch.einsum("nkctv,nkctw->nkvw", query, key) / size
                fixed = self.adjacency + self.learned
            if self.masking == "softmax":
                logits = logits.masked_fill(self.mask == 0, -torch.inf)
            return (fixed.float() + logits.softmax(dim=-2)) * self.mask

    def forward(self, x: Tensor, is_padding: Tensor | None = None) -> Tensor:
        """Map ``[N, C, T, V]`` to ``[N, C', T, V]``."""
        weights = self.weights(x, is_padding).to(x.dtype)
        equation = "nctv,nvw->nctw" if self.attention == "sequence" else "nctv,ntvw->nctw"
        sent = [conv(torch.einsum(equation, x, weights[:, k])) for k, conv in enumerate(self.convs)]
        return torch.stack(sent).sum(dim=0)


def _all_at_once(convs: nn.ModuleList, x: Tensor) -> Tensor:
    """Run K 1x1 convolutions of one width as a single one: ``[N, C, T, V]`` to ``[N, K, C', T, V]``."""
    weight, bias = (torch.cat([getattr(conv, name) for conv in convs]) for name in ("weight", "bias"))
    return functional.conv2d(x, weight, bias).unflatten(1, (len(convs), -1))


class PartAwareBlock(nn.Module):
    """GPGait's block: a part-aware graph convolution with one attention per sequence, and a residual.

    It sees single frames, but for the attention, which is a mean over frames: the order of frames does not matter.

    Args:
        in_channels: Channels that come in.
        out_channels: Channels that go out.
        adjacency: ``[K, V, V]``.
        mask: ``[V, V]``.
        masking: How attention is kept within parts.

    Source:
        Fu et al., "GPGait", ICCV 2023, section "Part-Aware Graph Convolutional Network".

    Example:
        >>> joints = tuple(range(5, 17))
        >>> block = PartAwareBlock(2, 8, subgraph(joints), part_mask((joints,), joints))
        >>> block(torch.rand(3, 2, 10, 12)).shape
        torch.Size([3, 8, 10, 12])
    """

    def __init__(
        self, in_channels: int, out_channels: int, adjacency: Tensor, mask: Tensor, masking: Masking = "product"
    ) -> None:
        super().__init__()
        self.graph = PartAwareConv(in_channels, out_channels, adjacency, mask, "sequence", masking)
        self.norm = nn.BatchNorm2d(out_channels)
        self.residual: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.residual = _normed_conv(in_channels, out_channels)

    def forward(self, x: Tensor, is_padding: Tensor | None = None) -> Tensor:
        """Map ``[N, C, T, V]`` to ``[N, C', T, V]``; padded frames come out as rubbish and disturb no other."""
        out: Tensor = functional.mish(self.norm(self.graph(x, is_padding))) + self.residual(x)
        return out


class PartAwareTemporalBlock(nn.Module):
    """GPGait++'s block: graph and joint side by side, then time, joint and block input side by side.

    Half of the channels come from a part-aware graph convolution with an attention per frame, half from a 1x1
    convolution; of what follows, a third each from a convolution over 9 frames, a 1x1 convolution, and a 1x1
    convolution of the block's input. Each of the five has a batch norm of its own; an activation stands behind that of
    the graph, and in front of those of time and of block input.

    Args:
        in_channels: Channels that come in.
        out_channels: Channels that go out.
        adjacency: ``[K, V, V]``.
        mask: ``[V, V]``.
        masking: How attention is kept within parts.
        dropout: Share of the values that the convolution over time does not see, in training.

    Source:
        Meng et al., "GPGait++", TPAMI 2025, and the layers that its published checkpoints name.

    Example:
        >>> joints = tuple(range(5, 17))
        >>> block = PartAwareTemporalBlock(2, 8, subgraph(joints), part_mask((joints,), joints))
        >>> block(torch.rand(3, 2, 10, 12)).shape
        torch.Size([3, 8, 10, 12])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        adjacency: Tensor,
        mask: Tensor,
        masking: Masking = "product",
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        half, third = out_channels // 2, out_channels // 3
        rest = out_channels - 2 * third - 1
        self.graph = PartAwareConv(in_channels, half, adjacency, mask, "frame", masking)
        self.norm = nn.BatchNorm2d(half)
        self.joint = _normed_conv(in_channels, out_channels - half)
        self.dropout = nn.Dropout(dropout)
        self.temporal = nn.Conv2d(out_channels, third + 1, (9, 1), padding=(4, 0))
        self.temporal_norm = nn.BatchNorm2d(third + 1)
        self.still = _normed_conv(out_channels, third)
        self.skip = nn.Conv2d(in_channels, rest, 1)
        self.skip_norm = nn.BatchNorm2d(rest)

    def forward(self, x: Tensor, is_padding: Tensor | None = None) -> Tensor:
        """Map ``[N, C, T, V]`` to ``[N, C', T, V]``; padded frames come out as rubbish and disturb no other."""
        inner = torch.cat([functional.mish(self.norm(self.graph(x, is_padding))), self.joint(x)], dim=1)
        if is_padding is not None:
            inner = inner.masked_fill(is_padding[:, None, :, None], 0)
        moving = self.temporal_norm(functional.mish(self.temporal(self.dropout(inner))))
        return torch.cat([moving, self.still(inner), self.skip_norm(functional.mish(self.skip(x)))], dim=1)


def _normed_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels))
