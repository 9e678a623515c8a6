"""MultiGait++: two groups of rasters, parted into what they share and what is each group's own.

Axes: N batch, C channels, T frames, M = N * T frames of a batch, H rows, W columns, D embedding width, P parts.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, Self

import torch
from pydantic import BaseModel, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.layers import (
    ResidualBlock2d,
    SeparateBNNeck,
    SeparateFC,
    fold_frames,
    horizontal_pyramid_pool,
    init_parameters,
    set_pool,
    unfold_frames,
)
from gaitbench.layers.padding_mask import padding_mask
from gaitbench.layers.residual_3d import ResidualStage
from gaitbench.losses import batch_all_triplet, part_cross_entropy
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of, logits_of
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_baselines.deepgaitv2 import stage_keys
from gaitbench_baselines.part_network import HEAD_KEYS
from gaitbench_baselines.raster_input import raster_input

__all__ = ["PRESETS", "PUBLISHED_KEYS", "Disentangled", "Disentangling", "MultiGait", "MultiGaitConfig", "RasterStream"]

PUBLISHED_KEYS: Mapping[str, str] = MappingProxyType(
    {
        r"part(\d)_layer0\.forward_block\.(.+)": r"stems.@\1.\2",
        **stage_keys(r"part(\d)_layer1", r"first.@\1"),
        r"(?:csquare|crossattn1)\.conv2\.forward_block\.(\d)\.(.+)": r"disentangle.gates.0.\1.\2",
        r"(?:csquare|crossattn1)\.conv1\.forward_block\.(\d)\.(.+)": r"disentangle.gates.1.\1.\2",
        **stage_keys("part1_layer(2)", "streams.0.0"),
        **stage_keys("part1_layer(3)", "streams.0.1"),
        **stage_keys("layer(2)", "streams.1.0"),
        **stage_keys("layer(3)", "streams.1.1"),
        **stage_keys("part2_layer(2)", "streams.2.0"),
        **stage_keys("part2_layer(3)", "streams.2.1"),
        r"fusion\.conv\.forward_block\.0\.weight": "join.weight",
        **stage_keys("layer(4)", "last"),
        **HEAD_KEYS,
    }
)
"""Published key to ours, for :func:`gaitbench.layers.rename_published`. The module that weighs the groups goes by two
names, depending on the version."""


class RasterStream(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One modality of a group."""

    modality: str
    """Name of the stream."""
    channels: PositiveInt = 1
    """Channels of its rasters."""
    scale: PositiveFloat = 1.0
    """Decoded values are divided by this; part labels go in as they are."""


class MultiGaitConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes of MultiGait++; the defaults are those published for CCPG and SUSTech1K."""

    part_1: tuple[RasterStream, ...] = (RasterStream(modality="silhouette"), RasterStream(modality="parsing"))
    """Modalities of the first group, stacked as channels in this order."""
    part_2: tuple[RasterStream, ...] = (RasterStream(modality="optical-flow", channels=3, scale=255.0),)
    """Modalities of the second group."""
    height_px: PositiveInt = 64
    """Rows of all rasters."""
    width_px: PositiveInt = 44
    """Columns of all rasters."""
    channels: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (64, 128, 256, 512)
    """Width of the stages."""
    strides: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (1, 2, 2, 1)
    """Stride of the stages in space."""
    num_blocks: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (1, 1, 1, 1)
    """Residual blocks of the stages; (1, 2, 2, 1) on Gait3D and GREW."""
    attention_width: PositiveInt = 4
    """Hidden channels of the attention."""
    stem_stride: Literal[1, 2] = 1
    """Stride of the first convolutions: 1 as published; 2 quarters the cost of training."""
    embedding_width: PositiveInt = 256
    """D."""
    bins: tuple[PositiveInt, ...] = (16,)
    """Strips per scale; P is their sum."""
    num_classes: PositiveInt = 100
    """Training subjects; the runner sets it."""
    margin: NonNegativeFloat = 0.2
    """Margin of the triplet loss."""
    logit_scale: PositiveFloat = 16.0
    """Factor on the cosines in the cross-entropy."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Share of the target spread over all classes."""

    @model_validator(mode="after")
    def _groups_are_apart(self) -> Self:
        names = [stream.modality for stream in (*self.part_1, *self.part_2)]
        if not self.part_1 or not self.part_2 or len(set(names)) < len(names):
            raise ValueError(
                "part_1 and part_2 must name one or more modalities each and none twice, got "
                f"{[stream.modality for stream in self.part_1]} and {[stream.modality for stream in self.part_2]}"
            )
        return self


