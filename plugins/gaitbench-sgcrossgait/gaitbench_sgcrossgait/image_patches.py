"""CLIP's view of a walk: class token and patches of every frame, at their maximum over time.

Axes: M sequences, K real frames of all of them, C width of CLIP's space, h' rows and w' columns of patches.
"""

from typing import NamedTuple

from torch import Tensor

from gaitbench.layers import RealFrames, set_pool
from gaitbench.towers.projected_image import ProjectedImage
from gaitbench_sgcrossgait.config import SgCrossGaitConfig

__all__ = ["ImagePatches", "SeenByClip"]


class SeenByClip(NamedTuple):
    """What CLIP sees in M sequences."""

    token: Tensor
    """``[M, C]``: the class token."""
    patches: Tensor
    """``[M, C, h', w']``."""


class ImagePatches(ProjectedImage):
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
        super().__init__(config.image, config.image_px, is_trained=config.is_image_trained)

    def forward(self, pixels: Tensor, frames: RealFrames) -> SeenByClip:
        """Look at the real frames ``[K, 3, H, W]`` in [0, 1] of M sequences."""
        token, patches = self.project(pixels)
        tokens = set_pool(frames.put(token[:, :, None, None]), frames.num_frames)[:, :, 0, 0]
        return SeenByClip(tokens, set_pool(frames.put(patches), frames.num_frames))
