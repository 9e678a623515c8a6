"""GaitTR: convolutions over time and attention over the joints of each frame.

Axes: N batch, C channels, T frames, V joints, D embedding width, P = 1 part, A heads.
"""

import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Self

import torch
from pydantic import BaseModel, Field, NonNegativeFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.layers import init_parameters
from gaitbench.layers.padding_mask import padding_mask
from gaitbench.losses import batch_all_triplet, batch_hard_triplet
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of
from gaitbench.recipe import ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_skeleton.graph import NUM_JOINTS
from gaitbench_skeleton.joint_augment import (
    JointAugmentConfig,
    augment_joints,
    step_generator,
    without_mirroring,
)
from gaitbench_skeleton.joint_input import JOINTS, joint_input
from gaitbench_skeleton.streams import ten_channels
from gaitbench_skeleton.windows import spread_windows

__all__ = ["PRESETS", "PUBLISHED_KEYS", "GaitTR", "GaitTRConfig"]

PUBLISHED_KEYS: Mapping[str, str] = MappingProxyType(
    {
        r"data_bn\.(.+)": r"norm.\1",
        r"backbone\.(\d+)\.tcn\.conv\.(.+)": r"blocks.\1.temporal.conv.\2",
        r"backbone\.(\d+)\.tcn\.bn\.(.+)": r"blocks.\1.temporal.norm.\2",
        r"backbone\.(\d+)\.st\.data_bn\.(.+)": r"blocks.\1.spatial.joint_norm.\2",
        r"backbone\.(\d+)\.st\.attention_conv\.qkv_conv\.(.+)": r"blocks.\1.spatial.attention.query_key_value.\2",
        r"backbone\.(\d+)\.st\.attention_conv\.attn_out\.(.+)": r"blocks.\1.spatial.attention.merge.\2",
        r"backbone\.(\d+)\.st\.bn\.(.+)": r"blocks.\1.spatial.norm.\2",
        r"backbone\.(\d+)\.residual_s\.(.+)": r"blocks.\1.shortcut.\2",
        r"backbone\.(\d+)\.down\.conv\.(.+)": r"blocks.\1.skip.0.\2",
        r"backbone\.(\d+)\.down\.bn\.(.+)": r"blocks.\1.skip.2.\2",
        r"fcn\.(.+)": r"head.\1",
    }
)
"""Published key to ours, for :func:`gaitbench.layers.rename_published`."""

NUM_CHANNELS = 10
TEMPORAL_KERNEL = 9


class GaitTRConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes of GaitTR; the defaults are those published for CASIA-B."""

    channels: tuple[PositiveInt, ...] = (10, 64, 64, 128, 256)
    """Channels of the input, then the width of each block."""
    num_heads: PositiveInt = 8
    """A; every width must be four times a multiple of it."""
    embedding_width: PositiveInt = 128
    """D; 256 for OU-MVLP and GREW."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of values that each block drops in front of its convolution over time, in training."""
    num_test_frames: PositiveInt | None = None
    """None embeds whole test sequences, as published; a number embeds the middle of each, repeated if shorter."""
    augment: JointAugmentConfig = JointAugmentConfig(swap_sides=0.1, joint_noise=0.3, point_noise=0.3)
    """What is done to training clips."""
    triplets: Literal["batch-all", "batch-hard"] = "batch-all"
    """All triplets of a batch, mean over the active ones; or the hardest of each anchor. Published code has both."""
    margin: NonNegativeFloat = 0.3
    """Margin of the triplet loss."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.channels) < 2 or self.channels[0] != NUM_CHANNELS:
            raise ValueError(f"channels must be {NUM_CHANNELS} and the width of one block or more, got {self.channels}")
        if wrong := [width for width in self.channels[1:] if width % (4 * self.num_heads)]:
            raise ValueError(f"widths {wrong} are no multiple of 4 x {self.num_heads} heads")
        return self


class GaitTR(GaitModel):
    """Four blocks, each a convolution over time and attention over joints; the graph of the body is not used.

    Losses: ``triplet``.

    Source:
        Zhang et al., "Spatial Transformer Network on Skeleton-based Gait Recognition", Expert Systems 2023, section on
        GaitTR.

    Example:
        >>> joints = torch.rand(2, 3, 25, 17)
        >>> batch = GaitBatch({"skeleton2d": joints}, {"skeleton2d": torch.tensor([25, 7])})
        >>> GaitTR(GaitTRConfig(channels=(10, 32))).eval()(batch).embedding.shape
        torch.Size([2, 128, 1])
    """

    padding = "masked"
    config: GaitTRConfig

    def __init__(self, config: GaitTRConfig) -> None:
        super().__init__(config)
        channels = config.channels
        self.norm = nn.BatchNorm1d(NUM_JOINTS * channels[0])
        self.blocks = nn.ModuleList(
            _Block(before, after, num_heads=config.num_heads, dropout=config.dropout)
            for before, after in itertools.pairwise(channels)
        )
        self.head = nn.Conv1d(channels[-1], config.embedding_width, 1)
        init_parameters(self)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Joints in pixels."""
        return (JOINTS,)

    @classmethod
    def without_mirroring(cls, config: BaseModel) -> BaseModel:
        """Without joints that trade sides and without mirrored clips."""
        return without_mirroring(config)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed joints ``[N, 3, T, V]`` as ``[N, D, 1]``; padding changes nothing outside training."""
        joints, num_frames = joint_input(batch)
        if self.training:
            joints = augment_joints(joints, self.config.augment, step_generator(batch))
        elif self.config.num_test_frames is not None:
            joints = spread_windows(joints, num_frames, length=self.config.num_test_frames)
            num_frames = torch.full_like(num_frames, self.config.num_test_frames)
        return GaitOutput(embedding=self._embed(ten_channels(joints, num_frames), num_frames))

    def embed_raw(self, channels: Tensor) -> Tensor:
        """Embed the published network's own input, every frame of it.

        Args:
            channels: ``[N, T, C, V, 1]``, as published checkpoints expect them.

        Returns:
            ``[N, D, 1]``.

        Raises:
            ShapeError: The axes are others.
        """
        if channels.dim() != 5 or (channels.shape[2], *channels.shape[3:]) != (NUM_CHANNELS, NUM_JOINTS, 1):
            raise ShapeError(
                f"GaitTR's own input is [N, T, {NUM_CHANNELS}, {NUM_JOINTS}, 1], got {list(channels.shape)}"
            )
        num_frames = torch.full((len(channels),), channels.shape[1], device=channels.device)
        return self._embed(channels[..., 0].transpose(1, 2), num_frames)

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Triplet loss."""
        triplet = batch_hard_triplet if self.config.triplets == "batch-hard" else batch_all_triplet
        return {"triplet": triplet(output.embedding, labels_of(batch), margin=self.config.margin)}

    def _embed(self, x: Tensor, num_frames: Tensor) -> Tensor:
        """``[N, C, T, V]`` of which ``num_frames`` ``[N]`` are real, to ``[N, D, 1]``."""
        is_padding = padding_mask(num_frames, x.shape[2])
        x = _frame_norm(self.norm, x.transpose(1, 3)).transpose(1, 3)  # features are joint by joint
        for block in self.blocks:
            x = block(x, is_padding)
        with torch.autocast(x.device.type, enabled=False):
            x = _clear(x.to(self.head.weight.dtype), is_padding)
            total = x.mean(dim=3).sum(dim=2, keepdim=True)  # [N, C, 1]
            embedding: Tensor = self.head(total / num_frames[:, None, None])
            return embedding


class _Block(nn.Module):
    """Time, then joints, each with a residual, and one around both: ``[N, C, T, V]`` to ``[N, C', T, V]``."""

    def __init__(self, in_channels: int, out_channels: int, *, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.temporal = _Temporal(in_channels, dropout)
        self.spatial = _Spatial(in_channels, out_channels, num_heads)
        self.shortcut: nn.Module = nn.Identity()
        self.skip: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels))
            self.skip = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), nn.Mish(), nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor, is_padding: Tensor | None) -> Tensor:
        # A convolution over time sees zeros before and after a sequence; padding must look the same to it.
        inner = x + self.temporal(_clear(x, is_padding))
        out: Tensor = self.spatial(inner) + self.shortcut(inner) + self.skip(x)
        return out


class _Temporal(nn.Module):
    """Convolution over time, Mish, batch norm."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.conv = nn.Conv2d(channels, channels, (TEMPORAL_KERNEL, 1), padding=(TEMPORAL_KERNEL // 2, 0))
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(functional.mish(self.conv(self.dropout(x))))
        return out


class _Spatial(nn.Module):
    """Batch norm of every joint's channels by itself, attention over joints, Mish, batch norm."""

    def __init__(self, in_channels: int, out_channels: int, num_heads: int) -> None:
        super().__init__()
        self.joint_norm = nn.BatchNorm1d(in_channels * NUM_JOINTS)
        self.attention = _JointAttention(in_channels, out_channels, num_heads)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        normed = _frame_norm(self.joint_norm, x)  # features are channel by channel
        out: Tensor = self.norm(functional.mish(self.attention(normed)))
        return out


