"""The local branch: a ResNet9 on every frame, shared by the sensors or in part their own.

Axes: K frames, of which those of one modality stand together; C channels, H rows, W columns, D width.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gaitbench.layers import ResNet9
from gaitbench_tcfdnet.config import TcfdNetConfig
from gaitbench_tcfdnet.dictionary import MODALITIES

__all__ = ["Bypass"]


class Bypass(nn.Module):
    """ResNet9 on frames of both sensors in one pass, so that shared batch norms see them as they will in a test.

    Args:
        config: Sizes, and what the sensors share.

    Source:
        TCFDNet, CVPR 2026, "ResNet-9 bypass". Shared, as notes on the paper have it; a stem or a network of its own for
        each sensor is the way of CL-Gait (ECCV 2024) and UniCrossGait (TMM 2026).

    Example:
        >>> bypass = Bypass(TcfdNetConfig(channels=(8, 8, 8, 8), sharing="private-stem"))
        >>> bypass(torch.zeros(3, 3, 64, 64), {"silhouette": 2, "lidar-depth": 1}).shape
        torch.Size([3, 8, 16, 16])
    """

    def __init__(self, config: TcfdNetConfig) -> None:
        super().__init__()
        self.sharing = config.sharing
        kinds = MODALITIES if config.sharing == "private-bypass" else ("both",)
        self.trunks = nn.ModuleDict({kind: _trunk(config) for kind in kinds})
        self.stems = nn.ModuleDict()
        if config.sharing == "private-stem":
            first = self.trunks["both"]
            assert isinstance(first, ResNet9)
            self.stems = nn.ModuleDict({modality: _trunk(config).stem for modality in MODALITIES})
            first.stem = nn.Sequential()

    def forward(self, frames: Tensor, num_each: Mapping[str, int]) -> Tensor:
        """Map ``[K, 3, H, W]`` to ``[K, D, h, w]``; ``num_each`` has how many of each modality there are, in order."""
        if self.sharing == "private-bypass":
            return self._each(self.trunks, frames, num_each)
        if self.sharing == "private-stem":
            # The trunk's own stem is empty; what follows a stem is rectified there.
            frames = self._each(self.stems, frames, num_each)
        features: Tensor = self.trunks["both"](frames)
        return features

    @staticmethod
    def _each(parts: nn.ModuleDict, frames: Tensor, num_each: Mapping[str, int]) -> Tensor:
        own = torch.split(frames, list(num_each.values()))
        return torch.cat([parts[modality](x) for modality, x in zip(num_each, own, strict=True)])


def _trunk(config: TcfdNetConfig) -> ResNet9:
    return ResNet9(
        3,
        channels=config.channels,
        strides=config.strides,
        num_blocks=config.num_blocks,
        stem_stride=config.stem_stride,
    )
