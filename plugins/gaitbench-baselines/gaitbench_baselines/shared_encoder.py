"""A network for one sensor, used across sensors: every stream enters as one grey channel, through the same layers.

Axes: N batch, C channels, T frames, H rows, W columns, D embedding width, P parts.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from gaitbench.errors import ModelError
from gaitbench.layers import ResNet9, SeparateBNNeck, SeparateFC
from gaitbench.losses import batch_all_triplet
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_baselines.one_space import SensorConfig, cross_entropy_of_all, joined, outputs_of_all, parts_of
from gaitbench_baselines.sensor_streams import Encoding, pictures_of, present, stream_specs

__all__ = ["PRESETS", "SharedEncoder", "SharedEncoderConfig"]


class SharedEncoderConfig(SensorConfig, frozen=True):
    """Sizes of the network, and which sensors it learns from."""

    encoding: Encoding = "gray1"
    """How a range image enters; false colours are averaged to one channel, which loses the order of distances."""
    learns_from: Literal["first", "all"] = "all"
    """``first``: a network of the first modality, simply fed the pictures of the others in the test. ``all``: trained
    on all of them, as if they came from one sensor."""


class SharedEncoder(GaitModel):
    """GaitBase on grey pictures, whichever sensor they are from: nothing knows of sensors but the data.

    The floor for models across sensors. Losses: ``triplet`` and ``cross_entropy``, of the sequences of all sensors that
    it learns from as one batch.

    Source:
        The network: Fan et al., "OpenGait", CVPR 2023, section "GaitBase". Tables of the field name such rows by the
        network of one sensor; how its input was shared is not said.

    Example:
        >>> model = SharedEncoder(SharedEncoderConfig(channels=(4, 4, 8, 8), embedding_width=32, num_classes=5)).eval()
        >>> clips = torch.rand(2, 1, 5, 64, 64)
        >>> model(GaitBatch({"lidar-depth": clips}, {"lidar-depth": torch.tensor([5, 3])})).embedding.shape
        torch.Size([2, 32, 16])
    """

    padding = "masked"
    config: SharedEncoderConfig

    def __init__(self, config: SharedEncoderConfig) -> None:
        super().__init__(config)
        sizes = {"channels": config.channels, "strides": config.strides, "num_blocks": config.num_blocks}
        self.trunk = ResNet9(1, stem_stride=config.stem_stride, **sizes)
        num_parts = sum(config.bins)
        self.head = SeparateFC(num_parts, config.channels[-1], config.embedding_width)
        self.neck = SeparateBNNeck(num_parts, config.embedding_width, config.num_classes)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """All streams as pictures in [0, 1]."""
        return stream_specs(self.config)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed every modality of the batch, ``[N, C, T, H, W]`` each, as ``[N, D, P]``.

        In training only those that it learns from, named in ``by_modality``. Padding changes nothing outside training.
        """
        config = self.config
        found = present(batch, config.modalities)
        if self.training and config.learns_from == "first":
            found = found[:1]
        read = [_grey(*pictures_of(batch, modality, config)) for modality in found]
        # One pass, so that batch norms see all sensors as they will in a test: as one.
        features = self.trunk(torch.cat([x for x, _ in read])).split([len(x) for x, _ in read])
        embeddings = [
            parts_of(rows, num_frames, self.head, config.bins)
            for rows, (_, num_frames) in zip(features, read, strict=True)
        ]
        logits = self.neck(torch.cat(embeddings)).logits.chunk(len(found))
        outputs = {
            modality: GaitOutput(embedding=embedding, logits=rows)
            for modality, embedding, rows in zip(found, embeddings, logits, strict=True)
        }
        if self.training:
            return GaitOutput(embedding=embeddings[0], by_modality=outputs)
        return joined(outputs)

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Triplets and cross-entropy.

        Raises:
            ModelError: A modality that it learns from was not in the batch.
        """
        config, labels = self.config, labels_of(batch)
        if config.learns_from == "first":
            first = config.modalities[0]
            if first not in output.by_modality:
                raise ModelError(f"shared-encoder learns from {first}, and the batch had none")
            learnt = [output.by_modality[first]]
        else:
            learnt = outputs_of_all(output, config, "shared-encoder")
        together = torch.cat([one.embedding for one in learnt])
        return {
            "triplet": batch_all_triplet(together, labels.repeat(len(learnt)), margin=config.margin),
            "cross_entropy": cross_entropy_of_all(learnt, labels, config) / len(learnt),
        }


def _grey(frames: Tensor, num_frames: Tensor) -> tuple[Tensor, Tensor]:
    """Frames ``[N*T, C, H, W]`` with one channel, and the real frames of each clip as they are."""
    return frames.mean(dim=1, keepdim=True) if frames.shape[1] > 1 else frames, num_frames


def _published() -> Recipe:
    stage = Stage(
        iterations=40_000,
        clips=ClipConfig(subjects_per_batch=8, sequences_per_subject=8, num_frames=10),
        optimizer=OptimizerConfig(name="sgd", lr=0.1),
        schedule=ScheduleConfig(name="multistep", milestones=(20_000, 30_000)),
    )
    return Recipe(stages=(stage,), precision="bf16-mixed")


def _short() -> Recipe:
    stage = Stage(
        iterations=600,
        clips=ClipConfig(subjects_per_batch=12, sequences_per_subject=4, num_frames=4),
        augment=AugmentConfig(flip=0.5, shift=0.3, rescale=0.3),
        optimizer=OptimizerConfig(name="adamw", lr=2e-3, weight_decay=5e-3),
        schedule=ScheduleConfig(name="onecycle", warmup=60),
    )
    return Recipe(stages=(stage,), precision="bf16-mixed")


_SMALL: dict[str, object] = {
    "width_px": 44,
    "channels": (16, 32, 64, 128),
    "stem_stride": 2,
    "embedding_width": 128,
    "bins": (8, 4, 2, 1),
}
_SMALLER = "quarter width, first convolution with stride 2, 8 to 1 strips, 44 columns, short training"

PRESETS: dict[str, Preset] = {
    "paper": Preset(recipe=_published(), note="recipe of LidarGait on SUSTech1K"),
    "paper-one-sensor": Preset(
        config={"learns_from": "first"}, recipe=_published(), note="learns from silhouettes alone; recipe of LidarGait"
    ),
    "quick": Preset(config=_SMALL, recipe=_short(), note=_SMALLER),
    "quick-one-sensor": Preset(
        config={**_SMALL, "learns_from": "first"}, recipe=_short(), note=f"learns from silhouettes alone; {_SMALLER}"
    ),
}
"""Presets by name."""
