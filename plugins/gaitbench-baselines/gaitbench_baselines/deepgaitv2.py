"""DeepGaitV2: a deeper residual network that can look along time, in a 2D, a pseudo-3D and a 3D variant.

Axes: N batch, C channels, T frames, H rows, W columns, D embedding width, P parts.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Self

from pydantic import PositiveInt, model_validator
from torch import Tensor

from gaitbench.layers import Stages, Stem, padding_mask
from gaitbench.model import GaitBatch, GaitOutput, InputSpec, clips_of
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_baselines.gait_challenge import on_gait_challenge
from gaitbench_baselines.part_network import HEAD_KEYS, PartNetwork, PartNetworkConfig

__all__ = [
    "DATA_AUGMENTATION",
    "PRESETS",
    "PRESETS_2D",
    "PRESETS_3D",
    "PUBLISHED_KEYS",
    "QUICK_SIZES",
    "BlockNetworkConfig",
    "DeepGaitV2",
    "DeepGaitV2Config",
    "DeepGaitV22dConfig",
    "DeepGaitV23dConfig",
    "published_recipe",
    "quick_recipe",
    "stage_keys",
]


def stage_keys(layer: str, ours: str) -> dict[str, str]:
    r"""Published keys of a stage of residual blocks to ours.

    Args:
        layer: Regular expression of the published name, such as ``layer(\d)``, with one group.
        ours: Where the stage lives here; may use the group.
    """
    block, here = rf"{layer}\.(?:forward_block\.)?(\d+)\.", rf"{ours}.\2."
    return {
        rf"{block}conv(\d)(?:\.forward_block\.0)?\.weight": rf"{here}conv\3.weight",
        rf"{block}bn(\d)\.(.+)": rf"{here}norm\3.\4",
        rf"{block}conv(\d)\.forward_block\.1\.(.+)": rf"{here}norm\3.\4",
        rf"{block}shortcut3d\.weight": rf"{here}temporal.weight",
        rf"{block}sbn\.(.+)": rf"{here}temporal_norm.\3",
        rf"{block}downsample\.(.+)": rf"{here}shortcut.\3",
    }


PUBLISHED_KEYS: Mapping[str, str] = MappingProxyType(
    {r"layer0\.forward_block\.(.+)": r"stem.\1", **stage_keys(r"layer(\d)", r"stages.@\1"), **HEAD_KEYS}
)
"""Published key to ours, for :func:`gaitbench.layers.rename_published`."""


class BlockNetworkConfig(PartNetworkConfig, frozen=True):
    """Sizes that the networks of the DeepGaitV2 family share; the defaults are those published for Gait3D and GREW."""

    channels: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (64, 128, 256, 512)
    """Width of the four stages; the stem is as wide as the first."""
    strides: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (1, 2, 2, 1)
    """Stride of the four stages in space; time is never strided."""
    num_blocks: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (1, 4, 4, 1)
    """Residual blocks of the four stages; (1, 1, 1, 1) on CASIA-B, OU-MVLP, CCPG and SUSTech1K."""
    stem_stride: Literal[1, 2] = 1
    """Stride of the first convolution: 1 as published; 2 quarters the cost of training."""


class DeepGaitV2Config(BlockNetworkConfig, frozen=True):
    """Sizes of DeepGaitV2; the defaults are those of the P3D variant published for Gait3D and GREW."""

    mode: Literal["2d", "p3d", "3d"] = "p3d"
    """Kind of blocks in stages 2 to 4; the first stage looks at single frames in every variant."""
    modality: Literal["silhouette", "lidar-depth"] = "silhouette"
    """The stream it reads: masks, or range images."""
    in_channels: PositiveInt = 1
    """Channels of the stream; range images become false colour with 3."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse range images that are neither plain nor coloured."""
        if self.modality == "lidar-depth" and self.in_channels not in (1, 3):
            raise ValueError(f"in_channels of lidar-depth must be 1, or 3 for false colour, got {self.in_channels}")
        return self


class DeepGaitV22dConfig(DeepGaitV2Config, frozen=True):
    """Sizes of DeepGaitV2-2D."""

    mode: Literal["2d", "p3d", "3d"] = "2d"
    """Every block looks at single frames."""


class DeepGaitV23dConfig(DeepGaitV2Config, frozen=True):
    """Sizes of DeepGaitV2-3D."""

    mode: Literal["2d", "p3d", "3d"] = "3d"
    """Two 3x3x3 convolutions per block."""


class DeepGaitV2(PartNetwork):
    """A stem, a stage of 2D blocks and three of the chosen kind; the maximum over frames; 16 strips; a neck.

    Padded frames are cleared in front of every convolution over time, so a sequence embeds the same in any company.
    The 2D variant is exactly invariant to the order of frames and to their repetition.

    Source:
        Fan et al., "Exploring Deep Models for Practical Gait Recognition", arXiv 2303.03301, section "DeepGaitV2".

    Example:
        >>> import torch
        >>> model = DeepGaitV2(DeepGaitV2Config(channels=(4, 4, 8, 8), embedding_width=32, num_classes=5)).eval()
        >>> clips = torch.rand(2, 1, 5, 64, 44).round()
        >>> output = model(GaitBatch({"silhouette": clips}, {"silhouette": torch.tensor([5, 3])}))
        >>> output.embedding.shape, output.logits.shape
        (torch.Size([2, 32, 16]), torch.Size([2, 5, 16]))
    """

    beyond_features = ("head", "neck")
    config: DeepGaitV2Config

    def __init__(self, config: DeepGaitV2Config) -> None:
        super().__init__(config)
        self.stem = Stem(self.inputs[0].channels, config.channels[0], stride=config.stem_stride)
        self.stages = Stages(config, ("2d", config.mode, config.mode, config.mode))
        self.build_head(config.channels[-1])

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Silhouettes in [0, 1], or range images in [0, 1], in false colour where there are three channels."""
        config = self.config
        is_depth = config.modality == "lidar-depth"
        is_coloured = is_depth and config.in_channels == 3
        return (
            InputSpec(
                modality=config.modality,
                height_px=config.height_px,
                width_px=config.width_px,
                channels=config.in_channels,
                scale=255.0 if is_depth and not is_coloured else 1.0,
                colour_map="jet" if is_coloured else "none",
            ),
        )

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed rasters ``[N, C, T, H, W]`` as ``[N, D, P]``; padding changes nothing outside training."""
        return self.embed_parts(self.part_features(batch))

    def part_features(self, batch: GaitBatch) -> Tensor:
        """The strips ``[N, C, P]`` before the head."""
        x, num_frames = clips_of(batch, self.config.modality)
        return self.pool_parts(self.stages(self.stem(x), padding_mask(num_frames, x.shape[2])), num_frames)