class MultiGait(GaitModel):
    """Three P3D streams, of what two groups of rasters have in common and of each group's own, joined before the last.

    Losses: ``triplet``, ``cross_entropy``.

    Source:
        Jin et al., "Exploring More from Multiple Gait Modalities for Human Identification", AAAI 2025, section
        "MultiGait++" (C2Fusion: commonality and differences).

    Example:
        >>> parts = {"part_1": ({"modality": "silhouette"},), "part_2": ({"modality": "parsing"},)}
        >>> model = MultiGait(MultiGaitConfig(**parts, channels=(4, 4, 8, 8), embedding_width=32, num_classes=5)).eval()
        >>> inputs = {name: torch.rand(2, 1, 5, 64, 44) for name in ("silhouette", "parsing")}
        >>> output = model(GaitBatch(inputs, dict.fromkeys(inputs, torch.tensor([5, 3]))))
        >>> output.embedding.shape, output.logits.shape
        (torch.Size([2, 32, 16]), torch.Size([2, 5, 16]))
    """

    padding = "masked"
    config: MultiGaitConfig

    def __init__(self, config: MultiGaitConfig) -> None:
        super().__init__(config)
        first, second, third, fourth = config.channels
        blocks = config.num_blocks
        self.stems = nn.ModuleList([_stem(part, first, config.stem_stride) for part in (config.part_1, config.part_2)])
        self.first = nn.ModuleList([_stage_2d(first, config.strides[0], blocks[0]) for _ in range(2)])
        self.disentangle = Disentangling(first, config.attention_width)
        self.streams = nn.ModuleList(
            [
                nn.ModuleList(
                    [
                        ResidualStage("p3d", first, second, stride=config.strides[1], num_blocks=blocks[1]),
                        ResidualStage("p3d", second, third, stride=config.strides[2], num_blocks=blocks[2]),
                    ]
                )
                for _ in range(3)
            ]
        )
        self.join = nn.Conv2d(3 * third, third, 1, bias=False)
        self.last = ResidualStage("p3d", third, fourth, stride=config.strides[3], num_blocks=blocks[3])
        num_parts = sum(config.bins)
        self.head = SeparateFC(num_parts, fourth, config.embedding_width)
        self.neck = SeparateBNNeck(num_parts, config.embedding_width, config.num_classes)
        init_parameters(self)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """The modalities of the first group, then those of the second."""
        config = self.config
        return tuple(
            InputSpec(
                modality=stream.modality,
                height_px=config.height_px,
                width_px=config.width_px,
                channels=stream.channels,
                scale=stream.scale,
            )
            for stream in (*config.part_1, *config.part_2)
        )

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed rasters ``[N, C, T, H, W]`` of both groups as ``[N, D, P]``; padding changes nothing outside training.

        Raises:
            ModelError: A modality is missing.
            ShapeError: The modalities differ in the number of frames.
        """
        config = self.config
        num_frames = _num_frames(batch, [stream.modality for stream in (*config.part_1, *config.part_2)])
        parts = []
        for part, stem, first in zip((config.part_1, config.part_2), self.stems, self.first, strict=True):
            x = torch.cat([raster_input(batch, stream.modality)[0] for stream in part], dim=1)
            parts.append(first(functional.relu(stem(x), inplace=True)))  # [M, C, H, W]
        clip_frames = len(parts[0]) // len(num_frames)
        is_padding = padding_mask(num_frames, clip_frames)
        joined = []
        for x, stages in zip(self.disentangle(*parts), self.streams, strict=True):
            clips = unfold_frames(x, clip_frames)
            for stage in stages:
                clips = stage(clips, is_padding)
            joined.append(fold_frames(clips))
        clips = self.last(unfold_frames(self.join(torch.cat(joined, dim=1)), clip_frames), is_padding)
        embedding = self.head(horizontal_pyramid_pool(set_pool(clips, num_frames), config.bins))
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


class Disentangled(NamedTuple):
    """What two streams hold, in the order in which they are joined again."""

    part_1: Tensor
    """``[M, C, H, W]``: what only the first stream says."""
    shared: Tensor
    """``[M, C, H, W]``: what both say."""
    part_2: Tensor
    """``[M, C, H, W]``: what only the second stream says."""


class Disentangling(nn.Module):
    """Weigh two streams against each other, pixel by pixel and channel by channel, into common and own features.

    Args:
        channels: C.
        hidden: Channels between the convolutions that weigh a stream.

    Source:
        Jin et al., AAAI 2025, section "MultiGait++" (C2Fusion).

    Example:
        >>> own, shared, other = Disentangling(channels=8).eval()(torch.rand(3, 8, 4, 4), torch.rand(3, 8, 4, 4))
        >>> shared.shape
        torch.Size([3, 8, 4, 4])
    """

    def __init__(self, channels: int, hidden: int = 4) -> None:
        super().__init__()
        self.gates = nn.ModuleList([_gate(channels, hidden) for _ in range(2)])
        init_parameters(self)

    def attention(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of both streams and how common each feature is, in float32.

        Args:
            x1: ``[M, C, H, W]`` of the first stream.
            x2: ``[M, C, H, W]`` of the second.

        Returns:
            ``[2, M, C, H, W]`` weights that sum to 1 over the streams, and ``[M, C, H, W]`` commonness: 0 for the
            least common channel of a pixel, nearly 1 for the most common one, 0 where all channels are alike.
        """
        logits = torch.stack([gate(x).float() for gate, x in zip(self.gates, (x1, x2), strict=True)])
        weights = logits.softmax(dim=0)
        lesser = weights.amin(dim=0)
        low, high = lesser.amin(dim=1, keepdim=True), lesser.amax(dim=1, keepdim=True)
        # Where no hidden unit is active, all channels are equal: without the small number this would be 0 / 0.
        return weights, (lesser - low) / (high - low + 1e-6)

    def forward(self, x1: Tensor, x2: Tensor) -> Disentangled:
        """Part ``[M, C, H, W]`` features of two streams."""
        weights, common = self.attention(x1, x2)
        own = ((1 - common) * weights).to(x1.dtype)
        return Disentangled(x1 * own[0], (x1 + x2) / 2 * common.to(x1.dtype), x2 * own[1])


