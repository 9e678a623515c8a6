"""SkeletonGait, which sees skeletons as soft pictures, and SkeletonGait++, which sees the silhouette beside them.

Axes: N batch, C channels, T frames, V joints, H rows, W columns, M frames of all clips, D embedding width, P parts.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Self

import torch
from pydantic import PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from gaitbench import layers
from gaitbench.augment import augment
from gaitbench.errors import ModelError, ShapeError
from gaitbench.layers import ResidualStage, Stages, Stem, padding_mask, skeleton_map, unfold_frames
from gaitbench.model import GaitBatch, GaitOutput, InputSpec, clips_of
from gaitbench.recipe import AugmentConfig, Preset
from gaitbench_baselines.deepgaitv2 import (
    DATA_AUGMENTATION,
    QUICK_SIZES,
    BlockNetworkConfig,
    published_recipe,
    quick_recipe,
    stage_keys,
)
from gaitbench_baselines.deepgaitv2 import PUBLISHED_KEYS as DEEPGAITV2_KEYS
from gaitbench_baselines.part_network import HEAD_KEYS, PartNetwork

__all__ = [
    "PLUS_PLUS_KEYS",
    "PLUS_PLUS_PRESETS",
    "PRESETS",
    "PUBLISHED_KEYS",
    "AttentionFusion",
    "SkeletonGait",
    "SkeletonGaitConfig",
    "SkeletonGaitPlusPlus",
    "SkeletonGaitPlusPlusConfig",
]

PUBLISHED_KEYS = DEEPGAITV2_KEYS
"""Published key of SkeletonGait to ours: it is a DeepGaitV2-P3D of two input channels."""

PLUS_PLUS_KEYS: Mapping[str, str] = MappingProxyType(
    {
        r"sil_layer0\.forward_block\.(.+)": r"silhouette_stem.\1",
        r"map_layer0\.forward_block\.(.+)": r"map_stem.\1",
        **stage_keys("(sil)_layer1", "silhouette_stage"),
        **stage_keys("(map)_layer1", "map_stage"),
        r"fusion\.conv\.forward_block\.(.+)": r"fusion.scores.\1",
        **stage_keys("layer(2)", "stages.0"),
        **stage_keys("layer(3)", "stages.1"),
        **stage_keys("layer(4)", "stages.2"),
        **HEAD_KEYS,
    }
)
"""Published key of SkeletonGait++ to ours, for :func:`gaitbench.layers.rename_published`."""


class SkeletonGaitConfig(BlockNetworkConfig, frozen=True):
    """Sizes of SkeletonGait; the defaults are those published for Gait3D and GREW."""

    modality: Literal["skeleton2d", "skeleton-map"] = "skeleton2d"
    """Joints, of which the map is drawn on the way, or maps that were drawn before, 0 to 255."""
    canvas_px: PositiveInt = 128
    """Side of the canvas that joints are drawn on."""
    sigma_px: PositiveFloat = 8.0
    """Standard deviation of the Gaussians on the canvas."""
    augment: AugmentConfig = AugmentConfig()
    """What training does to the maps, and in SkeletonGait++ to the silhouettes with them. The augmentation of a
    recipe's stage does not reach joints, and would move silhouettes away from maps; leave it off."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse a size that cannot be cut out of a square."""
        if self.width_px > self.height_px or (self.height_px - self.width_px) % 2:
            raise ValueError(f"{self.width_px} columns cannot be cut equally out of a square of {self.height_px}")
        return self


class SkeletonGaitPlusPlusConfig(SkeletonGaitConfig, frozen=True):
    """Sizes of SkeletonGait++; the defaults are those published for Gait3D and GREW."""

    squeeze: PositiveInt = 16
    """The fusion decides in 1 / squeeze of the first stage's channels."""


