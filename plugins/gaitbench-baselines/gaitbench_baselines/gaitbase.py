"""GaitBase, the strong plain baseline, and LidarGait, the same network on range images.

Axes: N batch, C channels, T frames, H rows, W columns, D embedding width, P parts.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from gaitbench.explaining import Explainable, Finding, Heatmap, activation_heatmap, maximum_heatmap
from gaitbench.layers import ResNet9, SeparateBNNeck, SeparateFC, horizontal_pyramid_pool, set_pool, unfold_frames
from gaitbench.layers.resnet9 import PUBLISHED_KEYS as RESNET9_KEYS
from gaitbench.losses import batch_all_triplet, part_cross_entropy
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of, logits_of
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_baselines import gait_challenge
from gaitbench_baselines.raster_input import on_real_frames, raster_input

__all__ = ["LIDARGAIT_PRESETS", "PRESETS", "PUBLISHED_KEYS", "GaitBase", "GaitBaseConfig", "LidarGaitConfig"]

PUBLISHED_KEYS: Mapping[str, str] = MappingProxyType(
    {
        **{rf"Backbone\.forward_block\.{key}": f"trunk.{ours}" for key, ours in RESNET9_KEYS.items()},
        r"FCs\.fc_bin": "head.weight",
        r"BNNecks\.fc_bin": "neck.weight",
        r"BNNecks\.bn1d\.(.+)": r"neck.norm.\1",
    }
)
"""Published key to ours, for :func:`gaitbench.layers.rename_published`."""


class GaitBaseConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes of GaitBase; the defaults are the published ones."""

    modality: Literal["silhouette", "parsing", "lidar-depth"] = "silhouette"
    """The stream it reads: masks, maps of part labels, or range images in false colour."""
    height_px: PositiveInt = 64
    """Rows of the input."""
    width_px: PositiveInt = 44
    """Columns of the input."""
    channels: tuple[PositiveInt, ...] = (64, 128, 256, 512)
    """Width of the stages."""
    strides: tuple[PositiveInt, ...] = (1, 2, 2, 1)
    """Stride of the stages."""
    num_blocks: tuple[PositiveInt, ...] = (1, 1, 1, 1)
    """Residual blocks of the stages."""
    stem_stride: Literal[1, 2] = 1
    """Stride of the first convolution: 1 as published; 2 quarters the cost of training."""
    embedding_width: PositiveInt = 256
    """D."""
    bins: tuple[PositiveInt, ...] = (16,)
    """Strips per scale; P is their sum."""
    num_classes: PositiveInt = 74
    """Training subjects; the runner sets it."""
    margin: NonNegativeFloat = 0.2
    """Margin of the triplet loss."""
    logit_scale: PositiveFloat = 16.0
    """Factor on the cosines in the cross-entropy."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Share of the target spread over all classes."""


class LidarGaitConfig(GaitBaseConfig, frozen=True):
    """Sizes of LidarGait: GaitBase with the published defaults for SUSTech1K."""

    modality: Literal["silhouette", "parsing", "lidar-depth"] = "lidar-depth"
    """Range images in false colour."""
    width_px: PositiveInt = 64
    """Columns of the input."""
    num_classes: PositiveInt = 250
    """Training subjects; the runner sets it."""


