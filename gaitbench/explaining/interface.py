"""The interface of a model that can show what it looks at: maps over its input frames, and sentences.

Axes: N batch, C channels, T frames, h and w rows and columns of a map, which need not be those of the frames.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gaitbench.errors import ShapeError
from gaitbench.model import GaitBatch

__all__ = ["Explainable", "Finding", "Heatmap", "activation_heatmap", "maximum_heatmap"]


class Heatmap(NamedTuple):
    """How much each place of each frame matters to a model, drawn over the frames of one modality."""

    title: str
    """What it shows, for a row of the picture; titles are unique within an explanation."""
    modality: str
    """A raster of the batch, over whose frames it is drawn."""
    values: Tensor
    """``[N, T, h, w]``, finite, larger where more matters; T as in the batch. Padding frames are not looked at."""
    limits: tuple[float, float] | None = None
    """Values drawn as the lowest and the highest colour, such as (0, 1) of a mask; None for the smallest and the
    largest value of each sequence."""


class Finding(NamedTuple):
    """What a model says of each sequence in words."""

    title: str
    """What is said."""
    texts: tuple[str, ...]
    """N sentences, one per sequence of the batch."""


class Explainable(ABC):
    """A model that shows what it looks at. Its spec says so too: ``ModelSpec(..., explains=True)``.

    Example:
        >>> import torch
        >>> class Edges(Explainable):
        ...     def explain(self, batch: GaitBatch) -> list[Heatmap]:
        ...         clips = batch.inputs["silhouette"]  # [N, 1, T, H, W]
        ...         return [Heatmap("edges", "silhouette", clips.diff(dim=4).abs()[:, 0])]
        >>> clips = torch.rand(2, 1, 5, 64, 44)
        >>> Edges().explain(GaitBatch({"silhouette": clips}, {"silhouette": torch.tensor([5, 3])}))[0].values.shape
        torch.Size([2, 5, 64, 43])
    """

    @abstractmethod
    def explain(self, batch: GaitBatch) -> Sequence[Heatmap | Finding]:
        """Show what the model looks at in each sequence of a batch.

        It is called in evaluation mode and without gradients (a method that needs them opens
        ``torch.enable_grad()``), with a batch as at test time: whole sequences, all modalities that the model reads.
        """


def activation_heatmap(title: str, modality: str, features: Tensor) -> Heatmap:
    """Show where a network's features are strong: the mean over channels of their absolute values.

    Args:
        title: For the row.
        modality: Whose frames the features were computed from.
        features: ``[N, C, T, h, w]`` float.

    Returns:
        A heatmap with ``[N, T, h, w]`` values of 0 or more.

    Raises:
        ShapeError: The features have other axes.

    Example:
        >>> import torch
        >>> activation_heatmap("trunk", "silhouette", torch.tensor([-1.0, 3.0]).view(1, 2, 1, 1, 1)).values
        tensor([[[[2.]]]])
    """
    _check_axes(title, features)
    return Heatmap(title, modality, features.detach().float().abs().mean(dim=1))


def maximum_heatmap(title: str, modality: str, features: Tensor, num_frames: Tensor) -> Heatmap:
    """Show which frames a maximum over time comes from: the share of channels that are largest in this frame.

    Args:
        title: For the row.
        modality: Whose frames the features were computed from.
        features: ``[N, C, T, h, w]`` float, before the maximum.
        num_frames: ``[N]`` int64, real frames per sequence.

    Returns:
        A heatmap with ``[N, T, h, w]`` values in [0, 1], whose sum over T is 1; 0 for padding. Frames that are
        largest together share a channel.

    Raises:
        ShapeError: The features have other axes.

    Example:
        >>> import torch
        >>> features = torch.tensor([[3.0, 1.0, 9.0], [5.0, 5.0, 9.0]]).view(1, 2, 3, 1, 1)
        >>> maximum_heatmap("maximum", "silhouette", features, torch.tensor([2])).values.flatten()
        tensor([0.7500, 0.2500, 0.0000])
    """
    _check_axes(title, features)
    frame = torch.arange(features.shape[2], device=features.device)  # [T]
    is_padding = frame >= num_frames.to(features.device)[:, None]  # [N, T]
    real = features.detach().float().masked_fill(is_padding[:, None, :, None, None], -torch.inf)
    is_largest = (real == real.amax(dim=2, keepdim=True)).float()
    return Heatmap(title, modality, (is_largest / is_largest.sum(dim=2, keepdim=True)).mean(dim=1))


def _check_axes(title: str, features: Tensor) -> None:
    if features.dim() != 5:
        raise ShapeError(f"features of {title!r} must be [N, C, T, h, w], got {list(features.shape)}")
