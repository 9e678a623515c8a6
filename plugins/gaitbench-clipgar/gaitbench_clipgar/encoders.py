"""What sees the silhouettes: a gait network with parts, or CLIP's image encoder frame by frame.

Axes: N clips, C channels, T frames, H rows, W columns, K real frames of all clips, P parts.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.layers import (
    RealFrames,
    Stages,
    Stem,
    horizontal_pyramid_pool,
    init_parameters,
    padding_mask,
    set_pool,
)
from gaitbench.towers.borrowed import Borrowed
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.image import ImageTower
from gaitbench_clipgar.config import ClipGarConfig

__all__ = ["ClipEncoder", "GaitEncoder"]


class GaitEncoder(nn.Module):
    """DeepGaitV2's stem and stages, the maximum over frames, strips.

    Args:
        config: Sizes.

    Source:
        Fan et al., "Exploring Deep Models for Practical Gait Recognition", arXiv 2303.03301, section "DeepGaitV2"; with
        8 strips in Wang et al., RA-GAR and CLIP-GAR, AAAI 2025.

    Example:
        >>> encoder = GaitEncoder(ClipGarConfig(channels=(4, 4, 8, 8))).eval()
        >>> encoder(torch.zeros(2, 1, 5, 64, 44), torch.tensor([5, 3])).shape
        torch.Size([2, 8, 8])
    """

    def __init__(self, config: ClipGarConfig) -> None:
        super().__init__()
        self.bins = config.bins
        self.width, self.num_parts = config.channels[-1], sum(config.bins)
        self.stem = Stem(1, config.channels[0], stride=config.stem_stride)
        self.stages = Stages(config, ("2d", config.mode, config.mode, config.mode))
        init_parameters(self)

    def forward(self, clips: Tensor, num_frames: Tensor) -> Tensor:
        """Map ``[N, 1, T, H, W]`` with ``[N]`` real frames to ``[N, C, P]``; padding changes nothing in evaluation."""
        x = self.stages(self.stem(clips), padding_mask(num_frames, clips.shape[2]))
        return horizontal_pyramid_pool(set_pool(x, num_frames), self.bins)


class ClipEncoder(nn.Module):
    """CLIP's image encoder on every real frame, the mean over frames: one part.

    Silhouettes become three equal channels, brought to the encoder's size with their proportions.

    Args:
        config: Which encoder, and whether it is trained. One that is not is no part of the model's weights.

    Raises:
        UnknownNameError: There is no such encoder.
        ModelError: It cannot be built for images of that size.
    """

    num_parts = 1

    def __init__(self, config: ClipGarConfig) -> None:
        super().__init__()
        self.image_px = config.image_px
        image = config.image
        plain = TowerConfig(architecture=image.architecture, seed=image.seed, overrides=image.overrides)
        with torch.device("meta"):
            self.width = _tower(config, plain).pooled_width
        build = partial(_tower, config, image)
        self.tower: ImageTower | Borrowed[ImageTower] = build() if config.is_image_trained else Borrowed(build)

    def forward(self, clips: Tensor, num_frames: Tensor) -> Tensor:
        """Map ``[N, 1, T, H, W]`` with ``[N]`` real frames to ``[N, C, 1]``; padding changes nothing."""
        frames = RealFrames.of(num_frames, clips.shape[2])
        pixels = _within(frames.pick(clips), self.image_px).expand(-1, 3, -1, -1)
        seen = self.tower(pixels).pooled.float()  # [K, C]
        total = seen.new_zeros(frames.num_clips, self.width).index_add(0, frames.clip, seen)
        mean: Tensor = total / frames.num_frames[:, None].to(total)
        return mean[..., None]


def _tower(config: ClipGarConfig, image: TowerConfig) -> ImageTower:
    return ImageTower(image, image_size=config.image_px, is_frozen=not config.is_image_trained)


def _within(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize ``[K, 1, H, W]`` as large as they fit into a size, in the middle of zeros."""
    height, width = frames.shape[2:]
    scale = min(size[0] / height, size[1] / width)
    rows, columns = max(1, round(scale * height)), max(1, round(scale * width))
    if (rows, columns) != (height, width):
        frames = functional.interpolate(
            frames.float(), (rows, columns), mode="bilinear", antialias=True, align_corners=False
        )
    above, left = (size[0] - rows) // 2, (size[1] - columns) // 2
    return functional.pad(frames, (left, size[1] - columns - left, above, size[0] - rows - above))
