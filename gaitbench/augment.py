"""Augmentations of rasters, for a whole batch of clips at once, on the device of the batch.

All frames of a clip undergo the same change. Perspective, flip, rotation, shift and change of scale are composed into
one homography per clip, so that pixels are interpolated once; clips without any are copied, not interpolated.

Axes: N clips, C channels, T frames, H rows, W columns.
"""

import math
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.recipe import AugmentConfig

__all__ = ["AugmentDraw", "AugmentPlan", "apply_augment", "augment", "draw_augment"]

_PERSPECTIVE_SHARE = 10 / 64
_NUM_DRAWS = 19
_CLIPS_AT_ONCE = 32


class AugmentDraw(NamedTuple):
    """What happens to each clip; lengths are shares of the image, so that every size can follow.

    NumPy arrays: a call on so few numbers costs less than one of torch.
    """

    flip: NDArray[np.bool_]
    """``[N]`` bool."""
    corners: NDArray[np.float64]
    """``[N, 4]`` float64: how far the corners (top left, top right, bottom left, bottom right) move inwards, as a
    share of the width."""
    rotate_deg: NDArray[np.float64]
    """``[N]`` float64, counter-clockwise."""
    shift: NDArray[np.float64]
    """``[N, 2]`` float64, down and right, as shares of height and width."""
    rescale: NDArray[np.float64]
    """``[N, 2]`` float64, factors on height and width."""
    erase: NDArray[np.float64]
    """``[N, 4]`` float64: area as a share of the image, height over width, and the place in [0, 1] of the rectangle's
    top and left edge within their room; area 0 erases nothing."""

    def is_warped(self) -> NDArray[np.bool_]:
        """``[N]`` bool, true where pixels must be interpolated."""
        moves = np.concatenate([self.corners, self.rotate_deg[:, None], self.shift, self.rescale - 1], axis=1)
        return np.asarray(moves.any(axis=1))

    def of(self, index: NDArray[np.int64]) -> "AugmentDraw":
        """What happens to some of the clips."""
        return AugmentDraw(
            self.flip[index],
            self.corners[index],
            self.rotate_deg[index],
            self.shift[index],
            self.rescale[index],
            self.erase[index],
        )


def draw_augment(config: AugmentConfig, num_clips: int, generator: torch.Generator) -> AugmentDraw:
    """Draw what happens to each clip.

    The same numbers are taken from the generator whatever the probabilities are, so that switching one
    augmentation on leaves the others as they were.

    Args:
        config: Probabilities and ranges.
        num_clips: N.
        generator: Source of the numbers.
    """
    draws = torch.rand((num_clips, _NUM_DRAWS), generator=generator, dtype=torch.float64, device=generator.device)
    happens, u = np.split(draws.cpu().numpy(), [6], axis=1)
    chance = [config.perspective, config.flip, config.rotate, config.shift, config.rescale, config.erase]
    perspective, flip, rotate, shift, rescale, erase = (happens < chance).T
    either_way = 2 * u - 1
    low, high = (math.log(value) for value in config.erase_aspect)
    area = config.erase_area[0] + u[:, 9] * (config.erase_area[1] - config.erase_area[0])
    aspect = np.exp(low + u[:, 10] * (high - low))
    return AugmentDraw(
        flip=flip,
        corners=u[:, :4] * _PERSPECTIVE_SHARE * perspective[:, None],
        rotate_deg=either_way[:, 4] * config.rotate_deg * rotate,
        shift=either_way[:, 5:7] * config.shift_fraction * shift[:, None],
        rescale=1 + either_way[:, 7:9] * config.rescale_fraction * rescale[:, None],
        erase=np.stack([area * erase, aspect, u[:, 11], u[:, 12]], axis=1),
    )


def augment(
    x: Tensor,
    config: AugmentConfig,
    generator: torch.Generator,
    *,
    width_px: int | None = None,
    dtype: torch.dtype | None = None,
    mode: Literal["bilinear", "nearest"] = "bilinear",
) -> Tensor:
    """Change each clip at random, and cut it to the columns that the model reads.

    Args:
        x: ``[N, C, T, H, W]`` clips of any real dtype.
        config: Probabilities and ranges.
        generator: Source of the numbers; the same state gives the same change on every device.
        width_px: Columns of the result, cut equally at both sides after the change, so that what moves in is image
            and not black; None keeps all.
        dtype: Of the result: float32, bfloat16 or another float; None takes the dtype of ``x``, or float32 when that
            is an integer.
        mode: ``nearest`` for maps of class indices, which must not be blended.

    Returns:
        ``[N, C, T, H, width_px]``; what moves in from outside the image is 0.

    Raises:
        ShapeError: ``x`` has not five axes, or ``width_px`` cannot be cut equally.

    Source:
        Random erasing: Zhong et al., AAAI 2020, algorithm 1, with the aspect drawn on a log scale and the rectangle
        limited to the image in place of drawing again. The rest is usual in the field; ranges are in
        :class:`gaitbench.recipe.AugmentConfig`.

    Example:
        >>> x = torch.arange(3.0).reshape(1, 1, 1, 1, 3)
        >>> augment(x, AugmentConfig(flip=1.0), torch.Generator().manual_seed(0)).flatten()
        tensor([2., 1., 0.])
    """
    if x.ndim != 5:
        raise ShapeError(f"augment needs clips [N, C, T, H, W], got {list(x.shape)}")
    return apply_augment(x, draw_augment(config, len(x), generator), width_px=width_px, dtype=dtype, mode=mode)


