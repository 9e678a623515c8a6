"""ParsingGait: maps of body parts, read whole and as a graph of parts.

Axes: N batch, C channels, T frames, M = N * T frames of a batch, H rows, W columns, V nodes of a graph, D embedding
width, P parts of the embedding.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, Self

import torch
from pydantic import BaseModel, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.layers import (
    ResNet9,
    SeparateBNNeck,
    SeparateFC,
    horizontal_pyramid_pool,
    init_parameters,
    set_pool,
    unfold_frames,
)
from gaitbench.layers.resnet9 import PUBLISHED_KEYS as RESNET9_KEYS
from gaitbench.losses import batch_all_triplet, part_cross_entropy
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of, logits_of
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_baselines.part_network import HEAD_KEYS
from gaitbench_baselines.raster_input import raster_input

__all__ = [
    "COARSE",
    "FINE",
    "PRESETS",
    "PUBLISHED_KEYS",
    "ParsingGait",
    "ParsingGaitConfig",
    "PartGraph",
    "PartGraphConfig",
    "symmetric_adjacency",
]

PUBLISHED_KEYS: Mapping[str, str] = MappingProxyType(
    {
        **{rf"Backbone\.forward_block\.{key}": f"trunk.{ours}" for key, ours in RESNET9_KEYS.items()},
        **HEAD_KEYS,
        r"gammas_(fine|coarse)": r"graphs.\1.inside_weight",
        r"gcn_(fine|coarse)\.gc(\d)\.(weight|bias)": r"graphs.\1.layers.@\2.\3",
        r"gcn_(fine|coarse)\.gc(\d)\.bn\.(.+)": r"graphs.\1.layers.@\2.norm.\3",
    }
)
"""Published key to ours, for :func:`gaitbench.layers.rename_published`."""


class PartGraphConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which labels of the maps make the nodes of a graph, and which nodes are neighbours."""

    name: str = Field("parts", pattern=r"[a-z0-9_]+")
    """What the graph's weights are called, each graph of a model its own."""
    parts: tuple[tuple[NonNegativeInt, ...], ...]
    """Labels of each node."""
    edges: tuple[tuple[NonNegativeInt, NonNegativeInt], ...]
    """Neighbours, each pair once."""

    @model_validator(mode="after")
    def _edges_join_nodes(self) -> Self:
        if not self.parts or not all(self.parts):
            raise ValueError(f"a graph needs nodes and each node a label, got parts {self.parts}")
        if wrong := [edge for edge in self.edges if max(edge) >= len(self.parts) or edge[0] == edge[1]]:
            raise ValueError(f"edges {wrong} do not join two of the {len(self.parts)} nodes")
        return self


FINE = PartGraphConfig(
    name="fine",
    parts=tuple((label,) for label in range(1, 12)),
    edges=(
        *((0, 1), (0, 10), (1, 2), (1, 3), (1, 6), (1, 7)),
        *((2, 4), (2, 10), (3, 5), (3, 10), (6, 8), (6, 10), (7, 9), (7, 10)),
    ),
)
"""Head, torso, left and right arm, hand, leg and foot, dress; joined as in the body, the dress to all but the torso,
the hands and the feet."""

COARSE = PartGraphConfig(
    name="coarse",
    parts=((1, 2, 11), (3, 5), (4, 6), (7, 9), (8, 10)),
    edges=((0, 1), (0, 2), (0, 3), (0, 4)),
)
"""Head with torso and dress in the middle of a star of limbs."""


class ParsingGaitConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes of ParsingGait; the defaults are those published for Gait3D-Parsing."""

    height_px: PositiveInt = 64
    """Rows of the maps."""
    width_px: PositiveInt = 44
    """Columns of the maps."""
    channels: tuple[PositiveInt, ...] = (64, 128, 256, 512)
    """Width of the stages."""
    strides: tuple[PositiveInt, ...] = (1, 2, 2, 1)
    """Stride of the stages."""
    num_blocks: tuple[PositiveInt, ...] = (1, 1, 1, 1)
    """Residual blocks of the stages."""
    stem_stride: Literal[1, 2] = 1
    """Stride of the first convolution: 1 as published; 2 quarters the cost of training."""
    bins: tuple[PositiveInt, ...] = (16,)
    """Strips per scale of the whole map."""
    graphs: tuple[PartGraphConfig, ...] = (COARSE,)
    """Graphs of parts, in the order of their embeddings: ``(COARSE,)`` as published, ``(FINE,)``, ``(FINE, COARSE)``
    or none."""
    inside_weight: float = 0.75
    """Where the learned weight of a part's own pixels starts; the other pixels get one minus it."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Dropout on what enters a graph layer."""
    embedding_width: PositiveInt = 256
    """D."""
    num_classes: PositiveInt = 3000
    """Training subjects; the runner sets it."""
    margin: NonNegativeFloat = 0.2
    """Margin of the triplet loss."""
    logit_scale: PositiveFloat = 16.0
    """Factor on the cosines in the cross-entropy."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Share of the target spread over all classes."""

    @model_validator(mode="after")
    def _graphs_are_told_apart(self) -> Self:
        names = [graph.name for graph in self.graphs]
        if len(set(names)) < len(names):
            raise ValueError(f"graphs must have names of their own, got {', '.join(names)}")
        return self


