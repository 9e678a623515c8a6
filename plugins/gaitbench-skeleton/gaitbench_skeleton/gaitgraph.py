"""GaitGraph: a residual graph network over joints, trained by contrast between subjects.

Axes: N batch, C channels, T frames, V joints, D embedding width, P = 1 part.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Self

import torch
from pydantic import BaseModel, PositiveFloat, PositiveInt, model_validator
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.losses import supervised_contrastive
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of
from gaitbench.recipe import ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_skeleton.joint_augment import (
    JointAugmentConfig,
    augment_joints,
    step_generator,
    without_mirroring,
)
from gaitbench_skeleton.joint_input import JOINTS, joint_input
from gaitbench_skeleton.resgcn import PUBLISHED_KEYS as RESGCN_KEYS
from gaitbench_skeleton.resgcn import BlockKind, ResGCN, check_widths
from gaitbench_skeleton.windows import random_window, spread_windows

__all__ = ["PRESETS", "PUBLISHED_KEYS", "GaitGraph", "GaitGraphConfig"]

PUBLISHED_KEYS: Mapping[str, str] = MappingProxyType(
    {rf"ResGCN\.{key}": f"trunk.{ours}" for key, ours in RESGCN_KEYS.items()}
)
"""Published key to ours, for :func:`gaitbench.layers.rename_published`."""


class GaitGraphConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes of GaitGraph; the defaults are those published for CASIA-B."""

    branch_channels: tuple[PositiveInt, ...] = (3, 64, 64, 32)
    """Channels of the input, then the width after each block before time is first halved. With 2 channels the
    confidence is not read."""
    main_channels: tuple[PositiveInt, ...] = (32, 128, 128, 256, 256)
    """Last width of the branch, then the width after each block of the main part."""
    reduction: PositiveInt = 8
    """Width of a bottleneck's inside, as a divisor of its outside."""
    block: BlockKind = "bottleneck"
    """Kind of the residual blocks."""
    embedding_width: PositiveInt = 128
    """D; 256 for OU-MVLP and GREW."""
    num_frames: PositiveInt = 60
    """Frames that the network sees of a sequence, in training and testing; a shorter one is repeated."""
    num_test_windows: PositiveInt = 1
    """Windows of a test sequence whose embeddings are averaged: 1 takes the middle, more spread from the first to the
    last frame. The published evaluation on CASIA-B draws one at random, which would make scores depend on luck."""
    test_reversal: bool = True
    """Whether a test sequence is embedded backwards too, and the two unit vectors averaged."""
    augment: JointAugmentConfig = JointAugmentConfig(time_flip=0.5, swap_sides=0.1, joint_noise=0.2, point_noise=0.05)
    """What is done to each of the two views of a training clip, drawn for each by itself."""
    temperature: PositiveFloat = 0.01
    """Of the contrastive loss."""
    base_temperature: PositiveFloat = 0.07
    """The contrastive loss is multiplied by ``temperature / base_temperature``."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_widths(self.branch_channels, self.main_channels, self.reduction, self.block)
        return self


class GaitGraph(GaitModel):
    """A graph network over raw x, y and confidence, with one unit vector per sequence.

    In training every clip is seen twice, in two windows with changes of their own; the second view is in the output's
    ``extras``. A test embedding is the mean of the unit vectors of a window and of its reversal, which is not
    normalised again; it does not change when the window is reversed. Losses: ``contrastive``.

    Source:
        Teepe et al., "GaitGraph: Graph Convolutional Network for Skeleton-Based Gait Recognition", ICIP 2021,
        sections "Network architecture" and "Training"; window of a test sequence: ``num_test_windows``.

    Example:
        >>> config = GaitGraphConfig(branch_channels=(3, 8, 4), main_channels=(4, 8), reduction=2)
        >>> joints = torch.rand(2, 3, 25, 17)
        >>> batch = GaitBatch({"skeleton2d": joints}, {"skeleton2d": torch.tensor([25, 7])})
        >>> GaitGraph(config).eval()(batch).embedding.shape
        torch.Size([2, 128, 1])
    """

    padding = "masked"
    config: GaitGraphConfig

    def __init__(self, config: GaitGraphConfig) -> None:
        super().__init__(config)
        self.trunk = ResGCN(
            config.branch_channels,
            config.main_channels,
            num_streams=1,
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
        num_channels = config.branch_channels[0]
        if self.training:
            rng = step_generator(batch)
            views = [
                augment_joints(
                    random_window(joints, num_frames, length=config.num_frames, rng=rng), config.augment, rng
                )
                for _ in range(2)
            ]
            first, second = self._unit(torch.cat(views)[:, :num_channels]).chunk(2)
            return GaitOutput(embedding=first, extras={"second_view": second})
        windows = spread_windows(joints, num_frames, length=config.num_frames, num_windows=config.num_test_windows)
        windows = windows[:, :num_channels]
        return GaitOutput(embedding=self._embed(windows).unflatten(0, (len(joints), -1)).mean(dim=1))

    def part_features(self, batch: GaitBatch) -> Tensor:
        """The graph vector ``[N, D, 1]`` of a window as it runs, not normalised; in training of a random window."""
        joints, num_frames = joint_input(batch)
        config = self.config
        if self.training:
            rng = step_generator(batch)
            windows = random_window(joints, num_frames, length=config.num_frames, rng=rng)
            windows = augment_joints(windows, config.augment, rng)
        else:
            windows = spread_windows(joints, num_frames, length=config.num_frames, num_windows=config.num_test_windows)
        vectors = self.trunk(windows[:, None, : config.branch_channels[0]])
        return vectors.unflatten(0, (len(joints), -1)).mean(dim=1)[:, :, None]

    def embed_raw(self, joints: Tensor) -> Tensor:
        """Embed the published network's own input as in testing, every frame of it.

        Args:
            joints: ``[N, C, T, V, 1]``, as published checkpoints expect them.

        Returns:
            ``[N, D, 1]``.

        Raises:
            ShapeError: The axes are others.
        """
        if joints.dim() != 5 or joints.shape[4] != 1:
            raise ShapeError(f"GaitGraph's own input is [N, C, T, V, 1], got {list(joints.shape)}")
        return self._embed(joints[..., 0])

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Supervised contrastive loss over both views of all clips."""
        config, labels = self.config, labels_of(batch)
        views = [output.embedding, *([output.extras["second_view"]] if "second_view" in output.extras else [])]
        return {
            "contrastive": supervised_contrastive(
                torch.cat(views),
                labels.repeat(len(views)),
                temperature=config.temperature,
                base_temperature=config.base_temperature,
            )
        }

    def _embed(self, joints: Tensor) -> Tensor:
        """``[N, C, T, V]`` to ``[N, D, 1]``, all frames, with the reversal."""
        if not self.config.test_reversal:
            return self._unit(joints)
        return torch.stack(self._unit(torch.cat([joints, joints.flip(2)])).chunk(2)).mean(dim=0)

    def _unit(self, joints: Tensor) -> Tensor:
        """``[N, C, T, V]`` to ``[N, D, 1]`` of length 1."""
        return functional.normalize(self.trunk(joints[:, None]), dim=1)[:, :, None]


