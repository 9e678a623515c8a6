"""GaitGraph2: joints, velocities and bones in three graph branches.

Axes: N batch, S = 3 streams, C = 5 channels of a stream, T frames, V joints, D embedding width, P = 1 part.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Self

import torch
from pydantic import BaseModel, PositiveFloat, PositiveInt, model_validator
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.losses import supervised_contrastive
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of
from gaitbench.recipe import ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_skeleton.graph import COCO_SWAP
from gaitbench_skeleton.joint_augment import (
    JointAugmentConfig,
    augment_joints,
    step_generator,
    without_mirroring,
)
from gaitbench_skeleton.joint_input import JOINTS, joint_input
from gaitbench_skeleton.resgcn import PUBLISHED_KEYS as RESGCN_KEYS
from gaitbench_skeleton.resgcn import BlockKind, ResGCN, check_widths
from gaitbench_skeleton.streams import fill_missing_joints, five_channel_streams
from gaitbench_skeleton.windows import random_window, spread_windows

__all__ = ["PRESETS", "PUBLISHED_KEYS", "GaitGraph2", "GaitGraph2Config"]

PUBLISHED_KEYS: Mapping[str, str] = MappingProxyType(
    {rf"ResGCN\.{key}": f"trunk.{ours}" for key, ours in RESGCN_KEYS.items()}
)
"""Published key to ours, for :func:`gaitbench.layers.rename_published`."""

NUM_STREAMS = 3
NUM_CHANNELS = 5


class GaitGraph2Config(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes of GaitGraph2; the defaults are those published for CASIA-B and Gait3D."""

    branch_channels: tuple[PositiveInt, ...] = (5, 64, 32)
    """Channels of a stream, then the width after each block of a branch; (5, 64, 64, 32) for OU-MVLP and GREW."""
    main_channels: tuple[PositiveInt, ...] = (32, 128, 256)
    """Last width of a branch, then the width after each block of the main part; (32, 128, 128, 128, 256, 256, 256)
    for OU-MVLP and GREW."""
    reduction: PositiveInt = 8
    """Width of a bottleneck's inside, as a divisor of its outside; 4 for OU-MVLP, GREW and CCPG."""
    block: BlockKind = "bottleneck"
    """Kind of the residual blocks."""
    embedding_width: PositiveInt = 128
    """Width of one output; with ``test_flips`` D is three times as much at test time."""
    num_frames: PositiveInt = 60
    """Frames that the network sees of a sequence, in training and testing; a shorter one is repeated."""
    num_test_windows: PositiveInt = 1
    """Windows of a test sequence whose embeddings are averaged: 1 takes the middle, more spread from the first to the
    last frame. The published evaluation draws one at random, which would make scores depend on luck."""
    test_flips: bool = True
    """Whether a test sequence is embedded backwards and with sides exchanged too, and the outputs joined end to end."""
    is_filled: bool = True
    """Whether a joint that was not found (x = 0) is put at its frame's mean, with confidence 0."""
    is_unit_length: bool = False
    """Whether test embeddings get length 1, so that Euclidean distances rank like the published cosine distance."""
    augment: JointAugmentConfig = JointAugmentConfig(
        time_flip=0.5, swap_sides=0.1, joint_noise=0.25, point_noise=0.05, shift=(4.0, 1.0)
    )
    """What is done to training clips."""
    temperature: PositiveFloat = 0.01
    """Of the contrastive loss."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_widths(self.branch_channels, self.main_channels, self.reduction, self.block)
        if self.branch_channels[0] != NUM_CHANNELS:
            raise ValueError(
                f"streams have {NUM_CHANNELS} channels, branch_channels begins with {self.branch_channels[0]}"
            )
        return self


class GaitGraph2(GaitModel):
    """A graph network over three streams of five channels, joined after their branches.

    At test time the joints are embedded as they are, reversed in time, and with left and right exchanged; all streams
    are built anew from the changed joints, and the three outputs are joined, not normalised. The published distance is
    the cosine. Losses: ``contrastive``.

    Source:
        Teepe et al., "Towards a Deeper Understanding of Skeleton-based Gait Recognition", CVPRW 2022, sections on
        multi-input, network and test-time augmentation; window of a test sequence: ``num_test_windows``.

    Example:
        >>> config = GaitGraph2Config(branch_channels=(5, 8, 4), main_channels=(4, 8), reduction=2)
        >>> joints = torch.rand(2, 3, 25, 17)
        >>> batch = GaitBatch({"skeleton2d": joints}, {"skeleton2d": torch.tensor([25, 7])})
        >>> GaitGraph2(config).eval()(batch).embedding.shape
        torch.Size([2, 384, 1])
    """

    padding = "masked"
    config: GaitGraph2Config

    def __init__(self, config: GaitGraph2Config) -> None:
        super().__init__(config)
        self.trunk = ResGCN(
            config.branch_channels,
            config.main_channels,
            num_streams=NUM_STREAMS,
            embedding_width=config.embedding_width,
            reduction=config.reduction,
            block=config.block,
        )

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Joints in pixels."""
        return (JOINTS,)

    @classmethod
    def without_mirroring(cls, config: BaseModel) -> BaseModel:
        """Without joints that trade sides and without mirrored clips."""
        return without_mirroring(config)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed joints ``[N, 3, T, V]`` as ``[N, D, 1]``; padding changes nothing."""
        joints, num_frames = joint_input(batch)
        config = self.config
        if self.training:
            rng = step_generator(batch)
            window = random_window(joints, num_frames, length=config.num_frames, rng=rng)
            window = augment_joints(self._fill(window), config.augment, rng)
            return GaitOutput(embedding=self.trunk(five_channel_streams(window))[:, :, None])
        windows = spread_windows(joints, num_frames, length=config.num_frames, num_windows=config.num_test_windows)
        windows = self._fill(windows)
        embedding = self._embed(windows, five_channel_streams(windows)).unflatten(0, (len(joints), -1)).mean(dim=1)
        return GaitOutput(embedding=functional.normalize(embedding, dim=1) if config.is_unit_length else embedding)

    def part_features(self, batch: GaitBatch) -> Tensor:
        """The graph vector ``[N, D, 1]``, in training and testing of the joints as they are, without flips."""
        if self.training:
            return super().part_features(batch)
        joints, num_frames = joint_input(batch)
        config = self.config
        windows = spread_windows(joints, num_frames, length=config.num_frames, num_windows=config.num_test_windows)
        vectors = self.trunk(five_channel_streams(self._fill(windows)))
        return vectors.unflatten(0, (len(joints), -1)).mean(dim=1)[:, :, None]

    def embed_raw(self, streams: Tensor) -> Tensor:
        """Embed the published network's own input as in testing, every frame of it.

        Args:
            streams: ``[N, T, V, S, C]``, as published checkpoints expect them. The flipped joints are read off channels
                0 to 2 of stream 0.

        Returns:
            ``[N, D, 1]``.

        Raises:
            ShapeError: The axes are others.
        """
        if streams.dim() != 5 or streams.shape[3:] != (NUM_STREAMS, NUM_CHANNELS):
            raise ShapeError(
                f"GaitGraph2's own input is [N, T, V, {NUM_STREAMS}, {NUM_CHANNELS}], got {list(streams.shape)}"
            )
        streams = streams.permute(0, 3, 4, 1, 2)  # [N, S, C, T, V]
        return self._embed(streams[:, 0, :3], streams)

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Supervised contrastive loss on distances, mean over the anchors that are not at 0."""
        return {
            "contrastive": supervised_contrastive(
                output.embedding,
                labels_of(batch),
                temperature=self.config.temperature,
                similarity="negative-distance",
                is_mean_of_active=True,
            )
        }

    def _fill(self, joints: Tensor) -> Tensor:
        return fill_missing_joints(joints) if self.config.is_filled else joints

    def _embed(self, joints: Tensor, streams: Tensor) -> Tensor:
        """Joints ``[N, 3, T, V]`` and their streams ``[N, S, C, T, V]`` to ``[N, D, 1]``, all frames, with flips."""
        if not self.config.test_flips:
            return self.trunk(streams)[:, :, None]
        swap = torch.tensor(COCO_SWAP, device=joints.device)
        flipped = [five_channel_streams(joints.flip(2)), five_channel_streams(joints[..., swap])]
        outputs = self.trunk(torch.cat([streams, *flipped])).chunk(3)
        return torch.cat(outputs, dim=1)[:, :, None]


