"""How a batch of rasters reaches the first convolution of a network."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from gaitbench.layers import fold_frames
from gaitbench.model import GaitBatch, InputSpec, clips_of

__all__ = ["SilhouetteSize", "on_real_frames", "raster_input", "silhouettes"]


class SilhouetteSize(Protocol):
    """What a configuration says of the silhouettes that a network reads."""

    @property
    def in_channels(self) -> int:
        """Channels."""

    @property
    def height_px(self) -> int:
        """Rows."""

    @property
    def width_px(self) -> int:
        """Columns."""


def silhouettes(config: SilhouetteSize) -> tuple[InputSpec, ...]:
    """Give the inputs of a network that reads silhouettes in [0, 1] and nothing else."""
    spec = InputSpec(
        modality="silhouette", height_px=config.height_px, width_px=config.width_px, channels=config.in_channels
    )
    return (spec,)


def raster_input(batch: GaitBatch, modality: str) -> tuple[Tensor, Tensor]:
    """Take one modality's clips out of a batch, for a network that sees frame by frame.

    Args:
        batch: Any batch.
        modality: The stream that the model reads.

    Returns:
        All frames ``[N*T, C, H, W]`` with the channels last in memory, and the real frames of each clip ``[N]``.

    Raises:
        ModelError: The batch does not hold the modality.
        ShapeError: The clips are not ``[N, C, T, H, W]``.
    """
    clips, num_frames = clips_of(batch, modality)
    return fold_frames(clips), num_frames


def on_real_frames(network: Callable[[Tensor], Tensor], frames: Tensor, num_frames: Tensor) -> Tensor:
    """Run a network on the frames that are no padding, so that batch norms in training do not count blank ones.

    Args:
        network: Maps ``[M, C, H, W]`` to ``[M, ...]``.
        frames: ``[N*T, C, H, W]``, those of one clip side by side, padded at its end.
        num_frames: ``[N]`` real frames of each clip.

    Returns:
        ``[N*T, ...]``, 0 for padding.

    Example:
        >>> frames = torch.ones(4, 1, 2, 2)  # two clips of two frames, the last one of them padding
        >>> on_real_frames(lambda x: x + len(x), frames, torch.tensor([2, 1]))[:, 0, 0, 0]
        tensor([4., 4., 4., 0.])
    """
    frame = torch.arange(len(frames) // len(num_frames), device=frames.device)  # [T]
    (real,) = (frame < num_frames.to(frames.device)[:, None]).flatten().nonzero(as_tuple=True)
    if len(real) == len(frames):
        return network(frames)
    seen = network(frames.index_select(0, real))
    return seen.new_zeros(len(frames), *seen.shape[1:]).index_copy(0, real, seen)
