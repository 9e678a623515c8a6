"""Everything about LMGait that can be chosen: its ablations, and what its paper leaves open."""

from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from gaitbench.layers import FrameForm, MaskUse
from gaitbench.towers.config import HASHING, TowerConfig
from gaitbench.towers.frame_encoder import FrameEncoderConfig, Size
from gaitbench_lmgait.prompts import PromptKind, sentences_of

__all__ = ["LMGaitConfig", "TextConfig"]


class TextConfig(FrameEncoderConfig, frozen=True):
    """The text side and what it does to the image tower's maps."""

    has_text: bool = True
    """False leaves the maps as the image tower gives them (the paper's ablation)."""
    text: TowerConfig = TowerConfig(architecture="ViT-B-32")
    """CLIP's text tower."""
    prompt: PromptKind = "correct"
    """Which text it reads."""
    prompt_seed: NonNegativeInt = 0
    """Draws random texts."""
    prompts: tuple[str, ...] = ()
    """Sentences of one's own, in place of those of :attr:`prompt`; the vectors of several are averaged."""
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
    tau: PositiveFloat = 0.07
    """What likeness is divided by at the start."""
    is_tau_learned: bool = True
    """Whether training changes it."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the text tower reads."""
        return self.prompts or sentences_of(self.prompt, self.prompt_seed)

    @model_validator(mode="after")
    def _check_text(self) -> Self:
        """Refuse what contradicts itself."""
        if self.text.architecture == HASHING:
            raise ValueError("LMGait's modules sit between a text tower's layers, and the hashing encoder has none")
        if self.text_positions == "sinusoidal" and self.text.weights != "untrained":
            raise ValueError("trained text towers need the positions that they were trained with: 'as-tower'")
        if self.has_mam_gate and self.text_form == "tokens":
            raise ValueError("a gated text is one vector per video; use text_form='vector'")
        if self.has_mam_gate and not self.has_mam:
            raise ValueError("has_mam_gate gates what motion awareness modules add; switch them on with has_mam")
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
    label_smoothing: NonNegativeFloat = 0.1
    """Share of the target spread over all classes."""

    @model_validator(mode="after")
    def _check_time(self) -> Self:
        """Refuse a module without branches."""
        if self.temporal == "mtcm" and not (self.has_pte or self.has_rte):
            raise ValueError("the motion module needs has_pte or has_rte; temporal='none' does without it")
        return self
