"""From colour clips to maps of features: crops brought to size, an image tower, or features that were kept.

Axes: N clips, C channels, T frames, H rows, W columns, K real frames of all clips, D width of the tower, L layers,
h rows and w columns of tokens.
"""

from functools import partial
from typing import Literal, NamedTuple, Self

import torch
from pydantic import BaseModel, Field, PositiveInt, model_validator
from torch import Tensor, nn

from gaitbench.errors import ModelError, ShapeError
from gaitbench.frozen import FeatureDtype, FrozenFeatures
from gaitbench.layers import FrameForm, RealFrames, fit_frame
from gaitbench.model import GaitBatch, InputSpec
from gaitbench.towers.borrowed import Borrowed
from gaitbench.towers.config import TowerConfig, TowerInfo
from gaitbench.towers.image import ImageTower

__all__ = ["DINOV2_SMALL", "FrameEncoder", "FrameEncoderConfig", "FrameMaps", "Size"]

DINOV2_SMALL = TowerConfig(
    architecture="vit_small_patch14_dinov2.lvd142m",
    weights="pretrained",
    revision="4610ca143709d58a633b6397a74412c2c3842454",
)
"""DINOv2's small vision transformer as published, the tower of BigGait: 88,240,510 bytes of model.safetensors."""

_RGB, _RATIO, _FEATURES = "rgb", "aspect-ratio", "rgb:features"
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Size = tuple[PositiveInt, PositiveInt]
"""Rows and columns."""


class FrameEncoderConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which colour crops are read, and by which image tower; the defaults are those of the BigGait family."""

    image: TowerConfig = TowerConfig(architecture="vit_small_patch14_dinov2.lvd142m")
    """The image tower."""
    is_image_trained: bool = False
    """True for an untrained tower that learns with the model; False leaves the tower as it is."""
    image_px: Size = (448, 224)
    """Rows and columns that crops are brought to for the tower."""
    layers: tuple[PositiveInt, ...] = Field((3, 6, 9, 12), min_length=1)
    """Layers of the tower whose outputs are stacked, counted from 1."""
    rgb_px: Size = (256, 128)
    """Rows and columns of the crops."""
    rgb_form: FrameForm = "padded"
    """``padded``: crops keep the proportions of the person's box. ``stretched``: the box fills them, and its aspect
    ratio undoes that."""
    ratio: Literal["stream", "frame"] = "stream"
    """Where the aspect ratio of the person's box comes from: the stream ``aspect-ratio``, or the crop's own size, which
    says that all of it is video."""
    feature_dtype: FeatureDtype = "float32"
    """How features of a frozen tower are kept on disk, where they are."""

    @model_validator(mode="after")
    def _check_frames(self) -> Self:
        """Refuse crops that would be distorted, and stretched ones without a ratio."""
        if self.rgb_form == "stretched" and self.ratio == "frame":
            raise ValueError("stretched crops do not tell the ratio of the person's box; use ratio='stream'")
        ours, wanted = self.rgb_px[1] / self.rgb_px[0], self.image_px[1] / self.image_px[0]
        if self.rgb_form == "padded" and abs(ours / wanted - 1) > 0.01:
            raise ValueError(
                f"padded crops of {self.rgb_px[0]}x{self.rgb_px[1]} pixels would be distorted to {self.image_px[0]}x"
                f"{self.image_px[1]}; change image_px, or say rgb_form='stretched'"
            )
        if self.is_image_trained and self.image.weights != "untrained":
            raise ValueError(
                "is_image_trained is for untrained towers, and published weights stay as they are; set "
                "is_image_trained=false"
            )
        return self


class FrameMaps(NamedTuple):
    """What the tower sees in K frames."""

    last: Tensor
    """``[K, D, h, w]`` after the final norm."""
    layers: Tensor
    """``[K, L*D, h, w]``: the chosen layers, normalised over their channels, pixel by pixel."""
    ratio: Tensor
    """``[K]`` width over height of the person's box; that of the crop where the box fills it."""


