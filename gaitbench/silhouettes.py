"""Cutting people out of masks as the field does: rows of the body, one height, centred on half of its pixels.

Axes: T frames, H rows, W columns.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MIN_PIXEL_SUM", "Aligned", "Interpolation", "align_all", "align_silhouette", "resize"]

Interpolation = Literal["cubic", "area", "nearest", "linear"]
"""How pixels are read when the body is scaled. ``cubic`` is the published way for masks, ``area`` that of CCPG,
``nearest`` keeps the classes of parsing maps, ``linear`` is that of datasets whose frames are scaled whole."""

MIN_PIXEL_SUM = 10_000
"""A frame whose values 0 to 255 add up to this or less shows nobody; 40 white pixels."""


class Aligned(NamedTuple):
    """The frames of a sequence that show somebody."""

    frames: NDArray[np.uint8]
    """``[T, size, size]``."""
    kept: NDArray[np.int64]
    """``[T]``: their places among the frames that went in."""


def align_silhouette(
    mask: NDArray[np.uint8],
    size_px: int = 64,
    *,
    image: NDArray[np.uint8] | None = None,
    interpolation: Interpolation = "cubic",
    min_pixel_sum: int = MIN_PIXEL_SUM,
) -> NDArray[np.uint8] | None:
    """Cut a person out of one frame.

    Kept are the rows from the first to the last with a pixel, scaled to one height, and as many columns around the one
    that halves the body's pixels. Values are not made black and white again: scaling leaves soft edges, with which the
    published models were trained.

    Args:
        mask: ``[H, W]`` in [0, 255], 0 where nobody is.
        size_px: Rows and columns that come out.
        image: ``[H, W]`` to cut in the mask's place, such as a parsing map; None for the mask itself.
        interpolation: How pixels are read.
        min_pixel_sum: The mask's values must add up to more than this.

    Returns:
        ``[size_px, size_px]``, or None where nobody is seen: too few pixels, a body that scales to no column, or whose
        first column alone holds half of its pixels.

    Raises:
        DatasetError: The frame is no mask, or OpenCV is not installed.

    Source:
        The pre-treatment that public gait code shares (OpenGait, datasets/pretreatment), after Chao et al., "GaitSet",
        AAAI 2019, section "Training details": aligned and scaled to 64 rows, 64 columns.

    Example:
        >>> mask = np.zeros((240, 320), np.uint8)
        >>> mask[50:190, 100:130] = 255
        >>> align_silhouette(mask, 64).shape
        (64, 64)
    """
    if mask.ndim != 2 or mask.dtype != np.uint8 or (image is not None and image.shape != mask.shape):
        shape = "" if image is None else f" beside an image {list(image.shape)}"
        raise DatasetError(f"a silhouette must be uint8 [H, W], got {mask.dtype} {list(mask.shape)}{shape}")
    if int(mask.sum(dtype=np.int64)) <= min_pixel_sum:
        return None
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    body = mask[top:bottom]
    width = int(size_px * (body.shape[1] / body.shape[0]))
    if width < 1:
        return None
    body = resize(body, width, size_px, interpolation)
    column = body.sum(axis=0, dtype=np.int64).cumsum()
    centre = int(np.searchsorted(2 * column, column[-1], side="right"))
    if not 0 < centre < width:
        return None
    if image is not None:
        body = resize(image[top:bottom], width, size_px, "nearest")
    half = size_px // 2
    left = centre - half
    if left <= 0 or left + size_px >= width:
        body = np.pad(body, ((0, 0), (half, half)))
        left += half
    return np.ascontiguousarray(body[:, left : left + size_px])


def align_all(
    frames: Iterable[NDArray[np.uint8]],
    size_px: int = 64,
    *,
    images: Sequence[NDArray[np.uint8]] | None = None,
    interpolation: Interpolation = "cubic",
    min_pixel_sum: int = MIN_PIXEL_SUM,
) -> Aligned:
    """Align the frames of a sequence, of whatever sizes, and drop those that show nobody.

    Args:
        frames: Masks ``[H, W]`` as for :func:`align_silhouette`.
        size_px: Rows and columns that come out.
        images: To cut in the masks' places, one per frame.
        interpolation: How pixels are read.
        min_pixel_sum: As for :func:`align_silhouette`.

    Raises:
        DatasetError: A frame is no mask, or OpenCV is not installed.
    """

    def aligned() -> "Iterator[NDArray[np.uint8] | None]":
        for number, mask in enumerate(frames):
            image = None if images is None else images[number]
            yield align_silhouette(mask, size_px, image=image, interpolation=interpolation, min_pixel_sum=min_pixel_sum)

    found = [(number, frame) for number, frame in enumerate(aligned()) if frame is not None]
    kept = np.array([number for number, _ in found], np.int64)
    if not found:
        return Aligned(np.empty((0, size_px, size_px), np.uint8), kept)
    return Aligned(np.stack([frame for _, frame in found]), kept)


def resize(image: NDArray[np.uint8], width: int, height: int, interpolation: Interpolation) -> NDArray[np.uint8]:
    """Scale one frame, as the published data was: by OpenCV.

    Args:
        image: ``[H, W]``.
        width: Columns that come out.
        height: Rows that come out.
        interpolation: How pixels are read.

    Raises:
        DatasetError: OpenCV is not installed.
    """
    cv2 = _opencv()
    how = {
        "cubic": cv2.INTER_CUBIC,
        "area": cv2.INTER_AREA,
        "nearest": cv2.INTER_NEAREST,
        "linear": cv2.INTER_LINEAR,
    }[interpolation]
    resized: NDArray[np.uint8] = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=how)
    return resized


def _opencv() -> Any:
    """Import OpenCV when it is needed: only raw frames are."""
    try:
        import cv2
    except ImportError as error:
        raise DatasetError(
            "scaling raw frames needs OpenCV, whose interpolation the published data was made with: "
            "pip install 'gaitbench[images]'"
        ) from error
    return cv2