class GaitBase(Explainable, GaitModel):
    """A residual network per frame, the maximum over frames, one embedding per horizontal strip.

    Exactly invariant to the order of frames and to their repetition. Losses: ``triplet``, ``cross_entropy``.

    Source:
        Fan et al., "OpenGait: Revisiting Gait Recognition Toward Better Practicality", CVPR 2023, section
        "GaitBase"; on range images: Shen et al., "LidarGait: Benchmarking 3D Gait Recognition with Point Clouds",
        CVPR 2023.

    Example:
        >>> import torch
        >>> model = GaitBase(GaitBaseConfig(channels=(4, 4, 8, 8), embedding_width=32)).eval()
        >>> clips = torch.rand(2, 1, 5, 64, 44).round()
        >>> output = model(GaitBatch({"silhouette": clips}, {"silhouette": torch.tensor([5, 3])}))
        >>> output.embedding.shape, output.logits.shape
        (torch.Size([2, 32, 16]), torch.Size([2, 74, 16]))
    """

    padding = "masked"
    beyond_features = ("head", "neck")
    config: GaitBaseConfig

    def __init__(self, config: GaitBaseConfig) -> None:
        super().__init__(config)
        (spec,) = self.inputs
        self.trunk = ResNet9(
            spec.channels,
            channels=config.channels,
            strides=config.strides,
            num_blocks=config.num_blocks,
            stem_stride=config.stem_stride,
        )
        num_parts = sum(config.bins)
        self.head = SeparateFC(num_parts, config.channels[-1], config.embedding_width)
        self.neck = SeparateBNNeck(num_parts, config.embedding_width, config.num_classes)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Silhouettes in [0, 1], label numbers as they are, or range images as three jet channels in [0, 1]."""
        config = self.config
        if config.modality != "lidar-depth":
            return (InputSpec(modality=config.modality, height_px=config.height_px, width_px=config.width_px),)
        return (
            InputSpec(
                modality="lidar-depth",
                height_px=config.height_px,
                width_px=config.width_px,
                channels=3,
                colour_map="jet",
            ),
        )

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed rasters ``[N, C, T, H, W]`` as ``[N, D, P]``; padding changes nothing."""
        embedding = self.head(self.part_features(batch))
        return GaitOutput(embedding=embedding, logits=self.neck(embedding).logits)

    def part_features(self, batch: GaitBatch) -> Tensor:
        """The strips ``[N, C, P]`` before the head."""
        features, num_frames = self._features(batch)
        maps = set_pool(features, num_frames)  # [N, C, H, W]
        return horizontal_pyramid_pool(maps, self.config.bins)

    def _features(self, batch: GaitBatch) -> tuple[Tensor, Tensor]:
        """The last stage's maps ``[N, C, T, H', W']``, and the real frames of each clip ``[N]``."""
        x, num_frames = raster_input(batch, self.config.modality)
        features = on_real_frames(self.trunk, x, num_frames) if self.training else self.trunk(x)
        return unfold_frames(features, len(x) // len(num_frames)), num_frames

    def explain(self, batch: GaitBatch) -> Sequence[Heatmap | Finding]:
        """Show how strong the last stage's features are, and which frames their maximum over time comes from."""
        features, num_frames = self._features(batch)
        modality = self.config.modality
        return (
            activation_heatmap("activation of the last stage", modality, features),
            maximum_heatmap("share of channels whose maximum over time is here", modality, features, num_frames),
        )

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Batch-all triplet loss on the embeddings, cross-entropy on the neck's cosines."""
        config, labels = self.config, labels_of(batch)
        return {
            "triplet": batch_all_triplet(output.embedding, labels, margin=config.margin),
            "cross_entropy": part_cross_entropy(
                logits_of(output), labels, scale=config.logit_scale, label_smoothing=config.label_smoothing
            ),
        }


_NONE = AugmentConfig()
_STRONG = AugmentConfig(perspective=0.2, flip=0.2, rotate=0.2)


def _paper(
    iterations: int,
    milestones: tuple[int, ...],
    clips: ClipConfig,
    augment: AugmentConfig = _NONE,
    cross_entropy: float = 1.0,
) -> Recipe:
    stage = Stage(
        iterations=iterations,
        clips=clips,
        augment=augment,
        optimizer=OptimizerConfig(name="sgd", lr=0.1),
        schedule=ScheduleConfig(name="multistep", milestones=milestones),
        loss_weights={"triplet": 1.0, "cross_entropy": cross_entropy},
    )
    return Recipe(stages=(stage,), precision="bf16-mixed")


def _clips(subjects: int, sequences: int, num_frames: int = 30, max_frames: int | None = None) -> ClipConfig:
    return ClipConfig(
        subjects_per_batch=subjects, sequences_per_subject=sequences, num_frames=num_frames, max_frames=max_frames
    )


def _quick(iterations: int, clips: ClipConfig, augment: AugmentConfig) -> Recipe:
    stage = Stage(
        iterations=iterations,
        clips=clips,
        augment=augment,
        optimizer=OptimizerConfig(name="adamw", lr=2e-3, weight_decay=5e-3),
        schedule=ScheduleConfig(name="onecycle", warmup=iterations // 10),
    )
    return Recipe(stages=(stage,), precision="bf16-mixed")


_USF_GAIT17: dict[str, object] = {"height_px": 32, "width_px": 22, "strides": (1, 2, 1, 1)}

_SHORT, _MEDIUM, _LONG = (20_000, 40_000, 50_000), (60_000, 80_000, 100_000), (80_000, 120_000, 150_000)
_CASIA_B = _paper(60_000, _SHORT, _clips(8, 16), AugmentConfig(rotate=0.3, erase=0.3))

PRESETS: dict[str, Preset] = {
    "paper": Preset(recipe=_CASIA_B, note="recipe as published for CASIA-B"),
    "paper@casia-b": Preset(recipe=_CASIA_B),
    "paper@casia-e": Preset(recipe=_paper(60_000, _SHORT, _clips(8, 32))),
    "paper@ou-mvlp": Preset(recipe=_paper(120_000, _MEDIUM, _clips(32, 8))),
    "paper@gait3d": Preset(recipe=_paper(60_000, _SHORT, _clips(32, 4, 10, 50), _STRONG)),
    "paper@gait3d-parsing": Preset(
        config={"modality": "parsing"},
        recipe=_paper(120_000, (40_000, 80_000, 100_000), _clips(32, 2)),
        note="published numbers compare by the Euclidean distance, the protocol by the cosine",
    ),
    "paper@grew": Preset(recipe=_paper(180_000, _LONG, _clips(32, 4, 20, 40), _STRONG)),
    "paper@ccpg": Preset(recipe=_paper(60_000, _SHORT, _clips(8, 16))),
    "paper@hid": Preset(
        config={"height_px": 128, "width_px": 88},
        recipe=_paper(60_000, (20_000, 40_000), _clips(16, 8), cross_entropy=0.1),
        note="128x88 pixels",
    ),
    "quick": Preset(
        config={
            "channels": (16, 32, 64, 128),
            "stem_stride": 2,
            "embedding_width": 128,
            "bins": (8, 4, 2, 1),
        },
        recipe=_quick(
            800,
            ClipConfig(subjects_per_batch=12, sequences_per_subject=4, num_frames=6),
            AugmentConfig(flip=0.5, shift=0.3, rescale=0.3),
        ),
        note="quarter width, first convolution with stride 2, 8 to 1 strips, short training",
    ),
    "quick@usf-gait17": Preset(
        config={**_USF_GAIT17, "channels": (16, 32, 64, 128), "embedding_width": 128},
        recipe=_quick(400, gait_challenge.CLIPS, gait_challenge.AUGMENT),
        note="quarter width, at the tensors' 32x22 pixels, short training",
    ),
    "long@usf-gait17": Preset(
        config={**_USF_GAIT17, "channels": (32, 64, 128, 256), "embedding_width": 256},
        recipe=_quick(1000, gait_challenge.CLIPS, gait_challenge.AUGMENT),
        note="half width, at the tensors' 32x22 pixels, about a quarter of an hour of training on a CPU",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""

_SUSTECH1K = _paper(40_000, (20_000, 30_000), _clips(8, 8, 10))

LIDARGAIT_PRESETS: dict[str, Preset] = {
    "paper": Preset(recipe=_SUSTECH1K, note="recipe as published for SUSTech1K"),
    "paper@sustech1k": Preset(recipe=_SUSTECH1K),
    "quick": Preset(
        config={**PRESETS["quick"].config, "width_px": 44},
        recipe=PRESETS["quick"].recipe,
        note="quarter width, first convolution with stride 2, 8 to 1 strips, 44 columns, short training",
    ),
}
"""Presets of LidarGait."""
