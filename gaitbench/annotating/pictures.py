"""Frames of a raster as pictures that a person, or a model that sees, can read.

Axes: T frames, C channels, H rows, W columns.
"""

import colorsys

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import UsageError
from gaitbench.modality import Modality

__all__ = ["check_visible", "to_pictures"]

NUM_HUES = 24
NEAR_GREY, FAR_GREY = 255, 55


def check_visible(modality: Modality) -> None:
    """Stop when a modality has no pictures.

    Raises:
        UsageError: It is joints or points.
    """
    if modality.kind != "raster":
        raise UsageError(
            f"a contact sheet is made of pictures, and {modality.name} is {modality.kind}; take silhouette, rgb, depth "
            "or lidar-depth (--modalities)."
        )


def to_pictures(frames: NDArray[np.generic], modality: Modality) -> NDArray[np.uint8]:
    """Turn decoded frames into colours.

    Args:
        frames: ``[T, C, H, W]`` as stored.
        modality: What they are, as the dataset stores it. Masks become white on black; millimetres are bright where
            near, over the range of all frames given, and black without a return; classes get a colour each; colours
            stay as they are.

    Returns:
        ``[T, H, W, 3]``.

    Example:
        >>> from gaitbench.modality import SILHOUETTE
        >>> to_pictures(np.array([[[[0, 1]]]], np.uint8), SILHOUETTE)[0, 0].tolist()
        [[0, 0, 0], [255, 255, 255]]
    """
    if modality.unit == "class":
        return _palette()[frames[:, 0].astype(np.int64) % NUM_HUES]
    if modality.unit == "mm":
        bright = _near_is_bright(frames)
    else:
        # Masks are 0 and 1, or 0 to 255 where their edges are soft; what is not of bytes fills its own range.
        highest = modality.value_range[1] if modality.value_range[1] <= 1 else 255.0
        if modality.dtype != "uint8":
            highest = max(float(frames.max(initial=0)), 1e-6)
        bright = np.clip(frames.astype(np.float32) * np.float32(255 / highest), 0, 255)
    if frames.shape[1] != 3:
        # Maps of several channels, such as limbs and joints, are laid over each other.
        bright = np.repeat(bright.max(axis=1, keepdims=True), 3, axis=1)
    return np.ascontiguousarray(np.moveaxis(bright, 1, 3).astype(np.uint8))


def _near_is_bright(frames: NDArray[np.generic]) -> NDArray[np.float32]:
    distance = frames.astype(np.float32)
    seen = distance > 0
    if not seen.any():
        return np.zeros_like(distance)
    near, far = float(distance[seen].min()), float(distance[seen].max())
    share = (distance - near) / max(far - near, 1.0)
    return np.where(seen, NEAR_GREY - (NEAR_GREY - FAR_GREY) * share, 0).astype(np.float32)


def _palette() -> NDArray[np.uint8]:
    """``[NUM_HUES, 3]``; class 0, the background, is black."""
    colours = [(0.0, 0.0, 0.0), *(colorsys.hsv_to_rgb(i * 0.381966 % 1, 0.65, 0.95) for i in range(1, NUM_HUES))]
    return (np.array(colours) * 255).astype(np.uint8)
