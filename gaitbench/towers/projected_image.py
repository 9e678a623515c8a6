"""Images as vectors of one space: the pooled one and those of the patches, both projected as CLIP projects.

Axes: K images, H rows, W columns, C width of the space, h rows and w columns of patches.
"""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gaitbench.layers.widen import widen
from gaitbench.towers.borrowed import Borrowed
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.image import ImageTower

__all__ = ["Projected", "ProjectedImage"]


class Projected(NamedTuple):
    """What a tower sees in K images, in float32."""

    pooled: Tensor
    """``[K, C]``: of a transformer, its class token."""
    patches: Tensor
    """``[K, C, h, w]``."""


class ProjectedImage(nn.Module):
    """An image tower and its projection; what a model makes of the vectors is said by a class derived from this one.

    A frozen tower is no part of the model's weights, and no gradient passes through it.

    Args:
        image: Which tower.
        image_size: Rows and columns that images are brought to.
        is_trained: Whether the tower learns with the model.

    Raises:
        UnknownNameError: There is no such tower.
        ModelError: It cannot be built for images of that size.

    Example:
        >>> small = {"patch_size": 8, "width": 16, "layers": 1, "head_width": 8, "embed_dim": 12, "image_size": 16}
        >>> config = TowerConfig(architecture="open_clip:ViT-B-16", overrides=small)
        >>> image = ProjectedImage(config, (16, 16), is_trained=False)
        >>> [x.shape for x in image.project(torch.rand(3, 3, 16, 16))]
        [torch.Size([3, 12]), torch.Size([3, 12, 2, 2])]
    """

    def __init__(self, image: TowerConfig, image_size: tuple[int, int], *, is_trained: bool) -> None:
        super().__init__()
        self.is_trained = is_trained
        plain = TowerConfig(architecture=image.architecture, seed=image.seed, overrides=image.overrides)
        # Sizes are looked up without weights, so that building a model neither draws nor fetches any.
        with torch.device("meta"):
            shape = ImageTower(plain, image_size=image_size, is_frozen=not is_trained)
        self.width, self.map_size = shape.pooled_width, shape.map_size
        build = partial(ImageTower, image, image_size=image_size, is_frozen=not is_trained)
        self.tower: ImageTower | Borrowed[ImageTower] = build() if is_trained else Borrowed(build)

    def project(self, pixels: Tensor) -> Projected:
        """Look at images ``[K, 3, H, W]`` in [0, 1]."""
        if self.is_trained:
            # Towers that are trained here are small, and attention in half precision is slow backwards on a CPU.
            with torch.autocast(pixels.device.type, enabled=False):
                return self._project(widen(pixels))
        with torch.no_grad():
            return Projected(*(part.to(widen(pixels).dtype) for part in self._project(pixels.float())))

    def _project(self, pixels: Tensor) -> Projected:
        features = self.tower(pixels)
        tower = self.tower.tower if isinstance(self.tower, Borrowed) else self.tower
        return Projected(widen(features.pooled), widen(tower.project(features.last)))
