"""GAR-Net: attributes from what a silhouette looks like and how it moves, chosen for each attribute by itself.

Axes: N batch, C channels, T frames, H rows, W columns, P parts, A attributes, S classes of all attributes.
"""

from collections.abc import Mapping
from typing import Literal, Self

import torch
from pydantic import BaseModel, Field, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.card import Attribute
from gaitbench.errors import ModelError
from gaitbench.layers import (
    LabelShares,
    ResNet9,
    check_strips,
    horizontal_pyramid_pool,
    init_parameters,
    set_pool,
    unfold_frames,
)
from gaitbench.losses import attribute_bce
from gaitbench.model import Decision, GaitBatch, GaitModel, GaitOutput, InputSpec, attributes_of
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_baselines.raster_input import on_real_frames, raster_input

__all__ = ["PRESETS", "FeatureSelection", "GarNet", "GarNetConfig", "MotionEncoder"]


class GarNetConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes and switches of GAR-Net; the sizes are GaitBase's."""

    attributes: tuple[Attribute, ...] = ()
    """What is told; the runner sets it. Empty for a model without heads, which can be asked what it reads."""
    height_px: PositiveInt = 64
    """Rows of the silhouettes."""
    width_px: PositiveInt = 44
    """Columns of the silhouettes."""
    channels: tuple[PositiveInt, ...] = (64, 128, 256, 512)
    """Width of the trunk's stages."""
    strides: tuple[PositiveInt, ...] = (1, 2, 2, 1)
    """Stride of the stages."""
    num_blocks: tuple[PositiveInt, ...] = (1, 1, 1, 1)
    """Residual blocks of the stages."""
    stem_stride: Literal[1, 2] = 1
    """Stride of the first convolution: 2 quarters the cost of training."""
    bins: tuple[PositiveInt, ...] = (16,)
    """Strips per scale; P is their sum."""
    has_static: bool = True
    """Whether attributes are told from the maximum over time."""
    has_dynamic: bool = True
    """Whether attributes are told from differences between frames."""
    steps: tuple[PositiveInt, ...] = (1, 2, 4)
    """How many frames apart the differences are taken."""
    selection: Literal["attention", "mean"] = "attention"
    """Whether each attribute attends to the tokens by itself, or all take their mean."""
    heads: PositiveInt = 4
    """Heads of that attention."""
    weighting: Literal["exp-share", "none"] = "exp-share"
    """Whether rare labels count more."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of attention weights that training does without."""
    decision: Decision = "threshold"
    """How logits become labels."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse what is nothing to tell attributes from, and stages that differ in number."""
        if not len(self.channels) == len(self.strides) == len(self.num_blocks) > 0:
            raise ValueError(
                f"channels {list(self.channels)}, strides {list(self.strides)} and num_blocks {list(self.num_blocks)} "
                "must name the same stages"
            )
        size = (self.height_px, self.width_px)
        check_strips(size, (self.channels[0], *self.channels), (self.stem_stride, *self.strides), self.bins)
        if not (self.has_static or self.has_dynamic):
            raise ValueError("without static and without dynamic features nothing is left; set one of them to true")
        if self.has_dynamic and not self.steps:
            raise ValueError("dynamic features need steps, such as [1, 2, 4]; has_dynamic=false does without them")
        if self.selection == "attention" and self.channels[-1] % self.heads:
            raise ValueError(f"heads {self.heads} must divide the width {self.channels[-1]} of the last stage")
        return self


