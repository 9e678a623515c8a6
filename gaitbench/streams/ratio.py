"""How slim the person's box is in the video: width over height, which crops of one size no longer show.

Axes: T frames.
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

__all__ = ["pickled_ratios", "width_over_height"]


def pickled_ratios(
    pattern: str,
    frame_rate_hz: float,
    *,
    modality: str = "aspect-ratio",
    folder: Callable[[SequenceInfo], str] | None = None,
    may_lack: bool = False,
    clock: str | None = None,
) -> StreamFiles:
    """Aspect ratios in a pickle: the ratio itself, or height and width.

    Args:
        pattern: Glob of the file.
        frame_rate_hz: Frames per second.
        modality: What it is the stream of; one of joints with one value.
        folder: See :class:`gaitbench.tree.StreamFiles`.
        may_lack: See :class:`gaitbench.tree.StreamFiles`.
        clock: See :class:`gaitbench.card.StreamInfo`.
    """
    info = StreamInfo(frame_shape=(1, 1), frame_rate_hz=frame_rate_hz, clock=clock)

    def read(paths: Sequence[Path]) -> NDArray[np.float32] | Absent:
        values = read_array(paths[0])
        return values if isinstance(values, Absent) else width_over_height(values, paths[0])

    return StreamFiles(modality=modality, info=info, pattern=pattern, read=read, folder=folder, may_lack=may_lack)


def width_over_height(values: NDArray[np.generic], path: Path) -> NDArray[np.float32]:
    """Make the stream of what files hold.

    Args:
        values: ``[T]`` or ``[T, 1]`` width over height, or ``[T, 2]`` height and width in pixels.
        path: For messages.

    Returns:
        ``[T, 1, 1]``.

    Raises:
        DatasetError: The values are something else, or not above 0.

    Example:
        >>> width_over_height(np.array([[120, 60], [100, 40]]), Path("04-000-Camera-Ratios-HW.pkl")).tolist()
        [[[0.5]], [[0.4000000059604645]]]
    """
    if values.dtype.kind not in "fiu" or values.ndim > 2 or (values.ndim == 2 and values.shape[1] > 2):
        raise DatasetError(
            f"{path} holds {values.dtype} {list(values.shape)}; ratios are [T] width over height, or [T, 2] height and "
            "width"
        )
    numbers = values.astype(np.float64).reshape(len(values), -1)
    if not (np.isfinite(numbers) & (numbers > 0)).all():
        number = int(np.flatnonzero(~(np.isfinite(numbers) & (numbers > 0)).all(axis=1))[0])
        raise DatasetError(f"{path}: frame {number} has {numbers[number].tolist()}, sizes of a box must be above 0")
    ratio = numbers[:, 1] / numbers[:, 0] if numbers.shape[1] == 2 else numbers[:, 0]
    return ratio.astype(np.float32)[:, None, None]
