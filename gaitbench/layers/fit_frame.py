"""Bring crops of people to the size that an image encoder reads, with the person's proportions.

A crop shows the person's box either *padded*, its proportions kept and the sides filled up or cut off, or *stretched*
to the crop's size; the ratio of the box, width over height, tells what a stretched crop no longer shows.

Axes: M images, C channels, H rows, W columns.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.layers.widen import widen

__all__ = ["FrameForm", "fit_frame", "image_area"]

FrameForm = Literal["padded", "stretched"]
"""Whether a crop keeps the proportions of the person's box, or fills its own size with it."""


def fit_frame(
    frames: Tensor,
    size: tuple[int, int],
    ratio: Tensor | None = None,
    *,
    form: FrameForm = "padded",
    mode: Literal["bilinear", "nearest"] = "bilinear",
) -> Tensor:
    """Resize crops; stretched ones get their proportions back, and the sides are filled with zeros or cut off.

    Args:
        frames: ``[M, C, H, W]`` float.
        size: Rows and columns wanted.
        ratio: ``[M]`` width over height of each person's box; needed where crops are stretched, and of no effect where
            they are padded.
        form: What crops show.
        mode: ``nearest`` for masks that must stay as they are.

    Returns:
        ``[M, C, *size]`` in float32 or better. A stretched crop covers all rows and ``ratio * rows`` columns in the
        middle.

    Raises:
        ShapeError: The axes do not fit, or stretched crops come without ratios.

    Source:
        Ye et al., "BigGait", CVPR 2024, section "Implementation Details" (height kept, width padded or cut).

    Example:
        >>> fit_frame(torch.ones(1, 1, 4, 4), (4, 4), torch.tensor([0.5]), form="stretched")[0, 0, 0]
        tensor([0., 1., 1., 0.])
    """
    if frames.dim() != 4:
        raise ShapeError(f"frames must be [M, C, H, W], got {list(frames.shape)}")
    # Half precision, which mixed training brings, is not resized on every device.
    frames = widen(frames)
    if form == "padded":
        if tuple(frames.shape[2:]) == size:
            return frames
        if mode == "nearest":
            return functional.interpolate(frames, size, mode="nearest-exact")
        return functional.interpolate(frames, size, mode="bilinear", align_corners=False, antialias=True)
    if ratio is None or ratio.shape != frames.shape[:1]:
        found = "none" if ratio is None else list(ratio.shape)
        raise ShapeError(f"stretched frames {list(frames.shape)} need ratios [{len(frames)}], got {found}")
    rows, columns = size
    if mode == "bilinear":
        # Where rows or columns get fewer, each new one must be a mean of old ones, which sampling points is not.
        frames = functional.interpolate(
            frames,
            (min(rows, frames.shape[2]), min(columns, frames.shape[3])),
            mode="bilinear",
            align_corners=False,
            antialias=True,
        )
    theta = frames.new_zeros(len(frames), 2, 3)
    theta[:, 0, 0] = columns / (rows * ratio.to(theta))
    theta[:, 1, 1] = 1
    grid = functional.affine_grid(theta, [len(frames), 1, rows, columns], align_corners=False)
    sampled = functional.grid_sample(frames, grid, mode=mode, padding_mode="border", align_corners=False)
    return sampled * image_area(ratio, size)


def image_area(ratio: Tensor, size: tuple[int, int]) -> Tensor:
    """Mark the pixels of fitted frames that show the video and not the filling.

    Args:
        ratio: ``[M]`` width over height of each person's box.
        size: Rows and columns of the frames, or of maps of them.

    Returns:
        ``[M, 1, rows, columns]`` bool: all rows, and the columns whose middles are at most half of ``ratio * rows``
        away from the middle.

    Example:
        >>> image_area(torch.tensor([0.5, 2.0]), (4, 4))[:, 0, 0]
        tensor([[False,  True,  True, False],
                [ True,  True,  True,  True]])
    """
    if ratio.dim() != 1:
        raise ShapeError(f"ratios must be [M], got {list(ratio.shape)}")
    rows, columns = size
    column = torch.arange(columns, device=ratio.device) + 0.5 - columns / 2  # [W], from the middle
    is_inside = column.abs() <= ratio.float()[:, None] * rows / 2  # [M, W]
    return is_inside[:, None, None, :].expand(-1, -1, rows, -1)
