"""Numbers of each frame that are no picture: joints in space, the values of a body model.

Axes: T frames, V joints, D values of each.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gaitbench.card import StreamInfo
from gaitbench.reading.frames import to_joints
from gaitbench.sequence import Absent, SequenceInfo
from gaitbench.streams.pickled import read_array
from gaitbench.tree import StreamFiles

__all__ = ["pickled_numbers"]


def pickled_numbers(
    pattern: str,
    frame_shape: tuple[int, int],
    frame_rate_hz: float,
    *,
    modality: str,
    folder: Callable[[SequenceInfo], str] | None = None,
    may_lack: bool = False,
    clock: str | None = None,
) -> StreamFiles:
    """Numbers in a pickle, ``[T, V, D]`` or ``[T, V * D]``.

    Args:
        pattern: Glob of the file.
        frame_shape: V and D.
        frame_rate_hz: Frames per second.
        modality: What it is the stream of; one of joints.
        folder: See :class:`gaitbench.tree.StreamFiles`.
        may_lack: See :class:`gaitbench.tree.StreamFiles`.
        clock: See :class:`gaitbench.card.StreamInfo`.
    """
    num_joints, num_values = frame_shape
    info = StreamInfo(frame_shape=frame_shape, frame_rate_hz=frame_rate_hz, clock=clock)

    def read(paths: Sequence[Path]) -> NDArray[np.float32] | Absent:
        frames = read_array(paths[0])
        if isinstance(frames, Absent):
            return frames
        flat = frames.reshape(len(frames), -1) if num_joints == 1 else frames
        return to_joints(flat, str(paths[0]), num_joints=num_joints, num_values=num_values)

    return StreamFiles(modality=modality, info=info, pattern=pattern, read=read, folder=folder, may_lack=may_lack)