def _clear(x: Tensor, is_padding: Tensor | None) -> Tensor:
    """Set padded frames of ``[N, C, T, V]`` to zero, as ``is_padding`` ``[N, T]`` marks them; None marks none."""
    return x if is_padding is None else x.masked_fill(is_padding[:, None, :, None], 0)


def _frame_norm(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
    """Normalise ``[N, A, T, B]`` over sequences and frames, feature ``a * B + b``; frames as rows are the quick way."""
    num_clips, first, num_frames, second = x.shape
    rows: Tensor = norm(x.transpose(1, 2).reshape(num_clips * num_frames, first * second))
    return rows.view(num_clips, num_frames, first, second).transpose(1, 2)


class _JointAttention(nn.Module):
    """Scaled dot-product attention over the joints of each frame: ``[N, C, T, V]`` to ``[N, C', T, V]``."""

    def __init__(self, in_channels: int, out_channels: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.key_width = out_channels // 4
        self.query_key_value = nn.Conv2d(in_channels, 2 * self.key_width + out_channels, 1)
        self.merge = nn.Conv2d(out_channels, out_channels, 1)

    def weights(self, query: Tensor, key: Tensor) -> Tensor:
        """Attend: ``[N, C, T, V]`` queries and keys to ``[N, A, T, V, V]``; rows, the last axis, sum to 1."""
        query, key = (x.unflatten(1, (self.num_heads, -1)) for x in (query, key))  # [N, A, C / A, T, V]
        scores = torch.einsum("nactv,nactw->natvw", query * query.shape[2] ** -0.5, key)
        return scores.float().softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        width = self.key_width
        query, key, value = self.query_key_value(x).split([width, width, 4 * width], dim=1)
        value = value.unflatten(1, (self.num_heads, -1))
        attended = torch.einsum("natvw,nactw->nactv", self.weights(query, key).to(value.dtype), value)
        merged: Tensor = self.merge(attended.flatten(1, 2))
        return merged


def _paper(iterations: int, num_subjects: int, num_sequences: int) -> Recipe:
    stage = Stage(
        iterations=iterations,
        clips=ClipConfig(
            subjects_per_batch=num_subjects, sequences_per_subject=num_sequences, num_frames=60, order="ordered"
        ),
        optimizer=OptimizerConfig(name="adam", lr=1e-3, weight_decay=2e-5),
        schedule=ScheduleConfig(
            name="cosine-cycle",
            rise=0.475,
            has_three_phases=True,
            start_divisor=100,
            final_divisor=1000,
            momentum_range=(0.85, 0.95),
        ),
    )
    return Recipe(stages=(stage,))


def _quick(iterations: int) -> Recipe:
    stage = Stage(
        iterations=iterations,
        clips=ClipConfig(subjects_per_batch=12, sequences_per_subject=4, num_frames=16, order="ordered"),
        optimizer=OptimizerConfig(name="adamw", lr=3e-3, weight_decay=1e-3),
        schedule=ScheduleConfig(name="onecycle", warmup=iterations // 10),
    )
    return Recipe(stages=(stage,))


PRESETS: dict[str, Preset] = {
    "paper": Preset(
        config={"triplets": "batch-hard"}, recipe=_paper(40_000, 4, 64), note="recipe as published for CASIA-B"
    ),
    "paper@gait3d": Preset(recipe=_paper(40_000, 32, 4)),
    "paper@sustech1k": Preset(recipe=_paper(40_000, 32, 4)),
    "paper@ccpg": Preset(recipe=_paper(40_000, 32, 4), note="17 joints, where the published recipe has 18"),
    "paper@grew": Preset(config={"embedding_width": 256}, recipe=_paper(150_000, 32, 8)),
    "paper@ou-mvlp": Preset(config={"embedding_width": 256}, recipe=_paper(150_000, 32, 16)),
    "quick": Preset(
        config={"channels": (10, 32, 32, 64)}, recipe=_quick(400), note="three narrow blocks, 16 frames, short training"
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
