"""Two-stream: silhouettes and LiDAR range images in one embedding space.

Axes: N batch, C channels, T frames, H rows, W columns, D embedding width, P parts.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import BaseModel, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from gaitbench.errors import ModelError
from gaitbench.layers import ResNet9, SeparateBNNeck, SeparateFC, horizontal_pyramid_pool, set_pool, unfold_frames
from gaitbench.losses import batch_all_triplet, cross_modal_triplet, part_cross_entropy
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of, logits_of
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_baselines.raster_input import raster_input

__all__ = ["PRESETS", "TwoStream", "TwoStreamConfig"]

_MODALITIES = ("silhouette", "lidar-depth")


class TwoStreamConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes of the two encoders and of what they share."""

    height_px: PositiveInt = 64
    """Rows of both inputs."""
    width_px: PositiveInt = 64
    """Columns of both inputs."""
    encoding: Literal["jet3", "gray1"] = "jet3"
    """How a range image enters: three false-colour channels as published, or one channel."""
    channels: tuple[PositiveInt, ...] = (64, 128, 256, 512)
    """Width of the stages."""
    strides: tuple[PositiveInt, ...] = (1, 2, 2, 1)
    """Stride of the stages."""
    num_blocks: tuple[PositiveInt, ...] = (1, 1, 1, 1)
    """Residual blocks of the stages."""
    stem_stride: Literal[1, 2] = 1
    """Stride of the first convolutions: 1 as published; 2 quarters the cost of training."""
    embedding_width: PositiveInt = 256
    """D."""
    bins: tuple[PositiveInt, ...] = (16,)
    """Strips per scale; P is their sum."""
    num_classes: PositiveInt = 250
    """Training subjects; the runner sets it."""
    margin: NonNegativeFloat = 0.2
    """Margin of all triplet losses."""
    logit_scale: PositiveFloat = 16.0
    """Factor on the cosines in the cross-entropy."""
    label_smoothing: NonNegativeFloat = 0.1
    """Share of the target spread over all classes."""


