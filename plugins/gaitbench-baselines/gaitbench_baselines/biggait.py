"""BigGait: gait representations read off a frozen vision transformer, without silhouettes.

Axes: N batch, C channels, T frames, K real frames of all clips, H rows, W columns, D embedding width, P parts.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.explaining import Explainable, Finding, Heatmap
from gaitbench.frozen import FrozenFeatures
from gaitbench.layers import (
    MaskHead,
    MaskUse,
    RealFrames,
    SeparateBNNeck,
    SeparateFC,
    TwoStreamTrunk,
    appearance_branch,
    check_strips,
    choose_foreground,
    clean_mask,
    denoising_branch,
    horizontal_pyramid_pool,
    image_area,
    init_parameters,
    on_vectors,
    pick_pixels,
    put_pixels,
    set_pool,
)
from gaitbench.losses import batch_all_triplet, channel_diversity, part_cross_entropy, sobel_smoothness
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of, logits_of
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench.towers.frame_encoder import DINOV2_SMALL, FrameEncoder, FrameEncoderConfig, Size

__all__ = ["PRESETS", "BigGait", "BigGaitConfig", "MaskBranch"]


class BigGaitConfig(FrameEncoderConfig, frozen=True):
    """Sizes of BigGait; the defaults are those published for CCPG, with an untrained tower."""

    map_px: Size = (64, 32)
    """Rows and columns of the maps that the gait network reads."""
    has_mask: bool = True
    """False takes all that is video for the person: two classes of features tell people from background only where the
    encoder knows people."""
    mask_dropout: float = Field(0.5, ge=0, lt=1)
    """Share of features that the mask branch does without in training."""
    mask_use: MaskUse = "closed"
    """What becomes of the person's probability."""
    border_rows: PositiveInt = 5
    """Rows at the top and bottom by which background is told from person."""
    hidden_channels: PositiveInt = 768
    """Of the denoising branch."""
    out_channels: PositiveInt = 16
    """Of either stream."""
    black: float = Field(0.2, ge=0, le=1)
    """Share of training sequences that lose one of the two streams."""
    channels: tuple[PositiveInt, ...] = (64, 128, 256, 512)
    """Width of the gait network's stages."""
    strides: tuple[PositiveInt, ...] = (1, 2, 2, 1)
    """Stride of the stages."""
    embedding_width: PositiveInt = 256
    """D."""
    bins: tuple[PositiveInt, ...] = (16,)
    """Strips per scale; P is their sum."""
    num_classes: PositiveInt = 100
    """Training subjects; the runner sets it."""
    margin: NonNegativeFloat = 0.2
    """Margin of the triplet loss."""
    logit_scale: PositiveFloat = 16.0
    """Factor on the cosines in the cross-entropy."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Share of the target spread over all classes."""

    @model_validator(mode="after")
    def _check_maps(self) -> Self:
        """Refuse sizes that do not fit."""
        check_strips(self.map_px, self.channels, self.strides, self.bins)
        if self.has_mask and self.map_px[0] < 2 * self.border_rows:
            raise ValueError(
                f"border_rows {self.border_rows} at the top and bottom are more than the {self.map_px[0]} rows of "
                "map_px; choose fewer"
            )
        return self


