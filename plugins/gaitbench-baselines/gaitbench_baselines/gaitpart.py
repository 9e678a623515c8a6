"""GaitPart: strips that are convolved alone and move in their own way.

Axes: N batch, M frames of all clips, C channels, T frames, H rows, W columns, D embedding width, P parts.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Self

import torch
from pydantic import BaseModel, NonNegativeFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.layers import SeparateFC, horizontal_pyramid_pool, init_parameters
from gaitbench.losses import batch_all_triplet
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_baselines.gait_challenge import on_gait_challenge
from gaitbench_baselines.raster_input import raster_input, silhouettes
from gaitbench_baselines.strips import strip_wise

__all__ = ["PRESETS", "PUBLISHED_KEYS", "FocalConv2d", "GaitPart", "GaitPartConfig", "MicroMotion"]

PUBLISHED_KEYS: Mapping[str, str] = MappingProxyType(
    {
        r"Backbone\.forward_block\.feature\.(\d+)\.conv\.weight": r"trunk.\1.weight",
        r"TFA\.pooling_func\.conv1d3x1\.(\d+)\.0\.conv\.weight": r"motion.scales.0.squeeze.\1",
        r"TFA\.pooling_func\.conv1d3x1\.(\d+)\.2\.conv\.weight": r"motion.scales.0.excite.\1",
        r"TFA\.pooling_func\.conv1d3x3\.(\d+)\.0\.conv\.weight": r"motion.scales.1.squeeze.\1",
        r"TFA\.pooling_func\.conv1d3x3\.(\d+)\.2\.conv\.weight": r"motion.scales.1.excite.\1",
        r"Head\.fc_bin": "head.weight",
    }
)
"""Published key to ours, for :func:`gaitbench.layers.rename_published`."""


class GaitPartConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes of GaitPart; the defaults are those published for CASIA-B."""

    in_channels: PositiveInt = 1
    """Channels of the input; masks have one."""
    height_px: PositiveInt = 64
    """Rows of the silhouettes."""
    width_px: PositiveInt = 44
    """Columns of the silhouettes."""
    channels: tuple[tuple[PositiveInt, ...], ...] = ((32, 32), (64, 64), (128, 128))
    """Width of each convolution of each stage; a 2x2 pooling lies between stages.
    ((32, 32), (64, 64), (128, 128, 256, 256)) for OU-MVLP and GREW."""
    num_strips: tuple[PositiveInt, ...] = (1, 4, 8)
    """Strips that the convolutions of each stage see one at a time; (1, 1, 8) for OU-MVLP and GREW."""
    bins: tuple[PositiveInt, ...] = (16,)
    """Strips per scale of the pyramid; P is their sum."""
    squeeze: PositiveInt = 4
    """The attention over time is that many times narrower than the features."""
    embedding_width: PositiveInt | None = None
    """D; None takes the width of the last convolution, as published."""
    margin: NonNegativeFloat = 0.2
    """Margin of the triplet loss."""

    @model_validator(mode="after")
    def _stages_must_fit(self) -> Self:
        if not all(self.channels) or not len(self.channels) == len(self.num_strips) > 0:
            raise ValueError(
                f"channels {self.channels} and num_strips {self.num_strips} must name the same stages, each with a "
                "convolution"
            )
        height = self.height_px
        for index, count in enumerate(self.num_strips):
            if height % count:
                raise ValueError(
                    f"num_strips: stage {index} has {height} rows, which {count} strips do not divide; choose other "
                    "strips or another height_px"
                )
            height //= 2
        if self.squeeze > self.channels[-1][-1]:
            raise ValueError(f"squeeze {self.squeeze} leaves none of {self.channels[-1][-1]} channels")
        return self


