"""GaitMixer: attention over the joints of each frame, then large convolutions over time.

Axes: N batch, C channels, T frames, V joints, W windows per sequence, D embedding width, P = 1 part.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Self

import torch
from pydantic import BaseModel, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.layers import init_parameters
from gaitbench.losses import multi_similarity_triplet
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
from gaitbench_skeleton.windows import random_window, spread_windows

__all__ = ["PRESETS", "PUBLISHED_KEYS", "GaitMixer", "GaitMixerConfig", "JointMixer", "TemporalMixer"]

PUBLISHED_KEYS: Mapping[str, str] = MappingProxyType(
    {
        r"spatial_joint_to_embedding\.(.+)": r"embed.\1",
        r"spatial_pos_embed": "joint_embedding",
        r"spatial_blocks\.(\d+)\.norm(\d)\.(.+)": r"joint_mixers.\1.norm\2.\3",
        r"spatial_blocks\.(\d+)\.attn\.qkv\.(.+)": r"joint_mixers.\1.qkv.\2",
        r"spatial_blocks\.(\d+)\.attn\.proj\.(.+)": r"joint_mixers.\1.project.\2",
        r"spatial_blocks\.(\d+)\.mlp\.fc1\.(.+)": r"joint_mixers.\1.mlp.0.\2",
        r"spatial_blocks\.(\d+)\.mlp\.fc2\.(.+)": r"joint_mixers.\1.mlp.2.\2",
        r"spatial_norm\.(.+)": r"joint_norm.\1",
        r"conv(\d)\.conv\.depthwise\.(.+)": r"temporal_mixers.@\1.depth_wise.\2",
        r"conv(\d)\.conv\.pointwise\.(.+)": r"temporal_mixers.@\1.point_wise.\2",
        r"conv(\d)\.bn\.(.+)": r"temporal_mixers.@\1.norm.\2",
        r"conv(\d)\.linear\.(.+)": r"temporal_mixers.@\1.widen.\2",
        r"conv(\d)\.bn_skip\.(.+)": r"temporal_mixers.@\1.widen_norm.\2",
        r"head\.0\.(.+)": r"head_norm.\1",
        r"head\.1\.(.+)": r"head.\1",
    }
)
"""Published key to ours, for :func:`gaitbench.layers.rename_published`."""

_EPSILON = 1e-6
"""Of the layer norms among the joint mixers; that of the head has PyTorch's own."""


class GaitMixerConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes of GaitMixer; the defaults are those published for CASIA-B."""

    num_frames: PositiveInt = 60
    """Frames that the network sees of a sequence, in training and testing; a shorter one is repeated whole."""
    num_test_windows: PositiveInt = 1
    """Windows of a test sequence whose embeddings are averaged and normalised again: 1 takes the middle, more spread
    from the first to the last frame. The published evaluation averages six unit vectors: of the middle, of a third of a
    window before and after it, and of their reversals."""
    pixel_scale: PositiveFloat = 320.0
    """What x and y are divided by."""
    joint_width: PositiveInt = 32
    """Width of the attention over joints."""
    num_joint_blocks: PositiveInt = 4
    """Attention blocks."""
    num_heads: PositiveInt = 8
    """Heads of each."""
    mlp_ratio: PositiveInt = 2
    """Hidden width of their perceptrons, as a multiple of ``joint_width``."""
    channels: tuple[PositiveInt, ...] = (32, 64, 128, 256)
    """Width after each temporal block."""
    kernel_size: PositiveInt = 31
    """Frames that a temporal block sees: its own and those before."""
    temporal_dropout: float = Field(0.01, ge=0, lt=1)
    """Dropout on what enters a temporal block."""
    embedding_width: PositiveInt = 128
    """D."""
    augment: JointAugmentConfig = JointAugmentConfig(time_flip=0.5, mirror=0.5, joint_noise=0.25, point_noise=0.05)
    """What is done to training clips, in pixels."""
    margin: NonNegativeFloat = 0.01
    """Margin of the triplet loss, in cosine distance."""
    mining_tolerance: NonNegativeFloat = 0.1
    """How much easier than its anchor's hardest pair of the other kind a pair may be to be mined; 0.1 as in the paper
    that introduced the mining, since the source gives none."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.num_frames < self.kernel_size:
            raise ValueError(
                f"num_frames {self.num_frames} must be kernel_size {self.kernel_size} or more: what lies before the "
                "first frame is the reflection of what follows"
            )
        if self.joint_width % self.num_heads:
            raise ValueError(f"joint_width {self.joint_width} must be a multiple of num_heads {self.num_heads}")
        return self