class MaskBranch(nn.Module):
    """Divide the pixels into two classes from which their features can be told again.

    Args:
        in_channels: Channels of the features.
        dropout: Share of features that training hides.

    Source:
        Ye et al., CVPR 2024, section "Mask Branch".
    """

    def __init__(self, in_channels: int, *, dropout: float = 0.5) -> None:
        super().__init__()
        self.classes = MaskHead(in_channels, dropout=dropout)
        self.reconstruction = nn.Linear(2, in_channels)
        init_parameters(self.reconstruction)

    @property
    def is_trained(self) -> bool:
        """False in stages that freeze the branch."""
        return self.training and self.reconstruction.weight.requires_grad

    def forward(self, features: Tensor, area: Tensor) -> tuple[Tensor, Tensor]:
        """Find the classes.

        Args:
            features: ``[K, C, h, w]``.
            area: ``[K, 1, H, W]`` bool, the pixels that show the video.

        Returns:
            ``[K, 2, H, W]`` that add up to 1 inside the area and are 0 elsewhere, and the mean squared error of the
            features told again, 0 where the branch is not trained.
        """
        pixels = pick_pixels(features, area)
        share = on_vectors(self.classes, pixels).float().softmax(dim=1)
        error = share.new_zeros(())
        if self.is_trained and len(pixels):
            # An encoder that learns along must not make its features easy to tell.
            error = functional.mse_loss(self.reconstruction(share).float(), pixels.detach().float())
        return put_pixels(share, area), error


class _Streams(NamedTuple):
    """What the gait network reads of K frames."""

    mask: Tensor
    """``[K, 1, H, W]`` in [0, 1]."""
    denoised: Tensor
    """``[K, C, H, W]``, adding up to 1 on the person and 0 elsewhere."""
    appearance: Tensor
    """``[K, C, H, W]`` in [0, 1], 0 off the person."""
    losses: dict[str, Tensor]
    """Scalars, in training only."""