def apply_augment(
    x: Tensor,
    draw: AugmentDraw,
    *,
    width_px: int | None = None,
    dtype: torch.dtype | None = None,
    mode: Literal["bilinear", "nearest"] = "bilinear",
) -> Tensor:
    """Do to each clip what was drawn; see :func:`augment`, which draws and applies.

    Several modalities of one walk share a draw, so that they still show the same walk.
    """
    height, width = x.shape[3:]
    columns = width if width_px is None else width_px
    if dtype is None:
        dtype = x.dtype if x.dtype.is_floating_point else torch.float32
    out = torch.empty((*x.shape[:4], columns), dtype=dtype, device=x.device)
    AugmentPlan.of(draw, height, width, columns, x.device).apply(x, out, mode)
    return out


class AugmentPlan(NamedTuple):
    """A draw worked out for images of one size, on their device."""

    cut: int
    """Columns cut from each side."""
    mirrored: Tensor
    """``[m]`` int64: clips that are flipped and not warped, rising."""
    warped: Tensor
    """``[w]`` int64: clips that are interpolated, rising."""
    homography: Tensor
    """``[w, 3, 3]`` float32: pixel of the result to pixel of the image, both counted from the centre."""
    keep: Tensor | None
    """``[N, H, columns]`` bool, false in erased rectangles; None when nothing is erased."""

    @classmethod
    def of(cls, draw: AugmentDraw, height: int, width: int, columns: int, device: torch.device) -> "AugmentPlan":
        """Work out a draw.

        Raises:
            ShapeError: The width cannot be cut to these columns equally.
        """
        cut, odd = divmod(width - columns, 2)
        if cut < 0 or odd:
            raise ShapeError(f"{width} columns cannot be cut to {columns} equally at both sides")
        is_warped = draw.is_warped()
        warped = np.flatnonzero(is_warped)
        homography = _homography(draw.of(warped), height, width)
        keep = ~_erased(draw.erase, height, columns) if draw.erase[:, 0].any() else None
        return cls(
            cut=cut,
            mirrored=torch.from_numpy(np.flatnonzero(draw.flip & ~is_warped)).to(device),
            warped=torch.from_numpy(warped).to(device),
            homography=torch.from_numpy(homography.astype(np.float32)).to(device),
            keep=None if keep is None else torch.from_numpy(keep).to(device),
        )

    def apply(self, x: Tensor, out: Tensor, mode: Literal["bilinear", "nearest"]) -> None:
        """Change clips ``[N, C, T, H, W]`` and write them to ``out`` ``[N, C, T, H, columns]``."""
        window = x[..., self.cut : self.cut + out.shape[4]]
        grid = _sampling_grid(self.homography, x.shape[3], x.shape[4], self.cut, out.shape[4])
        if x.device.type == "cpu":
            self._apply_by_clip(x, window, grid, out, mode)
        else:
            out.copy_(window)
            if len(self.mirrored):
                out.index_copy_(0, self.mirrored, window.index_select(0, self.mirrored).flip(-1).to(out.dtype))
            if len(self.warped):
                moved = _moved(x.index_select(0, self.warped).float(), grid, mode)
                out.index_copy_(0, self.warped, moved.to(out.dtype))
        if self.keep is not None:
            out *= self.keep[:, None, None]

    def _apply_by_clip(
        self, x: Tensor, window: Tensor, grid: Tensor, out: Tensor, mode: Literal["bilinear", "nearest"]
    ) -> None:
        """Copy clip by clip, which stays in the processor's cache, and interpolate some at once, which uses its cores.

        Not all at once, which bounds the memory of a large batch.
        """
        is_warped = [False] * len(x)
        is_mirrored = [False] * len(x)
        warped = self.warped.tolist()
        for i in warped:
            is_warped[i] = True
        for i in self.mirrored.tolist():
            is_mirrored[i] = True
        clips, targets = x.unbind(), out.unbind()
        for i, (clip, target) in enumerate(zip(window.unbind(), targets, strict=True)):
            if not is_warped[i]:
                target.copy_(clip.flip(-1) if is_mirrored[i] else clip)
        frames = torch.empty((min(len(warped), _CLIPS_AT_ONCE), *x.shape[1:]), device=x.device)
        for start in range(0, len(warped), _CLIPS_AT_ONCE):
            some = warped[start : start + _CLIPS_AT_ONCE]
            for i, frame in zip(some, frames.unbind(), strict=False):
                frame.copy_(clips[i])
            moved = _moved(frames[: len(some)], grid[start : start + len(some)], mode)
            for i, clip in zip(some, moved.unbind(), strict=True):
                targets[i].copy_(clip)


