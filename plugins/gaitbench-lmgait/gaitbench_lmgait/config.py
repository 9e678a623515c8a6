"""Everything about LMGait that can be chosen: its ablations, and what its paper leaves open."""

from typing import Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from gaitbench.layers import FrameForm, MaskUse, check_strips
from gaitbench.towers.config import HASHING, TowerConfig
from gaitbench.towers.frame_encoder import DINOV2_SMALL, FrameEncoderConfig, Size
from gaitbench_lmgait.prompt_file import PromptFile
from gaitbench_lmgait.prompts import PromptKind, sentences_of

__all__ = ["CLIP_IMAGE", "LEAST_TAU", "LMGaitConfig", "TextConfig"]

CLIP_IMAGE = TowerConfig(
    architecture="open_clip:ViT-B-16",
    weights="pretrained",
    tag="openai",
    revision="977e3dd0ec55ab8da155f2fbeb6b5f54948b6e3d",
)
"""CLIP's image tower as published, which the paper's table 7 puts in DINOv2's place."""

LEAST_TAU = 0.01
"""What likeness is divided by stays above it, so that the attention keeps a slope."""

_IMAGE_TOWERS = {"dinov2": DINOV2_SMALL, "clip": CLIP_IMAGE}


class TextConfig(FrameEncoderConfig, frozen=True):
    """The text side and what it does to the image tower's maps. ``image`` may be ``dinov2`` or ``clip``, as published.

    Example:
        >>> TextConfig(image="clip").image.architecture
        'open_clip:ViT-B-16'
    """

    has_text: bool = True
    """False leaves the maps as the image tower gives them (the paper's ablation)."""
    text: TowerConfig = TowerConfig(architecture="ViT-B-32")
    """CLIP's text tower."""
    prompt: PromptKind = "correct"
    """Which text it reads."""
    prompt_seed: NonNegativeInt = 0
    """Draws random texts; with :attr:`prompts_file` the number of the round, from 0."""
    prompts: tuple[str, ...] = ()
    """Sentences of one's own, in place of the correct ones; the vectors of several are averaged."""
    prompts_file: PromptFile | None = None
    """Sentences of an LLM, in place of the correct ones: the path of a file of ``gaitbench annotate --schema prompts``.
    All of its sentences are read, or with ``prompt=random`` those of one round."""
    text_positions: Literal["as-tower", "sinusoidal"] = "as-tower"
    """Positions of the tokens: the tower's table, or fixed sines for a tower that has learned nothing."""
    is_text_projected: bool = False
    """Whether CLIP's own projection comes before ours."""
    text_form: Literal["vector", "tokens"] = "vector"
    """What of a text is compared with the image: its end-of-text token, or all tokens, of which the best one counts."""
    has_mam: bool = True
    """Whether motion awareness modules follow the layers of the text tower."""
    mam_layers: tuple[PositiveInt, ...] = ()
    """Layers that one follows, counted from 1; empty for all."""
    mam_rank: PositiveInt = 64
    """r, width within a module."""
    mam_activation: Literal["gelu", "relu"] = "gelu"
    """phi."""
    mam_start: Literal["zero", "xavier"] = "zero"
    """How W_u starts; at zero the first step sees CLIP's own vector."""
    has_mam_gate: bool = False
    """Whether the image gates what a module adds. The text then depends on the video, and cannot be stored."""
    attention: Literal["spatial", "channel-gate"] = "spatial"
    """A weight for every pixel by its likeness to the text, or one for every channel by the text alone."""
    attention_use: Literal["residual", "product"] = "residual"
    """f (1 + M) or f M."""
    attended: Literal["both", "last", "layers"] = "both"
    """Which maps are weighed: the last one, which the decoder reads, the stacked layers, or both."""
    tau: float = Field(0.07, gt=LEAST_TAU)
    """What likeness is divided by at the start."""
    is_tau_learned: bool = True
    """Whether training changes it."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the text tower reads."""
        if self.prompts_file is None:
            return self.prompts or sentences_of(self.prompt, self.prompt_seed)
        return self.prompts_file.rounds[self.prompt_seed] if self.prompt == "random" else self.prompts_file.sentences

    @field_validator("image", mode="before")
    @classmethod
    def _name_published(cls, value: object) -> object:
        """Take the short names of the two published image towers."""
        if isinstance(value, str):
            if value not in _IMAGE_TOWERS:
                raise ValueError(f"an image tower is {' or '.join(_IMAGE_TOWERS)}, or the fields of another one")
            return _IMAGE_TOWERS[value]
        return value

    @model_validator(mode="after")
    def _check_prompts(self) -> Self:
        """Refuse texts that would not be read."""
        given = [name for name in ("prompts", "prompts_file") if getattr(self, name)]
        if not self.has_text and (unread := [*given, *(["prompt"] if self.prompt != "correct" else [])]):
            raise ValueError(f"has_text=false reads no text: leave {' and '.join(unread)} out, or set has_text=true")
        if len(given) > 1:
            raise ValueError("prompts and prompts_file both say what is read; give one of them")
        if (self.prompt == "wrong" and given) or (self.prompt == "random" and self.prompts):
            raise ValueError(f"{given[0]} would not be read with prompt={self.prompt!r}; leave one of the two out")
        if self.prompt != "random" and self.prompt_seed:
            raise ValueError("prompt_seed chooses among random texts; set prompt='random' with it")
        if self.prompts_file and self.prompt_seed >= (count := len(self.prompts_file.rounds)):
            raise ValueError(f"prompt_seed is the number of a round of prompts_file, from 0 to {count - 1}")
        return self

    @model_validator(mode="after")
    def _check_text(self) -> Self:
        """Refuse what contradicts itself."""
        if self.text.architecture == HASHING:
            raise ValueError("LMGait's modules sit between a text tower's layers, and the hashing encoder has none")
        if self.text_positions == "sinusoidal" and self.text.weights != "untrained":
            raise ValueError("trained text towers need the positions that they were trained with: 'as-tower'")
        if self.has_mam_gate and self.text_form == "tokens":
            raise ValueError("a gated text is one vector per video; use text_form='vector'")
        for name in ("has_mam_gate", "mam_layers"):
            if getattr(self, name) and not (self.has_mam and self.has_text):
                raise ValueError(f"{name} is about motion awareness modules; switch them on with has_mam and has_text")
        return self