DATA_AUGMENTATION = AugmentConfig(perspective=0.2, flip=0.2, rotate=0.2)
"""What the field's strong recipes do to silhouettes and maps."""


def published_recipe(
    iterations: int,
    milestones: tuple[int, ...],
    subjects_and_sequences: tuple[int, int],
    *,
    num_frames: int = 30,
    order: Literal["unordered", "ordered"] = "ordered",
    augment: AugmentConfig = DATA_AUGMENTATION,
) -> Recipe:
    """SGD from 0.1 with steps of a tenth, on ordered clips that drop 4 frames of their window."""
    subjects, sequences = subjects_and_sequences
    stage = Stage(
        iterations=iterations,
        clips=ClipConfig(
            subjects_per_batch=subjects,
            sequences_per_subject=sequences,
            num_frames=num_frames,
            order=order,
            skip=4 if order == "ordered" else 0,
        ),
        augment=augment,
        optimizer=OptimizerConfig(name="sgd", lr=0.1),
        schedule=ScheduleConfig(name="multistep", milestones=milestones),
    )
    return Recipe(stages=(stage,), precision="bf16-mixed")


def quick_recipe(iterations: int, *, num_frames: int = 6, augment: AugmentConfig | None = None) -> Recipe:
    """AdamW and one cycle, on ordered clips."""
    stage = Stage(
        iterations=iterations,
        clips=ClipConfig(
            subjects_per_batch=12, sequences_per_subject=4, num_frames=num_frames, order="ordered", skip=2
        ),
        augment=AugmentConfig(flip=0.5, shift=0.3, rescale=0.3) if augment is None else augment,
        optimizer=OptimizerConfig(name="adamw", lr=2e-3, weight_decay=5e-3),
        schedule=ScheduleConfig(name="onecycle", warmup=iterations // 10),
    )
    return Recipe(stages=(stage,), precision="bf16-mixed")


_SHALLOW: dict[str, object] = {"num_blocks": (1, 1, 1, 1)}
_GAIT3D = Preset(
    recipe=published_recipe(60_000, (20_000, 40_000, 50_000), (32, 4)),
    note="sizes and recipe as published for Gait3D",
)
_PAPER: dict[str, Preset] = {
    "paper": _GAIT3D,
    "paper@gait3d": _GAIT3D,
    "paper@grew": Preset(recipe=published_recipe(180_000, (80_000, 120_000, 150_000), (32, 4))),
    "paper@casia-b": Preset(config=_SHALLOW, recipe=published_recipe(60_000, (20_000, 40_000, 50_000), (8, 16))),
    "paper@ccpg": Preset(config=_SHALLOW, recipe=published_recipe(60_000, (20_000, 40_000, 50_000), (8, 16))),
    "paper@ou-mvlp": Preset(config=_SHALLOW, recipe=published_recipe(120_000, (60_000, 80_000, 100_000), (32, 8))),
    "paper@sustech1k": Preset(
        config=_SHALLOW, recipe=published_recipe(50_000, (20_000, 30_000, 40_000), (8, 8), num_frames=10)
    ),
}
QUICK_SIZES: dict[str, object] = {
    "channels": (16, 32, 64, 128),
    "num_blocks": (1, 1, 1, 1),
    "stem_stride": 2,
    "embedding_width": 128,
    "bins": (8, 4, 2, 1),
}
"""A quarter of the width, at a quarter of the pixels."""
_QUICK_NOTE = "quarter width, one block per stage, first convolution with stride 2, 8 to 1 strips, short training"

PRESETS: dict[str, Preset] = {
    **_PAPER,
    "quick": Preset(config=QUICK_SIZES, recipe=quick_recipe(500), note=_QUICK_NOTE),
}
"""Presets of DeepGaitV2-P3D; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""

PRESETS_2D: dict[str, Preset] = {
    **_PAPER,
    "quick": Preset(config=QUICK_SIZES, recipe=quick_recipe(600), note=_QUICK_NOTE),
}
"""Presets of DeepGaitV2-2D; recipes as published for the P3D variant, and for all of them."""

PRESETS_3D: dict[str, Preset] = {
    **_PAPER,
    "quick": Preset(config=QUICK_SIZES, recipe=quick_recipe(400), note=_QUICK_NOTE),
}
"""Presets of DeepGaitV2-3D; recipes as published for the P3D variant, and for all of them."""

for _presets in (PRESETS, PRESETS_2D, PRESETS_3D):
    _presets["quick@usf-gait17"] = on_gait_challenge(_presets["quick"])