class ParsingGait(GaitModel):
    """A residual network on label maps; strips of the whole map, and a graph of body parts, each maximised over time.

    Exactly invariant to the order of frames and to their repetition. Losses: ``triplet``, ``cross_entropy``.

    Source:
        Zheng et al., "Parsing is All You Need for Accurate Gait Recognition in the Wild", ACM MM 2023, section
        "ParsingGait" (global head and part-level head).

    Example:
        >>> model = ParsingGait(ParsingGaitConfig(channels=(4, 4, 8, 8), embedding_width=32, num_classes=5)).eval()
        >>> maps = torch.randint(12, (2, 1, 5, 64, 44)).float()
        >>> output = model(GaitBatch({"parsing": maps}, {"parsing": torch.tensor([5, 3])}))
        >>> output.embedding.shape, output.logits.shape
        (torch.Size([2, 32, 21]), torch.Size([2, 5, 21]))
    """

    padding = "masked"
    config: ParsingGaitConfig

    def __init__(self, config: ParsingGaitConfig) -> None:
        super().__init__(config)
        self.trunk = ResNet9(
            1,
            channels=config.channels,
            strides=config.strides,
            num_blocks=config.num_blocks,
            stem_stride=config.stem_stride,
        )
        width = config.channels[-1]
        self.graphs = nn.ModuleDict(
            {
                graph.name: PartGraph(graph, width, inside_weight=config.inside_weight, dropout=config.dropout)
                for graph in config.graphs
            }
        )
        num_parts = sum(config.bins) + sum(len(graph.parts) for graph in config.graphs)
        self.head = SeparateFC(num_parts, width, config.embedding_width)
        self.neck = SeparateBNNeck(num_parts, config.embedding_width, config.num_classes)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Maps of label numbers, not divided by anything."""
        return (InputSpec(modality="parsing", height_px=self.config.height_px, width_px=self.config.width_px),)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed label maps ``[N, 1, T, H, W]`` as ``[N, D, P]``: strips first, then the nodes of each graph.

        Padding changes nothing outside training.
        """
        labels, num_frames = raster_input(batch, "parsing")
        clip_frames = len(labels) // len(num_frames)
        x = self.trunk(labels)  # [M, C, H, W]
        maps = set_pool(unfold_frames(x, clip_frames), num_frames)
        parts = [horizontal_pyramid_pool(maps, self.config.bins)]
        small = functional.interpolate(labels, x.shape[2:], mode="nearest")[:, 0]  # [M, H, W]
        for graph in self.graphs.values():
            nodes = graph(x, small).transpose(1, 2).unsqueeze(-1)  # [M, C, V, 1]
            parts.append(set_pool(unfold_frames(nodes, clip_frames), num_frames)[..., 0].to(maps.dtype))
        embedding = self.head(torch.cat(parts, dim=2))
        return GaitOutput(embedding=embedding, logits=self.neck(embedding).logits)

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Batch-all triplet loss on the embeddings, cross-entropy on the neck's cosines."""
        config, labels = self.config, labels_of(batch)
        return {
            "triplet": batch_all_triplet(output.embedding, labels, margin=config.margin),
            "cross_entropy": part_cross_entropy(
                logits_of(output), labels, scale=config.logit_scale, label_smoothing=config.label_smoothing
            ),
        }


