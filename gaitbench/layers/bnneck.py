"""The classification neck: batch norm, unit length, cosine to class weights, for every part.

Axes: N batch, D embedding width, P parts.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.errors import ModelError, ShapeError
from gaitbench.layers.init_parameters import init_parameters

__all__ = ["NeckOutput", "SeparateBNNeck"]


class NeckOutput(NamedTuple):
    """What the neck returns."""

    feature: Tensor
    """``[N, D, P]``, each part vector of length 1."""
    logits: Tensor
    """``[N, classes, P]`` cosines in [-1, 1]; the loss scales them."""


class SeparateBNNeck(nn.Module):
    """Normalise all D * P features over the batch, then compare each part to that part's class vectors by cosine.

    Computed in the number format of its weight, also under autocast.

    Args:
        num_parts: P.
        channels: D.
        num_classes: Training subjects.

    Source:
        Luo et al., "Bag of Tricks and a Strong Baseline for Deep Person Re-identification", CVPRW 2019, section
        "BNNeck"; one per part as in Fan et al., "OpenGait", CVPR 2023, section "GaitBase".

    Example:
        >>> feature, logits = SeparateBNNeck(num_parts=16, channels=256, num_classes=74)(torch.randn(4, 256, 16))
        >>> logits.shape, bool(logits.abs().max() <= 1.001)
        (torch.Size([4, 74, 16]), True)
    """

    def __init__(self, num_parts: int, channels: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels * num_parts)
        self.weight = nn.Parameter(torch.empty(num_parts, channels, num_classes))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform with the fans of one part's matrix; the batch norm as the field starts it."""
        init_parameters(self.norm)
        for matrix in self.weight:
            nn.init.xavier_uniform_(matrix)

    def forward(self, x: Tensor) -> NeckOutput:
        """Map ``[N, D, P]`` to normalised features ``[N, D, P]`` and cosines ``[N, classes, P]``.

        Raises:
            ShapeError: D or P differ from those of the layer.
            ModelError: A single clip is to be normalised by its own batch.
        """
        num_parts, channels, _ = self.weight.shape
        if x.dim() != 3 or x.shape[1:] != (channels, num_parts):
            raise ShapeError(f"SeparateBNNeck needs [N, {channels}, {num_parts}], got {list(x.shape)}")
        if len(x) == 1 and self.norm.training and not isinstance(self.norm, nn.SyncBatchNorm):
            raise ModelError(
                "the neck's batch norm trains on the spread of a batch, and one clip has none; train with two or more "
                "clips per device (subjects_per_batch, sequences_per_subject, batch_size), or call eval() to embed"
            )
        with torch.autocast(x.device.type, enabled=False):
            flat = x.to(self.weight.dtype).flatten(1)  # [N, D*P], index = channel * P + part
            feature = functional.normalize(self.norm(flat).view(x.shape), dim=1)
            by_part = feature.permute(2, 0, 1) @ functional.normalize(self.weight, dim=1)  # [P, N, classes]
            return NeckOutput(feature, by_part.permute(1, 2, 0))
