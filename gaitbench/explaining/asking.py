"""Ask a model what it looks at, and check that the answer can be drawn.

Axes: N batch, T frames, h and w rows and columns of a heatmap.
"""

import torch
from torch import Tensor

from gaitbench.errors import ModelError
from gaitbench.explaining.interface import Explainable, Finding, Heatmap
from gaitbench.model import GaitBatch, GaitModel

__all__ = ["explain_batch"]


def explain_batch(model: GaitModel, batch: GaitBatch) -> tuple[Heatmap | Finding, ...]:
    """Ask a model what it looks at, and check the answer.

    Args:
        model: An :class:`gaitbench.explaining.Explainable`; it is put into evaluation mode.
        batch: As at test time.

    Returns:
        What it shows, one thing or more.

    Raises:
        TypeError: The model cannot explain.
        ModelError: Nothing is shown; a title occurs twice; a heatmap is over no raster of the batch, has other axes or
            frames, or holds NaN or infinity; limits do not rise; or there is not one sentence per sequence.
    """
    if not isinstance(model, Explainable):
        raise TypeError(f"{type(model).__name__} is no Explainable")
    with torch.no_grad():
        shown = tuple(model.eval().explain(batch))
    name = type(model).__name__
    if not shown:
        raise ModelError(f"{name}.explain shows nothing; give a Heatmap or a Finding")
    titles = [found.title for found in shown]
    for found in shown:
        where = f"{name}.explain: {found.title!r}"
        if titles.count(found.title) > 1:
            raise ModelError(f"{where} is the title of two things; give each its own")
        if isinstance(found, Finding):
            num = len(next(iter(batch.num_frames.values())))
            if len(found.texts) != num:
                raise ModelError(f"{where} has {len(found.texts)} sentences for {num} sequences")
        else:
            _check_heatmap(found, batch, where)
    return shown


def _check_heatmap(found: Heatmap, batch: GaitBatch, where: str) -> None:
    frames = batch.inputs.get(found.modality)
    if frames is None or frames.dim() != 5:
        rasters = [name for name, clip in batch.inputs.items() if clip.dim() == 5]
        raise ModelError(f"{where} is over {found.modality!r}, which is no raster of the batch ({', '.join(rasters)})")
    values = found.values
    expected = [frames.shape[0], frames.shape[2]]
    if not isinstance(values, Tensor) or values.dim() != 4 or list(values.shape[:2]) != expected or 0 in values.shape:
        shape = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ModelError(f"{where} must be [N, T, h, w] with N and T {expected}, got {shape}")
    real = torch.arange(expected[1], device=values.device) < batch.num_frames[found.modality].to(values.device)[:, None]
    if not bool(torch.isfinite(values[real]).all()):
        raise ModelError(f"{where} holds NaN or infinity")
    if found.limits is not None and not found.limits[0] < found.limits[1]:
        raise ModelError(f"{where} has the limits {found.limits}, which do not rise")
