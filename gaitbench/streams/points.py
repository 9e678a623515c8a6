"""Point clouds, as many points in a frame as the sensor got back.

Axes: T frames, N points of a frame.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from gaitbench.card import StreamInfo
from gaitbench.reading.frames import to_points
from gaitbench.sequence import Absent, PointFrames, SequenceInfo
from gaitbench.streams.pickled import read_list
from gaitbench.tree import StreamFiles

__all__ = ["pickled_points"]


def pickled_points(
    pattern: str,
    frame_rate_hz: float,
    *,
    modality: str = "lidar",
    num_values: int = 3,
    folder: Callable[[SequenceInfo], str] | None = None,
    may_lack: bool = False,
    clock: str | None = None,
) -> StreamFiles:
    """Point clouds in a pickle: a list of ``[N, 3]`` arrays, or one array where all frames have as many points.

    Args:
        pattern: Glob of the file.
        frame_rate_hz: Frames per second.
        modality: What it is the stream of; one of points.
        num_values: Values per point that are kept, the coordinates first; files may have more.
        folder: See :class:`gaitbench.tree.StreamFiles`.
        may_lack: See :class:`gaitbench.tree.StreamFiles`.
        clock: See :class:`gaitbench.card.StreamInfo`.
    """
    info = StreamInfo(frame_shape=(num_values,), frame_rate_hz=frame_rate_hz, clock=clock)

    def read(paths: Sequence[Path]) -> PointFrames | Absent:
        frames = read_list(paths[0])
        return frames if isinstance(frames, Absent) else to_points(frames, str(paths[0]), num_values=num_values)

    return StreamFiles(modality=modality, info=info, pattern=pattern, read=read, folder=folder, may_lack=may_lack)
