"""Everything about SG-CrossGait that can be chosen: its ablations, and what its public material leaves open."""

import re
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import BaseModel, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from gaitbench.card import Attribute
from gaitbench.described import Describing, Description
from gaitbench.errors import UsageError
from gaitbench.layers import check_strips
from gaitbench.towers.config import HASHING, TowerConfig
from gaitbench.towers.frame_encoder import Size
from gaitbench_sgcrossgait.texts import (
    VIEWPOINT,
    AnnotationFile,
    Told,
    Wording,
    told_by_annotations,
    told_by_attributes,
    told_by_views,
)

if TYPE_CHECKING:
    from gaitbench.dataset import GaitDataset

__all__ = ["MODALITIES", "SgCrossGaitConfig"]

_Source = Literal["annotations", "attributes", "views"]

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_SIDE = re.compile(r"(left|right)(hand(ed)?|sided?|wards?|most)?", re.IGNORECASE)

MODALITIES = ("silhouette", "lidar-depth")
"""What the model compares: 2D first, then 3D."""


class SgCrossGaitConfig(BaseModel, Describing, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes and switches of SG-CrossGait; the defaults are those of the full method, with untrained towers.

    Example:
        >>> SgCrossGaitConfig().map_px, SgCrossGaitConfig().width
        ((16, 16), 512)
        >>> SgCrossGaitConfig(heads=3)
        Traceback (most recent call last):
        pydantic_core._pydantic_core.ValidationError: ... heads 3 must divide the width 512 of the features ...
    """

    height_px: PositiveInt = 64
    """Rows of both inputs."""
    width_px: PositiveInt = 64
    """Columns of both inputs."""
    encoding: Literal["jet3", "gray1"] = "jet3"
    """How a range image enters: three false-colour channels as published, or one channel."""

    source: Literal["auto", "annotations", "attributes", "views"] = "auto"
    """Where texts and attribute labels of the training sequences come from: the file in ``annotations``; the labels
    that the dataset itself declares, in sentences of ours; or nothing but the view. ``auto``: the file where one is
    given, views where not, so that the model trains without annotations; the record says which it was."""
    annotations: AnnotationFile | None = None
    """Path of a file of ``gaitbench annotate --schema gdf``. Only what it says of training sequences is read."""
    wording: Wording = "factors"
    """What of an annotation is put into its sentence; the log tells of one text per sequence, not of its words."""
    attributes_told: tuple[str, ...] = ()
    """Attributes that ``source=attributes`` tells of; none for all."""
    sentences: tuple[str, ...] = ()
    """All texts of the training sequences, each once; the runner sets them."""
    attributes: tuple[Attribute, ...] = ()
    """What the heads learn to tell; the runner sets them."""
    has_text: bool = True
    """False for the ablation without texts: no prototype space, no guidance, no alignment."""
    has_mt: bool = True
    """False for the ablation without multi-task training: no attribute is told."""
    has_viewpoint: bool = True
    """Whether the direction of the walk is among the attributes that are told; the list of factors has it."""
    text: TowerConfig = TowerConfig(architecture="ViT-B-16")
    """CLIP's text tower, which stays outside: its vectors are computed once. The log counts too few parameters for it,
    and 512 in the name of its data folder is the width of this one."""

    image: TowerConfig = TowerConfig(architecture="open_clip:ViT-B-16")
    """CLIP's image tower; its size fits the parameters that the log counts."""
    image_px: Size = (64, 64)
    """Rows and columns that frames are brought to for the tower."""
    is_image_trained: bool = False
    """True for an untrained tower that learns with the model; False leaves the tower as it is."""
    channels: tuple[PositiveInt, ...] = (64, 128, 256, 512)
    """Width of the residual stages of either sensor; the last one is d, the width of everything behind."""
    strides: tuple[PositiveInt, ...] = (1, 2, 2, 1)
    """Stride of the stages."""
    num_blocks: tuple[PositiveInt, ...] = (1, 1, 1, 1)
    """Residual blocks of the stages."""
    stem_stride: Literal[1, 2] = 1
    """Stride of the first convolutions: 1 as published; 2 quarters the cost of training."""

    has_dcf: bool = True
    """False for the ablation without fusion: CLIP's image tower is not used at all."""
    heads: PositiveInt = 8
    """Of all attention; only its place in the method is public."""
    num_layers: PositiveInt = 1
    """Layers of the fusion, each with attention in both directions."""
    ffn_factor: PositiveInt = 4
    """Inner width of the feed-forward networks, in units of d."""
    fusion_sharing: Literal["shared", "own"] = "shared"
    """Whether both sensors go through one fusion, or each through its own; the log's parameters fit neither. Like DCF's
    sizes, it says nothing where there is no DCF."""

    has_sgfd: bool = True
    """False for the ablation without decoupling: the fused feature is what is shared, nothing is specific."""
    guidance: Literal["subject", "sequence", "batch", "none"] = "subject"
    """Whose texts the shared feature attends to in training: those of its subject in the batch, of the walk alone, or
    all of the batch. What attends feeds a loss of its own (``guided``) and never an embedding: a text that entered
    both sensors' embeddings would match them by itself, and test sequences have none here."""
    tau: PositiveFloat = 0.07
    """What cosines of features and texts are divided by, at the start. The log's alignment loss never moves, which is
    what a temperature of 1 does."""
    is_tau_learned: bool = True
    """False keeps the temperature as it is."""
    max_scale: PositiveFloat = 100.0
    """Bound of 1 / tau."""
    positives: Literal["text-or-subject", "text", "subject"] = "text-or-subject"
    """Which pairs the alignment calls positive; the log's constant fits about 14 of 64."""
    kl_temperature: PositiveFloat = 4.0
    """Of the identity distributions whose divergence between the sensors is a loss; the log names the loss alone."""

    embedding_width: PositiveInt = 256
    """D."""
    bins: tuple[PositiveInt, ...] = (16,)
    """Strips per scale; P is their sum."""
    num_classes: PositiveInt = 250
    """Training subjects; the runner sets it."""
    margin: NonNegativeFloat = 0.2
    """Margin of the triplet losses."""
    logit_scale: PositiveFloat = 16.0
    """Factor on the cosines in the cross-entropy."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Share of the target spread over all classes, of identities and of modalities: the log's floor of 0.2 for two
    classes says 0.1."""

    @property
    def width(self) -> int:
        """Channels d of all features."""
        return self.channels[-1]

    @property
    def map_px(self) -> tuple[int, int]:
        """Rows and columns of all maps in front of the strips."""
        rows, columns = self.height_px, self.width_px
        for stride in (self.stem_stride, *self.strides):
            rows, columns = -(-rows // stride), -(-columns // stride)
        return rows, columns

    @property
    def has_bank(self) -> bool:
        """Whether there are texts."""
        return self.has_text and bool(self.sentences)

    @property
    def is_guided(self) -> bool:
        """Whether the shared feature attends to texts in training."""
        return self.has_bank and self.has_sgfd and self.guidance != "none"

    @property
    def tells_sides(self) -> str:
        """The first text, attribute or class that tells left from right: wrong of a mirrored walk; empty for none."""
        named = [(each.name, each.title, *each.classes) for each in self.attributes if self.has_mt]
        told = [*(self.sentences if self.has_text else ()), *(words for names in named for words in names)]
        return next((words for words in told if any(map(_SIDE.fullmatch, _WORD.findall(words)))), "")

    def described(self, data: "GaitDataset") -> Description:
        """Tell of training sequences what ``source`` says.

        The values are those of :attr:`attributes`, then the number of the sentence; without texts, without multi-task
        training, as much less.

        Raises:
            UsageError: The source is not there, what was chosen of it is of another source, or no attribute is left.
            DatasetError: The source cannot be used.
        """
        source = self._source()
        if not (self.has_text or self.has_mt):
            nothing = {"source": source, "sentences": (), "attributes": ()}
            return Description(self.model_copy(update=nothing), np.empty((len(data), 0), np.int64))
        told = self._told(data, source)
        columns = [column for column, each in enumerate(told.schema) if self._is_told(each)]
        if self.has_mt and not columns:
            raise UsageError(
                f"source={source} tells of nothing but the viewpoint, and has_viewpoint=false leaves no attribute to "
                "tell; set has_mt=false, or take another source"
            )
        values = [told.classes[:, columns]]
        if self.has_text:
            values.append(told.sentence[:, None])
        known = {
            "source": source,
            "sentences": told.sentences if self.has_text else (),
            "attributes": tuple(told.schema[column] for column in columns),
        }
        return Description(type(self).model_validate({**dict(self), **known}), np.concatenate(values, axis=1))

    def _is_told(self, attribute: Attribute) -> bool:
        return self.has_mt and (self.has_viewpoint or attribute.name != VIEWPOINT.name)

    def _source(self) -> _Source:
        if self.source == "auto":
            return "views" if self.annotations is None else "annotations"
        return self.source

    def _told(self, data: "GaitDataset", source: _Source) -> Told:
        if source != "attributes" and self.attributes_told:
            raise UsageError(
                f"source={source} does not read attributes_told={list(self.attributes_told)}; set source=attributes, "
                "or leave attributes_told out"
            )
        if source != "annotations" and self.wording != "factors":
            raise UsageError(
                f"source={source} does not read wording={self.wording}, which is of an annotation file; name one "
                "(--set annotations=FILE), or leave wording out"
            )
        if source == "annotations":
            if self.annotations is None:
                raise UsageError("source=annotations needs a file; name it: --set annotations=FILE")
            return told_by_annotations(data, self.annotations, self.wording)
        if self.annotations is not None:
            raise UsageError(f"source={source} does not read {self.annotations.path}; leave one of them out")
        return told_by_attributes(data, self.attributes_told) if source == "attributes" else told_by_views(data)

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse what contradicts itself, and sizes that do not fit."""
        is_guided = self.has_text and self.has_sgfd
        choices = (
            ("guidance", self.guidance in ("sequence", "batch"), is_guided, "texts that guide SGFD"),
            ("annotations", self.annotations is not None, self.has_text or self.has_mt, "texts and MT"),
        )
        for name, is_chosen, is_there, part in choices:
            if is_chosen and not is_there:
                raise ValueError(f"{name} is about {part}, which is switched off; leave {name} out")
        if self.image.architecture == HASHING:
            raise ValueError("the hashing encoder reads sentences; image is a network such as open_clip:ViT-B-16")
        if self.is_image_trained and self.image.weights != "untrained":
            raise ValueError(
                "is_image_trained is for untrained towers, and published weights stay as they are; set "
                "is_image_trained=false"
            )
        if not len(self.channels) == len(self.strides) == len(self.num_blocks):
            raise ValueError(
                f"channels {list(self.channels)}, strides {list(self.strides)} and num_blocks {list(self.num_blocks)} "
                "must name the same stages"
            )
        size = self.height_px, self.width_px
        check_strips(size, (self.channels[0], *self.channels), (self.stem_stride, *self.strides), self.bins)
        if self.width % self.heads:
            raise ValueError(f"heads {self.heads} must divide the width {self.width} of the features")
        return self
