"""Pickles that hold the frames of one sequence as one array, or as a list with an array per frame.

Axes: T frames.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import DatasetError
from gaitbench.reading.child import in_child
from gaitbench.reading.limits import is_limited
from gaitbench.reading.unpickle import read_pickle
from gaitbench.sequence import Absent

__all__ = ["first_frame", "read_array", "read_list"]


def read_array(path: Path) -> NDArray[np.generic] | Absent:
    """Read frames of one shape.

    Args:
        path: A pickle of an array, or of a list of arrays or numbers of one shape.

    Returns:
        ``[T, ...]``, read-only unless it was put together here; or that there is no frame.

    Raises:
        DatasetError: The file is broken, or its frames differ in shape or type.
    """
    frames = read_list(path)
    if isinstance(frames, Absent | np.ndarray):
        return frames
    kinds = sorted({f"{frame.dtype} {list(frame.shape)}" for frame in frames})
    if len(kinds) > 1:
        raise DatasetError(
            f"{path} holds frames of different shapes or types ({kinds[0]}, {kinds[-1]}); they must agree"
        )
    return np.stack(frames)


def read_list(path: Path) -> NDArray[np.generic] | list[NDArray[np.generic]] | Absent:
    """Read frames that may differ in shape.

    Args:
        path: As for :func:`read_array`.

    Returns:
        An array with the frames along its first axis, or a list with an array per frame; or that there is no frame.

    Raises:
        DatasetError: The file is broken, or holds something else.
    """
    value = read_pickle(path)
    if isinstance(value, dict):
        raise DatasetError(
            f"{path} holds a dict ({', '.join(map(str, list(value)[:3]))}), not an array with the frames"
        )
    if not isinstance(value, np.ndarray):
        frames = [np.asarray(frame) for frame in value if isinstance(frame, np.ndarray | int | float)]
        if len(frames) < len(value):
            kinds = {type(frame).__name__ for frame in value} - {"ndarray", "int", "float"}
            raise DatasetError(f"{path} holds {', '.join(sorted(kinds))} among its frames, where arrays are needed")
        return frames or _empty(path)
    if value.ndim == 0:
        raise DatasetError(f"{path} holds a single number, not an array with the frames")
    return value if len(value) else _empty(path)


def first_frame(path: Path) -> NDArray[np.generic] | None:
    """Look at a pickle before it is decided how the dataset is read: apart from the program, wherever that runs.

    Returns:
        The first of its frames; None where there is none.

    Raises:
        DatasetError: As for :func:`read_list`.
    """
    if not is_limited():
        found: NDArray[np.generic] | None = in_child("gaitbench.streams.pickled:first_frame", path)
        return found
    frames = read_list(Path(path))
    return None if isinstance(frames, Absent) else np.asarray(frames[0])


def _empty(path: Path) -> Absent:
    return Absent(f"{path} holds no frame", is_defect=False)