class GaitPart(GaitModel):
    """A plain network whose deeper convolutions see one strip at a time, then attention over time for each part.

    Frames are embedded one by one; each part then looks at 3 and at 5 neighbouring frames and takes the maximum over
    time. The order of frames matters. Every length of one frame or more is embedded as it is: windows reach over the
    ends of the sequence, where there are zeros. Losses: ``triplet``.

    Source:
        Fan et al., "GaitPart: Temporal Part-based Model for Gait Recognition", CVPR 2020, sections "Frame-level Part
        Feature Extractor" and "Temporal Feature Aggregator".

    Example:
        >>> config = GaitPartConfig(channels=((4,), (8,), (16,)))
        >>> model = GaitPart(config).eval()
        >>> clips = torch.rand(2, 1, 5, 64, 44).round()
        >>> model(GaitBatch({"silhouette": clips}, {"silhouette": torch.tensor([5, 3])})).embedding.shape
        torch.Size([2, 16, 16])
    """

    padding = "masked"
    beyond_features = ("head",)
    config: GaitPartConfig

    def __init__(self, config: GaitPartConfig) -> None:
        super().__init__(config)
        self.trunk = _trunk(config)
        num_parts, width = sum(config.bins), config.channels[-1][-1]
        self.motion = MicroMotion(num_parts, width, width // config.squeeze)
        self.head = SeparateFC(num_parts, width, config.embedding_width or width)
        init_parameters(self)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Silhouettes in [0, 1]."""
        return silhouettes(self.config)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed silhouettes ``[N, C, T, H, W]`` as ``[N, D, P]``; padding changes nothing."""
        return GaitOutput(embedding=self.head(self.part_features(batch)))

    def part_features(self, batch: GaitBatch) -> Tensor:
        """The parts ``[N, C, P]`` behind the attention over time, before the head."""
        x, num_frames = raster_input(batch, "silhouette")
        parts = horizontal_pyramid_pool(self.trunk(x), self.config.bins)  # [M, C, P]
        by_clip = parts.unflatten(0, (len(num_frames), -1)).permute(0, 3, 2, 1)  # [N, P, C, T]
        return self.motion(by_clip, num_frames).transpose(1, 2)

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Batch-all triplet loss."""
        return {"triplet": batch_all_triplet(output.embedding, labels_of(batch), margin=self.config.margin)}


class FocalConv2d(nn.Conv2d):
    """A convolution without bias whose one kernel runs over each horizontal strip alone.

    Args:
        in_channels: Channels that come in.
        out_channels: Channels that go out.
        kernel_size: Odd; the map keeps its size.
        num_strips: Strips; 1 is a plain convolution.

    Source:
        Fan et al., "GaitPart", CVPR 2020, section "Focal Convolution Layer".

    Example:
        >>> FocalConv2d(2, 4, num_strips=8)(torch.zeros(3, 2, 16, 11)).shape
        torch.Size([3, 4, 16, 11])
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, *, num_strips: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        self.num_strips = num_strips

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Map ``[M, C, H, W]`` to ``[M, C', H, W]``.

        Raises:
            ShapeError: The strips do not divide H.
        """
        return strip_wise(super().forward, input, self.num_strips)


class MicroMotion(nn.Module):
    """Weigh each part's short-time features by an attention over time, at two scales, and keep the maximum.

    Scale s sees windows of w frames (w = 3, 5): the sum of their mean and maximum, times the sigmoid of two
    convolutions over time. Weights are separate for each part. Frames beyond either end count as zeros.

    Args:
        num_parts: P.
        channels: C.
        hidden: Width between the two convolutions.

    Source:
        Fan et al., "GaitPart", CVPR 2020, section "Micro-motion Capture Module".

    Example:
        >>> MicroMotion(16, 8, 2)(torch.zeros(2, 16, 8, 5), torch.tensor([5, 3])).shape
        torch.Size([2, 16, 8])
    """

    def __init__(self, num_parts: int, channels: int, hidden: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            _WindowAttention(num_parts, channels, hidden, excite_size=size, window=window)
            for size, window in ((1, 3), (3, 5))
        )

    def forward(self, x: Tensor, num_frames: Tensor) -> Tensor:
        """Map ``[N, P, C, T]`` to ``[N, P, C]``; frames from ``num_frames`` on are ignored, NaN too."""
        frame = torch.arange(x.shape[3], device=x.device)  # [T]
        is_padding = (frame >= num_frames.to(x.device)[:, None])[:, None, None, :]  # [N, 1, 1, T]
        x = x.masked_fill(is_padding, 0)
        first, second = self.scales
        moving = first(x, is_padding) + second(x, is_padding)
        return moving.masked_fill(is_padding, -torch.inf).amax(dim=3)


class _WindowAttention(nn.Module):
    """One scale of :class:`MicroMotion`: ``[N, P, C, T]`` to the same axes; padding holds rubbish afterwards."""

    def __init__(self, num_parts: int, channels: int, hidden: int, *, excite_size: int, window: int) -> None:
        super().__init__()
        self.squeeze = nn.ParameterList(torch.empty(hidden, channels, 3) for _ in range(num_parts))
        self.excite = nn.ParameterList(torch.empty(channels, hidden, excite_size) for _ in range(num_parts))
        self.window = window
        for kernel in (*self.squeeze, *self.excite):
            nn.init.xavier_uniform_(kernel)

    def forward(self, x: Tensor, is_padding: Tensor) -> Tensor:
        hidden = functional.leaky_relu(_part_conv1d(x, self.squeeze)).masked_fill(is_padding, 0)
        attention = _part_conv1d(hidden, self.excite).sigmoid()
        window, reach = self.window, self.window // 2
        flat = x.flatten(1, 2)  # [N, P*C, T]
        mean = functional.avg_pool1d(flat, window, stride=1, padding=reach)
        # Padding must not win a maximum over negative values, as beyond the end of an unpadded clip.
        real = x.masked_fill(is_padding, torch.finfo(x.dtype).min).flatten(1, 2)
        highest = functional.max_pool1d(real, window, stride=1, padding=reach)
        return attention * (mean + highest).view_as(x)


def _part_conv1d(x: Tensor, kernels: nn.ParameterList) -> Tensor:
    """Convolve each part ``[N, P, C, T]`` over time with its own kernel ``[C', C, k]``; the length stays."""
    kernel = torch.cat(list(kernels))  # [P*C', C, k]
    out = functional.conv1d(x.flatten(1, 2), kernel, padding=kernel.shape[2] // 2, groups=len(kernels))
    return out.unflatten(1, (len(kernels), -1))


def _trunk(config: GaitPartConfig) -> nn.Sequential:
    """Convolutions with leaky ReLU, stages parted by pooling: ``[M, C, H, W]`` to ``[M, C', H/4, W/4]``."""
    trunk = nn.Sequential()
    width, kernel_size = config.in_channels, 5
    for stage, (widths, num_strips) in enumerate(zip(config.channels, config.num_strips, strict=True)):
        for out_width in widths:
            trunk.append(FocalConv2d(width, out_width, kernel_size, num_strips=num_strips))
            trunk.append(nn.LeakyReLU(inplace=True))
            width, kernel_size = out_width, 3
        if stage < len(config.channels) - 1:
            # A rising activation commutes with the maximum, and a quarter of the pixels is quicker to activate.
            trunk.insert(len(trunk) - 1, nn.MaxPool2d(2))
    return trunk


def _paper(iterations: int, milestone: int, subjects: int, sequences: int) -> Recipe:
    stage = Stage(
        iterations=iterations,
        clips=ClipConfig(
            subjects_per_batch=subjects, sequences_per_subject=sequences, num_frames=30, order="ordered", skip=10
        ),
        optimizer=OptimizerConfig(name="adam", lr=1e-4, weight_decay=0.0),
        schedule=ScheduleConfig(name="multistep", milestones=(milestone,)),
    )
    return Recipe(stages=(stage,), precision="bf16-mixed")


_WIDE: dict[str, object] = {"channels": ((32, 32), (64, 64), (128, 128, 256, 256)), "num_strips": (1, 1, 8)}

PRESETS: dict[str, Preset] = {
    "paper": Preset(recipe=_paper(120_000, 100_000, 8, 16), note="sizes and recipe as published for CASIA-B"),
    "paper@casia-b": Preset(recipe=_paper(120_000, 100_000, 8, 16)),
    "paper@casia-e": Preset(recipe=_paper(120_000, 100_000, 8, 32), note="sizes as for CASIA-B"),
    "paper@ou-mvlp": Preset(config=_WIDE, recipe=_paper(250_000, 150_000, 32, 16)),
    "paper@grew": Preset(config=_WIDE, recipe=_paper(250_000, 150_000, 32, 4)),
    "quick": Preset(
        config={"channels": ((16,), (32,), (64, 64)), "num_strips": (1, 4, 8)},
        recipe=Recipe(
            stages=(
                Stage(
                    iterations=420,
                    clips=ClipConfig(
                        subjects_per_batch=12, sequences_per_subject=4, num_frames=8, order="ordered", skip=2
                    ),
                    augment=AugmentConfig(flip=0.5, shift=0.3, rescale=0.3),
                    optimizer=OptimizerConfig(name="adamw", lr=5e-4, weight_decay=1e-3),
                    schedule=ScheduleConfig(name="onecycle", warmup=42),
                ),
            ),
            precision="bf16-mixed",
        ),
        note="half width, one convolution in each of the first stages, short training",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
PRESETS["quick@usf-gait17"] = on_gait_challenge(PRESETS["quick"])
