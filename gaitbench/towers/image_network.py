"""What the image networks of timm and open_clip have in common, once they are towers.

Axes: N images, D width, L layers, h rows and w columns of tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["ImageFeatures", "ImageNetwork", "map_of"]


class ImageFeatures(NamedTuple):
    """What a tower sees in N images."""

    last: Tensor
    """``[N, D, h, w]``: the tokens of the patches after the final norm."""
    layers: Tensor
    """``[N, L*D, h, w]``: the outputs of the chosen layers, as they are, the first layer's channels first."""
    pooled: Tensor
    """``[N, D']``: the image as one vector: the class token after the final norm, or CLIP's projected embedding."""


class ImageNetwork(nn.Module, ABC):
    """An image encoder that takes images of one size, normalised."""

    width: int
    """D."""
    pooled_width: int
    """D'."""
    num_layers: int
    """Layers whose outputs can be had."""
    stride: tuple[int, int]
    """Rows and columns of pixels per token."""
    mean: tuple[float, ...]
    """Per channel, subtracted from pixels in [0, 1]."""
    std: tuple[float, ...]
    """Per channel; what remains is divided by it."""

    @abstractmethod
    def forward(self, pixels: Tensor, layers: tuple[int, ...]) -> ImageFeatures:
        """Encode normalised ``[N, 3, H, W]``; layers are counted from 1, in rising order."""

    @abstractmethod
    def project(self, tokens: Tensor) -> Tensor:
        """Take ``[..., D]`` tokens of the last map into the space of the pooled vector, ``[..., D']``."""

    @abstractmethod
    def translate(self, published: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
        """Published names and shapes to ours; what cannot be translated keeps its name, for the message.

        Args:
            published: Name to tensor.
            where: For messages.
        """

    @property
    @abstractmethod
    def num_without_positions(self) -> int:
        """Parameters apart from the table of positions, whose size depends on the size of the images."""


def map_of(tokens: Tensor, size: tuple[int, int], num_prefix: int) -> Tensor:
    """Lay the tokens of patches out as a map.

    Args:
        tokens: ``[N, num_prefix + h*w, D]``.
        size: h and w.
        num_prefix: Class and register tokens, which are dropped.

    Returns:
        ``[N, D, h, w]``, contiguous.

    Example:
        >>> map_of(torch.zeros(2, 1 + 32 * 16, 384), (32, 16), 1).shape
        torch.Size([2, 384, 32, 16])
    """
    patches = tokens[:, num_prefix:]
    return patches.transpose(1, 2).reshape(len(patches), -1, *size).contiguous()


def stacked(maps: list[Tensor], like: Tensor) -> Tensor:
    """``[N, L*D, h, w]`` of L maps; no channels where no layer was asked for."""
    return torch.cat(maps, dim=1) if maps else like[:, :0]