class MotionEncoder(nn.Module):
    """Differences between strips of frames some steps apart, convolved over time, at their maximum; steps merged.

    Frames behind the end of a clip take no part. A clip that is too short for a step has zeros there.

    Args:
        width: C.
        steps: How many frames apart.

    Example:
        >>> MotionEncoder(8, (1, 2)).eval()(torch.rand(2, 8, 5, 4), torch.tensor([5, 1])).shape
        torch.Size([2, 8, 4])
    """

    def __init__(self, width: int, steps: tuple[int, ...]) -> None:
        super().__init__()
        self.steps = steps
        self.convs = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1, bias=False) for _ in steps)
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in steps)
        self.merge = nn.Conv1d(width * len(steps), width, 1)
        init_parameters(self)

    def forward(self, strips: Tensor, num_frames: Tensor) -> Tensor:
        """Map strips of every frame ``[N, C, T, P]``, with ``[N]`` real frames of each clip, to ``[N, C, P]``."""
        scales = [
            self._one(strips, num_frames, step, conv, norm)
            for step, conv, norm in zip(self.steps, self.convs, self.norms, strict=True)
        ]
        merged: Tensor = self.merge(torch.cat(scales, dim=1))
        return merged

    def _one(self, strips: Tensor, num_frames: Tensor, step: int, conv: nn.Module, norm: nn.Module) -> Tensor:
        num_clips, width, clip_frames, num_parts = strips.shape
        moments = max(1, clip_frames - step)
        later = strips[:, :, step:]
        difference = later - strips[:, :, : later.shape[2]]
        difference = functional.pad(difference, (0, 0, 0, moments - difference.shape[2]))  # [N, C, moments, P]
        moment = torch.arange(moments, device=strips.device)
        is_open = moment < (num_frames.to(strips.device) - step)[:, None]  # [N, moments]
        difference = difference.masked_fill(~is_open[:, None, :, None], 0)
        series = difference.permute(0, 3, 1, 2).flatten(0, 1)  # [N*P, C, moments]
        seen = functional.relu(self._normed(conv(series), is_open.repeat_interleave(num_parts, dim=0), norm))
        seen = seen.view(num_clips, num_parts, width, moments)
        # What a ReLU gives is 0 or more, so that 0 stands for what is not there.
        return seen.masked_fill(~is_open[:, None, None], 0).amax(dim=3).transpose(1, 2)

    def _normed(self, series: Tensor, is_open: Tensor, norm: nn.Module) -> Tensor:
        """Normalise ``[M, C, moments]``; in training by the statistics of open moments ``[M, moments]`` alone."""
        if not self.training or bool(is_open.all()):
            normed: Tensor = norm(series)
            return normed
        if int(is_open.sum()) < 2:
            return 0 * series  # no statistics; what is closed is cleared anyway
        by_moment = series.transpose(1, 2)  # [M, moments, C]
        rows = norm(by_moment[is_open])
        return rows.new_zeros(by_moment.shape).masked_scatter(is_open[:, :, None], rows).transpose(1, 2)


