"""Colour crops of the walking person.

Axes: T frames, H rows, W columns; three channels are red, green, blue.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gaitbench.card import StreamInfo
from gaitbench.reading.frames import to_rgb
from gaitbench.sequence import Absent, SequenceInfo
from gaitbench.streams.pickled import read_array
from gaitbench.tree import StreamFiles

__all__ = ["RgbStorage", "pickled_rgb"]

RgbStorage = Literal["raw", "jpeg"]
"""``raw`` keeps every value; ``jpeg`` takes about a tenth of the space."""


def pickled_rgb(
    pattern: str,
    size_px: tuple[int, int],
    frame_rate_hz: float,
    *,
    storage: RgbStorage = "raw",
    modality: str = "rgb",
    folder: Callable[[SequenceInfo], str] | None = None,
    may_lack: bool = False,
    clock: str | None = None,
) -> StreamFiles:
    """Colour frames in a pickle, with the channels before or behind the pixels: both are in use.

    Args:
        pattern: Glob of the file.
        size_px: H and W.
        frame_rate_hz: Frames per second.
        storage: How frames are stored.
        modality: What it is the stream of; one with three channels of uint8.
        folder: See :class:`gaitbench.tree.StreamFiles`.
        may_lack: See :class:`gaitbench.tree.StreamFiles`.
        clock: See :class:`gaitbench.card.StreamInfo`.
    """
    info = StreamInfo(frame_shape=(3, *size_px), frame_rate_hz=frame_rate_hz, codec=storage, clock=clock)

    def read(paths: Sequence[Path]) -> NDArray[np.uint8] | Absent:
        frames = read_array(paths[0])
        return frames if isinstance(frames, Absent) else to_rgb(frames, str(paths[0]))

    return StreamFiles(modality=modality, info=info, pattern=pattern, read=read, folder=folder, may_lack=may_lack)
