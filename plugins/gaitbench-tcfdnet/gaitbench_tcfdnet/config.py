"""Everything about TCFDNet that can be chosen: its ablations, and what its paper leaves open."""

from typing import Literal, Self

from pydantic import BaseModel, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from gaitbench.layers import check_strips
from gaitbench.towers.config import HASHING, TowerConfig
from gaitbench.towers.frame_encoder import Size
from gaitbench_tcfdnet.dictionary import SHIPPED, Dictionary, read_dictionary

__all__ = ["TcfdNetConfig"]


def _shipped() -> Dictionary:
    return read_dictionary(SHIPPED)


class TcfdNetConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes and switches of TCFDNet; the defaults are the published ones, with untrained towers.

    Example:
        >>> TcfdNetConfig().map_px, TcfdNetConfig().dictionary.num_each
        ((16, 16), 64)
        >>> TcfdNetConfig(num_retrieved=100)
        Traceback (most recent call last):
        pydantic_core._pydantic_core.ValidationError: ... there are 64 sentences of each modality; ...
    """

    height_px: PositiveInt = 64
    """Rows of both inputs."""
    width_px: PositiveInt = 64
    """Columns of both inputs."""
    encoding: Literal["jet3", "gray1"] = "jet3"
    """How a range image enters: three false-colour channels as published, or one channel."""

    dictionary: Dictionary = Field(default_factory=_shipped)
    """GMTD: ``shipped``, the path of a file of ``gaitbench annotate --schema gmtd``, or sentences by modality."""
    prototypes: Literal["text", "learned", "none"] = "text"
    """What the part of a modality is put together from. Without GMTD: ``learned``, as many free vectors in place of
    sentences, or ``none``, a linear map of the features themselves. The paper does not say what its row has; both go
    without the alignment loss, as there is no text to align with."""
    text: TowerConfig = TowerConfig(architecture="ViT-B-16")
    """CLIP's text tower; its weights stay as they are."""
    image: TowerConfig = TowerConfig(architecture="open_clip:ViT-B-16")
    """CLIP's image tower. 16 tokens of 512 numbers make it a ViT-B/16 on 64x64 pixels with resampled positions."""
    image_px: Size = (64, 64)
    """Rows and columns that frames are brought to for the tower."""
    is_image_trained: bool = False
    """True for an untrained tower that learns with the model; False leaves the tower as it is."""
    adapter: Literal["plain", "residual"] = "plain"
    """Whether an adapter's output takes the place of what it reads, or is added to it, starting at 0."""
    adapter_width: PositiveInt = 512
    """Inner width of both adapters."""
    retrieval: Literal["adapted", "clip"] = "adapted"
    """Whether class token and sentences are compared behind their adapters, or as CLIP gives them."""
    num_retrieved: PositiveInt = 16
    """k_t, sentences that are kept of a sequence's own modality."""

    channels: tuple[PositiveInt, ...] = (64, 128, 256, 512)
    """Width of the bypass's stages; the last one is d, the width of everything behind."""
    strides: tuple[PositiveInt, ...] = (1, 2, 2, 1)
    """Stride of the stages."""
    num_blocks: tuple[PositiveInt, ...] = (1, 1, 1, 1)
    """Residual blocks of the stages."""
    stem_stride: Literal[1, 2] = 1
    """Stride of the first convolution: 1 as published; 2 quarters the cost of training."""
    sharing: Literal["all", "private-stem", "private-bypass"] = "all"
    """What of the network the sensors have for themselves; notes on the paper speak of a shared visual encoder."""

    has_bypass: bool = True
    """False for the paper's ablation: CLIP's patches, enlarged, are all that there is, and nothing is fused."""
    has_mf: bool = True
    """False leaves the bypass's features without those of CLIP, which then serve the retrieval alone."""
    num_layers: PositiveInt = 2
    """n_l, layers of the fusion."""
    heads: PositiveInt = 8
    """H, of its attention."""
    has_mf_residual: bool = True
    """Whether a layer adds to its input, normalised in front, or replaces it. Replaced, what the bypass sees would
    reach the sum as queries only."""
    has_sw: bool = True
    """Whether places are weighted."""
    sw_width: PositiveInt = 128
    """Channels between the two convolutions of the spatial weighting."""
    sw_activation: Literal["none", "sigmoid"] = "none"
    """What bounds a weight. Without any, as written down, weights start around 1."""

    has_tfd: bool = True
    """False for the paper's ablation: nothing is taken away, and the losses about it are 0."""
    tau: PositiveFloat = 1.0
    """What cosines of places and prototypes are divided by before the softmax; the formula has no temperature."""
    gate_width: PositiveInt = 128
    """Inner width of the gate's MLP."""
    gate_bias: float = -2.0
    """Bias that the gate starts with, so that little is taken away at first."""
    has_fse: bool = True
    """False for the paper's ablation: channels are not weighted."""
    fse_stride: Literal[1, 2] = 2
    """Stride of its convolution: 16x16 to 8x8."""
    fse_width: PositiveInt = 64
    """d', inner width of its MLP."""
    squash: Literal["sigmoid", "softmax"] = "sigmoid"
    """What makes beta of numbers; of two notes on the paper one has each."""

    exchange: float = Field(0.5, ge=0, le=1)
    """Share of training pairs that exchange patches; 0 for none. As everything about it but its name, ours."""
    exchange_grid: Size = (4, 4)
    """Rows and columns of cells."""
    exchange_share: float = Field(0.25, gt=0, le=1)
    """Share of a pair's cells that change places."""

    embedding_width: PositiveInt = 256
    """D."""
    bins: tuple[PositiveInt, ...] = (16,)
    """Strips per scale; P is their sum."""
    num_classes: PositiveInt = 250
    """Training subjects; the runner sets it."""
    margin: NonNegativeFloat = 0.2
    """Margin of the triplet losses."""
    has_within_triplet: bool = False
    """Whether triplets within each modality are added to those across."""
    logit_scale: PositiveFloat = 16.0
    """Factor on the cosines in the cross-entropy."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Share of the target spread over all classes."""
    orthogonality: Literal["absolute", "literal"] = "absolute"
    """Whether the cosine of both parts counts by its size; the formula as printed is least at -1, opposite."""
    hsic_features: Literal["as-is", "unit"] = "as-is"
    """Whether pooled features enter HSIC as they are, or with unit length, which bounds it."""

    @property
    def width(self) -> int:
        """Channels d of all features."""
        return self.channels[-1]

    @property
    def map_px(self) -> tuple[int, int]:
        """Rows h' and columns w' of all maps in front of the strips."""
        rows, columns = self.height_px, self.width_px
        for stride in (self.stem_stride, *self.strides):
            rows, columns = -(-rows // stride), -(-columns // stride)
        return rows, columns

    @property
    def has_tokens(self) -> bool:
        """Whether CLIP's tokens, and with them the adapter, reach the features."""
        return self.has_mf or not self.has_bypass

    @property
    def has_retrieval(self) -> bool:
        """Whether prototypes are chosen for each sequence."""
        return self.has_tfd and self.prototypes != "none"

    @property
    def is_compared_adapted(self) -> bool:
        """Whether class token and prototypes meet behind the adapters."""
        return self.retrieval == "adapted" and self.has_tokens

    @model_validator(mode="after")
    def _check_switches(self) -> Self:
        """Refuse choices about what another switch takes away: a record would tell of what the model does not have."""
        if not (self.has_bypass or self.has_mf):
            raise ValueError(
                "has_bypass=false leaves CLIP's patches alone, and has_mf=false takes them away; leave one of them out"
            )
        choices: tuple[tuple[str, object, bool, str], ...] = (
            ("sharing", "all", self.has_bypass, "the bypass"),
            ("has_mf_residual", True, self.has_bypass and self.has_mf, "the fusion"),
            ("sw_activation", "none", self.has_sw, "the spatial weighting"),
            ("retrieval", "adapted", self.has_retrieval, "retrieval"),
            ("squash", "sigmoid", self.has_fse, "FSE"),
            ("orthogonality", "absolute", self.has_tfd, "TFD"),
            ("hsic_features", "as-is", self.has_tfd, "TFD"),
        )
        for name, usual, is_there, part in choices:
            chosen = getattr(self, name)
            if chosen != usual and not is_there:
                raise ValueError(f"{name}={chosen} is about {part}, which is switched off; leave it out")
        if self.prototypes == "learned" and not self.has_tfd:
            raise ValueError("prototypes=learned is about TFD, which is switched off; leave it out")
        return self

    @model_validator(mode="after")
    def _check_text(self) -> Self:
        """Refuse prototypes that cannot be compared or chosen."""
        if self.image.architecture == HASHING:
            raise ValueError("the hashing encoder reads sentences; image is a network such as open_clip:ViT-B-16")
        if self.is_image_trained and self.image.weights != "untrained":
            raise ValueError(
                "is_image_trained is for untrained towers, and published weights stay as they are; set "
                "is_image_trained=false"
            )
        if self.has_retrieval and self.num_retrieved > self.dictionary.num_each:
            raise ValueError(
                f"num_retrieved {self.num_retrieved}: there are {self.dictionary.num_each} sentences of each modality; "
                "choose fewer, or a dictionary of more rounds"
            )
        if self.has_tfd and self.prototypes == "learned" and not self.is_compared_adapted:
            raise ValueError(
                "learned prototypes are compared with adapted tokens; use retrieval='adapted' and has_mf=true"
            )
        return self

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        """Refuse sizes that do not fit."""
        if not len(self.channels) == len(self.strides) == len(self.num_blocks):
            raise ValueError(
                f"channels {list(self.channels)}, strides {list(self.strides)} and num_blocks {list(self.num_blocks)} "
                "must name the same stages"
            )
        size = self.height_px, self.width_px
        check_strips(size, (self.channels[0], *self.channels), (self.stem_stride, *self.strides), self.bins)
        if self.has_mf and self.width % self.heads:
            raise ValueError(f"heads {self.heads} must divide the width {self.width} of the features")
        if self.exchange and any(pixels % cells for pixels, cells in zip(size, self.exchange_grid, strict=True)):
            raise ValueError(
                f"frames of {size[0]}x{size[1]} cannot be cut into {self.exchange_grid[0]}x{self.exchange_grid[1]} "
                "equal cells; change exchange_grid, or set exchange=0"
            )
        return self
