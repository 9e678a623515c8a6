"""GaitSet: a sequence as an unordered set of silhouettes.

Axes: N batch, C channels, T frames, H rows, W columns, D embedding width, P parts.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import torch
from pydantic import BaseModel, NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.layers import SeparateFC, horizontal_pyramid_pool, init_parameters, set_pool, unfold_frames
from gaitbench.losses import batch_all_triplet
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_baselines import gait_challenge
from gaitbench_baselines.raster_input import raster_input

__all__ = ["PRESETS", "PUBLISHED_KEYS", "GaitSet", "GaitSetConfig"]

PUBLISHED_KEYS: Mapping[str, str] = MappingProxyType(
    {
        r"set_block(\d)\.forward_block\.0\.conv\.weight": r"frame.@\1.0.weight",
        r"set_block(\d)\.forward_block\.2\.conv\.weight": r"frame.@\1.1.weight",
        r"gl_block2\.0\.conv\.weight": "whole.0.0.weight",
        r"gl_block2\.2\.conv\.weight": "whole.0.1.weight",
        r"gl_block3\.0\.conv\.weight": "whole.1.0.weight",
        r"gl_block3\.2\.conv\.weight": "whole.1.1.weight",
        r"Head\.fc_bin": "head.weight",
    }
)
"""Published key to ours, for :func:`gaitbench.layers.rename_published`."""


class GaitSetConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes of GaitSet; the defaults are those published for CASIA-B."""

    modality: Literal["silhouette", "parsing"] = "silhouette"
    """The raster it reads: masks, or maps of part labels as on Gait3D-Parsing."""
    height_px: PositiveInt = 64
    """Rows of the raster."""
    width_px: PositiveInt = 44
    """Columns of the raster."""
    channels: tuple[PositiveInt, PositiveInt, PositiveInt] = (32, 64, 128)
    """Width of the three blocks; (64, 128, 256) for OU-MVLP and GREW."""
    embedding_width: PositiveInt = 256
    """D."""
    bins: tuple[PositiveInt, ...] = (16, 8, 4, 2, 1)
    """Strips per scale of the pyramid; both branches have one, so P is twice their sum."""
    stem_stride: Literal[1, 2] = 1
    """Stride of the first convolution: 1 as published; with 2 it takes the place of the first pooling."""
    margin: NonNegativeFloat = 0.2
    """Margin of the triplet loss."""


