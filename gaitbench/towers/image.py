"""The image tower: frames in, maps of features out, by a network that other people trained.

Axes: N images, H rows and W columns of pixels, D width, L layers, h rows and w columns of tokens.
"""

from typing import Self

import torch
from torch import Tensor, nn

from gaitbench.errors import ModelError, ShapeError
from gaitbench.towers.clip import OPENAI_KEYS, PREFIX, clip_hub_file, clip_settings
from gaitbench.towers.clip_image import clip_image_network
from gaitbench.towers.config import HASHING, TowerConfig, TowerInfo
from gaitbench.towers.image_network import ImageFeatures, ImageNetwork
from gaitbench.towers.info import tower_info
from gaitbench.towers.timm_vit import TimmVit, timm_hub_file
from gaitbench.towers.weights import Published, drawn, load_published, published_weights

__all__ = ["ImageFeatures", "ImageTower"]

_TOKENS_AT_ONCE = 1 << 14


class ImageTower(nn.Module):
    """A vision transformer of timm, or CLIP's image encoder, with images of one size.

    A frozen tower stays in evaluation mode whatever the model around it does, holds no gradients, and takes its images
    in parts, so that a long clip needs no more memory for what lies between than a short one.

    Args:
        config: Which network with which weights.
        image_size: Rows and columns that images are brought to; multiples of the patch.
        layers: Which layers' outputs are wanted besides the last, counted from 1, in rising order.
        is_frozen: False for a tower that is trained with the model. Drawn weights that are to be trained get a table of
            positions for ``image_size``; all others keep the architecture's and resample it.

    Raises:
        UnknownNameError: There is no such architecture.
        ModelError: Its package is missing, its weights cannot be had or do not fit, or size or layers are impossible.

    Example:
        >>> small = {"embed_dim": 32, "depth": 2, "num_heads": 2, "img_size": 56}
        >>> config = TowerConfig(architecture="vit_small_patch14_dinov2", overrides=small)
        >>> tower = ImageTower(config, image_size=(56, 28), layers=(1, 2))
        >>> last, layers, pooled = tower(torch.rand(3, 3, 56, 28))
        >>> last.shape, layers.shape, pooled.shape
        (torch.Size([3, 32, 4, 2]), torch.Size([3, 64, 4, 2]), torch.Size([3, 32]))
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        config: TowerConfig,
        *,
        image_size: tuple[int, int],
        layers: tuple[int, ...] = (),
        is_frozen: bool = True,
    ) -> None:
        super().__init__()
        if config.architecture == HASHING:
            raise ModelError("the hashing encoder reads sentences; an image tower is a network of timm or open_clip")
        self.config, self.image_size, self.layers, self.is_frozen = config, image_size, tuple(layers), is_frozen
        published = _published(config)
        seed = config.seed if is_frozen or config.weights != "untrained" else None
        self.network = drawn(lambda: _network(config, image_size, is_frozen), seed)
        self._check_sizes()
        if published is not None:
            load_published(self.network, self.network.translate(published.tensors, published.where), published.where)
        for name in ("mean", "std"):
            values = torch.tensor(getattr(self.network, name)).reshape(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)
        self.info: TowerInfo = tower_info("image", config, self.network, published, is_frozen, self._num_promised())
        if is_frozen:
            self.requires_grad_(requires_grad=False)
        self.train()

    @property
    def width(self) -> int:
        """D, channels of the last map."""
        return self.network.width

    @property
    def pooled_width(self) -> int:
        """D', width of the pooled vector."""
        return self.network.pooled_width

    @property
    def num_layers(self) -> int:
        """How many layers can be chosen from."""
        return self.network.num_layers

    @property
    def map_size(self) -> tuple[int, int]:
        """Rows h and columns w of the maps."""
        return self.image_size[0] // self.network.stride[0], self.image_size[1] // self.network.stride[1]

    def train(self, mode: bool = True) -> Self:
        """Choose training or evaluation mode; a frozen tower stays in evaluation."""
        return super().train(mode and not self.is_frozen)

    def forward(self, pixels: Tensor) -> ImageFeatures:
        """Encode images.

        Args:
            pixels: ``[N, 3, H, W]`` float in [0, 1]; resized bilinearly where H and W are not ``image_size``.

        Raises:
            ShapeError: The axes or channels are others, or there is no image.
            ModelError: The pixels are integers.
        """
        if pixels.ndim != 4 or pixels.shape[1] != 3 or not pixels.numel():
            raise ShapeError(f"an image tower reads pixels [N, 3, H, W], got {list(pixels.shape)}")
        if not pixels.is_floating_point():
            raise ModelError(f"an image tower reads floating-point pixels in [0, 1], got {pixels.dtype}; divide by 255")
        if not self.is_frozen:
            features: ImageFeatures = self.network(self._prepared(pixels), self.layers)
            return features
        with torch.no_grad():
            return self._in_parts(pixels)

    def project(self, maps: Tensor) -> Tensor:
        """Take a last map into the space of the pooled vector, token by token.

        Args:
            maps: ``[N, D, h, w]``.

        Returns:
            ``[N, D', h, w]``; CLIP's projection, and nothing for networks that have none.
        """
        projected: Tensor = self.network.project(maps.movedim(1, -1))
        return projected.movedim(-1, 1)

    def _prepared(self, pixels: Tensor) -> Tensor:
        if pixels.shape[2:] != self.image_size:
            pixels = nn.functional.interpolate(
                pixels, size=self.image_size, mode="bilinear", antialias=True, align_corners=False
            )
        return (pixels - self.mean) / self.std

    def _in_parts(self, pixels: Tensor) -> ImageFeatures:
        """The features of one part after the other, in tensors that are made once."""
        at_once = max(1, _TOKENS_AT_ONCE // (self.map_size[0] * self.map_size[1]))
        first: ImageFeatures = self.network(self._prepared(pixels[:at_once]), self.layers)
        if len(pixels) <= at_once:
            return first
        whole = ImageFeatures(*(part.new_empty(len(pixels), *part.shape[1:]) for part in first))
        for start in range(0, len(pixels), at_once):
            stop = start + at_once
            part = first if start == 0 else self.network(self._prepared(pixels[start:stop]), self.layers)
            for target, values in zip(whole, part, strict=True):
                target[start:stop] = values
        return whole

    def _check_sizes(self) -> None:
        name, stride = self.config.architecture, self.network.stride
        sizes = [size % step == 0 and size > 0 for size, step in zip(self.image_size, stride, strict=True)]
        if not all(sizes):
            raise ModelError(
                f"{name} cuts images into patches of {stride[0]} x {stride[1]} pixels, and {self.image_size[0]} x "
                f"{self.image_size[1]} is no multiple of them; choose another image_size"
            )
        if any(not 1 <= layer <= self.num_layers for layer in self.layers) or list(self.layers) != sorted(
            set(self.layers)
        ):
            there = f"1 to {self.num_layers}" if self.num_layers else "none (their maps differ in size)"
            raise ModelError(f"layers of {name} are {there}, in rising order; got {list(self.layers)}")

    def _num_promised(self) -> tuple[int, int]:
        """Parameters that the tower has and that its architecture has, positions aside."""
        found = self.network.num_without_positions
        if not self.config.overrides:
            return found, found
        plain = TowerConfig(architecture=self.config.architecture)
        with torch.device("meta"):
            return found, _network(plain, self.image_size, self.is_frozen).num_without_positions


def _published(config: TowerConfig) -> Published | None:
    if config.architecture.startswith(PREFIX):
        return published_weights(config, lambda: clip_hub_file(config), OPENAI_KEYS)
    return published_weights(config, lambda: timm_hub_file(config.architecture))


def _network(config: TowerConfig, image_size: tuple[int, int], is_frozen: bool) -> ImageNetwork:
    own_positions = config.weights == "untrained" and not is_frozen
    if not config.architecture.startswith(PREFIX):
        return TimmVit(
            config.architecture, image_size=image_size, overrides=config.overrides, own_positions=own_positions
        )
    settings = clip_settings(config, "vision")
    if own_positions and isinstance(settings.vision.get("layers"), int) and "image_size" not in config.overrides:
        settings.vision["image_size"] = image_size
    return clip_image_network(settings)
