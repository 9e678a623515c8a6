"""The colours of heatmaps: dark to bright, so that they can be told apart without hue and in grey.

Axes: h, w rows and columns; values in [0, 1], colours in [0, 255].
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["heat_colours", "overlay", "stretch"]

Picture = NDArray[np.uint8]

_STOPS = np.array(
    [
        *((0, 0, 4), (40, 11, 84), (101, 21, 110), (159, 42, 99)),
        *((212, 72, 66), (245, 125, 21), (250, 193, 39), (252, 255, 164)),
    ],
    dtype=np.float64,
)
_SHARE = 0.68
"""Of the colour over the frame."""


def heat_colours(values: NDArray[np.floating]) -> Picture:
    """Colour values from black over purple and orange to pale yellow.

    Args:
        values: ``[h, w]`` in [0, 1].

    Returns:
        ``[h, w, 3]``.

    Example:
        >>> heat_colours(np.array([[0.0, 1.0]])).tolist()
        [[[0, 0, 4], [252, 255, 164]]]
    """
    places = np.linspace(0, 1, len(_STOPS))
    channels = [np.interp(values, places, _STOPS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def overlay(frame: Picture, values: NDArray[np.floating]) -> Picture:
    """Lay the colours of a map over a frame, which shines through in grey, so that every hue is the map's.

    Args:
        frame: ``[h, w, 3]``.
        values: ``[h, w]`` in [0, 1].

    Returns:
        ``[h, w, 3]``.
    """
    grey = frame.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    mixed = (1 - _SHARE) * grey[..., None] + _SHARE * heat_colours(values)
    return np.asarray(mixed.round().astype(np.uint8))


def stretch(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.float64]:
    """Map ``low`` to 0 and ``high`` to 1, cut off outside; a map of one value becomes 0.

    Example:
        >>> stretch(np.array([1.0, 2.0, 9.0]), 1.0, 5.0).tolist()
        [0.0, 0.25, 1.0]
    """
    if not high > low:
        return np.zeros(values.shape)
    return np.asarray(((values.astype(np.float64) - low) / (high - low)).clip(0, 1))