class FrameEncoder(nn.Module):
    """An image tower on the real frames of a batch.

    A frozen tower is no part of the model's weights, and its features may be kept (:attr:`frozen_features`).

    Args:
        config: Crops and tower.
        reads_last: Whether the model reads the last map. Of a tower that is trained, what nothing depends on that the
            model reads stays as it is.

    Raises:
        UnknownNameError: There is no such tower.
        ModelError: The tower cannot be built for images of that size or with those layers.

    Source:
        Ye et al., "BigGait: Learning Gait Representation You Want by Large Vision Models", CVPR 2024, section
        "Upstream Model": intermediate layers stacked, layer norm without parameters.

    Example:
        >>> small = {"embed_dim": 32, "depth": 2, "num_heads": 2, "img_size": 56}
        >>> config = FrameEncoderConfig(
        ...     image=TowerConfig(architecture="vit_small_patch14_dinov2", overrides=small),
        ...     image_px=(56, 28), layers=(1, 2), rgb_px=(64, 32), ratio="frame",
        ... )
        >>> encoder = FrameEncoder(config)
        >>> batch = GaitBatch({"rgb": torch.rand(2, 3, 4, 64, 32)}, {"rgb": torch.tensor([4, 3])})
        >>> maps = encoder(batch, encoder.real_frames(batch))
        >>> maps.last.shape, maps.layers.shape
        (torch.Size([7, 32, 4, 2]), torch.Size([7, 64, 4, 2]))
    """

    def __init__(self, config: FrameEncoderConfig, *, reads_last: bool = True) -> None:
        super().__init__()
        self.config = config
        # Sizes are looked up without weights, so that building a model neither draws nor fetches any.
        plain = TowerConfig(
            architecture=config.image.architecture, seed=config.image.seed, overrides=config.image.overrides
        )
        with torch.device("meta"):
            shape = _build(config, plain)
        self.width, self.map_size = shape.width, shape.map_size
        self.stacked_width = shape.width * len(config.layers)
        self.tower: ImageTower | Borrowed[ImageTower]
        build = partial(_build, config, config.image)
        if not config.is_image_trained:
            self.tower = Borrowed(build)
            return
        self.tower = build()
        for name in _without_effect(shape, reads_last):
            self.tower.get_parameter(name).requires_grad_(False)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Crops in [0, 1], and the aspect ratio where it is read."""
        height, width = self.config.rgb_px
        crops = InputSpec(modality=_RGB, height_px=height, width_px=width, channels=3, scale=255.0)
        if self.config.ratio == "frame":
            return (crops,)
        return (crops, InputSpec(modality=_RATIO, channels=1, num_joints=1))

    @property
    def info(self) -> TowerInfo:
        """What a record says of the tower."""
        return self.tower.info

    @property
    def frozen_features(self) -> FrozenFeatures | None:
        """The features of a frozen tower, which is built to name them; None where the tower is trained."""
        return _Kept(self) if isinstance(self.tower, Borrowed) else None

    def real_frames(self, batch: GaitBatch) -> RealFrames:
        """Tell the real frames of a batch.

        Raises:
            ModelError: The batch holds neither crops nor features of them.
            ShapeError: The crops have other axes.
        """
        name = self._source(batch)
        clips = batch.inputs[name]
        if clips.dim() != 5 or (name == _RGB and clips.shape[1] != 3):
            raise ShapeError(f"{name} must be [N, C, T, H, W], 3 channels for colours, got {list(clips.shape)}")
        num_frames = batch.num_frames.get(name, batch.num_frames.get(_RGB))
        assert num_frames is not None
        return RealFrames.of(num_frames.to(clips.device), clips.shape[2])

    def forward(self, batch: GaitBatch, frames: RealFrames) -> FrameMaps:
        """Encode the real frames of a batch.

        Args:
            batch: Crops ``[N, 3, T, H, W]`` in [0, 1], or features of them, and ratios ``[N, 1, T, 1]`` where they are
                read.
            frames: Of :meth:`real_frames`.

        Raises:
            ModelError: The batch holds neither crops nor features, or no ratios.
        """
        ratio = self._ratio(batch, frames)
        name = self._source(batch)
        seen = frames.pick(batch.inputs[name])
        if name == _RGB:
            last, layers = self.encode(seen, ratio)
        else:
            last, layers = torch.split(seen, [self.width, self.stacked_width], dim=1)
        stacked = nn.functional.layer_norm(layers.movedim(1, -1), (self.stacked_width,), eps=1e-6).movedim(-1, 1)
        if torch.is_autocast_enabled(stacked.device.type):
            # Autocast leaves layer norms in float32; what reads these maps does not, and they are most of the memory.
            stacked = stacked.to(torch.get_autocast_dtype(stacked.device.type))
        return FrameMaps(last, stacked, ratio)

    def encode(self, crops: Tensor, ratio: Tensor | None) -> tuple[Tensor, Tensor]:
        """Bring crops ``[K, 3, H, W]`` to size and encode them: ``[K, D, h, w]`` and ``[K, L*D, h, w]``."""
        pixels = fit_frame(crops, self.config.image_px, ratio, form=self.config.rgb_form)
        if self.config.is_image_trained:
            # Towers that are trained here are small, and attention in half precision is slow backwards on a CPU.
            with torch.autocast(pixels.device.type, enabled=False):
                features = self.tower(pixels)
        else:
            features = self.tower(pixels)
        return features.last, features.layers

    def raw_batch(self, x: Tensor, ratio: Tensor | None = None) -> GaitBatch:
        """Make a batch of what published networks of this family are fed.

        Args:
            x: ``[N, T, 3, H, W]`` crops of :attr:`FrameEncoderConfig.rgb_px`, standardised with ImageNet's mean and
                standard deviation; every sequence with T real frames.
            ratio: ``[N, T]`` width over height of the person's box; None for that of the crops, which says that all of
                them is video.

        Raises:
            ShapeError: The axes are others.
            ModelError: Stretched crops come without ratios.
        """
        config = self.config
        if x.dim() != 5 or tuple(x.shape[2:]) != (3, *config.rgb_px):
            raise ShapeError(f"crops must be [N, T, 3, {config.rgb_px[0]}, {config.rgb_px[1]}], got {list(x.shape)}")
        if ratio is None and config.rgb_form == "stretched":
            raise ModelError("stretched crops do not tell the ratio of the person's box; give ratio [N, T]")
        if ratio is None:
            ratio = x.new_full((x.shape[0], x.shape[1]), x.shape[4] / x.shape[3])
        if ratio.numel() != x.shape[0] * x.shape[1]:
            raise ShapeError(
                f"{x.shape[0]} sequences of {x.shape[1]} frames need as many ratios, got {list(ratio.shape)}"
            )
        pixels = x * x.new_tensor(_IMAGENET_STD).view(3, 1, 1) + x.new_tensor(_IMAGENET_MEAN).view(3, 1, 1)
        inputs = {_RGB: pixels.transpose(1, 2)}
        if config.ratio == "stream":
            inputs[_RATIO] = ratio.reshape(x.shape[0], 1, x.shape[1], 1).to(x)
        num_frames = torch.full((x.shape[0],), x.shape[1], device=x.device)
        return GaitBatch(inputs, dict.fromkeys(inputs, num_frames))

    def _source(self, batch: GaitBatch) -> str:
        if _FEATURES in batch.inputs:
            return _FEATURES
        if _RGB not in batch.inputs:
            raise ModelError(f"the batch holds {', '.join(batch.inputs) or 'nothing'}, but the model reads {_RGB}")
        return _RGB

    def _ratio(self, batch: GaitBatch, frames: RealFrames) -> Tensor:
        if self.config.ratio == "frame":
            height, width = self.config.image_px
            return torch.full((len(frames.clip),), width / height, device=frames.clip.device)
        if _RATIO not in batch.inputs:
            raise ModelError(
                f"the batch holds {', '.join(batch.inputs)}, but the model reads {_RATIO}, too; without one, set "
                "ratio='frame' for crops that are video all over"
            )
        values = batch.inputs[_RATIO]  # [N, 1, T, 1]
        return frames.pick(values[..., None]).flatten()


def _without_effect(shape: ImageTower, reads_last: bool) -> list[str]:
    """Names of the weights of a tower without memory that neither the stacked layers nor the last map depend on."""
    features = shape(torch.empty(1, 3, *shape.image_size, device="meta"))
    read = features.layers.sum() + features.last.sum() if reads_last else features.layers.sum()
    weights = {name: weight for name, weight in shape.named_parameters() if weight.requires_grad}
    found = torch.autograd.grad(read, list(weights.values()), allow_unused=True)
    return [name for name, gradient in zip(weights, found, strict=True) if gradient is None]


def _build(config: FrameEncoderConfig, tower: TowerConfig) -> ImageTower:
    return ImageTower(tower, image_size=config.image_px, layers=config.layers, is_frozen=not config.is_image_trained)


class _Kept(FrozenFeatures):
    """Features of a frozen tower, the last map above the stacked layers."""

    def __init__(self, encoder: FrameEncoder) -> None:
        config = encoder.config
        super().__init__(
            modality=_RGB,
            name=_FEATURES,
            shape=(encoder.width + encoder.stacked_width, *encoder.map_size),
            key={
                "tower": encoder.info.model_dump(mode="json"),
                "image_px": list(config.image_px),
                "layers": list(config.layers),
                "rgb_form": config.rgb_form,
            },
            dtype=config.feature_dtype,
            beside=(_RATIO,) if config.rgb_form == "stretched" else (),
        )
        self._encoder = encoder

    def compute(self, frames: Tensor, *beside: Tensor) -> Tensor:
        """``[M, D + L*D, h, w]`` of crops ``[M, 3, H, W]``, and of ratios ``[M, 1, 1]`` where crops are stretched."""
        return torch.cat(self._encoder.encode(frames, beside[0].flatten() if beside else None), dim=1)
