"""What models of several sensors share: their sizes, and losses that bring the sensors into one space.

Axes: N batch, D embedding width, P parts.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal, Self

import torch
from pydantic import BaseModel, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from gaitbench.errors import ModelError
from gaitbench.layers import SeparateFC, check_strips, horizontal_pyramid_pool, set_pool, unfold_frames
from gaitbench.losses import batch_all_triplet, cross_modal_triplet, part_cross_entropy
from gaitbench.model import GaitOutput, logits_of
from gaitbench_baselines.sensor_streams import Encoding, check_streams

__all__ = [
    "SensorConfig",
    "cross_entropy_of_all",
    "cross_triplets",
    "joined",
    "outputs_of_all",
    "parts_of",
    "triplets_within",
]


class SensorConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes of networks that embed several sensors' pictures."""

    modalities: tuple[str, ...] = ("silhouette", "lidar-depth")
    """Streams, two or more of :data:`gaitbench_baselines.sensor_streams.STREAMS`; each is asked about every other."""
    height_px: PositiveInt = 64
    """Rows of all inputs."""
    width_px: PositiveInt = 64
    """Columns of all inputs."""
    encoding: Encoding = "jet3"
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
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Share of the target spread over all classes."""

    @property
    def reductions(self) -> tuple[int, ...]:
        """Strides on the way from a picture to its last map."""
        return self.stem_stride, *self.strides

    @model_validator(mode="after")
    def _check_streams(self) -> Self:
        """Refuse streams that are no pictures, and sizes that do not fit."""
        check_streams(self.modalities)
        if not len(self.channels) == len(self.strides) == len(self.num_blocks):
            raise ValueError(
                f"channels {list(self.channels)}, strides {list(self.strides)} and num_blocks {list(self.num_blocks)} "
                "must name the same stages"
            )
        # Whatever is in front of the last stage, only the strides count.
        check_strips((self.height_px, self.width_px), self.reductions, self.reductions, self.bins)
        return self


def parts_of(features: Tensor, num_frames: Tensor, head: SeparateFC, bins: Sequence[int]) -> Tensor:
    """The maximum over frames ``[N*T, C, H, W]``, cut into strips, each through its own matrix: ``[N, D, P]``."""
    maps = set_pool(unfold_frames(features, len(features) // len(num_frames)), num_frames)
    parts: Tensor = head(horizontal_pyramid_pool(maps, bins))
    return parts


def joined(outputs: Mapping[str, GaitOutput]) -> GaitOutput:
    """One output for a batch of several modalities: that of the only one, or the mean embedding beside all of them.

    Several outputs are named in ``by_modality``.
    """
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    embedding = torch.stack([output.embedding for output in outputs.values()]).mean(dim=0)
    return GaitOutput(embedding=embedding, by_modality=dict(outputs))


def outputs_of_all(output: GaitOutput, config: SensorConfig, name: str) -> list[GaitOutput]:
    """The outputs of all modalities, in the config's order, for a loss.

    Raises:
        ModelError: The batch lacked one of them.
    """
    if missing := [modality for modality in config.modalities if modality not in output.by_modality]:
        lacked = f"lacked {', '.join(missing)}" if output.by_modality else "had one of them"
        raise ModelError(f"{name} trains on {' and '.join(config.modalities)} together; the batch {lacked}")
    return [output.by_modality[modality] for modality in config.modalities]


def cross_triplets(embeddings: Sequence[Tensor], labels: Tensor, *, margin: float) -> Tensor:
    """Triplets across sensors, both directions of each pair added, averaged over the pairs.

    Args:
        embeddings: ``[N, D, P]`` of each modality.
        labels: ``[N]``.
        margin: In units of distance.

    Returns:
        Scalar.

    Example:
        >>> same = torch.zeros(4, 8, 2)
        >>> round(cross_triplets([same, same], torch.tensor([0, 0, 1, 1]), margin=0.2).item(), 6)
        0.4
    """
    pairs = [cross_modal_triplet(a, b, labels, margin=margin) for a, b in combinations(embeddings, 2)]
    return torch.stack([pair.a_to_b + pair.b_to_a for pair in pairs]).mean()


def triplets_within(embeddings: Sequence[Tensor], labels: Tensor, *, margin: float) -> Tensor:
    """Triplets within each modality, added."""
    return torch.stack([batch_all_triplet(one, labels, margin=margin) for one in embeddings]).sum()


def cross_entropy_of_all(outputs: Sequence[GaitOutput], labels: Tensor, config: SensorConfig) -> Tensor:
    """Cross-entropy of each modality's logits, added."""
    each = [
        part_cross_entropy(logits_of(one), labels, scale=config.logit_scale, label_smoothing=config.label_smoothing)
        for one in outputs
    ]
    return torch.stack(each).sum()