class TwoStream(GaitModel):
    """An encoder with its own batch norm per modality; the part matrices and the classification neck are shared.

    At test time each modality is embedded alone and compared with the other. Losses: ``cross_triplet`` (both
    directions added), ``triplet`` within each modality and ``cross_entropy`` (both modalities added).

    Source:
        The common ground of CL-Gait (ECCV 2024), UniCrossGait (TMM 2026) and MMGait's baselines: residual encoders
        per sensor, maximum over frames, 16 strips, cross-modal triplet and cross-entropy. No single paper fixes this
        model; the registered open points list what is ours.

    Example:
        >>> config = TwoStreamConfig(channels=(4, 4, 8, 8), embedding_width=32, num_classes=5)
        >>> model = TwoStream(config).eval()
        >>> silhouettes = torch.rand(2, 1, 5, 64, 64).round()
        >>> model(GaitBatch({"silhouette": silhouettes}, {"silhouette": torch.tensor([5, 3])})).embedding.shape
        torch.Size([2, 32, 16])
    """

    padding = "masked"
    config: TwoStreamConfig

    def __init__(self, config: TwoStreamConfig) -> None:
        super().__init__(config)
        self.encoders = nn.ModuleDict(
            {
                spec.modality: ResNet9(
                    spec.channels,
                    channels=config.channels,
                    strides=config.strides,
                    num_blocks=config.num_blocks,
                    stem_stride=config.stem_stride,
                )
                for spec in self.inputs
            }
        )
        num_parts = sum(config.bins)
        self.head = SeparateFC(num_parts, config.channels[-1], config.embedding_width)
        self.neck = SeparateBNNeck(num_parts, config.embedding_width, config.num_classes)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Silhouettes in [0, 1] and range images in [0, 1], in false colour unless configured otherwise."""
        config = self.config
        is_coloured = config.encoding == "jet3"
        return (
            InputSpec(modality="silhouette", height_px=config.height_px, width_px=config.width_px),
            InputSpec(
                modality="lidar-depth",
                height_px=config.height_px,
                width_px=config.width_px,
                channels=3 if is_coloured else 1,
                scale=1.0 if is_coloured else 255.0,
                colour_map="jet" if is_coloured else "none",
            ),
        )

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed every modality of the batch, ``[N, C, T, H, W]`` each, as ``[N, D, P]``.

        With one modality the output is that modality's; with both, ``by_modality`` holds one each and the embedding
        is their mean. Padding changes nothing outside training.
        """
        present = [modality for modality in _MODALITIES if modality in batch.inputs]
        if not present:
            raise ModelError(f"the batch holds {', '.join(batch.inputs) or 'nothing'}, not {' or '.join(_MODALITIES)}")
        embeddings = [self._embed(batch, modality) for modality in present]
        # One pass, so that the shared neck normalises both modalities by the same statistics.
        logits = self.neck(torch.cat(embeddings)).logits.chunk(len(present))
        outputs = {
            modality: GaitOutput(embedding=embedding, logits=rows)
            for modality, embedding, rows in zip(present, embeddings, logits, strict=True)
        }
        if len(present) == 1:
            return outputs[present[0]]
        return GaitOutput(embedding=torch.stack(embeddings).mean(dim=0), by_modality=outputs)

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Triplets across and within the modalities, and cross-entropy.

        Raises:
            ModelError: The batch had one modality only.
        """
        if set(output.by_modality) != set(_MODALITIES):
            raise ModelError(f"two-stream trains on {' and '.join(_MODALITIES)} together; the batch had one of them")
        config, labels = self.config, labels_of(batch)
        both = [output.by_modality[modality] for modality in _MODALITIES]
        across = cross_modal_triplet(both[0].embedding, both[1].embedding, labels, margin=config.margin)
        within = [batch_all_triplet(one.embedding, labels, margin=config.margin) for one in both]
        entropy = [
            part_cross_entropy(logits_of(one), labels, scale=config.logit_scale, label_smoothing=config.label_smoothing)
            for one in both
        ]
        return {
            "cross_triplet": across.a_to_b + across.b_to_a,
            "triplet": within[0] + within[1],
            "cross_entropy": entropy[0] + entropy[1],
        }

    def _embed(self, batch: GaitBatch, modality: str) -> Tensor:
        x, num_frames = raster_input(batch, modality)
        maps = set_pool(unfold_frames(self.encoders[modality](x), len(x) // len(num_frames)), num_frames)
        embedding: Tensor = self.head(horizontal_pyramid_pool(maps, self.config.bins))
        return embedding


PRESETS: dict[str, Preset] = {
    "paper": Preset(
        recipe=Recipe(
            stages=(
                Stage(
                    iterations=60_000,
                    clips=ClipConfig(subjects_per_batch=8, sequences_per_subject=8, num_frames=30),
                    augment=AugmentConfig(perspective=0.2, flip=0.2, rotate=0.2),
                    optimizer=OptimizerConfig(name="sgd", lr=0.1),
                    schedule=ScheduleConfig(name="multistep", milestones=(20_000, 40_000, 50_000)),
                ),
            ),
            precision="bf16-mixed",
        ),
        note="recipe of MMGait's re-implementation of CL-Gait",
    ),
    "quick": Preset(
        config={
            "width_px": 44,
            "channels": (16, 32, 64, 128),
            "stem_stride": 2,
            "embedding_width": 128,
            "bins": (8, 4, 2, 1),
        },
        recipe=Recipe(
            stages=(
                Stage(
                    iterations=600,
                    clips=ClipConfig(subjects_per_batch=12, sequences_per_subject=4, num_frames=4),
                    augment=AugmentConfig(flip=0.5, shift=0.3, rescale=0.3),
                    optimizer=OptimizerConfig(name="adamw", lr=2e-3, weight_decay=5e-3),
                    schedule=ScheduleConfig(name="onecycle", warmup=60),
                ),
            ),
            precision="bf16-mixed",
        ),
        note="quarter width, first convolutions with stride 2, 8 to 1 strips, 44 columns, short training",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
