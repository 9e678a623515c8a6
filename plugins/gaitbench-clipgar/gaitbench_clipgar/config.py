"""Everything about CLIP-GAR that can be chosen: its ablations, and what its paper leaves open."""

from typing import Literal, Self

from pydantic import BaseModel, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from gaitbench.card import Attribute
from gaitbench.layers import check_strips
from gaitbench.layers.residual_3d import BlockKind
from gaitbench.model import Decision
from gaitbench.towers.config import HASHING, TowerConfig
from gaitbench.towers.frame_encoder import Size
from gaitbench_clipgar.sentences import TEMPLATE, check_template, sentences_of
from gaitbench_clipgar.words import WordsOf

__all__ = ["ClipGarConfig"]


class ClipGarConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes and switches of CLIP-GAR; the defaults are those for RA-GAR, with untrained towers."""

    attributes: tuple[Attribute, ...] = ()
    """What is told; the runner sets it. Empty for a model without sentences, which can be asked what it reads."""
    scored: Literal["align", "fusion"] = "fusion"
    """``align``: the sentence that an attribute's features are most like, as after the first stage; there is no second
    one then. ``fusion``: what the heads behind the fusion tell."""
    encoder: Literal["gait", "clip"] = "gait"
    """``clip``: CLIP's own image encoder on every frame, in place of the gait encoder (``align`` only)."""
    text: TowerConfig = TowerConfig(architecture="RN50")
    """The text encoder; its weights stay as they are."""
    template: str = TEMPLATE
    """Of sentences, with the slots region, verb and word."""
    words: WordsOf = "ra-gar"
    """Whose regions and verbs are filled in; attributes without any are called by their title."""
    sentences: dict[str, tuple[str, ...]] = {}
    """Attribute to whole sentences of its classes, in place of those by template."""
    height_px: PositiveInt = 64
    """Rows of the silhouettes."""
    width_px: PositiveInt = 44
    """Columns of the silhouettes."""
    mode: BlockKind = "3d"
    """Kind of blocks in the gait encoder's stages 2 to 4."""
    channels: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (64, 128, 256, 512)
    """Width of the stages; the last one is c."""
    strides: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (1, 2, 2, 1)
    """Stride of the stages in space."""
    num_blocks: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (1, 2, 2, 1)
    """Residual blocks of the stages."""
    stem_stride: Literal[1, 2] = 1
    """Stride of the first convolution: 1 as published; 2 quarters the cost of training."""
    bins: tuple[PositiveInt, ...] = (8,)
    """Strips per scale; their sum is the number of parts."""
    image: TowerConfig = TowerConfig(architecture="open_clip:RN50")
    """CLIP's image encoder, where it takes the gait encoder's place."""
    image_px: Size = (224, 224)
    """Rows and columns that its frames are brought to, with their proportions."""
    is_image_trained: bool = False
    """Whether it is fine-tuned."""
    likeness: Literal["mean-of-cosines", "cosine-of-mean"] = "mean-of-cosines"
    """How several parts are compared with one sentence: by the mean of their cosines, or by their mean."""
    tau: PositiveFloat = 0.07
    """What cosines are divided by at the start."""
    is_tau_learned: bool = True
    """Whether the first stage changes it."""
    max_scale: PositiveFloat = 100.0
    """Largest factor on cosines, whatever is learned."""
    fused: Literal["encoder", "theta"] = "encoder"
    """Visual tokens of the fusion: parts as the encoder gives them, or as they are compared with sentences."""
    is_text_normalised: bool = False
    """Whether sentences enter the fusion with unit length."""
    has_types: bool = True
    """Whether tokens are told to be text or vision."""
    has_positions: bool = True
    """Whether visual tokens are told their part."""
    num_layers: PositiveInt = 1
    """Transformer blocks of the fusion."""
    heads: PositiveInt = 8
    """Of their attention."""
    feedforward: PositiveInt = 4
    """Inner width of a block, as a multiple of the tokens' width."""
    is_pre_norm: bool = True
    """Whether a block normalises what goes in, or what comes out."""
    has_last_norm: bool = False
    """Whether tokens are normalised once more in front of the heads."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of numbers that the blocks do without in training."""
    weighting: Literal["none", "exp-share"] = "none"
    """Whether rare labels count more in the second stage."""
    decision: Decision = "threshold"
    """How the heads' logits become labels; what is most like a sentence is always one class of each attribute."""

    @field_validator("template")
    @classmethod
    def _check_template(cls, template: str) -> str:
        check_template(template)
        return template

    @field_validator("bins")
    @classmethod
    def _some(cls, bins: tuple[int, ...]) -> tuple[int, ...]:
        if not bins:
            raise ValueError("bins must name a number of strips, such as [8]")
        return bins

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse what contradicts itself, before anything slow."""
        if self.encoder == "clip" and self.scored == "fusion":
            raise ValueError("CLIP's image encoder is compared with sentences alone; use scored='align' with it")
        if self.encoder == "clip" and self.image.architecture == HASHING:
            raise ValueError("the hashing encoder reads sentences; image is a network such as open_clip:RN50")
        if self.is_image_trained and self.encoder != "clip":
            raise ValueError("is_image_trained is about CLIP's image encoder; choose it with encoder='clip'")
        if self.scored == "fusion" and self.fused == "encoder" and self.channels[-1] % self.heads:
            raise ValueError(f"heads {self.heads} must divide the width {self.channels[-1]} of the tokens")
        if self.encoder == "gait":
            size = (self.height_px, self.width_px)
            check_strips(size, (self.channels[0], *self.channels), (self.stem_stride, *self.strides), self.bins)
        if self.attributes:
            self.all_sentences()
        return self

    @property
    def num_classes_each(self) -> tuple[int, ...]:
        """``[A]`` classes of each attribute."""
        return tuple(len(attribute.classes) for attribute in self.attributes)

    def all_sentences(self) -> tuple[str, ...]:
        """A sentence for each class of each attribute, in the order of the schema.

        Raises:
            ValueError: Sentences of one's own do not fit the schema.
        """
        return sentences_of(self.attributes, template=self.template, words=self.words, own=self.sentences)