def _gate(channels: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 1, bias=False),
        nn.BatchNorm2d(hidden),
        nn.ReLU(inplace=True),
        nn.Conv2d(hidden, hidden, 1, bias=False),
        nn.BatchNorm2d(hidden),
        nn.ReLU(inplace=True),
        nn.Conv2d(hidden, channels, 1, bias=False),
    )


def _stem(part: tuple[RasterStream, ...], width: int, stride: int) -> nn.Sequential:
    in_channels = sum(stream.channels for stream in part)
    return nn.Sequential(nn.Conv2d(in_channels, width, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(width))


def _stage_2d(width: int, stride: int, num_blocks: int) -> nn.Sequential:
    blocks = [ResidualBlock2d(width, width, stride=stride)]
    return nn.Sequential(*blocks, *(ResidualBlock2d(width, width) for _ in range(num_blocks - 1)))


def _num_frames(batch: GaitBatch, modalities: list[str]) -> Tensor:
    """``[N]`` real frames, the same for all modalities."""
    lengths = {name: raster_input(batch, name)[1] for name in modalities}
    frames = {name: batch.inputs[name].shape[2] for name in modalities}
    first = lengths[modalities[0]]
    if len(set(frames.values())) > 1 or any(not torch.equal(length, first) for length in lengths.values()):
        raise ShapeError(f"all modalities must show the same frames, got {frames}")
    return first


def _paper(
    clips: ClipConfig,
    iterations: int = 60_000,
    milestones: tuple[int, ...] = (20_000, 40_000, 50_000),
) -> Recipe:
    stage = Stage(
        iterations=iterations,
        clips=clips,
        augment=AugmentConfig(perspective=0.2, flip=0.2, rotate=0.2),
        optimizer=OptimizerConfig(name="sgd", lr=0.1),
        schedule=ScheduleConfig(name="multistep", milestones=milestones),
    )
    return Recipe(stages=(stage,), precision="bf16-mixed")


_SILHOUETTE: dict[str, object] = {"modality": "silhouette"}
_PARSING: dict[str, object] = {"modality": "parsing"}

PRESETS: dict[str, Preset] = {
    "paper": Preset(
        recipe=_paper(
            ClipConfig(subjects_per_batch=8, sequences_per_subject=16, num_frames=30, order="ordered", skip=8)
        ),
        note="recipe as published for CCPG, with 60k iterations where the published file says 600k",
    ),
    "paper@gait3d": Preset(
        config={"part_1": (_SILHOUETTE,), "part_2": (_PARSING,), "num_blocks": (1, 2, 2, 1), "num_classes": 3000},
        recipe=_paper(
            ClipConfig(subjects_per_batch=32, sequences_per_subject=4, num_frames=30, order="ordered", skip=4)
        ),
        note="silhouettes and parsings",
    ),
    "paper@grew": Preset(
        config={"part_1": (_SILHOUETTE,), "num_blocks": (1, 2, 2, 1), "num_classes": 20_000},
        recipe=_paper(
            ClipConfig(subjects_per_batch=32, sequences_per_subject=4, num_frames=30, order="ordered", skip=4),
            180_000,
            (80_000, 120_000, 150_000),
        ),
        note="silhouettes and optical flow",
    ),
    "paper@sustech1k": Preset(
        config={"num_classes": 250},
        recipe=_paper(
            ClipConfig(subjects_per_batch=8, sequences_per_subject=8, num_frames=10, order="ordered", skip=4),
            50_000,
            (20_000, 30_000, 40_000),
        ),
    ),
    "quick": Preset(
        config={
            "part_1": (_SILHOUETTE,),
            "part_2": (_PARSING,),
            "channels": (8, 16, 32, 64),
            "stem_stride": 2,
            "embedding_width": 128,
            "bins": (8, 4, 2, 1),
        },
        recipe=Recipe(
            stages=(
                Stage(
                    iterations=300,
                    clips=ClipConfig(subjects_per_batch=12, sequences_per_subject=4, num_frames=6, order="ordered"),
                    augment=AugmentConfig(shift=0.3, rescale=0.3),
                    optimizer=OptimizerConfig(name="adamw", lr=2e-3, weight_decay=5e-3),
                    schedule=ScheduleConfig(name="onecycle", warmup=30),
                ),
            ),
            precision="bf16-mixed",
        ),
        note="silhouettes and parsings, an eighth of the width, first convolution with stride 2, short training",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
PRESETS["paper@ccpg"] = PRESETS["paper"]