class BigGait(GaitModel, Explainable):
    """Two streams of a few channels from the features of a frozen image encoder, into a gait network.

    A mask that is learned without labels picks the person's pixels. Exactly invariant to the order of frames. Losses:
    ``triplet``, ``cross_entropy``, ``mask_smoothness``, ``reconstruction``, ``smoothness`` and ``diversity`` of the
    denoised stream.

    Source:
        Ye et al., "BigGait: Learning Gait Representation You Want by Large Vision Models", CVPR 2024.

    Example:
        >>> from gaitbench.towers.config import TowerConfig
        >>> small = {"embed_dim": 32, "depth": 2, "num_heads": 2, "img_size": 56}
        >>> config = BigGaitConfig(
        ...     image=TowerConfig(architecture="vit_small_patch14_dinov2", overrides=small),
        ...     image_px=(56, 28), layers=(1, 2), rgb_px=(64, 32), ratio="frame", map_px=(16, 8), hidden_channels=8,
        ...     channels=(4, 4, 8, 8), strides=(1, 1, 1, 1), embedding_width=32,
        ... )
        >>> model = BigGait(config).eval()
        >>> model(GaitBatch({"rgb": torch.rand(2, 3, 4, 64, 32)}, {"rgb": torch.tensor([4, 3])})).embedding.shape
        torch.Size([2, 32, 16])
    """

    padding = "masked"
    config: BigGaitConfig

    def __init__(self, config: BigGaitConfig) -> None:
        super().__init__(config)
        self.encoder = FrameEncoder(config, reads_last=config.has_mask)
        self.mask = MaskBranch(self.encoder.width, dropout=config.mask_dropout) if config.has_mask else None
        stacked = self.encoder.stacked_width
        self.denoise = denoising_branch(stacked, config.hidden_channels, config.out_channels)
        self.appearance = appearance_branch(stacked, config.out_channels)
        self.trunk = TwoStreamTrunk(config.out_channels, channels=config.channels, strides=config.strides)
        num_parts = sum(config.bins)
        self.head = SeparateFC(num_parts, config.channels[-1], config.embedding_width)
        self.neck = SeparateBNNeck(num_parts, config.embedding_width, config.num_classes)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Colour crops in [0, 1], and the aspect ratio of the person's box where it is read."""
        return self.encoder.inputs

    @property
    def frozen_features(self) -> FrozenFeatures | None:
        """Those of the image tower, where it is frozen."""
        return self.encoder.frozen_features

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed crops ``[N, 3, T, H, W]``, or kept features of them, as ``[N, D, P]``; padding changes nothing."""
        frames = self.encoder.real_frames(batch)
        streams = self._streams(batch, frames)
        denoised, appearance = streams.denoised, streams.appearance
        if self.training and self.config.black:
            denoised, appearance = self._blacken(denoised, appearance, frames)
        features = frames.put(self.trunk(denoised, appearance))
        maps = set_pool(features, frames.num_frames)
        embedding = self.head(horizontal_pyramid_pool(maps, self.config.bins))
        # A value per clip, so that devices can put theirs together.
        extras = {name: value.expand(frames.num_clips) for name, value in streams.losses.items()}
        return GaitOutput(embedding=embedding, logits=self.neck(embedding).logits, extras=extras)

    def embed_raw(self, x: Tensor, ratio: Tensor | None = None) -> Tensor:
        """Embed what the published network is fed.

        Args:
            x: ``[N, T, 3, H, W]`` crops (256 x 128 as published), standardised with ImageNet's mean and deviation.
            ratio: ``[N, T]`` width over height of the person's box; None for that of the crops.

        Returns:
            ``[N, D, P]``.
        """
        output: GaitOutput = self(self.encoder.raw_batch(x, ratio))
        return output.embedding

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Triplets and cross-entropy on the parts, and what the branches are asked for."""
        config, labels = self.config, labels_of(batch)
        return {
            "triplet": batch_all_triplet(output.embedding, labels, margin=config.margin),
            "cross_entropy": part_cross_entropy(
                logits_of(output), labels, scale=config.logit_scale, label_smoothing=config.label_smoothing
            ),
            **{name: output.extras[name].mean() for name in _OF_BRANCHES if name in output.extras},
        }

    def explain(self, batch: GaitBatch) -> Sequence[Heatmap | Finding]:
        """Show the mask, and the number of the class that denoising puts each pixel into."""
        frames = self.encoder.real_frames(batch)
        streams = self._streams(batch, frames)
        number = streams.denoised.argmax(dim=1, keepdim=True) + 1
        shown = number * (streams.denoised.sum(dim=1, keepdim=True) > 0)
        return (
            Heatmap("person", "rgb", frames.put(streams.mask)[:, 0].float(), (0.0, 1.0)),
            Heatmap(
                "class of the denoised stream",
                "rgb",
                frames.put(shown.float())[:, 0],
                (0.0, float(self.config.out_channels)),
            ),
        )

    def _streams(self, batch: GaitBatch, frames: RealFrames) -> _Streams:
        config = self.config
        maps = self.encoder(batch, frames)
        area = image_area(maps.ratio, config.map_px)
        mask, losses = area.float(), {}
        if self.mask is not None:
            classes, error = self.mask(maps.last, area)
            # The gait network learns from the mask, and teaches it nothing.
            person = choose_foreground(classes.detach(), border_rows=config.border_rows)
            mask = clean_mask(person, config.mask_use)
            if self.mask.is_trained:
                losses = {"mask_smoothness": sobel_smoothness(classes[:, :1]), "reconstruction": error}
        where = mask > 0
        pixels = pick_pixels(maps.layers, where) * mask.permute(0, 2, 3, 1)[where[:, 0]]
        denoised = put_pixels(on_vectors(self.denoise, pixels).float(), where)
        appearance = put_pixels(on_vectors(self.appearance, pixels).float(), where)
        if self.training:
            losses |= {"smoothness": sobel_smoothness(denoised[:, :-1]), "diversity": channel_diversity(denoised)}
        return _Streams(mask, denoised, appearance, losses)

    def _blacken(self, denoised: Tensor, appearance: Tensor, frames: RealFrames) -> tuple[Tensor, Tensor]:
        """Take one of the two streams away from some sequences."""
        draw = torch.rand(frames.num_clips, 2, device=denoised.device)
        is_black, is_first = draw[:, 0] < self.config.black, draw[:, 1] < 0.5
        keeps = torch.stack([~(is_black & is_first), ~(is_black & ~is_first)])  # [2, N]
        of_frame = keeps[:, frames.clip, None, None, None].to(denoised.dtype)  # [2, K, 1, 1, 1]
        return denoised * of_frame[0], appearance * of_frame[1]