class SkeletonGait(PartNetwork):
    """DeepGaitV2-P3D on skeleton maps: limbs in one channel, joints in the other.

    Source:
        Fan et al., "SkeletonGait: Gait Recognition Using Skeleton Maps", AAAI 2024, sections "Skeleton Map" and
        "SkeletonGait".

    Example:
        >>> model = SkeletonGait(SkeletonGaitConfig(channels=(4, 4, 8, 8), embedding_width=32, num_classes=5)).eval()
        >>> batch = GaitBatch({"skeleton2d": torch.rand(2, 3, 5, 17)}, {"skeleton2d": torch.tensor([5, 3])})
        >>> model(batch).embedding.shape
        torch.Size([2, 32, 16])
    """

    config: SkeletonGaitConfig

    def __init__(self, config: SkeletonGaitConfig) -> None:
        super().__init__(config)
        self.stem = Stem(2, config.channels[0], stride=config.stem_stride)
        self.stages = Stages(config, ("2d", "p3d", "p3d", "p3d"))
        self.build_head(config.channels[-1])

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Joints as x, y and confidence, or maps of two channels in [0, 1]."""
        return (_map_spec(self.config),)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed joints ``[N, 3, T, V]`` or maps ``[N, 2, T, H, W]`` as ``[N, D, P]``."""
        x, num_frames = _map_input(batch, self.config, is_whole=self.training)
        if self.training:
            x = _augment(x, self.config)
        return self._embed(x, num_frames)

    def embed_raw(self, x: Tensor) -> Tensor:
        """Embed stored maps, whatever :attr:`SkeletonGaitConfig.modality` says.

        Args:
            x: ``[N, T, 2, H, W]`` in [0, 1]: limbs, joints.

        Returns:
            ``[N, D, P]``.

        Raises:
            ShapeError: The axes are others.
        """
        maps = _raw_raster(x, 2)
        return self._embed(maps, torch.full((len(maps),), maps.shape[2], device=x.device)).embedding

    def _embed(self, x: Tensor, num_frames: Tensor) -> GaitOutput:
        return self.recognise(self.stages(self.stem(x), padding_mask(num_frames, x.shape[2])), num_frames)