class GaitMixer(GaitModel):
    """Joints of a frame attend to each other; then every channel of every joint is filtered over time.

    Embeddings have length 1, so that Euclidean distances rank like the published cosine distance. Losses: ``triplet``.

    Source:
        Pinyoanuntapong et al., "GaitMixer: Skeleton-based Gait Representation Learning via Wide-spectrum Multi-axial
        Mixer", ICASSP 2023, sections on the spatial and the temporal mixer; window of a test sequence:
        ``num_test_windows``.

    Example:
        >>> config = GaitMixerConfig(num_frames=8, kernel_size=5, joint_width=8, channels=(8, 16))
        >>> batch = GaitBatch({"skeleton2d": torch.rand(2, 3, 9, 17)}, {"skeleton2d": torch.tensor([9, 1])})
        >>> GaitMixer(config).eval()(batch).embedding.shape
        torch.Size([2, 128, 1])
    """

    padding = "masked"
    config: GaitMixerConfig

    def __init__(self, config: GaitMixerConfig) -> None:
        super().__init__(config)
        width = config.joint_width
        self.embed = nn.Linear(2, width)
        self.joint_embedding = nn.Parameter(torch.zeros(1, NUM_JOINTS, width))
        self.joint_mixers = nn.Sequential(
            *(JointMixer(width, config.num_heads, config.mlp_ratio) for _ in range(config.num_joint_blocks))
        )
        self.joint_norm = nn.LayerNorm(width, eps=_EPSILON)
        self.temporal_mixers = nn.Sequential()
        for out_width in config.channels:
            self.temporal_mixers.append(TemporalMixer(width, out_width, config.kernel_size, config.temporal_dropout))
            width = out_width
        self.head_norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.embedding_width)
        init_parameters(self)
        nn.init.trunc_normal_(self.joint_embedding, std=0.02)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Joints in pixels; the confidence is not read."""
        return (JOINTS,)

    @classmethod
    def without_mirroring(cls, config: BaseModel) -> BaseModel:
        """Without joints that trade sides and without mirrored clips."""
        return without_mirroring(config)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed joints ``[N, 3, T, V]`` as ``[N, D, 1]`` of length 1; padding changes nothing."""
        joints, num_frames = joint_input(batch)
        config = self.config
        if self.training:
            rng = step_generator(batch)
            windows = random_window(joints, num_frames, length=config.num_frames, rng=rng)
            windows = augment_joints(windows, config.augment, rng)
        else:
            windows = spread_windows(joints, num_frames, length=config.num_frames, num_windows=config.num_test_windows)
        embedding = self._embed(windows[:, :2] / config.pixel_scale).unflatten(0, (len(joints), -1))
        return GaitOutput(embedding=functional.normalize(embedding.mean(dim=1), dim=1)[:, :, None])

    def embed_raw(self, x: Tensor) -> Tensor:
        """Embed the published network's own input, every frame of it.

        Args:
            x: ``[N, T, V, 2]`` x and y, scaled; T is ``kernel_size`` or more.

        Returns:
            ``[N, D, 1]``.

        Raises:
            ShapeError: The axes are others.
        """
        if x.dim() != 4 or x.shape[2:] != (NUM_JOINTS, 2) or x.shape[1] < self.config.kernel_size:
            raise ShapeError(
                f"GaitMixer's own input is [N, T, {NUM_JOINTS}, 2] with T of {self.config.kernel_size} or more, "
                f"got {list(x.shape)}"
            )
        return self._embed(x.permute(0, 3, 1, 2))[:, :, None]

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Triplet loss in cosine distance on mined pairs."""
        config = self.config
        loss = multi_similarity_triplet(
            output.embedding, labels_of(batch), margin=config.margin, epsilon=config.mining_tolerance
        )
        return {"triplet": loss}

    def _embed(self, x: Tensor) -> Tensor:
        """Scaled x and y ``[N, 2, T, V]`` to ``[N, D]`` of length 1."""
        num_clips, _, clip_frames, _ = x.shape
        tokens = self.embed(x.permute(0, 2, 3, 1).flatten(0, 1)) + self.joint_embedding  # [N * T, V, C]
        tokens = self.joint_norm(self.joint_mixers(tokens))
        maps = tokens.unflatten(0, (num_clips, clip_frames)).permute(0, 3, 1, 2)  # [N, C, T, V]
        pooled = self.temporal_mixers(maps).mean(dim=(2, 3))
        with torch.autocast(x.device.type, enabled=False):
            return functional.normalize(self.head(self.head_norm(pooled.to(self.head.weight.dtype))), dim=1)


class JointMixer(nn.Module):
    """A transformer block over the joints of a frame: attention, then a perceptron, each on normalised input.

    Args:
        width: C, a multiple of ``num_heads``.
        num_heads: Heads.
        mlp_ratio: Hidden width of the perceptron over C.

    Source:
        Vaswani et al., "Attention Is All You Need", NeurIPS 2017, with the norms in front as in Dosovitskiy et al.,
        "An Image is Worth 16x16 Words", ICLR 2021, figure 1.

    Example:
        >>> JointMixer(8, num_heads=2)(torch.rand(5, 17, 8)).shape
        torch.Size([5, 17, 8])
    """

    def __init__(self, width: int, num_heads: int = 8, mlp_ratio: int = 2) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm1 = nn.LayerNorm(width, eps=_EPSILON)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=_EPSILON)
        self.mlp = nn.Sequential(nn.Linear(width, mlp_ratio * width), nn.GELU(), nn.Linear(mlp_ratio * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[M, V, C]`` to the same axes."""
        qkv = self.qkv(self.norm1(x)).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(*qkv.unbind(0))  # [M, heads, V, C / heads]
        x = x + self.project(mixed.transpose(1, 2).flatten(2))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class TemporalMixer(nn.Module):
    """Filter each channel of each joint over a frame and those before it, then mix channels.

    Before the first frame lies the reflection of what follows it.

    Args:
        in_channels: Channels that come in.
        out_channels: Channels that go out.
        kernel_size: Frames that a filter spans.
        dropout: On what enters, in training.

    Source:
        Pinyoanuntapong et al., "GaitMixer", ICASSP 2023, section on the temporal mixer.

    Example:
        >>> TemporalMixer(8, 16)(torch.rand(2, 8, 60, 17)).shape
        torch.Size([2, 16, 60, 17])
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 31, dropout: float = 0.01) -> None:
        super().__init__()
        self.past = kernel_size - 1
        self.dropout = nn.Dropout(dropout)
        self.depth_wise = nn.Conv2d(in_channels, in_channels, (kernel_size, 1), groups=in_channels)
        self.point_wise = nn.Conv2d(in_channels, out_channels, 1)
        self.norm = nn.BatchNorm2d(out_channels, eps=1e-3)
        self.widen: nn.Module = nn.Identity()
        self.widen_norm: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.widen = nn.Linear(in_channels, out_channels)
            self.widen_norm = nn.BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, T, V]`` to ``[N, C', T, V]``; T is ``kernel_size`` or more."""
        past = functional.pad(self.dropout(x), (0, 0, self.past, 0), mode="reflect")
        mixed: Tensor = self.norm(functional.gelu(self.point_wise(self.depth_wise(past))))
        if isinstance(self.widen, nn.Linear):
            x = self.widen_norm(functional.gelu(self.widen(x.transpose(1, 3)).transpose(1, 3)))
        return mixed + x