_OF_BRANCHES = ("mask_smoothness", "reconstruction", "smoothness", "diversity")
_WEIGHTS = {"mask_smoothness": 0.02, "reconstruction": 1.0, "smoothness": 0.01, "diversity": 5.0}


def _paper(config: Mapping[str, object], note: str, max_test_frames: int = 720) -> Preset:
    """The published recipe. From its 500th step on the mask stays; SGD's momentum begins anew there."""
    clips = ClipConfig(subjects_per_batch=8, sequences_per_subject=8, num_frames=30)
    first = Stage(
        name="mask",
        iterations=500,
        clips=clips,
        augment=AugmentConfig(flip=0.5),
        optimizer=OptimizerConfig(name="sgd", lr=0.1),
        schedule=ScheduleConfig(name="constant"),
        loss_weights=_WEIGHTS,
    )
    second = first.model_copy(
        update={
            "name": "train",
            "iterations": 39_500,
            "schedule": ScheduleConfig(name="multistep", milestones=(14_500, 24_500, 29_500, 34_500)),
            "loss_weights": {**_WEIGHTS, "mask_smoothness": 0.0, "reconstruction": 0.0},
            "freeze": ("mask.*",),
        }
    )
    recipe = Recipe(
        stages=(first, second),
        precision="bf16-mixed",
        max_test_frames=max_test_frames,
        test_frames_per_batch=256,
    )
    return Preset(config={"image": DINOV2_SMALL.model_dump(mode="json"), **config}, recipe=recipe, note=note)


_STRETCHED: dict[str, object] = {"rgb_form": "stretched"}
_ON_CCPG = _paper({}, "crops of 256x128: prepare CCPG with crop=tall, or from aligned-rgbs", 250)

PRESETS: dict[str, Preset] = {
    "paper": _ON_CCPG,
    "paper@ccpg": _ON_CCPG,
    "paper@sustech1k": _paper({**_STRETCHED, "rgb_px": (64, 64)}, "crops of 64x64 brought to the box's proportions"),
    "paper@casia-b-star": _paper(
        {**_STRETCHED, "rgb_px": (128, 128)}, "crops of 128x128 brought to the box's proportions"
    ),
    "paper@ccgr-mini": _paper(
        {**_STRETCHED, "rgb_px": (128, 128)}, "crops of 128x128 brought to the box's proportions"
    ),
    "paper@walkers": _paper({"rgb_px": (128, 64), "ratio": "frame"}, "the published recipe on crops of 128x64"),
    "quick": Preset(
        config={
            "image": {
                "architecture": "vit_small_patch14_dinov2",
                "overrides": {"patch_size": 4, "embed_dim": 48, "depth": 1, "num_heads": 1},
            },
            "is_image_trained": True,
            "image_px": (64, 32),
            "layers": (1,),
            "rgb_px": (128, 64),
            "ratio": "frame",
            "map_px": (32, 16),
            "has_mask": False,
            "hidden_channels": 48,
            "channels": (16, 32, 64, 128),
            "embedding_width": 128,
            "bins": (8, 4, 2, 1),
        },
        recipe=Recipe(
            stages=(
                Stage(
                    iterations=450,
                    clips=ClipConfig(subjects_per_batch=8, sequences_per_subject=4, num_frames=6),
                    augment=AugmentConfig(flip=0.5),
                    optimizer=OptimizerConfig(name="adamw", lr=2e-3, weight_decay=5e-3),
                    schedule=ScheduleConfig(name="onecycle", warmup=45),
                    loss_weights={"smoothness": 0.01, "diversity": 5.0},
                ),
            ),
            precision="bf16-mixed",
        ),
        note="a transformer of one layer in place of DINOv2, trained along, and no mask, which needs an encoder that "
        "knows people; 64x32 pixels, short training",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
