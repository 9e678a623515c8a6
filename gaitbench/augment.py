"""Augmentations of rasters, for a whole batch of clips at once, on the device of the batch.

All frames of a clip undergo the same change. Perspective, flip, rotation, shift and change of scale are composed into
one homography per clip, so that pixels are interpolated once; clips without any are copied, not interpolated.

Axes: N clips, C channels, T frames, H rows, W columns.
"""

import functools
import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.recipe import AugmentConfig

__all__ = ["AugmentDraw", "AugmentPlan", "apply_augment", "augment", "draw_augment"]

_PERSPECTIVE_SHARE = 10 / 64
_NUM_DRAWS = 19


class AugmentDraw(NamedTuple):
    """What happens to each clip, on the CPU; lengths are shares of the image, so that every size can follow."""

    flip: Tensor
    """``[N]`` bool."""
    corners: Tensor
    """``[N, 4]`` float64: how far the corners (top left, top right, bottom left, bottom right) move inwards, as a
    share of the width."""
    rotate_deg: Tensor
    """``[N]`` float64, counter-clockwise."""
    shift: Tensor
    """``[N, 2]`` float64, down and right, as shares of height and width."""
    rescale: Tensor
    """``[N, 2]`` float64, factors on height and width."""
    erase: Tensor
    """``[N, 4]`` float64: area as a share of the image, height over width, and the place in [0, 1] of the rectangle's
    top and left edge within their room; area 0 erases nothing."""

    def is_warped(self) -> Tensor:
        """``[N]`` bool, true where pixels must be interpolated."""
        return (
            (self.corners != 0).any(1) | (self.rotate_deg != 0) | (self.shift != 0).any(1) | (self.rescale != 1).any(1)
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
    happens = draws[:, :6].cpu() < torch.tensor(
        [config.perspective, config.flip, config.rotate, config.shift, config.rescale, config.erase]
    )
    u = draws[:, 6:].cpu()
    either_way = 2 * u - 1
    perspective, flip, rotate, shift, rescale, erase = happens.unbind(1)
    low, high = (math.log(value) for value in config.erase_aspect)
    area = config.erase_area[0] + u[:, 9] * (config.erase_area[1] - config.erase_area[0])
    aspect = torch.exp(low + u[:, 10] * (high - low))
    return AugmentDraw(
        flip=flip,
        corners=u[:, :4] * _PERSPECTIVE_SHARE * perspective[:, None],
        rotate_deg=either_way[:, 4] * config.rotate_deg * rotate,
        shift=either_way[:, 5:7] * config.shift_fraction * shift[:, None],
        rescale=1 + either_way[:, 7:9] * config.rescale_fraction * rescale[:, None],
        erase=torch.stack([area * erase, aspect, u[:, 11], u[:, 12]], dim=1),
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
        warped = is_warped.nonzero()[:, 0]
        homography = _homography(AugmentDraw(*(value[warped] for value in draw)), height, width)
        is_erased = bool((draw.erase[:, 0] > 0).any())
        return cls(
            cut=cut,
            mirrored=(draw.flip & ~is_warped).nonzero()[:, 0].to(device),
            warped=warped.to(device),
            homography=homography.float().to(device),
            keep=~_erased(draw.erase, height, columns).to(device) if is_erased else None,
        )

    def part(self, start: int, end: int) -> "AugmentPlan":
        """The plan of clips ``start`` to ``end``."""
        m0, m1 = torch.searchsorted(self.mirrored, torch.tensor([start, end], device=self.mirrored.device)).tolist()
        w0, w1 = torch.searchsorted(self.warped, torch.tensor([start, end], device=self.warped.device)).tolist()
        return AugmentPlan(
            cut=self.cut,
            mirrored=self.mirrored[m0:m1] - start,
            warped=self.warped[w0:w1] - start,
            homography=self.homography[w0:w1],
            keep=None if self.keep is None else self.keep[start:end],
        )

    def apply(self, x: Tensor, out: Tensor, mode: Literal["bilinear", "nearest"]) -> None:
        """Change clips ``[N, C, T, H, W]`` and write them to ``out`` ``[N, C, T, H, columns]``."""
        window = x[..., self.cut : self.cut + out.shape[4]]
        grid = _sampling_grid(self.homography, x.shape[3], x.shape[4], self.cut, out.shape[4])
        if x.device.type == "cpu":
            # Clip by clip what is read and written stays in the cache, which is twice as fast as whole batches.
            place = dict(zip(self.warped.tolist(), range(len(grid)), strict=True))
            mirrored = set(self.mirrored.tolist())
            for i, clip in enumerate(window):
                if i in place:
                    out[i] = _moved(x[i : i + 1], grid[place[i] : place[i] + 1], mode)[0]
                else:
                    out[i] = clip.flip(-1) if i in mirrored else clip
        else:
            out.copy_(window)
            if len(self.mirrored):
                out.index_copy_(0, self.mirrored, window.index_select(0, self.mirrored).flip(-1).to(out.dtype))
            if len(self.warped):
                moved = _moved(x.index_select(0, self.warped), grid, mode)
                out.index_copy_(0, self.warped, moved.to(out.dtype))
        if self.keep is not None:
            out *= self.keep[:, None, None]


def _moved(x: Tensor, grid: Tensor, mode: Literal["bilinear", "nearest"]) -> Tensor:
    """``[n, C, T, H, columns]`` float32, all frames of a clip read at the places of its grid."""
    # Interpolation in bfloat16 would put pixels into the wrong place: 8 bits cannot number 64 columns finely.
    frames = x.float().flatten(1, 2)  # [n, C * T, H, W]
    moved = functional.grid_sample(frames, grid, mode=mode, padding_mode="zeros", align_corners=True)
    return moved.reshape(*x.shape[:3], *moved.shape[2:])


def _sampling_grid(homography: Tensor, height: int, width: int, cut: int, columns: int) -> Tensor:
    """``[w, H, columns, 2]`` float32: where each pixel of the result comes from, in [-1, 1] across the image."""
    device = homography.device
    row = (torch.arange(height, device=device) - (height - 1) / 2)[:, None]  # [H, 1]
    column = torch.arange(cut, cut + columns, device=device) - (width - 1) / 2  # [columns]
    terms = homography[..., None, None].unbind(1)  # three of [w, 3, 1, 1]
    x, y, z = ((m[:, 1] * row + m[:, 2]) + m[:, 0] * column for m in terms)  # each [w, H, columns]
    z = z.reciprocal()
    return torch.stack([x * z * (2 / max(width - 1, 1)), y * z * (2 / max(height - 1, 1))], dim=-1)


def _homography(draw: AugmentDraw, height: int, width: int) -> Tensor:
    """``[n, 3, 3]`` float64: pixel of the result to pixel of the image, both counted from the centre.

    The order is that of :class:`gaitbench.recipe.AugmentConfig`, undone from the last to the first.
    """
    n = len(draw.flip)
    angle = torch.deg2rad(draw.rotate_deg)
    rotate = torch.eye(3, dtype=torch.float64).repeat(n, 1, 1)
    rotate[:, 0, 0] = rotate[:, 1, 1] = angle.cos()
    rotate[:, 0, 1], rotate[:, 1, 0] = -angle.sin(), angle.sin()
    shift = torch.eye(3, dtype=torch.float64).repeat(n, 1, 1)
    shift[:, 0, 2] = -draw.shift[:, 1] * width
    shift[:, 1, 2] = -draw.shift[:, 0] * height
    ones = torch.ones(n, dtype=torch.float64)
    rescale = torch.diag_embed(torch.stack([1 / draw.rescale[:, 1], 1 / draw.rescale[:, 0], ones], dim=1))
    flip = torch.diag_embed(torch.stack([torch.where(draw.flip, -1.0, 1.0).double(), ones, ones], dim=1))
    matrices = [flip, rotate, shift, rescale]
    # A single row or column has no corners to move.
    if min(height, width) > 1:
        matrices.insert(0, _perspective(draw.corners, height, width))
    return _compose(*matrices)


def _perspective(corners: Tensor, height: int, width: int) -> Tensor:
    """``[n, 3, 3]`` float64: corners of the result to the corners of the image, moved inwards along the rows.

    Source:
        Heckbert, "Fundamentals of Texture Mapping and Image Warping", 1989, section 2.2.3, for four corners whose rows
        stay: the first projective term is then zero.
    """
    half = torch.tensor([-1.0, 1.0, -1.0, 1.0], dtype=torch.float64) * (width - 1) / 2
    x0, x1, x3, x2 = (half - half.sign() * corners * width).unbind(1)  # [n]; the paper goes round the square
    zero, one = torch.zeros_like(x0), torch.ones_like(x0)
    h = (x0 - x1 + x2 - x3) / (x3 - x2)
    top = zero - (height - 1) / 2
    rows = [x1 - x0, x3 - x0 + h * x3, x0, zero, (1 + h) * -top - top, top, zero, h, one]
    from_square = torch.stack(rows, dim=1).reshape(-1, 3, 3)
    to_square = torch.tensor(
        [[1 / (width - 1), 0, 0.5], [0, 1 / (height - 1), 0.5], [0, 0, 1]], dtype=torch.float64
    ).expand_as(from_square)
    return _compose(from_square, to_square)


def _compose(*matrices: Tensor) -> Tensor:
    """Product of stacks of 3 by 3 matrices; so small ones are not worth a call into the linear algebra library."""
    return functools.reduce(lambda a, b: (a[..., None] * b[..., None, :, :]).sum(-2), matrices)


def _erased(erase: Tensor, height: int, width: int) -> Tensor:
    """``[N, H, W]`` bool, true inside each clip's rectangle."""
    area, aspect, top, left = erase.unsqueeze(-1).unbind(1)  # each [N, 1]
    rows = (area * height * width * aspect).sqrt().round().clamp(max=height)
    columns = (area * height * width / aspect).sqrt().round().clamp(max=width)
    first_row = (top * (height - rows + 1)).floor()
    first_column = (left * (width - columns + 1)).floor()
    row, column = torch.arange(height), torch.arange(width)
    in_rows = (row >= first_row) & (row < first_row + rows)  # [N, H]
    in_columns = (column >= first_column) & (column < first_column + columns)  # [N, W]
    return in_rows[:, :, None] & in_columns[:, None, :]
