"""ResGCN: residual graph convolutions over joints, alternating with convolutions over time.

Axes: N batch, S streams, C channels, T frames, V joints, D embedding width.
"""

import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.layers import init_parameters
from gaitbench_skeleton.graph import NUM_JOINTS, hop_adjacency, propagate

__all__ = ["PUBLISHED_KEYS", "BlockKind", "ResGCN", "check_widths"]

BlockKind = Literal["bottleneck", "basic"]
"""``bottleneck``: narrow core between 1x1 convolutions, a residual around each half. ``basic``: core convolutions only,
one residual around the whole block."""

MAX_HOP = 3
"""Largest hop distance for which adjacency and edge masks are stored."""
NUM_HOPS = 3
"""Hop distances that a graph convolution uses: 0, 1 and 2. The published code stores hop 3 and never reads it."""
TEMPORAL_KERNEL = 9
"""Frames that a convolution over time sees."""

_BLOCK_KEYS = {
    r"edge": r"edge",
    r"residual\.(?P<rest>.+)": r"shortcut.\g<rest>",
    **{
        rf"{theirs}\.{layer}\.(?P<rest>.+)": rf"{ours}.{name}.\g<rest>"
        for theirs, ours, core in (("scn", "spatial", r"conv\.gcn"), ("tcn", "temporal", "conv"))
        for layer, name in {
            core: "core",
            "bn": "norm",
            "conv_down": "reduce.0",
            "bn_down": "reduce.1",
            "conv_up": "expand.0",
            "bn_up": "expand.1",
            "residual": "shortcut",
        }.items()
    },
}

PUBLISHED_KEYS: Mapping[str, str] = MappingProxyType(
    {
        r"head\.(\d+)\.A": r"branches.\1.adjacency",
        r"head\.(\d+)\.bn\.(.+)": r"branches.\1.norm.\2",
        **{
            rf"head\.(\d+)\.layers\.(\d+)\.{key}": rf"branches.\1.blocks.\2.{ours}" for key, ours in _BLOCK_KEYS.items()
        },
        **{rf"backbone\.(\d+)\.{key}": rf"main.\1.{ours}" for key, ours in _BLOCK_KEYS.items()},
        r"fcn\.(.+)": r"head.\1",
    }
)
"""Published key to ours, for :func:`gaitbench.layers.rename_published`."""


def check_widths(
    branch_channels: Sequence[int], main_channels: Sequence[int], reduction: int, block: BlockKind
) -> None:
    """Stop when the widths of a network do not fit together; the arguments are those of :class:`ResGCN`.

    Raises:
        ValueError: A part has no block, the branches end at another width than the main part begins with, or a
            bottleneck would have no channel inside.
    """
    branch, main = tuple(branch_channels), tuple(main_channels)
    if len(branch) < 2 or len(main) < 2:
        raise ValueError(f"branch {branch} and main {main} need two widths or more each: before and after a block")
    if branch[-1] != main[0]:
        raise ValueError(f"branches end at width {branch[-1]}, but the main part begins with {main[0]}")
    if block == "bottleneck" and min(*branch[1:], *main[1:]) < reduction:
        raise ValueError(f"a block of width {min(*branch[1:], *main[1:])} cannot be narrowed {reduction} times")


class ResGCN(nn.Module):
    """A branch per stream, a main part on what they say together, one vector per clip.

    Args:
        branch_channels: Channels of a stream, then the width after each block of its branch.
        main_channels: Width at which branches are joined, then the width after each block of the main part. Time is
            halved, rounded up, in the first block and wherever the width changes.
        num_streams: S.
        embedding_width: D.
        reduction: Width of a bottleneck's inside, as a divisor of its outside.
        block: Kind of every block but the first of each branch, which is basic without a residual.

    Raises:
        ValueError: The widths do not fit together; see :func:`check_widths`.

    Source:
        Song et al., "Stronger, Faster and More Explainable: A Graph Convolutional Baseline for Skeleton-Based Action
        Recognition", ACM MM 2020 (ResGCN); sizes and graph as in Teepe et al., "GaitGraph", ICIP 2021, section
        "Network architecture", and "Towards a Deeper Understanding of Skeleton-based Gait Recognition", CVPRW 2022.

    Example:
        >>> model = ResGCN((3, 8, 4), (4, 8), num_streams=2, embedding_width=16, reduction=2)
        >>> model(torch.zeros(5, 2, 3, 60, 17)).shape
        torch.Size([5, 16])
    """

    def __init__(
        self,
        branch_channels: Sequence[int],
        main_channels: Sequence[int],
        *,
        num_streams: int,
        embedding_width: int,
        reduction: int = 8,
        block: BlockKind = "bottleneck",
    ) -> None:
        super().__init__()
        check_widths(branch_channels, main_channels, reduction, block)
        self.branches = nn.ModuleList(_Branch(branch_channels, reduction, block) for _ in range(num_streams))
        widths = [num_streams * main_channels[0], *main_channels[1:]]
        self.main = nn.ModuleList()
        for index, (before, after) in enumerate(itertools.pairwise(widths)):
            stride = 2 if index == 0 or before != after else 1
            self.main.append(_Block(before, after, stride=stride, reduction=reduction, kind=block))
        self.head = nn.Linear(main_channels[-1], embedding_width)
        init_parameters(self)

    def forward(self, x: Tensor) -> Tensor:
        """Embed streams.

        Args:
            x: ``[N, S, C, T, V]``; every frame counts, so there must be no padding.

        Returns:
            ``[N, D]``, float32 or better also under autocast.

        Raises:
            ShapeError: S, C or V differ from those of the network.
        """
        wanted = (len(self.branches), self.branches[0].norm.num_features, NUM_JOINTS)
        if x.dim() != 5 or (*x.shape[1:3], x.shape[4]) != wanted:
            raise ShapeError(f"streams must be [N, {wanted[0]}, {wanted[1]}, T, {wanted[2]}], got {list(x.shape)}")
        # Published checkpoints hold the one graph of the network once per branch; the last one counts.
        adjacency = self.branches[-1].adjacency[:NUM_HOPS]
        out = torch.cat([branch(x[:, index], adjacency) for index, branch in enumerate(self.branches)], dim=1)
        for block in self.main:
            out = block(out, adjacency)
        with torch.autocast(x.device.type, enabled=False):
            pooled = out.to(self.head.weight.dtype).mean(dim=(2, 3))
            embedding: Tensor = self.head(pooled)
            return embedding