def _recipe(iterations: int, clips: ClipConfig, lr: float, schedule: ScheduleConfig) -> Recipe:
    optimizer = OptimizerConfig(name="adam", lr=lr, weight_decay=1e-5)
    return Recipe(stages=(Stage(iterations=iterations, clips=clips, optimizer=optimizer, schedule=schedule),))


PRESETS: dict[str, Preset] = {
    "paper": Preset(
        recipe=_recipe(
            19_000,
            ClipConfig(subjects_per_batch=32, sequences_per_subject=4, num_frames=60, order="ordered"),
            6e-3,
            ScheduleConfig(name="cosine-cycle", momentum_range=(0.85, 0.95)),
        ),
        note="as published for CASIA-B: 300 epochs of its 8,100 training sequences are 19,000 steps of 128",
    ),
    "quick": Preset(
        config={"num_frames": 32, "channels": (32, 64), "margin": 0.2, "augment": {"mirror": 0.5}},
        recipe=_recipe(
            420,
            ClipConfig(subjects_per_batch=12, sequences_per_subject=4, num_frames=32, order="ordered"),
            1e-3,
            ScheduleConfig(name="onecycle", warmup=42),
        ),
        note="32 frames, two temporal blocks instead of four, margin 0.2, mirrored poses, short training",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
PRESETS["paper@casia-b"] = PRESETS["paper"]