def _paper(iterations: int, num_frames: int) -> Recipe:
    stage = Stage(
        iterations=iterations,
        clips=ClipConfig(batch_size=128, num_frames=num_frames, order="ordered"),
        optimizer=OptimizerConfig(name="adam", lr=0.01, weight_decay=1e-5),
        schedule=ScheduleConfig(name="cosine-cycle", momentum_range=(0.85, 0.95)),
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


_MIRROR = JointAugmentConfig(time_flip=0.5, mirror=0.5, joint_noise=0.1, point_noise=0.05)

PRESETS: dict[str, Preset] = {
    "paper": Preset(recipe=_paper(6_000, 100), note="recipe as published for CASIA-B"),
    "paper@gait3d": Preset(
        config={"num_frames": 24, "augment": _MIRROR.model_dump()},
        recipe=_paper(20_000, 130),
        note="trained and tested on 24 frames, where the published recipe trains on 16",
    ),
    "paper@grew": Preset(
        config={"embedding_width": 256, "num_frames": 16, "augment": _MIRROR.model_dump()},
        recipe=_paper(150_000, 501),
    ),
    "paper@ou-mvlp": Preset(
        config={"embedding_width": 256, "num_frames": 17, "augment": _MIRROR.model_dump()},
        recipe=_paper(150_000, 25),
        note="trained and tested on 17 frames, where the published recipe trains on 16",
    ),
    "quick": Preset(
        config={"branch_channels": (3, 32, 16), "main_channels": (16, 64, 128), "num_frames": 16, "temperature": 0.1},
        recipe=_quick(400),
        note="half width, three residual blocks fewer, 16 frames, higher temperature, short training",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