def _moved(x: Tensor, grid: Tensor, mode: Literal["bilinear", "nearest"]) -> Tensor:
    """``[n, C, T, H, columns]`` float32: all frames of each clip, float32 too, read at the places of its grid."""
    # Interpolation in bfloat16 would put pixels into the wrong place: 8 bits cannot number 64 columns finely.
    frames = x.flatten(1, 2)  # [n, C * T, H, W]
    moved = functional.grid_sample(frames, grid, mode=mode, padding_mode="zeros", align_corners=True)
    return moved.reshape(*x.shape[:3], *moved.shape[2:])


def _sampling_grid(homography: Tensor, height: int, width: int, cut: int, columns: int) -> Tensor:
    """``[w, H, columns, 2]`` float32: where each pixel of the result comes from, in [-1, 1] across the image."""
    device = homography.device
    row = (torch.arange(height, device=device) - (height - 1) / 2)[:, None]  # [H, 1]
    column = torch.arange(cut, cut + columns, device=device) - (width - 1) / 2  # [columns]
    scale = homography.new_tensor([2 / max(width - 1, 1), 2 / max(height - 1, 1), 1])
    terms = (homography * scale[:, None])[..., None, None].unbind(1)  # three of [w, 3, 1, 1]
    x, y, z = ((m[:, 1] * row + m[:, 2]) + m[:, 0] * column for m in terms)  # each [w, H, columns]
    grid = torch.empty((*z.shape, 2), device=device)
    torch.div(x, z, out=grid[..., 0])
    torch.div(y, z, out=grid[..., 1])
    return grid


def _homography(draw: AugmentDraw, height: int, width: int) -> NDArray[np.float64]:
    """``[n, 3, 3]``: pixel of the result to pixel of the image, both counted from the centre.

    The order is that of :class:`gaitbench.recipe.AugmentConfig`, undone from the last to the first.
    """
    n = len(draw.flip)
    angle = np.deg2rad(draw.rotate_deg)
    rotate = np.tile(np.eye(3), (n, 1, 1))
    rotate[:, 0, 0] = rotate[:, 1, 1] = np.cos(angle)
    rotate[:, 1, 0] = np.sin(angle)
    rotate[:, 0, 1] = -rotate[:, 1, 0]
    # Flip, shift and change of scale each act on rows and columns alone: one matrix.
    place = np.zeros((n, 3, 3))
    place[:, 0, 0] = 1 / draw.rescale[:, 1]
    place[:, 1, 1] = 1 / draw.rescale[:, 0]
    place[:, 0, 2] = -draw.shift[:, 1] * width
    place[:, 1, 2] = -draw.shift[:, 0] * height
    place[:, 2, 2] = 1
    rotate[draw.flip, 0] *= -1
    changed = rotate @ place
    # A single row or column has no corners to move.
    return _perspective(draw.corners, height, width) @ changed if min(height, width) > 1 else changed


def _perspective(corners: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """``[n, 3, 3]``: corners of the result to the corners of the image, moved inwards along the rows.

    Source:
        Heckbert, "Fundamentals of Texture Mapping and Image Warping", 1989, section 2.2.3, for four corners whose rows
        stay: the first projective term is then zero.
    """
    half = np.array([-1.0, 1.0, -1.0, 1.0]) * (width - 1) / 2
    x0, x1, x3, x2 = (half - np.sign(half) * corners * width).T  # [n]; the paper goes round the square
    h = (x0 - x1 + x2 - x3) / (x3 - x2)
    top = -(height - 1) / 2
    from_square = np.zeros((len(corners), 3, 3))
    from_square[:, 0] = np.stack([x1 - x0, x3 - x0 + h * x3, x0], axis=1)
    from_square[:, 1, 1] = -(1 + h) * top - top
    from_square[:, 1, 2] = top
    from_square[:, 2, 1] = h
    from_square[:, 2, 2] = 1
    to_square = np.array([[1 / (width - 1), 0, 0.5], [0, 1 / (height - 1), 0.5], [0, 0, 1]])
    return np.asarray(from_square @ to_square)


def _erased(erase: NDArray[np.float64], height: int, width: int) -> NDArray[np.bool_]:
    """``[N, H, W]``, true inside each clip's rectangle."""
    area, aspect, top, left = erase.T[..., None]  # each [N, 1]
    rows = np.sqrt(area * height * width * aspect).round().clip(max=height)
    columns = np.sqrt(area * height * width / aspect).round().clip(max=width)
    first_row = np.floor(top * (height - rows + 1))
    first_column = np.floor(left * (width - columns + 1))
    row, column = np.arange(height), np.arange(width)
    in_rows = (row >= first_row) & (row < first_row + rows)  # [N, H]
    in_columns = (column >= first_column) & (column < first_column + columns)  # [N, W]
    return np.asarray(in_rows[:, :, None] & in_columns[:, None, :])