class LMGaitConfig(TextConfig, frozen=True):
    """Sizes and switches of LMGait; the defaults are those for CCPG, with untrained towers."""

    map_px: Size = (64, 32)
    """Rows and columns of the maps behind the towers."""
    decoder_features: Literal["last", "layers"] = "last"
    """What the decoder finds the person in."""
    decoder_dropout: float = Field(0.5, ge=0, lt=1)
    """Share of features that the decoder does without in training."""
    is_auto_swapped: bool = False
    """True tells the person's channel by the image's border, as BigGait does without labels; else it is the second."""
    border_rows: PositiveInt = 5
    """Rows at the top and bottom that :attr:`is_auto_swapped` looks at."""
    mask_use: MaskUse = "closed"
    """What the person's probability becomes before features are multiplied by it."""
    has_mask_gradient: bool = False
    """Whether the branch's losses reach the decoder through that product."""
    silhouette_px: Size = (128, 128)
    """Rows and columns of the silhouettes (``silhouette-raw``) that the decoder learns from."""
    silhouette_form: FrameForm = "stretched"
    """What they show; see :attr:`rgb_form`."""
    silhouette_threshold: float = Field(0.5, ge=0, lt=1)
    """Above it a pixel belongs to the person."""
    branch_width: PositiveInt = 64
    """Channels within the ResNet branch."""
    out_channels: PositiveInt = 16
    """C, channels of the representation."""
    two_stream: bool = False
    """Whether BigGait's appearance stream is kept beside the representation."""
    black: float = Field(0.2, ge=0, le=1)
    """With two streams: share of training sequences that lose one of them."""
    smoothness_channels: Literal["all-but-last", "all"] = "all-but-last"
    """Channels of the representation that are to be smooth."""
    diversity: Literal["channels", "spatial-entropy"] = "channels"
    """What the diversity loss asks for: that all channels are used alike, or what the paper's formula says."""
    temporal: Literal["mtcm", "conv3d", "none"] = "mtcm"
    """What looks along time: the motion temporal capture module, one 3D convolution, or nothing."""
    has_pte: bool = True
    """Whether the module has its branch of single pixels over time."""
    has_rte: bool = True
    """Whether it has its branch of differences between frames."""
    has_pte_conv: bool = True
    """Whether the branch of single pixels convolves along time, or hands the frames on as they are."""
    has_rte_difference: bool = True
    """Whether the branch of differences takes differences, or convolves the frames themselves."""
    has_rte_conv: bool = True
    """Whether the branch of differences convolves them, or hands them on as they are."""
    fusion: Literal["conv", "sum"] = "conv"
    """How the branches become one: stacked and convolved, or added."""
    last_difference: Literal["zero", "repeat"] = "zero"
    """What stands for the difference that the last frame has no successor for."""
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
    def _check_time(self) -> Self:
        """Refuse a module without branches, and switches of parts that are not there."""
        changed = [name for name in _OF_MODULE if getattr(self, name) != type(self).model_fields[name].default]
        if self.temporal != "mtcm":
            if changed:
                raise ValueError(
                    f"part of the motion module, which is not there: {', '.join(changed)}; leave it out, or set "
                    "temporal='mtcm'"
                )
            return self
        if not (self.has_pte or self.has_rte):
            raise ValueError("the motion module needs has_pte or has_rte; temporal='none' does without it")
        for branch in ("pte", "rte"):
            parts = [name for name in changed if name in _OF_BRANCH[branch]]
            if parts and not getattr(self, f"has_{branch}"):
                raise ValueError(f"has_{branch}=false has no {' and '.join(parts)}; leave them out")
        if not (self.has_rte_difference or self.has_rte_conv):
            raise ValueError(
                "without has_rte_difference and has_rte_conv nothing is left of the branch; set has_rte=false"
            )
        if self.last_difference != "zero" and not self.has_rte_difference:
            raise ValueError("last_difference is about differences; set has_rte_difference=true with it")
        return self

    @model_validator(mode="after")
    def _check_maps(self) -> Self:
        """Refuse sizes that do not fit, weights that nothing reads, and gradients that cannot flow."""
        if self.has_text and self.attended == "last" and self.decoder_features == "layers":
            raise ValueError("attended='last' weighs a map that decoder_features='layers' leaves unread; change one")
        check_strips(self.map_px, self.channels, self.strides, self.bins)
        if self.is_auto_swapped and self.map_px[0] < 2 * self.border_rows:
            raise ValueError(
                f"border_rows {self.border_rows} at the top and bottom are more than the {self.map_px[0]} rows of "
                "map_px; choose fewer"
            )
        if self.has_mask_gradient and self.mask_use in ("core", "rounded"):
            raise ValueError(f"no gradient passes mask_use={self.mask_use!r}; has_mask_gradient needs closed or soft")
        return self


_OF_BRANCH = {"pte": ("has_pte_conv",), "rte": ("has_rte_difference", "has_rte_conv", "last_difference")}
_OF_MODULE = ("has_pte", "has_rte", *_OF_BRANCH["pte"], *_OF_BRANCH["rte"], "fusion")
