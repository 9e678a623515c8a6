"""Set abstraction: clouds of points become clouds of fewer points that know their surroundings.

Axes: F clouds, M points, S centres, K neighbours, A values of a point (x, y, z and what else is measured there), C
channels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gaitbench.errors import ShapeError
from gaitbench.layers.init_parameters import init_parameters
from gaitbench.layers.points import gather_points, nearest_points

__all__ = ["PointMLP", "SetAbstraction", "Surroundings"]


class PointMLP(nn.Sequential):
    """The same small network for every point: 1x1 convolutions, each with batch norm and ReLU.

    The batch norms count every point of every cloud once.

    Args:
        in_channels: Channels that come in.
        widths: Channels after each layer.

    Source:
        Qi et al., "PointNet: Deep Learning on Point Sets", CVPR 2017, section 4.2 (the shared perceptron).

    Example:
        >>> PointMLP(4, [8, 16])(torch.zeros(2, 5, 4)).shape
        torch.Size([2, 5, 16])
    """

    def __init__(self, in_channels: int, widths: Sequence[int]) -> None:
        layers = []
        for out_channels in widths:
            convolution = nn.Conv2d(in_channels, out_channels, 1)
            layers.append(nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)))
            in_channels = out_channels
        super().__init__(*layers)
        init_parameters(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[F, ..., C]`` to ``[F, ..., C']``."""
        # The memory of [F, rest, 1, C] is that of channels-last images: nothing is copied.
        images = x.reshape(len(x), -1, 1, x.shape[-1]).permute(0, 3, 1, 2)
        for layer in self:
            images = layer(images)
        return images.permute(0, 2, 3, 1).reshape(*x.shape[:-1], images.shape[1])


class Surroundings(NamedTuple):
    """What a set abstraction gives."""

    points: Tensor
    """``[F, S, A]``: the centres as they were measured."""
    features: Tensor
    """``[F, S, C]``: what the surroundings of each centre look like."""


class SetAbstraction(nn.Module):
    """Describe each centre by the maximum of a shared network over its nearest points.

    A neighbour enters as its offset from the centre in all A values, divided by the radius, with its features
    appended. Neighbours are searched by x, y, z alone.

    Args:
        point_values: A, 3 or more.
        in_channels: C of the features; 0 where points come without.
        widths: Channels of the shared network's layers.
        num_neighbours: K.
        radius: What offsets are divided by; 1 leaves them in their unit.

    Source:
        Qi et al., "PointNet++: Deep Hierarchical Feature Learning on Point Sets in a Metric Space", NeurIPS 2017,
        section 3.2; offsets divided by the radius: Qian et al., "PointNeXt", NeurIPS 2022, section 3.2.1.

    Example:
        >>> from gaitbench.layers import farthest_points
        >>> cloud = torch.randn(2, 64, 4)
        >>> layer = SetAbstraction(4, 0, [8, 16], num_neighbours=8, radius=0.1)
        >>> layer(cloud, None, farthest_points(cloud, 32)).features.shape
        torch.Size([2, 32, 16])
    """

    def __init__(
        self, point_values: int, in_channels: int, widths: Sequence[int], *, num_neighbours: int, radius: float = 1.0
    ) -> None:
        super().__init__()
        self.point_values = point_values
        self.in_channels = in_channels
        self.num_neighbours = num_neighbours
        self.radius = radius
        self.mlp = PointMLP(point_values + in_channels, widths)

    def forward(self, points: Tensor, features: Tensor | None, centre: Tensor) -> Surroundings:
        """Map clouds to their centres.

        Args:
            points: ``[F, M, A]``.
            features: ``[F, M, C]``, or None where C is 0.
            centre: ``[F, S]`` int64, the points that become centres.

        Raises:
            ShapeError: A, C, M or F do not fit.
        """
        given = None if features is None else list(features.shape)
        wanted = [*points.shape[:2], self.in_channels] if self.in_channels else None
        if points.dim() != 3 or points.shape[2] != self.point_values or given != wanted:
            raise ShapeError(
                f"set abstraction needs points [F, M, {self.point_values}] and features {wanted}, got "
                f"{list(points.shape)} and {given}"
            )
        centres = gather_points(points, centre)  # [F, S, A]
        neighbour = nearest_points(points, centres, self.num_neighbours)  # [F, S, K]
        around = (gather_points(points, neighbour) - centres[:, :, None]) / self.radius  # [F, S, K, A]
        if features is not None:
            around = torch.cat([around, gather_points(features, neighbour)], dim=3)
        # The gradient of max() costs one pass; that of amax(), which divides ties, several.
        return Surroundings(centres, self.mlp(around).max(dim=2).values)