def _paper(
    iterations: int,
    num_frames: int = 60,
    *,
    name: Literal["adam", "adamw"] = "adam",
) -> Recipe:
    stage = Stage(
        iterations=iterations,
        clips=ClipConfig(batch_size=768, num_frames=num_frames, order="ordered"),
        optimizer=OptimizerConfig(name=name, lr=0.005, weight_decay=1e-5),
        schedule=ScheduleConfig(name="cosine-cycle", has_three_phases=name == "adam", momentum_range=(0.85, 0.95)),
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


_LARGE: dict[str, object] = {
    "branch_channels": (5, 64, 64, 32),
    "main_channels": (32, 128, 128, 128, 256, 256, 256),
    "reduction": 4,
}
_WEAK = JointAugmentConfig(time_flip=0.5, swap_sides=0.1, joint_noise=0.1, point_noise=0.05, shift=(3.0, 1.0))

PRESETS: dict[str, Preset] = {
    "paper": Preset(recipe=_paper(500, name="adamw"), note="recipe as published for CASIA-B"),
    "paper@gait3d": Preset(config={"is_filled": False}, recipe=_paper(2_000, name="adamw")),
    "paper@sustech1k": Preset(config={"is_filled": False}, recipe=_paper(2_000, name="adamw")),
    "paper@ou-mvlp": Preset(
        config={**_LARGE, "num_frames": 30, "augment": _WEAK.model_dump()},
        recipe=_paper(80_000, 30),
    ),
    "paper@grew": Preset(config=_LARGE, recipe=_paper(50_000)),
    "paper@ccpg": Preset(
        config={"reduction": 4, "augment": _WEAK.model_dump()},
        recipe=_paper(2_000),
        note="17 joints and 60 test frames, where the published recipe has 18 and 30",
    ),
    "quick": Preset(
        config={
            "branch_channels": (5, 32, 16),
            "main_channels": (16, 64, 128),
            "num_frames": 16,
            "is_unit_length": True,
            "temperature": 0.1,
        },
        recipe=_quick(400),
        note="half width, 16 frames, unit length, higher temperature, short training",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