class _Branch(nn.Module):
    """Batch norm and the blocks that one stream passes alone: ``[N, C, T, V]`` to ``[N, C', T, V]``."""

    adjacency: Tensor

    def __init__(self, channels: Sequence[int], reduction: int, kind: BlockKind) -> None:
        super().__init__()
        self.register_buffer("adjacency", hop_adjacency(MAX_HOP))
        self.norm = nn.BatchNorm2d(channels[0])
        self.blocks = nn.ModuleList([_Block(channels[0], channels[1], kind="basic", is_residual=False)])
        for before, after in itertools.pairwise(channels[1:]):
            self.blocks.append(_Block(before, after, reduction=reduction, kind=kind))

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        x = self.norm(x)
        for block in self.blocks:
            x = block(x, adjacency)
        return x


class _Block(nn.Module):
    """A graph convolution over joints, then a convolution over time: ``[N, C, T, V]`` to ``[N, C', T / stride, V]``."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        reduction: int = 1,
        kind: BlockKind,
        is_residual: bool = True,
    ) -> None:
        super().__init__()
        self.edge = nn.Parameter(torch.ones(MAX_HOP + 1, NUM_JOINTS, NUM_JOINTS))
        is_narrow = kind == "bottleneck"
        inner = out_channels // reduction if is_narrow else out_channels
        self.spatial = _Half(
            nn.Conv2d(inner if is_narrow else in_channels, NUM_HOPS * inner, 1),
            (in_channels, inner, out_channels),
            is_narrow=is_narrow,
            shortcut=_shortcut(in_channels, out_channels) if is_narrow and is_residual else None,
        )
        self.temporal = _Half(
            nn.Conv2d(inner, inner, (TEMPORAL_KERNEL, 1), stride=(stride, 1), padding=(TEMPORAL_KERNEL // 2, 0)),
            (out_channels, inner, out_channels),
            is_narrow=is_narrow,
            shortcut=_shortcut(out_channels, out_channels, stride) if is_narrow and is_residual else None,
        )
        self.shortcut = _shortcut(in_channels, out_channels, stride) if is_residual and not is_narrow else None

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        out = functional.relu(self.spatial(x, adjacency * self.edge[:NUM_HOPS]))
        out = self.temporal(out)
        return functional.relu(out if self.shortcut is None else out + self.shortcut(x))


class _Half(nn.Module):
    """A core convolution with batch norm, in a bottleneck between a 1x1 convolution down and one up; no last ReLU."""

    def __init__(
        self, core: nn.Module, channels: tuple[int, int, int], *, is_narrow: bool, shortcut: nn.Module | None
    ) -> None:
        super().__init__()
        in_channels, inner, out_channels = channels
        self.reduce = _conv_norm(in_channels, inner) if is_narrow else None
        self.core = core
        self.norm = nn.BatchNorm2d(inner)
        self.expand = _conv_norm(inner, out_channels) if is_narrow else None
        self.shortcut = shortcut

    def forward(self, x: Tensor, graph: Tensor | None = None) -> Tensor:
        out = self.core(x if self.reduce is None else functional.relu(self.reduce(x)))
        out = self.norm(out if graph is None else propagate(out, graph))
        if self.expand is not None:
            out = self.expand(functional.relu(out))
        return out if self.shortcut is None else out + self.shortcut(x)


class _Projection(nn.Sequential):
    """A 1x1 convolution of every stride-th frame, with batch norm."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels))
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        # Picking frames first is the strided convolution; torch's own writes out of bounds in its backward pass
        # (CPU, float32, channels last, few channels; seen in 2.15).
        return super().forward(x[:, :, :: self.stride])


def _shortcut(in_channels: int, out_channels: int, stride: int = 1) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return _Projection(in_channels, out_channels, stride)


def _conv_norm(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels))