class FeatureSelection(nn.Module):
    """Each attribute looks through the tokens of all parts with a query of its own.

    Args:
        width: C.
        num_tokens: Static and dynamic parts together.
        num_attributes: A.
        heads: Of the attention.
        dropout: Of the attention.
    """

    def __init__(self, width: int, num_tokens: int, num_attributes: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.randn(num_tokens, width) * 0.02)
        self.query = nn.Parameter(torch.randn(num_attributes, width) * 0.02)
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens ``[N, M, C]`` to a vector per attribute ``[N, A, C]``."""
        seen = self.norm(tokens) + self.place
        query = self.query.expand(len(tokens), -1, -1)
        chosen: Tensor = self.attention(query, seen, seen, need_weights=False)[0]
        return chosen


class GarNet(GaitModel):
    """GaitBase's trunk; parts of the maximum over time and of motion; attention per attribute; a head per attribute.

    Losses: ``bce``, over known labels.

    Source:
        GAR-Net, of the paper that presents MA-Gait: IEEE Transactions on Information Forensics and Security, vol. 19,
        2024, pp. 1-14, its abstract alone. What that does not say is ours: the open points of the model's spec.

    Example:
        >>> gender = Attribute(name="gender", title="Gender", classes=("male", "female"))
        >>> model = GarNet(GarNetConfig(channels=(4, 4, 8, 8), attributes=(gender,))).eval()
        >>> output = model(GaitBatch({"silhouette": torch.rand(2, 1, 5, 64, 44)}, {"silhouette": torch.tensor([5, 3])}))
        >>> output.attributes["gender"].shape
        torch.Size([2, 2])
    """

    padding = "masked"
    config: GarNetConfig

    def __init__(self, config: GarNetConfig) -> None:
        super().__init__(config)
        width, num_parts = config.channels[-1], sum(config.bins)
        self.num_classes = tuple(len(attribute.classes) for attribute in config.attributes)
        self.trunk = ResNet9(
            1,
            channels=config.channels,
            strides=config.strides,
            num_blocks=config.num_blocks,
            stem_stride=config.stem_stride,
        )
        self.motion = MotionEncoder(width, config.steps) if config.has_dynamic else None
        num_tokens = num_parts * (config.has_static + config.has_dynamic)
        self.selection: FeatureSelection | None = None
        if config.selection == "attention":
            self.selection = FeatureSelection(width, num_tokens, len(config.attributes), config.heads, config.dropout)
        self.heads = nn.ModuleList(nn.Linear(width, count) for count in self.num_classes)
        init_parameters(self.heads)
        self.shares = LabelShares(self.num_classes) if config.weighting == "exp-share" else None

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Silhouettes in [0, 1]."""
        config = self.config
        return (InputSpec(modality="silhouette", height_px=config.height_px, width_px=config.width_px),)

    @property
    def decides(self) -> Decision:
        """At 0.5 by sigmoids unless the config says otherwise."""
        return self.config.decision

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Tell attributes of silhouettes ``[N, 1, T, H, W]``; padding changes nothing.

        The embedding ``[N, C, M]`` holds the static and dynamic parts, as far as there are some.
        """
        tokens = self.part_features(batch)
        attributes: dict[str, Tensor] = {}
        # Decisions are made at 0, where bfloat16 has three digits.
        with torch.autocast(tokens.device.type, enabled=False):
            rows = tokens.float().transpose(1, 2)  # [N, M, C]
            if self.selection is None or not self.num_classes:
                chosen = rows.mean(dim=1, keepdim=True).expand(-1, len(self.num_classes), -1)
            else:
                chosen = self.selection(rows)
            for index, (attribute, head) in enumerate(zip(self.config.attributes, self.heads, strict=True)):
                attributes[attribute.name] = head(chosen[:, index])
        return GaitOutput(embedding=tokens, attributes=attributes)

    def part_features(self, batch: GaitBatch) -> Tensor:
        """Static parts, then dynamic ones, ``[N, C, M]``."""
        x, num_frames = raster_input(batch, "silhouette")
        features = on_real_frames(self.trunk, x, num_frames) if self.training else self.trunk(x)
        found = []
        if self.config.has_static:
            maps = set_pool(unfold_frames(features, len(x) // len(num_frames)), num_frames)
            found.append(horizontal_pyramid_pool(maps, self.config.bins))
        if self.motion is not None:
            strips = horizontal_pyramid_pool(features, self.config.bins)  # [N*T, C, P]
            by_clip = strips.view(len(num_frames), -1, *strips.shape[1:]).transpose(1, 2)  # [N, C, T, P]
            found.append(self.motion(by_clip, num_frames))
        return torch.cat(found, dim=2)

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Binary cross-entropy over known labels, rare ones weighing more.

        Raises:
            ModelError: The batch has no attributes, or the model none to tell.
        """
        attributes = attributes_of(batch)
        if not self.num_classes:
            raise ModelError("this model has no heads, as its config names no attributes; the runner fills them in")
        share = None
        if self.shares is not None:
            if self.training:
                self.shares.update(attributes)
            share = self.shares.value
        logits = torch.cat(list(output.attributes.values()), dim=1)
        return {"bce": attribute_bce(logits, attributes, self.num_classes, share=share)}


_PAPER = Preset(
    recipe=Recipe(
        stages=(
            Stage(
                name="attributes",
                iterations=120_000,
                clips=ClipConfig(batch_size=32, num_frames=30, order="ordered"),
                optimizer=OptimizerConfig(name="adam", lr=1e-4, weight_decay=2e-5, eps=1e-6),
                schedule=ScheduleConfig(name="constant"),
            ),
        ),
        precision="bf16-mixed",
    ),
    note="trained as RA-GAR trains its baselines",
)

PRESETS: dict[str, Preset] = {
    "paper": _PAPER,
    "paper@ra-gar": _PAPER,
    "paper@ma-gait": _PAPER,
    "quick": Preset(
        config={"channels": (16, 32, 64, 128), "stem_stride": 2, "bins": (8,)},
        recipe=Recipe(
            stages=(
                Stage(
                    name="attributes",
                    iterations=500,
                    clips=ClipConfig(batch_size=48, num_frames=8, order="ordered", skip=2),
                    augment=AugmentConfig(shift=0.3, rescale=0.3),
                    optimizer=OptimizerConfig(name="adamw", lr=2e-3, weight_decay=5e-3),
                    schedule=ScheduleConfig(name="onecycle", warmup=50),
                ),
            ),
            precision="bf16-mixed",
        ),
        note="quarter width, first convolution with stride 2, 8 strips, short training",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
