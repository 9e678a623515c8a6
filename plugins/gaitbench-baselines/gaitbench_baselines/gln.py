"""GLN: lateral connections from every stage of a silhouette and of a set branch, and a compact description.

Axes: N batch, C channels, T frames, H rows, W columns, D embedding width, P parts.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, Self

import torch
from pydantic import BaseModel, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.layers import SeparateFC, horizontal_pyramid_pool, init_parameters, set_pool, unfold_frames
from gaitbench.losses import batch_all_triplet, part_cross_entropy
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of, logits_of
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_baselines.gait_challenge import on_gait_challenge
from gaitbench_baselines.raster_input import raster_input, silhouettes

__all__ = ["PRESETS", "PUBLISHED_KEYS", "Gln", "GlnConfig"]

PUBLISHED_KEYS: Mapping[str, str] = MappingProxyType(
    {
        r"sil_stage_(\d)\.forward_block\.0\.conv\.weight": r"frame.\1.0.weight",
        r"sil_stage_(\d)\.forward_block\.2\.conv\.weight": r"frame.\1.1.weight",
        r"set_stage_(\d)\.0\.conv\.weight": r"whole.@\1.0.weight",
        r"set_stage_(\d)\.2\.conv\.weight": r"whole.@\1.1.weight",
        r"lateral_layer(\d)\.weight": r"lateral.@\1.weight",
        r"smooth_layer(\d)\.weight": r"smooth.@\1.weight",
        r"Head\.fc_bin": "head.weight",
        r"encoder_bn\.(.+)": r"compact.norm.\1",
        r"reduce_fc\.weight": "compact.reduce.weight",
        r"reduce_bn\.(.+)": r"compact.reduced_norm.\1",
        r"reduce_cls\.weight": "compact.classifier.weight",
    }
)
"""Published key to ours, for :func:`gaitbench.layers.rename_published`."""


class GlnConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes of GLN; the defaults are those published for CASIA-B, after the first training phase."""

    in_channels: PositiveInt = 1
    """Channels of the input; masks have one."""
    height_px: PositiveInt = 128
    """Rows of the silhouettes; 64-row masks are enlarged."""
    width_px: PositiveInt = 88
    """Columns of the silhouettes."""
    channels: tuple[PositiveInt, PositiveInt, PositiveInt] = (32, 64, 128)
    """Width of the three stages."""
    lateral_width: PositiveInt = 256
    """Width of the lateral connections and of the maps after smoothing."""
    embedding_width: PositiveInt = 256
    """D."""
    bins: tuple[PositiveInt, ...] = (16, 8, 4, 2, 1)
    """Strips per scale of the pyramid; each of the three levels has one, so P is three times their sum."""
    compact_width: PositiveInt | None = None
    """Width of the compact description that the second training phase adds (256 as published); None leaves out the
    compact block."""
    dropout: float = Field(0.9, ge=0, lt=1)
    """Share of the D * P features that the compact block drops in training."""
    test_embedding: Literal["parts", "compact"] = "parts"
    """What is compared at test time: the D x P part embeddings, with which published numbers were made, or the compact
    description (P = 1)."""
    num_classes: PositiveInt = 74
    """Training subjects; the runner sets it."""
    margin: NonNegativeFloat = 0.2
    """Margin of the triplet loss."""
    logit_scale: PositiveFloat = 16.0
    """Factor on the logits in the cross-entropy."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Share of the target spread over all classes."""

    @model_validator(mode="after")
    def _must_fit(self) -> Self:
        if self.height_px % 4 or self.width_px % 4:
            raise ValueError(
                f"height_px {self.height_px} and width_px {self.width_px} must be multiples of 4: maps are halved "
                "twice, doubled again and added"
            )
        for level, pixels in enumerate(self.height_px * self.width_px // 4**level for level in range(3)):
            if any(pixels % count for count in self.bins):
                raise ValueError(f"bins {self.bins} do not divide the {pixels} pixels of level {level}")
        if self.test_embedding == "compact" and self.compact_width is None:
            raise ValueError("test_embedding 'compact' needs a compact_width, such as 256")
        return self


class Gln(GaitModel):
    """Set-pooled maps of three stages and of a branch that sees the set, merged from coarse to fine.

    Exactly invariant to the order of frames and to their repetition. Trained in two phases: first without the compact
    block, then with it. Losses: ``triplet`` and, with a compact block, ``cross_entropy``, which a stage leaves out by
    the weight 0.

    Source:
        Hou et al., "Gait Lateral Network: Learning Discriminative and Compact Representations for Gait Recognition",
        ECCV 2020, sections on lateral connections and on the compact block.

    Example:
        >>> model = Gln(GlnConfig(channels=(4, 4, 8), lateral_width=8, embedding_width=16)).eval()
        >>> clips = torch.rand(2, 1, 5, 128, 88).round()
        >>> model(GaitBatch({"silhouette": clips}, {"silhouette": torch.tensor([5, 3])})).embedding.shape
        torch.Size([2, 16, 93])
    """

    padding = "masked"
    config: GlnConfig

    def __init__(self, config: GlnConfig) -> None:
        super().__init__(config)
        first, second, third = config.channels
        self.frame = nn.ModuleList(
            [_Stage(config.in_channels, first, kernel_size=5), _Stage(first, second), _Stage(second, third)]
        )
        self.whole = nn.ModuleList([_Stage(first, second), _Stage(second, third)])
        lateral = config.lateral_width
        self.lateral = nn.ModuleList(nn.Conv2d(2 * width, lateral, 1, bias=False) for width in config.channels)
        self.smooth = nn.ModuleList(nn.Conv2d(lateral, lateral, 3, padding=1, bias=False) for _ in config.channels)
        num_parts = len(config.channels) * sum(config.bins)
        self.head = SeparateFC(num_parts, lateral, config.embedding_width)
        self.compact: _CompactBlock | None = None
        if config.compact_width is not None:
            self.compact = _CompactBlock(
                num_parts * config.embedding_width, config.compact_width, config.num_classes, config.dropout
            )
        init_parameters(self)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Silhouettes in [0, 1]."""
        return silhouettes(self.config)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed silhouettes ``[N, C, T, H, W]`` as ``[N, D, P]``; padding changes nothing outside training."""
        x, num_frames = raster_input(batch, "silhouette")
        levels = self.merge(self.maps(x, num_frames))
        pooled = [horizontal_pyramid_pool(level, self.config.bins) for level in levels]
        parts = self.head(torch.cat(pooled, dim=2))
        if self.compact is None:
            return GaitOutput(embedding=parts)
        compact = self.compact(parts)
        is_compact = self.config.test_embedding == "compact"
        return GaitOutput(
            embedding=compact.feature if is_compact else parts, logits=compact.logits, extras={"parts": parts}
        )

    def maps(self, x: Tensor, num_frames: Tensor) -> list[Tensor]:
        """Give the lateral inputs of the three levels, finest first.

        Args:
            x: ``[N*T, C, H, W]``, all frames.
            num_frames: ``[N]`` int64.

        Returns:
            ``[N, 2*C', H/s, W/s]`` for s = 1, 2, 4: maximum over the frames, then the set branch.
        """
        clip_frames = len(x) // len(num_frames)
        frames = []
        for index, stage in enumerate(self.frame):
            x = stage(functional.max_pool2d(x, 2) if index else x)
            frames.append(set_pool(unfold_frames(x, clip_frames), num_frames))
        wholes = [frames[0]]
        for stage, pooled in zip(self.whole, frames[1:], strict=True):
            wholes.append(stage(functional.max_pool2d(wholes[-1], 2)) + pooled)
        return [torch.cat(pair, dim=1) for pair in zip(frames, wholes, strict=True)]

    def merge(self, maps: list[Tensor]) -> list[Tensor]:
        """Add to each level the doubled next coarser one, then smooth all: same sizes, ``lateral_width`` channels."""
        levels = [lateral(level) for lateral, level in zip(self.lateral, maps, strict=True)]
        for index in reversed(range(len(levels) - 1)):
            levels[index] = levels[index] + functional.interpolate(levels[index + 1], scale_factor=2)
        return [smooth(level) for smooth, level in zip(self.smooth, levels, strict=True)]

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        """Batch-all triplet loss on the parts; cross-entropy of the compact description, unless its weight is 0."""
        config, labels = self.config, labels_of(batch)
        parts = output.extras.get("parts", output.embedding)
        losses = {"triplet": batch_all_triplet(parts, labels, margin=config.margin)}
        if self.compact is not None and stage.loss_weights.get("cross_entropy", 1.0):
            losses["cross_entropy"] = part_cross_entropy(
                logits_of(output), labels, scale=config.logit_scale, label_smoothing=config.label_smoothing
            )
        return losses


class _Stage(nn.Sequential):
    """Two convolutions, each with a leaky ReLU: ``[M, C, H, W]`` to the same axes."""

    def __init__(self, in_channels: int, out_channels: int, *, kernel_size: int = 3) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        for conv in self:
            x = functional.leaky_relu(conv(x), inplace=True)
        return x


class _Compact(NamedTuple):
    """What the compact block returns."""

    feature: Tensor
    """``[N, compact_width, 1]``, after its batch norm."""
    logits: Tensor
    """``[N, classes, 1]``."""


class _CompactBlock(nn.Module):
    """Reduce all part embeddings to one short vector: ``[N, D, P]`` to ``[N, compact_width, 1]``, in float32.

    The two batch norms have no bias: theirs stays 0.
    """

    def __init__(self, in_width: int, width: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(in_width)
        self.dropout = nn.Dropout(dropout)
        self.reduce = nn.Linear(in_width, width, bias=False)
        self.reduced_norm = nn.BatchNorm1d(width)
        self.classifier = nn.Linear(width, num_classes, bias=False)
        for norm in (self.norm, self.reduced_norm):
            norm.bias.requires_grad_(False)

    def forward(self, parts: Tensor) -> _Compact:
        with torch.autocast(parts.device.type, enabled=False):
            flat = parts.to(self.reduce.weight.dtype).flatten(1)  # [N, D*P], index = channel * P + part
            feature = self.reduced_norm(self.reduce(functional.relu(self.dropout(self.norm(flat)))))
            return _Compact(feature[:, :, None], self.classifier(feature)[:, :, None])


def _phase(name: str, lr: float, cross_entropy: float, freeze: tuple[str, ...] = ()) -> Stage:
    return Stage(
        name=name,
        iterations=40_000,
        clips=ClipConfig(subjects_per_batch=8, sequences_per_subject=16, num_frames=30, order="ordered", skip=0),
        optimizer=OptimizerConfig(name="sgd", lr=lr),
        schedule=ScheduleConfig(name="multistep", milestones=(10_000, 20_000, 30_000)),
        loss_weights={"cross_entropy": cross_entropy},
        freeze=freeze,
    )


_COMPACT = ("compact.*",)
_CASIA_B = Recipe(
    stages=(_phase("lateral", 0.1, 0.0, freeze=_COMPACT), _phase("compact", 0.01, 0.1)),
    precision="bf16-mixed",
    test_frames_per_batch=512,
)


def _quick(name: str, iterations: int, lr: float, cross_entropy: float, freeze: tuple[str, ...] = ()) -> Stage:
    return Stage(
        name=name,
        iterations=iterations,
        clips=ClipConfig(subjects_per_batch=12, sequences_per_subject=4, num_frames=6, order="ordered", skip=0),
        augment=AugmentConfig(flip=0.5, shift=0.3, rescale=0.3),
        optimizer=OptimizerConfig(name="adamw", lr=lr, weight_decay=1e-3),
        schedule=ScheduleConfig(name="onecycle", warmup=iterations // 10),
        loss_weights={"cross_entropy": cross_entropy},
        freeze=freeze,
    )


PRESETS: dict[str, Preset] = {
    "paper": Preset(
        config={"compact_width": 256}, recipe=_CASIA_B, note="both phases, sizes and recipe as published for CASIA-B"
    ),
    "paper@casia-b": Preset(config={"compact_width": 256}, recipe=_CASIA_B),
    "paper-lateral": Preset(
        recipe=_CASIA_B.model_copy(update={"stages": (_phase("lateral", 0.1, 0.0),)}),
        note="first phase only, without the compact block",
    ),
    "quick": Preset(
        config={
            "height_px": 64,
            "width_px": 44,
            "channels": (8, 16, 32),
            "lateral_width": 32,
            "embedding_width": 64,
            "bins": (16, 4, 1),
            "compact_width": 64,
            "dropout": 0.5,
        },
        recipe=Recipe(
            stages=(_quick("lateral", 300, 5e-4, 0.0, freeze=_COMPACT), _quick("compact", 80, 2e-4, 0.1)),
            precision="bf16-mixed",
        ),
        note="64x44 pixels, quarter width or less, 16, 4 and 1 strips, less dropout, two short phases",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
PRESETS["quick@usf-gait17"] = on_gait_challenge(PRESETS["quick"], iterations=(300, 80))
