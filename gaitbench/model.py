"""The interface of a model: a batch goes in, part embeddings come out.

Axes: N batch, C channels, T frames, H rows, W columns, D embedding width, P parts.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import BaseModel, PositiveInt
from torch import Tensor, nn

from gaitbench.errors import ModelError, ShapeError

if TYPE_CHECKING:
    from gaitbench.recipe import Stage

__all__ = ["ClosedFormModel", "GaitBatch", "GaitModel", "GaitOutput", "InputSpec", "labels_of", "logits_of"]


class InputSpec(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What a model expects of one modality; a dataset that does not fit is refused before training."""

    modality: str
    """Name of the stream."""
    height_px: PositiveInt | None = None
    """Rows of a raster; None for joints and points, or when any size will do."""
    width_px: PositiveInt | None = None
    """Columns of a raster, after the cut of equal columns at both sides that a wider one gets."""
    channels: PositiveInt = 1
    """Channels of a raster, values per joint or per point."""
    scale: float = 1.0
    """Decoded values are divided by this."""
    colour_map: Literal["none", "jet"] = "none"
    """``jet`` turns one channel into three false-colour ones in [0, 1]; 0 stays black."""
    num_points: PositiveInt | None = None
    """Points drawn per frame from a cloud."""
    num_joints: PositiveInt | None = None
    """V of joints; None for COCO's 17."""


@dataclass(slots=True)
class GaitBatch:
    """Clips of N sequences in one or several modalities, on one device."""

    inputs: dict[str, Tensor]
    """Modality name to ``[N, C, T, H, W]`` (raster), ``[N, C, T, V]`` (joints) or ``[N, T, M, C]`` (points) float."""
    num_frames: dict[str, Tensor]
    """Modality name to ``[N]`` int64, real frames of each clip; frames from there on are padding."""
    labels: Tensor | None = None
    """``[N]`` int64 indices into the training subjects; None outside training."""
    attributes: Tensor | None = None
    """``[N, A]`` int64 class indices, -1 where unknown."""
    step: int = 0
    """Training step, for anything that draws random numbers."""


@dataclass(slots=True)
class GaitOutput:
    """What a model says of a batch."""

    embedding: Tensor
    """``[N, D, P]``: what retrieval compares, part by part."""
    logits: Tensor | None = None
    """``[N, classes, P]`` over the training subjects."""
    attributes: dict[str, Tensor] = field(default_factory=dict)
    """Attribute name to ``[N, classes]`` logits."""
    by_modality: dict[str, "GaitOutput"] = field(default_factory=dict)
    """One output per input modality, for models that embed several modalities into one space."""
    extras: dict[str, Tensor] = field(default_factory=dict)
    """Anything a loss or a picture needs."""


class GaitModel(nn.Module, ABC):
    """A trainable method. The constructor takes its config and nothing else.

    A config that has a field ``num_classes`` receives the number of training subjects from the runner; the
    config is stored whole in the record and rebuilds the model.
    """

    padding: Literal["masked", "refused"] = "refused"
    """``masked``: padded frames change nothing, so that sequences of different lengths share a batch."""

    def __init__(self, config: BaseModel) -> None:
        super().__init__()
        self.config = config

    @property
    @abstractmethod
    def inputs(self) -> tuple[InputSpec, ...]:
        """The input contract, one entry per modality."""

    @abstractmethod
    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed a batch.

        In training the batch holds every input modality. At test time it holds those that the task asks for, so a
        cross-modal model is called with one modality at a time and returns that modality's embedding.
        """

    def embed_raw(self, x: Tensor) -> Tensor:
        """Embed a network's own input, as published code feeds it: nothing is scaled, normalised, drawn or augmented.

        This default serves models whose network reads the batch as it is; the others say what they take.

        Args:
            x: Rasters ``[N, T, H, W]`` or ``[N, T, C, H, W]`` (of several modalities: their channels in the order of
                :attr:`inputs`), points ``[N, T, M, C]``, or joints ``[N, T, V, C]``; every sequence with T real frames.

        Returns:
            ``[N, D, P]``.

        Raises:
            ModelError: The model reads several modalities that are not all rasters.
            ShapeError: The input has other axes or channels.
        """
        first = self.inputs[0]
        if first.height_px is None:
            if len(self.inputs) > 1:
                raise ModelError(f"{type(self).__name__} reads several modalities, and has no raw input of one array")
            if x.ndim != 4:
                raise ShapeError(f"{first.modality} must be [N, T, V or M, C], got {list(x.shape)}")
            clips = {first.modality: x if first.num_points is not None else x.permute(0, 3, 1, 2)}
        else:
            if x.ndim not in (4, 5):
                raise ShapeError(f"{first.modality} must be [N, T, H, W] or [N, T, C, H, W], got {list(x.shape)}")
            raster = x[:, None] if x.ndim == 4 else x.transpose(1, 2)  # [N, C, T, H, W]
            channels = [spec.channels for spec in self.inputs]
            if raster.shape[1] != sum(channels):
                raise ShapeError(f"{type(self).__name__} reads {sum(channels)} channels, got {raster.shape[1]}")
            clips = {
                spec.modality: part
                for spec, part in zip(self.inputs, torch.split(raster, channels, dim=1), strict=True)
            }
        num_frames = torch.full((len(x),), x.shape[1], device=x.device)
        output: GaitOutput = self(GaitBatch(clips, dict.fromkeys(clips, num_frames)))
        return output.embedding

    @abstractmethod
    def losses(self, output: GaitOutput, batch: GaitBatch, stage: "Stage") -> Mapping[str, Tensor]:
        """Name to scalar loss, unweighted; the stage's ``loss_weights`` weigh and sum them."""


class ClosedFormModel(GaitModel):
    """A method that is fitted in one go instead of by gradient steps, such as PCA with LDA.

    Its fitted numbers are buffers, so that checkpoints hold them.
    """

    @abstractmethod
    def features(self, batch: GaitBatch) -> Tensor:
        """``[N, F]`` float32 features of whole sequences, before anything is fitted."""

    @abstractmethod
    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Fit to ``[N, F]`` training features with ``[N]`` labels."""

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: "Stage") -> Mapping[str, Tensor]:  # noqa: ARG002
        """Nothing is descended: the only entry is zero."""
        return {"none": torch.zeros((), device=output.embedding.device)}


def labels_of(batch: GaitBatch) -> Tensor:
    """``[N]`` int64 labels of a training batch, for a loss.

    Raises:
        ModelError: The batch is not from training.
    """
    if batch.labels is None:
        raise ModelError("losses need labels, and this batch has none; only training batches do")
    return batch.labels


def logits_of(output: GaitOutput) -> Tensor:
    """``[N, classes, P]`` logits of an output, for a loss.

    Raises:
        ModelError: The output has none.
    """
    if output.logits is None:
        raise ModelError("cross-entropy needs logits, and this output has none")
    return output.logits