class SkeletonGaitPlusPlus(PartNetwork):
    """Skeleton map and silhouette through a stem and stage of their own, fused pixel by pixel, then DeepGaitV2-P3D.

    Source:
        Fan et al., "SkeletonGait: Gait Recognition Using Skeleton Maps", AAAI 2024, section "SkeletonGait++".

    Example:
        >>> config = SkeletonGaitPlusPlusConfig(channels=(4, 4, 8, 8), embedding_width=32, num_classes=5)
        >>> model = SkeletonGaitPlusPlus(config).eval()
        >>> inputs = {"skeleton2d": torch.rand(2, 3, 5, 17), "silhouette": torch.rand(2, 1, 5, 64, 44).round()}
        >>> model(GaitBatch(inputs, dict.fromkeys(inputs, torch.tensor([5, 3])))).embedding.shape
        torch.Size([2, 32, 16])
    """

    config: SkeletonGaitPlusPlusConfig

    def __init__(self, config: SkeletonGaitPlusPlusConfig) -> None:
        super().__init__(config)
        width = config.channels[0]
        sizes = {"stride": config.strides[0], "num_blocks": config.num_blocks[0]}
        self.silhouette_stem = Stem(1, width, stride=config.stem_stride)
        self.map_stem = Stem(2, width, stride=config.stem_stride)
        self.silhouette_stage = ResidualStage("2d", width, width, **sizes)
        self.map_stage = ResidualStage("2d", width, width, **sizes)
        self.fusion = AttentionFusion(width, squeeze=config.squeeze)
        self.stages = Stages(config, ("p3d", "p3d", "p3d"))
        self.build_head(config.channels[-1])

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Joints or maps as :class:`SkeletonGait` reads them, and silhouettes in [0, 1]."""
        config = self.config
        silhouette = InputSpec(modality="silhouette", height_px=config.height_px, width_px=config.width_px)
        return (_map_spec(config), silhouette)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed joints ``[N, 3, T, V]`` or maps ``[N, 2, T, H, W]``, and silhouettes ``[N, 1, T, H, W]``."""
        config = self.config
        maps, map_frames = _map_input(batch, config, is_whole=False)
        silhouette, silhouette_frames = clips_of(batch, "silhouette")
        if maps.shape[2:] != silhouette.shape[2:]:
            raise ShapeError(
                f"SkeletonGait++ needs maps and silhouettes of the same frames, rows and columns, got maps "
                f"{list(maps.shape)} and silhouettes {list(silhouette.shape)}"
            )
        stack = torch.cat([maps, silhouette], dim=1)
        if self.training:
            stack = _augment(stack, config)
        return self.embed_stack(stack, torch.minimum(map_frames, silhouette_frames))

    def embed_raw(self, x: Tensor) -> Tensor:
        """Embed stored maps and silhouettes, whatever :attr:`SkeletonGaitConfig.modality` says.

        Args:
            x: ``[N, T, 3, H, W]`` in [0, 1]: limbs, joints, silhouette.

        Returns:
            ``[N, D, P]``.

        Raises:
            ShapeError: The axes are others.
        """
        stack = _raw_raster(x, 3)
        return self.embed_stack(stack, torch.full((len(stack),), stack.shape[2], device=x.device)).embedding

    def embed_stack(self, stack: Tensor, num_frames: Tensor) -> GaitOutput:
        """Embed maps and silhouettes that are already one raster.

        Args:
            stack: ``[N, 3, T, H, W]``: limb map, joint map, silhouette, all in [0, 1].
            num_frames: ``[N]`` int64, real frames of each clip.
        """
        silhouette = self.silhouette_stage(self.silhouette_stem(stack[:, 2:]))
        x = self.fusion(silhouette, self.map_stage(self.map_stem(stack[:, :2])))
        return self.recognise(self.stages(x, padding_mask(num_frames, stack.shape[2])), num_frames)


def _raw_raster(x: Tensor, channels: int) -> Tensor:
    """``[N, C, T, H, W]`` of ``[N, T, C, H, W]``."""
    if x.dim() != 5 or x.shape[2] != channels:
        raise ShapeError(f"stored maps must be [N, T, {channels}, H, W], got {list(x.shape)}")
    return x.transpose(1, 2)


class AttentionFusion(layers.AttentionFusion):
    """The fusion of silhouette and map, frame by frame.

    Example:
        >>> fusion = AttentionFusion(32).eval()
        >>> x = torch.rand(1, 32, 5, 8, 8)
        >>> torch.equal(fusion(x, x), x)
        True
    """

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Fuse ``[N, C, T, H, W]`` of the silhouette and of the map into one."""
        folded = [x.transpose(1, 2).flatten(0, 1) for x in (first, second)]
        return unfold_frames(super().forward(*folded), first.shape[2])


def _map_spec(config: SkeletonGaitConfig) -> InputSpec:
    if config.modality == "skeleton2d":
        return InputSpec(modality="skeleton2d", channels=3)
    return InputSpec(
        modality="skeleton-map", height_px=config.height_px, width_px=config.width_px, channels=2, scale=255.0
    )


def _map_input(batch: GaitBatch, config: SkeletonGaitConfig, *, is_whole: bool) -> tuple[Tensor, Tensor]:
    """Maps ``[N, 2, T, H, W]``, stored or drawn, and the real frames of each clip ``[N]``.

    ``is_whole`` draws squares, so that what an augmentation moves in from the sides is drawn and not black.
    """
    if config.modality == "skeleton-map":
        return clips_of(batch, "skeleton-map")
    if "skeleton2d" not in batch.inputs:
        raise ModelError(f"the batch holds {', '.join(batch.inputs) or 'nothing'}, but the model reads skeleton2d")
    maps = skeleton_map(
        batch.inputs["skeleton2d"],
        height_px=config.height_px,
        width_px=config.height_px if is_whole else config.width_px,
        canvas_px=config.canvas_px,
        sigma_px=config.sigma_px,
    )
    return maps, batch.num_frames["skeleton2d"]


def _augment(x: Tensor, config: SkeletonGaitConfig) -> Tensor:
    """Change each clip at random, then cut it to the network's columns."""
    # The global generator is what training seeds for every step.
    rng = torch.Generator().manual_seed(int(torch.randint(1 << 62, ())))
    return augment(x, config.augment, rng, width_px=config.width_px)