class GaitSet(GaitModel):
    """A branch that sees single frames and one that sees the set, both cut into strips.

    Exactly invariant to the order of frames and to their repetition. Losses: ``triplet``.

    Source:
        Chao et al., "GaitSet: Regarding Gait as a Set for Cross-View Gait Recognition", AAAI 2019, sections "Set
        Pooling", "Horizontal Pyramid Mapping" and "Multilayer Global Pipeline" (max as the set function).

    Example:
        >>> model = GaitSet(GaitSetConfig(channels=(4, 8, 16), embedding_width=32)).eval()
        >>> clips = torch.rand(2, 1, 5, 64, 44).round()
        >>> batch = GaitBatch({"silhouette": clips}, {"silhouette": torch.tensor([5, 3])})
        >>> model(batch).embedding.shape
        torch.Size([2, 32, 62])
    """

    padding = "masked"
    config: GaitSetConfig

    def __init__(self, config: GaitSetConfig) -> None:
        super().__init__(config)
        first, second, third = config.channels
        self.frame = nn.ModuleList(
            [
                _Block(1, first, is_pooled=config.stem_stride == 1, kernel_size=5, stride=config.stem_stride),
                _Block(first, second),
                _Block(second, third, is_pooled=False),
            ]
        )
        self.whole = nn.ModuleList([_Block(first, second), _Block(second, third, is_pooled=False)])
        self.head = SeparateFC(2 * sum(config.bins), third, config.embedding_width)
        init_parameters(self)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Silhouettes in [0, 1], or maps of label numbers, not divided by anything."""
        config = self.config
        return (InputSpec(modality=config.modality, height_px=config.height_px, width_px=config.width_px),)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed rasters ``[N, 1, T, H, W]`` as ``[N, D, P]``; padding changes nothing."""
        x, num_frames = raster_input(batch, self.config.modality)
        clip_frames = len(x) // len(num_frames)

        def pool_set(maps: Tensor) -> Tensor:
            return set_pool(unfold_frames(maps, clip_frames), num_frames)

        x = self.frame[0](x)
        whole = pool_set(x)
        x = self.frame[1](x)
        whole = self.whole[0](whole) + pool_set(x)
        frames = pool_set(self.frame[2](x))
        whole = self.whole[1](whole) + frames
        parts = [horizontal_pyramid_pool(maps, self.config.bins) for maps in (frames, whole)]
        return GaitOutput(embedding=self.head(torch.cat(parts, dim=2)))

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Batch-all triplet loss."""
        return {"triplet": batch_all_triplet(output.embedding, labels_of(batch), margin=self.config.margin)}


class _Block(nn.Sequential):
    """Two convolutions, each with a leaky ReLU, then an optional 2x2 pooling: ``[M, C, H, W]`` to the same axes."""

    def __init__(
        self, in_channels: int, out_channels: int, *, is_pooled: bool = True, kernel_size: int = 3, stride: int = 1
    ) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=False),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        )
        self.is_pooled = is_pooled

    def forward(self, x: Tensor) -> Tensor:
        first, second = self
        x = second(functional.leaky_relu(first(x), inplace=True))
        # A rising activation commutes with the maximum, and a quarter of the pixels is quicker to activate.
        return functional.leaky_relu(functional.max_pool2d(x, 2) if self.is_pooled else x, inplace=not self.is_pooled)


def _paper(iterations: int, clips: ClipConfig, optimizer: OptimizerConfig, milestones: tuple[int, ...]) -> Recipe:
    schedule = ScheduleConfig(name="multistep", milestones=milestones)
    stage = Stage(iterations=iterations, clips=clips, optimizer=optimizer, schedule=schedule)
    return Recipe(stages=(stage,), precision="bf16-mixed")


def _quick(iterations: int, augment: AugmentConfig, clips: ClipConfig) -> Recipe:
    stage = Stage(
        iterations=iterations,
        clips=clips,
        augment=augment,
        optimizer=OptimizerConfig(name="adamw", lr=2e-3, weight_decay=1e-3),
        schedule=ScheduleConfig(name="onecycle", warmup=iterations // 10),
    )
    return Recipe(stages=(stage,), precision="bf16-mixed")


_WIDE: dict[str, object] = {"channels": (64, 128, 256)}
_SGD = OptimizerConfig(name="sgd", lr=0.1)
_ADAM = OptimizerConfig(name="adam", lr=1e-4, weight_decay=0.0)
_CASIA_B = _paper(
    40_000, ClipConfig(subjects_per_batch=8, sequences_per_subject=16, num_frames=30), _SGD, (10_000, 20_000, 30_000)
)

PRESETS: dict[str, Preset] = {
    "paper": Preset(recipe=_CASIA_B, note="sizes and recipe as published for CASIA-B"),
    "paper@casia-b": Preset(recipe=_CASIA_B),
    "paper@casia-e": Preset(
        recipe=_paper(
            60_000,
            ClipConfig(subjects_per_batch=8, sequences_per_subject=32, num_frames=30),
            _SGD,
            (20_000, 40_000, 50_000),
        ),
        note="sizes as for CASIA-B",
    ),
    "paper@gait3d-parsing": Preset(
        config={"modality": "parsing"},
        recipe=_paper(
            180_000,
            ClipConfig(subjects_per_batch=32, sequences_per_subject=4, num_frames=30),
            OptimizerConfig(name="adam", lr=1e-3),
            (30_000, 90_000),
        ),
        note="sizes as for CASIA-B; compared by the cosine, which is the protocol's distance",
    ),
    "paper@ou-mvlp": Preset(
        config=_WIDE,
        recipe=_paper(
            250_000,
            ClipConfig(subjects_per_batch=32, sequences_per_subject=16, num_frames=30),
            _ADAM,
            (150_000,),
        ),
    ),
    "paper@grew": Preset(
        config=_WIDE,
        recipe=_paper(
            250_000,
            ClipConfig(subjects_per_batch=32, sequences_per_subject=4, num_frames=30),
            _ADAM,
            (150_000,),
        ),
    ),
    "quick": Preset(
        config={"channels": (16, 32, 64), "embedding_width": 128, "stem_stride": 2},
        recipe=_quick(
            800,
            AugmentConfig(flip=0.5, shift=0.3, rescale=0.3),
            ClipConfig(subjects_per_batch=12, sequences_per_subject=4, num_frames=8),
        ),
        note="half width, first convolution with stride 2, short training",
    ),
    "quick@usf-gait17": Preset(
        config={"channels": (16, 32, 64), "stem_stride": 2, "embedding_width": 128},
        recipe=_quick(400, gait_challenge.AUGMENT, gait_challenge.CLIPS),
        note="32x22 pixels repeated to 64x44, half width, first convolution with stride 2, short training",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
