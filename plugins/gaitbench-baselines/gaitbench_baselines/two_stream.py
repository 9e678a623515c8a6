"""Two-stream: silhouettes and LiDAR range images, or other streams, in one embedding space.

Axes: N batch, C channels, T frames, H rows, W columns, D embedding width, P parts.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gaitbench.layers import ResNet9, SeparateBNNeck, SeparateFC
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_baselines.one_space import (
    SensorConfig,
    cross_entropy_of_all,
    cross_triplets,
    joined,
    outputs_of_all,
    parts_of,
    triplets_within,
)
from gaitbench_baselines.sensor_streams import num_channels, pictures_of, present, stream_specs

__all__ = ["PRESETS", "TwoStream", "TwoStreamConfig"]


class TwoStreamConfig(SensorConfig, frozen=True):
    """Sizes of the encoders and of what they share."""


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
                modality: ResNet9(
                    num_channels(modality, config.encoding),
                    channels=config.channels,
                    strides=config.strides,
                    num_blocks=config.num_blocks,
                    stem_stride=config.stem_stride,
                )
                for modality in config.modalities
            }
        )
        num_parts = sum(config.bins)
        self.head = SeparateFC(num_parts, config.channels[-1], config.embedding_width)
        self.neck = SeparateBNNeck(num_parts, config.embedding_width, config.num_classes)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Pictures in [0, 1], range images in false colour unless configured otherwise."""
        return stream_specs(self.config)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed every modality of the batch, ``[N, C, T, H, W]`` each, as ``[N, D, P]``.

        With one modality the output is that modality's; with several, ``by_modality`` holds one each and the embedding
        is their mean. Padding changes nothing outside training.
        """
        names = present(batch, self.config.modalities)
        embeddings = [self._embed(batch, name) for name in names]
        # One pass, so that the shared neck normalises all modalities by the same statistics.
        logits = self.neck(torch.cat(embeddings)).logits.chunk(len(names))
        return joined(
            {
                name: GaitOutput(embedding=embedding, logits=rows)
                for name, embedding, rows in zip(names, embeddings, logits, strict=True)
            }
        )

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Triplets across and within the modalities, and cross-entropy.

        Raises:
            ModelError: The batch lacked a modality.
        """
        config, labels = self.config, labels_of(batch)
        outputs = outputs_of_all(output, config, "two-stream")
        embeddings = [one.embedding for one in outputs]
        return {
            "cross_triplet": cross_triplets(embeddings, labels, margin=config.margin),
            "triplet": triplets_within(embeddings, labels, margin=config.margin),
            "cross_entropy": cross_entropy_of_all(outputs, labels, config),
        }

    def _embed(self, batch: GaitBatch, modality: str) -> Tensor:
        x, num_frames = pictures_of(batch, modality, self.config)
        return parts_of(self.encoders[modality](x), num_frames, self.head, self.config.bins)


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