_SHALLOW: dict[str, object] = {"num_blocks": (1, 1, 1, 1)}
_NONE = AugmentConfig()
_AUGMENTED: dict[str, object] = {"augment": DATA_AUGMENTATION}
_NOTE = "the map is drawn from joints; the model augments it, and in SkeletonGait++ the silhouette, already cut"


def _gait3d(config: Mapping[str, object]) -> Preset:
    return Preset(
        config={**_AUGMENTED, "num_classes": 3000, **config},
        recipe=published_recipe(60_000, (20_000, 30_000, 40_000), (32, 4), augment=_NONE),
        note=_NOTE,
    )


def _grew(config: Mapping[str, object]) -> Preset:
    return Preset(
        config={**_AUGMENTED, "num_classes": 20_000, **config},
        recipe=published_recipe(180_000, (80_000, 120_000, 150_000), (32, 4), augment=_NONE),
        note=_NOTE,
    )


def _ccpg(config: Mapping[str, object]) -> Preset:
    return Preset(
        config={**_SHALLOW, **_AUGMENTED, "num_classes": 100, **config},
        recipe=published_recipe(60_000, (20_000, 30_000, 40_000), (8, 16), augment=_NONE),
        note=_NOTE,
    )


def _sustech1k(config: Mapping[str, object], order: Literal["unordered", "ordered"]) -> Preset:
    return Preset(
        config={**_SHALLOW, **_AUGMENTED, "num_classes": 250, **config},
        recipe=published_recipe(50_000, (20_000, 30_000, 40_000), (8, 8), num_frames=10, order=order, augment=_NONE),
        note=_NOTE,
    )


def _quick(iterations: int) -> Preset:
    return Preset(
        config={
            **QUICK_SIZES,
            "canvas_px": 48,
            "sigma_px": 3.0,
            "augment": AugmentConfig(flip=0.5, shift=0.3, rescale=0.3),
        },
        recipe=quick_recipe(iterations, augment=_NONE),
        note="quarter width, one block per stage, first convolution with stride 2, maps drawn at 3 / 8 of the size, "
        "8 to 1 strips, short training",
    )


PRESETS: dict[str, Preset] = {
    "paper": _gait3d({}),
    "paper@gait3d": _gait3d({}),
    "paper@grew": _grew({}),
    "paper@ccpg": _ccpg({"embedding": "neck"}),
    "paper@ou-mvlp": Preset(
        config={**_SHALLOW, "augment": AugmentConfig(flip=0.5), "num_classes": 5153},
        recipe=published_recipe(120_000, (60_000, 80_000, 100_000), (32, 8), augment=_NONE),
        note=_NOTE,
    ),
    "paper@sustech1k": _sustech1k({}, "unordered"),
    "quick": _quick(400),
}
"""Presets of SkeletonGait; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""

PLUS_PLUS_PRESETS: dict[str, Preset] = {
    "paper": _gait3d({}),
    "paper@gait3d": _gait3d({}),
    "paper@grew": _grew({}),
    "paper@ccpg": _ccpg({}),
    "paper@sustech1k": _sustech1k({}, "ordered"),
    "quick": _quick(300),
}
"""Presets of SkeletonGait++."""
