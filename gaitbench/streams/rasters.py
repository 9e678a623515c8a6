"""Pictures of any number of channels, as numbers that stay what they are.

Axes: T frames, C channels, H rows, W columns.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gaitbench.card import StreamInfo
from gaitbench.errors import DatasetError
from gaitbench.sequence import Absent, SequenceInfo
from gaitbench.streams.pickled import read_array
from gaitbench.tree import StreamFiles

__all__ = ["channels_first", "pickled_rasters"]


def pickled_rasters(
    pattern: str,
    frame_shape: tuple[int, int, int],
    frame_rate_hz: float,
    *,
    modality: str,
    dtype: type[np.uint8] | type[np.float32] = np.uint8,
    folder: Callable[[SequenceInfo], str] | None = None,
    may_lack: bool = False,
    clock: str | None = None,
) -> StreamFiles:
    """Rasters in a pickle, with the channels before or behind the pixels, or one channel without an axis.

    Args:
        pattern: Glob of the file.
        frame_shape: C, H and W.
        frame_rate_hz: Frames per second.
        modality: What it is the stream of.
        dtype: Of the modality. Bytes must be bytes in the file; single floats are made of any numbers.
        folder: See :class:`gaitbench.tree.StreamFiles`.
        may_lack: See :class:`gaitbench.tree.StreamFiles`.
        clock: See :class:`gaitbench.card.StreamInfo`.
    """
    info = StreamInfo(frame_shape=frame_shape, frame_rate_hz=frame_rate_hz, clock=clock)

    def read(paths: Sequence[Path]) -> NDArray[np.generic] | Absent:
        frames = read_array(paths[0])
        if isinstance(frames, Absent):
            return frames
        if frames.dtype != dtype and (dtype is np.uint8 or frames.dtype.kind not in "fiu"):
            raise DatasetError(f"{paths[0]} holds {frames.dtype} where {np.dtype(dtype)} is needed")
        return channels_first(frames, frame_shape[0], paths[0]).astype(dtype, copy=False)

    return StreamFiles(modality=modality, info=info, pattern=pattern, read=read, folder=folder, may_lack=may_lack)


def channels_first(frames: NDArray[np.generic], num_channels: int, path: Path) -> NDArray[np.generic]:
    """Bring the channels before the pixels, wherever they are.

    Args:
        frames: ``[T, C, H, W]`` or ``[T, H, W, C]``, or ``[T, H, W]`` of one channel.
        num_channels: C.
        path: For messages.

    Returns:
        ``[T, C, H, W]``.

    Raises:
        DatasetError: The frames have other axes.

    Example:
        >>> channels_first(np.zeros((5, 64, 44, 2), np.uint8), 2, Path("heatmap.pkl")).shape
        (5, 2, 64, 44)
    """
    if frames.ndim == 3 and num_channels == 1:
        return frames[:, None]
    if frames.ndim == 4 and frames.shape[1] == num_channels:
        return frames
    if frames.ndim == 4 and frames.shape[3] == num_channels:
        return frames.transpose(0, 3, 1, 2)
    raise DatasetError(f"{path} holds frames {list(frames.shape)}; {num_channels} channels and an image are needed")