class PartGraph(nn.Module):
    """Describe the parts of one frame each by itself, then let neighbours exchange what they know, twice.

    Args:
        config: Nodes and edges.
        channels: C.
        inside_weight: Start of the learned weight of a part's own pixels.
        dropout: On what enters a layer, in training.

    Source:
        Zheng et al., ACM MM 2023, section "ParsingGait" (part-level head); its layers: Kipf and Welling,
        "Semi-Supervised Classification with Graph Convolutional Networks", ICLR 2017, equation 2.

    Example:
        >>> PartGraph(COARSE, channels=8)(torch.rand(3, 8, 16, 11), torch.randint(12, (3, 16, 11)).float()).shape
        torch.Size([3, 5, 8])
    """

    adjacency: Tensor
    is_part: Tensor

    def __init__(
        self,
        config: PartGraphConfig,
        channels: int,
        *,
        inside_weight: float = 0.75,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        num_nodes = len(config.parts)
        self.inside_weight = nn.Parameter(torch.full((num_nodes,), inside_weight))
        self.layers = nn.ModuleList([_GraphLayer(num_nodes, channels) for _ in range(2)])
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("adjacency", symmetric_adjacency(num_nodes, config.edges), persistent=False)
        # The last row stands for all labels that belong to no part.
        is_part = torch.zeros(max(map(max, config.parts)) + 2, num_nodes, dtype=torch.bool)
        for node, labels in enumerate(config.parts):
            is_part[list(labels), node] = True
        self.register_buffer("is_part", is_part, persistent=False)
        init_parameters(self)

    def nodes(self, x: Tensor, labels: Tensor) -> Tensor:
        """Mean plus maximum over all pixels, those of a part weighed by w and the others by 1 - w.

        Args:
            x: ``[M, C, H, W]`` features.
            labels: ``[M, H, W]`` label of each pixel, any dtype.

        Returns:
            ``[M, V, C]``.
        """
        index = labels.long().clamp(0, len(self.is_part) - 1)
        inside = self.inside_weight.to(x.dtype)
        nodes = []
        # Part by part: all at once would write V maps of all channels before the first is read again.
        for node in range(len(inside)):
            weight = torch.where(self.is_part[:, node][index], inside[node], 1 - inside[node])[:, None]  # [M, 1, H, W]
            weighed = (x * weight).flatten(2)
            nodes.append(weighed.mean(dim=2) + weighed.amax(dim=2))
        return torch.stack(nodes, dim=1)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Map features ``[M, C, H, W]`` and labels ``[M, H, W]`` to nodes ``[M, V, C]``."""
        nodes = self.nodes(x, labels)
        for layer in self.layers:
            nodes = layer(self.dropout(nodes), self.adjacency)
        return nodes


class _GraphLayer(nn.Module):
    """Sum over neighbours, one linear map for all nodes, a batch norm for each feature of each node, ReLU."""

    def __init__(self, num_nodes: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels))  # from row to column
        self.bias = nn.Parameter(torch.empty(channels))
        self.norm = nn.BatchNorm1d(num_nodes * channels)
        for parameter in (self.weight, self.bias):
            nn.init.uniform_(parameter, -(channels**-0.5), channels**-0.5)

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        nodes = functional.linear(adjacency.to(nodes.dtype) @ nodes, self.weight.T, self.bias)
        return functional.relu(self.norm(nodes.flatten(1)).view(nodes.shape))  # index = node * C + channel


def symmetric_adjacency(num_nodes: int, edges: Sequence[tuple[int, int]]) -> Tensor:
    """Weigh neighbours, and each node itself, by one over the root of both nodes' degrees.

    Args:
        num_nodes: V.
        edges: Neighbours, each pair once.

    Returns:
        ``[V, V]`` symmetric.

    Source:
        Kipf and Welling, ICLR 2017, section 2.

    Example:
        >>> symmetric_adjacency(3, [(0, 1)])
        tensor([[0.5000, 0.5000, 0.0000],
                [0.5000, 0.5000, 0.0000],
                [0.0000, 0.0000, 1.0000]])
    """
    adjacency = torch.eye(num_nodes)
    for a, b in edges:
        adjacency[a, b] = adjacency[b, a] = 1
    scale = adjacency.sum(dim=1).rsqrt()
    return scale[:, None] * adjacency * scale


_GAIT3D_PARSING = Recipe(
    stages=(
        Stage(
            iterations=120_000,
            clips=ClipConfig(subjects_per_batch=32, sequences_per_subject=2, num_frames=30),
            optimizer=OptimizerConfig(name="sgd", lr=0.1),
            schedule=ScheduleConfig(name="multistep", milestones=(40_000, 80_000, 100_000)),
        ),
    ),
    precision="bf16-mixed",
)

PRESETS: dict[str, Preset] = {
    "paper": Preset(recipe=_GAIT3D_PARSING, note="sizes and recipe as published for Gait3D-Parsing"),
    "paper@gait3d-parsing": Preset(recipe=_GAIT3D_PARSING),
    "paper-fine": Preset(config={"graphs": (FINE,)}, recipe=_GAIT3D_PARSING, note="a node for each of the 11 parts"),
    "paper-both": Preset(config={"graphs": (FINE, COARSE)}, recipe=_GAIT3D_PARSING, note="both graphs"),
    "quick": Preset(
        config={
            "channels": (16, 32, 64, 128),
            "stem_stride": 2,
            "embedding_width": 128,
            "bins": (8, 4, 2, 1),
            "graphs": (
                {
                    "parts": ((1, 2, 3, 12), (4, 6), (5, 7), (8, 10), (9, 11)),
                    "edges": COARSE.edges,
                },
            ),
        },
        recipe=Recipe(
            stages=(
                Stage(
                    iterations=600,
                    clips=ClipConfig(subjects_per_batch=12, sequences_per_subject=4, num_frames=6),
                    augment=AugmentConfig(shift=0.3, rescale=0.3),
                    optimizer=OptimizerConfig(name="adamw", lr=2e-3, weight_decay=5e-3),
                    schedule=ScheduleConfig(name="onecycle", warmup=60),
                ),
            ),
            precision="bf16-mixed",
        ),
        note="quarter width, first convolution with stride 2, 8 to 1 strips, part labels of walkers, short training",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
