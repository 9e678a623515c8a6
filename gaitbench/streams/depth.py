"""Range images, as published: in the false colours of the *jet* map, or as one channel.

Axes: T frames, H rows, W columns.
"""

import dataclasses
from collections.abc import Callable

from gaitbench.sequence import SequenceInfo
from gaitbench.streams.rasters import pickled_rasters
from gaitbench.tree import StreamFiles

__all__ = ["pickled_depth"]


def pickled_depth(
    pattern: str,
    size_px: tuple[int, int],
    frame_rate_hz: float,
    *,
    is_coloured: bool = True,
    modality: str = "lidar-depth",
    folder: Callable[[SequenceInfo], str] | None = None,
    may_lack: bool = False,
    clock: str | None = None,
) -> StreamFiles:
    """Range images of bytes in a pickle.

    Args:
        pattern: Glob of the file.
        size_px: H and W.
        frame_rate_hz: Frames per second.
        is_coloured: True for jet colours, ``[T, 3, H, W]`` or ``[T, H, W, 3]``; models that read one channel get the
            distances back, see :func:`gaitbench.projection.unjet`. False for one channel, with an axis or without.
        modality: What it is the stream of.
        folder: See :class:`gaitbench.tree.StreamFiles`.
        may_lack: See :class:`gaitbench.tree.StreamFiles`.
        clock: See :class:`gaitbench.card.StreamInfo`.
    """
    files = pickled_rasters(
        pattern,
        (3 if is_coloured else 1, *size_px),
        frame_rate_hz,
        modality=modality,
        folder=folder,
        may_lack=may_lack,
        clock=clock,
    )
    info = files.info.model_copy(update={"colour_map": "jet" if is_coloured else None})
    return dataclasses.replace(files, info=info)
