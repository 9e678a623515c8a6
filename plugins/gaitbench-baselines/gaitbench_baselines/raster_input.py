"""How a batch of rasters reaches the first convolution of a network."""

from torch import Tensor

from gaitbench.errors import ModelError
from gaitbench.layers import fold_frames
from gaitbench.model import GaitBatch

__all__ = ["raster_input"]


def raster_input(batch: GaitBatch, modality: str) -> tuple[Tensor, Tensor]:
    """Take one modality's clips out of a batch.

    Args:
        batch: Any batch.
        modality: The stream that the model reads.

    Returns:
        All frames ``[N*T, C, H, W]`` with the channels last in memory, and the real frames of each clip ``[N]``.

    Raises:
        ModelError: The batch does not hold the modality.
        ShapeError: The clips are not ``[N, C, T, H, W]``.
    """
    if modality not in batch.inputs:
        raise ModelError(f"the batch holds {', '.join(batch.inputs) or 'nothing'}, but the model reads {modality}")
    return fold_frames(batch.inputs[modality]), batch.num_frames[modality]
