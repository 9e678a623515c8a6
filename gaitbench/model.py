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
from gaitbench.towers.config import TowerInfo

if TYPE_CHECKING:
    from gaitbench.frozen import FrozenFeatures
    from gaitbench.recipe import Stage

__all__ = [
    "ClosedFormModel",
    "Decision",
    "GaitBatch",
    "GaitModel",
    "GaitOutput",
    "InputSpec",
    "attributes_of",
    "clips_of",
    "labels_of",
    "logits_of",
]

Decision = Literal["threshold", "argmax"]
"""How the logits of an attribute become labels. ``threshold``: each class by itself, positive where its logit is above
0, so that several classes may be told, or none. ``argmax``: the class with the largest one."""


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
    is_for_training: bool = False
    """True for what only losses look at, such as masks that supervise: test sequences are embedded without it."""


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

    A config that has a field ``num_classes`` receives the number of training subjects from the runner, and one that has
    a field ``attributes`` the schema of the training data (:class:`gaitbench.card.Attribute`); the config is stored
    whole in the record and rebuilds the model.
    """

    padding: Literal["masked", "refused"] = "refused"
    """``masked``: padded frames change nothing, so that sequences of different lengths share a batch."""
    beyond_features: tuple[str, ...] = ()
    """Names of the modules that come after :meth:`part_features`; a model that wears another head goes without them."""
    needs_own_losses: bool = False
    """Whether modules before :meth:`part_features` need this model's own losses to learn: it wears no other head."""

    def __init__(self, config: BaseModel) -> None:
        super().__init__()
        self.config = config

    @property
    @abstractmethod
    def inputs(self) -> tuple[InputSpec, ...]:
        """The input contract, one entry per modality."""

    @property
    def towers(self) -> tuple[TowerInfo, ...]:
        """Encoders of others that this model borrows, for the record and the tables.

        Those among its modules are found by themselves. A model that keeps only what a tower gave names it here.
        """
        found = (getattr(module, "info", None) for module in self.modules())
        # A part that wraps a tower may tell of it as well.
        return tuple(dict.fromkeys(info for info in found if isinstance(info, TowerInfo)))

    @property
    def model_inside(self) -> "GaitModel | None":
        """The model inside, of one that only wears another head; weights to start from may be those of it alone."""
        return None

    @property
    def frozen_features(self) -> "FrozenFeatures | None":
        """What this model computes of single frames without a trainable parameter, and may be kept; None for nothing.

        A model that has some reads them with :meth:`gaitbench.frozen.FrozenFeatures.of`. With ``run --feature-cache``
        a batch holds them in place of the frames.
        """
        return None

    @property
    def fusions(self) -> tuple[tuple[str, ...], ...]:
        """Sets of input modalities that it embeds as one, into the space in which each alone lies; () for none.

        Two modalities or more in each. Tasks that compare modalities ask about these sets too.
        """
        return ()

    @property
    def decides(self) -> Decision:
        """How its attribute logits become labels in the attribute task."""
        return "argmax"

    @abstractmethod
    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed a batch.

        In training the batch holds every input modality. At test time it holds those that the task asks for, so a
        cross-modal model is called with one modality at a time and returns that modality's embedding, or with one of
        its :attr:`fusions`.
        """

    def part_features(self, batch: GaitBatch) -> Tensor:
        """``[N, C, P]``: what the head of another task goes on from, in training and testing; by default the embedding.

        A model whose published backbone ends before its embedding gives the features there, and names what comes after
        in :attr:`beyond_features`.
        """
        output: GaitOutput = self(batch)
        return output.embedding

    @classmethod
    def without_mirroring(cls, config: BaseModel) -> BaseModel:
        """Its configuration without any change of training clips that exchanges left and right.

        Tasks whose labels tell the sides apart ask for it. A model that augments its own input overrides this; flips of
        the recipe are not its business.
        """
        return config

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

    def seal(self) -> None:
        """Drop what only training needs, for good: called after the last stage, before the weights are saved.

        Embeddings must stay as they are, to the last bit where possible. The saved weights are those of the sealed
        model. The default drops nothing.
        """

    def take_form_of(self, weights: Mapping[str, Tensor]) -> None:
        """Take the form that weights belong to, before they are loaded.

        A model that :meth:`seal` changes drops the same parts here when the names of the weights say that they are
        those of a sealed one. The default does nothing.

        Args:
            weights: Name to tensor, of a whole state.
        """


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


def attributes_of(batch: GaitBatch) -> Tensor:
    """``[N, A]`` int64 attribute classes of a batch, -1 where unknown, for a loss.

    Raises:
        ModelError: The batch has none.
    """
    if batch.attributes is None:
        raise ModelError("losses need attributes, and this batch has none; train on data whose card declares some")
    return batch.attributes


def clips_of(batch: GaitBatch, modality: str) -> tuple[Tensor, Tensor]:
    """Take the clips of one raster modality out of a batch.

    Args:
        batch: Any batch.
        modality: The stream that the model reads.

    Returns:
        Clips ``[N, C, T, H, W]`` as they are, and the real frames of each ``[N]``.

    Raises:
        ModelError: The batch does not hold the modality.
        ShapeError: The clips are not ``[N, C, T, H, W]`` with a clip or more, or not every clip has a number of real
            frames from 1 to T. Numbers on a GPU are believed, as looking at them would stall it.
    """
    if modality not in batch.inputs:
        raise ModelError(f"the batch holds {', '.join(batch.inputs) or 'nothing'}, but the model reads {modality}")
    clips, num_frames = batch.inputs[modality], batch.num_frames[modality]
    if clips.dim() != 5 or not len(clips):
        raise ShapeError(f"clips must be [N, C, T, H, W], got {list(clips.shape)}")
    if num_frames.shape != clips.shape[:1]:
        raise ShapeError(
            f"num_frames of {modality} must be one number for each of {len(clips)} clips, got {list(num_frames.shape)}"
        )
    is_seen = num_frames.device.type == "cpu" and not torch.compiler.is_compiling()
    if is_seen and (num_frames.lt(1) | num_frames.gt(clips.shape[2])).any():
        raise ShapeError(f"num_frames of {modality} must be from 1 to T = {clips.shape[2]}, got {num_frames.tolist()}")
    return clips, num_frames


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
