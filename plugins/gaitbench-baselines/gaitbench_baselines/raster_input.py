"""How a batch of rasters reaches the first convolution of a network."""

from torch import Tensor

from gaitbench.errors import ModelError, ShapeError
from gaitbench.layers import fold_frames
from gaitbench.model import GaitBatch

__all__ = ["clip_input", "raster_input"]


def clip_input(batch: GaitBatch, modality: str) -> tuple[Tensor, Tensor]:
    """Take one modality's clips out of a batch, for a network that convolves over time.

    Args:
        batch: Any batch.
        modality: The stream that the model reads.

    Returns:
        Clips ``[N, C, T, H, W]`` as they are, and the real frames of each ``[N]``.

    Raises:
        ModelError: The batch does not hold the modality.
        ShapeError: The clips are not ``[N, C, T, H, W]``.
    """
    if modality not in batch.inputs:
        raise ModelError(f"the batch holds {', '.join(batch.inputs) or 'nothing'}, but the model reads {modality}")
    clips = batch.inputs[modality]
    if clips.dim() != 5:
        raise ShapeError(f"clips must be [N, C, T, H, W], got {list(clips.shape)}")
    return clips, batch.num_frames[modality]


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
    clips, num_frames = clip_input(batch, modality)
    return fold_frames(clips), num_frames
