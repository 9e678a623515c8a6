"""The global branch: CLIP's tokens of every frame, adapted, at their maximum over time.

Axes: M sequences, K real frames of all of them, C width of CLIP's space, o patches of h x w, D width of the features.
"""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gaitbench.layers import RealFrames, set_pool
from gaitbench.towers.borrowed import Borrowed
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.image import ImageTower
from gaitbench_tcfdnet.adapter import Adapter
from gaitbench_tcfdnet.config import TcfdNetConfig

__all__ = ["ImageTokens", "SequenceTokens"]


class SequenceTokens(NamedTuple):
    """What CLIP sees in M sequences."""

    tokens: Tensor | None
    """``[M, 1 + o, D]``: class token and patches behind the adapter; None where nothing reads them."""
    clip: Tensor
    """``[M, C]``: the class token in CLIP's own space."""


class ImageTokens(nn.Module):
    """CLIP's image tower on every real frame, class token and patches projected as CLIP does, then the adapter.

    A frozen tower is no part of the model's weights.

    Args:
        config: Which tower, and whether it is trained. Where its tokens serve the retrieval alone, it is never trained:
            no gradient comes from a choice.

    Raises:
        UnknownNameError: There is no such tower.
        ModelError: It cannot be built for images of that size.

    Source:
        TCFDNet, CVPR 2026, global branch: CLIP ViT on 64x64 frames, 1 + 16 tokens of 512, adapter, maximum over time.
    """

    def __init__(self, config: TcfdNetConfig) -> None:
        super().__init__()
        image = config.image
        self.is_trained = config.is_image_trained and config.has_tokens
        plain = TowerConfig(architecture=image.architecture, seed=image.seed, overrides=image.overrides)
        # Sizes are looked up without weights, so that building a model neither draws nor fetches any.
        with torch.device("meta"):
            shape = _tower(config, plain, is_frozen=not self.is_trained)
        self.width, self.map_size = shape.pooled_width, shape.map_size
        build = partial(_tower, config, image, is_frozen=not self.is_trained)
        self.tower: ImageTower | Borrowed[ImageTower] = build() if self.is_trained else Borrowed(build)
        self.adapter: Adapter | None = None
        if config.has_tokens:
            self.adapter = Adapter(self.width, config.adapter_width, config.width, has_norm=True, kind=config.adapter)

    def forward(self, pixels: Tensor, frames: RealFrames) -> SequenceTokens:
        """Look at the real frames of M sequences.

        Args:
            pixels: ``[K, 3, H, W]`` in [0, 1].
            frames: Whose they are.
        """
        tokens = self._encode(pixels)  # [K, 1 + o, C]
        clip = _maximum(tokens[:, :1], frames)[:, 0]
        if self.adapter is None:
            return SequenceTokens(None, clip)
        return SequenceTokens(_maximum(self.adapter(tokens), frames), clip)

    def _encode(self, pixels: Tensor) -> Tensor:
        if self.is_trained:
            # Towers that are trained here are small, and attention in half precision is slow backwards on a CPU.
            with torch.autocast(pixels.device.type, enabled=False):
                return self._tokens(pixels.float())
        with torch.no_grad():
            return self._tokens(pixels)

    def _tokens(self, pixels: Tensor) -> Tensor:
        features = self.tower(pixels)
        tower = self.tower.tower if isinstance(self.tower, Borrowed) else self.tower
        patches = tower.project(features.last).flatten(2).transpose(1, 2)  # [K, o, C]
        return torch.cat([features.pooled[:, None].float(), patches.float()], dim=1)


def _maximum(tokens: Tensor, frames: RealFrames) -> Tensor:
    """``[K, P, C]`` of frames to ``[M, P, C]`` of sequences."""
    clips = frames.put(tokens.transpose(1, 2)[..., None].contiguous())  # [M, C, T, P, 1]
    return set_pool(clips, frames.num_frames)[..., 0].transpose(1, 2)


def _tower(config: TcfdNetConfig, image: TowerConfig, *, is_frozen: bool) -> ImageTower:
    return ImageTower(image, image_size=config.image_px, is_frozen=is_frozen)
