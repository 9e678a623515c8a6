"""The global branch: CLIP's tokens of every frame, adapted, at their maximum over time.

Axes: M sequences, K real frames of all of them, C width of CLIP's space, o patches of h x w, D width of the features.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gaitbench.layers import RealFrames, set_pool
from gaitbench.towers.projected_image import ProjectedImage
from gaitbench_tcfdnet.adapter import Adapter
from gaitbench_tcfdnet.config import TcfdNetConfig

__all__ = ["ImageTokens", "SequenceTokens"]


class SequenceTokens(NamedTuple):
    """What CLIP sees in M sequences."""

    tokens: Tensor | None
    """``[M, 1 + o, D]``: class token and patches behind the adapter; None where nothing reads them."""
    clip: Tensor
    """``[M, C]``: the class token in CLIP's own space."""


class ImageTokens(ProjectedImage):
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
        super().__init__(config.image, config.image_px, is_trained=config.is_image_trained and config.has_tokens)
        self.adapter: Adapter | None = None
        if config.has_tokens:
            self.adapter = Adapter(self.width, config.adapter_width, config.width, has_norm=True, kind=config.adapter)

    def forward(self, pixels: Tensor, frames: RealFrames) -> SequenceTokens:
        """Look at the real frames of M sequences.

        Args:
            pixels: ``[K, 3, H, W]`` in [0, 1].
            frames: Whose they are.
        """
        pooled, patches = self.project(pixels)
        tokens = torch.cat([pooled[:, None], patches.flatten(2).transpose(1, 2)], dim=1)  # [K, 1 + o, C]
        clip = _maximum(tokens[:, :1], frames)[:, 0]
        if self.adapter is None:
            return SequenceTokens(None, clip)
        return SequenceTokens(_maximum(self.adapter(tokens), frames), clip)


def _maximum(tokens: Tensor, frames: RealFrames) -> Tensor:
    """``[K, P, C]`` of frames to ``[M, P, C]`` of sequences."""
    clips = frames.put(tokens.transpose(1, 2)[..., None].contiguous())  # [M, C, T, P, 1]
    return set_pool(clips, frames.num_frames)[..., 0].transpose(1, 2)
