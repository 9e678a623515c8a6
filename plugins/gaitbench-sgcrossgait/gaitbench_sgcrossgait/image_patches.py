"""CLIP's view of a walk: class token and patches of every frame, at their maximum over time.

Axes: M sequences, K real frames of all of them, C width of CLIP's space, h' rows and w' columns of patches.
"""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gaitbench.layers import RealFrames, set_pool
from gaitbench.towers.borrowed import Borrowed
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.image import ImageTower
from gaitbench_sgcrossgait.config import SgCrossGaitConfig

__all__ = ["ImagePatches", "SeenByClip"]


class SeenByClip(NamedTuple):
    """What CLIP sees in M sequences."""

    token: Tensor
    """``[M, C]``: the class token."""
    patches: Tensor
    """``[M, C, h', w']``."""


class ImagePatches(nn.Module):
    """CLIP's image tower on every real frame, class token and patches projected into CLIP's space.

    A frozen tower is no part of the model's weights.

    Args:
        config: Which tower, and whether it is trained.

    Raises:
        UnknownNameError: There is no such tower.
        ModelError: It cannot be built for images of that size.

    Source:
        SG-CrossGait, TIFS 2026: a CLIP pipeline, and a 512-d head on its visual token in the authors' log. Size of the
        images, maximum over time and that the tower is frozen are ours.
    """

    def __init__(self, config: SgCrossGaitConfig) -> None:
        super().__init__()
        image = config.image
        self.is_trained = config.is_image_trained
        plain = TowerConfig(architecture=image.architecture, seed=image.seed, overrides=image.overrides)
        # Sizes are looked up without weights, so that building a model neither draws nor fetches any.
        with torch.device("meta"):
            shape = _tower(config, plain)
        self.width, self.map_size = shape.pooled_width, shape.map_size
        build = partial(_tower, config, image)
        self.tower: ImageTower | Borrowed[ImageTower] = build() if self.is_trained else Borrowed(build)

    def forward(self, pixels: Tensor, frames: RealFrames) -> SeenByClip:
        """Look at the real frames ``[K, 3, H, W]`` in [0, 1] of M sequences."""
        token, patches = self._encode(pixels)
        tokens = set_pool(frames.put(token[:, :, None, None]), frames.num_frames)[:, :, 0, 0]
        return SeenByClip(tokens, set_pool(frames.put(patches), frames.num_frames))

    def _encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Class tokens ``[K, C]`` and patches ``[K, C, h', w']``."""
        if self.is_trained:
            # Towers that are trained here are small, and attention in half precision is slow backwards on a CPU.
            with torch.autocast(pixels.device.type, enabled=False):
                return self._projected(pixels.float())
        with torch.no_grad():
            return self._projected(pixels)

    def _projected(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = self.tower(pixels)
        tower = self.tower.tower if isinstance(self.tower, Borrowed) else self.tower
        return features.pooled.float(), tower.project(features.last).float()


def _tower(config: SgCrossGaitConfig, image: TowerConfig) -> ImageTower:
    return ImageTower(image, image_size=config.image_px, is_frozen=not config.is_image_trained)
