"""From the arrays that datasets have to the frames that modalities want, or an error that says what is wrong.

Axes: T frames, H rows, W columns, V joints, D values per joint or point, M points of all frames together. ``where``
names the file in messages.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import DatasetError
from gaitbench.sequence import PointFrames

__all__ = ["stack_frames", "to_joints", "to_masks", "to_numbers", "to_points", "to_rgb"]

_NEAR_ONE = 1 + 1e-3
"""Interpolation in floats overshoots 1 a little."""


def stack_frames(value: object, where: str) -> NDArray[np.generic]:
    """One array of all frames, time first: an array as it is, a list of arrays of one shape stacked.

    Args:
        value: What :func:`gaitbench.reading.unpickle.read_pickle` and its siblings return.
        where: The file, for messages.

    Raises:
        DatasetError: There are no frames, they differ in shape or type, or a frame is missing or no array.

    Example:
        >>> stack_frames([np.zeros((2, 3)), np.ones((2, 3))], "000.pkl").shape
        (2, 2, 3)
    """
    if isinstance(value, np.ndarray):
        if value.ndim == 0 or len(value) == 0:
            raise DatasetError(f"{where} has no frames (its array has shape {list(value.shape)})")
        return value
    frames = _frames(value, where)
    arrays = [np.asarray(frame) for frame in frames]
    if all(array.ndim == 0 and array.dtype.kind in "iuf" for array in arrays):
        return np.array(frames)  # one number per frame, whole ones among the others
    for number, array in enumerate(arrays):
        if array.shape != arrays[0].shape or array.dtype.kind != arrays[0].dtype.kind:
            raise DatasetError(
                f"{where}: frame {number} is {array.dtype} {list(array.shape)}, but frame 0 is {arrays[0].dtype} "
                f"{list(arrays[0].shape)}; all frames of a sequence need one shape and type"
            )
    return np.stack(arrays)


def to_masks(value: object, where: str) -> NDArray[np.uint8]:
    """Silhouettes as grey masks: 0 outside, 255 inside the body, in between on soft edges.

    Args:
        value: ``[T, H, W]``, ``[T, 1, H, W]`` or a list of frames: truth values; integers of 0 and 1, or of 0 to 255;
            floats from 0 to 1, or from 0 to 255. The largest value tells which: integers of at most 1 and floats of at
            most 1 are scaled by 255.
        where: The file, for messages.

    Returns:
        ``[T, H, W]`` uint8.

    Raises:
        DatasetError: There are no frames, or shape, type or values are others; the message counts NaN and infinity.

    Example:
        >>> to_masks(np.array([[[0.0, 0.5, 1.0]]]), "000.pkl")
        array([[[  0, 128, 255]]], dtype=uint8)
    """
    masks: NDArray[Any] = stack_frames(value, where)
    whole: NDArray[np.uint8]
    if masks.ndim == 4 and masks.shape[1] == 1:
        masks = masks[:, 0]
    if masks.ndim != 3 or 0 in masks.shape:
        raise DatasetError(f"{where} has shape {list(masks.shape)}; silhouettes are [T, H, W]")
    if masks.dtype == np.bool_:
        whole = np.multiply(masks, 255, dtype=np.uint8)
        return whole
    _check_finite(masks, where)
    low, high = masks.min(), masks.max()
    if masks.dtype.kind == "f":
        if low < -(_NEAR_ONE - 1) or high > 255:
            raise DatasetError(f"{where} has values from {low:g} to {high:g}; silhouettes go from 0 to 1 or 0 to 255")
        scale = 255.0 if high <= _NEAR_ONE else 1.0
        whole = np.clip(np.rint(masks * scale), 0, 255).astype(np.uint8)
        return whole
    if low < 0 or high > 255:
        raise DatasetError(f"{where} has values from {low} to {high}; silhouettes go from 0 to 1 or 0 to 255")
    whole = masks.astype(np.uint8, copy=False)
    return np.multiply(whole, 255, dtype=np.uint8) if high <= 1 else whole


def to_rgb(value: object, where: str) -> NDArray[np.uint8]:
    """Colour frames with the channels first.

    Args:
        value: ``[T, H, W, 3]`` or ``[T, 3, H, W]``, or a list of frames: integers from 0 to 255, or floats from 0 to 1
            or from 0 to 255. An axis of 3 is the channels; should both be 3, the second is.
        where: The file, for messages.

    Returns:
        ``[T, 3, H, W]`` uint8.

    Raises:
        DatasetError: There are no frames, or shape, type or values are others.

    Example:
        >>> to_rgb(np.zeros((2, 64, 44, 3), np.uint8), "000.pkl").shape
        (2, 3, 64, 44)
    """
    frames: NDArray[Any] = stack_frames(value, where)
    if frames.ndim != 4 or 0 in frames.shape or 3 not in (frames.shape[1], frames.shape[3]):
        raise DatasetError(f"{where} has shape {list(frames.shape)}; colour frames are [T, 3, H, W] or [T, H, W, 3]")
    if frames.shape[1] != 3:
        frames = frames.transpose(0, 3, 1, 2)
    if frames.dtype == np.bool_:
        raise DatasetError(f"{where} holds truth values, no colours")
    _check_finite(frames, where)
    low, high = frames.min(), frames.max()
    if low < 0 or high > 255:
        raise DatasetError(f"{where} has values from {low:g} to {high:g}; colours go from 0 to 255")
    if frames.dtype.kind == "f":
        frames = np.rint(frames * (255.0 if high <= 1 else 1.0))
    return np.ascontiguousarray(frames, np.uint8)


def to_joints(value: object, where: str, *, num_joints: int, num_values: int) -> NDArray[np.float32]:
    """Skeletons as ``[T, V, D]``.

    Args:
        value: ``[T, V, D]`` or ``[T, V * D]`` numbers, or a list of frames.
        where: The file, for messages.
        num_joints: V of the dataset.
        num_values: D of the dataset: 2, or 3 with a confidence or in space.

    Returns:
        ``[T, V, D]`` float32.

    Raises:
        DatasetError: There are no frames, or shape or values are others; the message counts NaN and infinity.

    Example:
        >>> to_joints(np.zeros((2, 51)), "000.pkl", num_joints=17, num_values=3).shape
        (2, 17, 3)
    """
    joints = stack_frames(value, where)
    if joints.ndim == 2 and joints.shape[1] == num_joints * num_values:
        joints = joints.reshape(-1, num_joints, num_values)
    if joints.shape[1:] != (num_joints, num_values):
        raise DatasetError(
            f"{where} has shape {list(joints.shape)}; its skeletons are [T, {num_joints}, {num_values}] or "
            f"[T, {num_joints * num_values}]"
        )
    return _to_float32(joints, where)


def to_points(value: object, where: str, *, num_values: int = 3, files: Sequence[Path] = ()) -> PointFrames:
    """Point clouds, one after the other.

    Args:
        value: A list of ``[M_t, D]`` arrays, one per frame, of which some may be empty; or one array ``[T, M, D]``.
        where: The file, or the folder of several, for messages.
        num_values: D to keep: further values of a point, such as the intensity, are cut off.
        files: The file of each frame, where each has its own; messages name it.

    Returns:
        The points as float32, and where each frame begins.

    Raises:
        DatasetError: There are no frames or no points at all, a frame is of another shape, or points are not finite;
            the message counts them.

    Example:
        >>> to_points([np.zeros((5, 3)), np.zeros((0, 3)), np.zeros((2, 3))], "000.pkl").offsets
        array([0, 5, 5, 7])
    """
    frames = [np.asarray(frame) for frame in _frames(value, where)]
    kept: list[NDArray[np.generic]] = []
    for number, frame in enumerate(frames):
        if frame.size == 0:
            kept.append(np.empty((0, num_values), np.float32))
        elif frame.ndim != 2 or frame.shape[1] < num_values or frame.dtype.kind not in "iuf":
            named = str(files[number]) if files else f"{where}: frame {number}"
            raise DatasetError(f"{named} is {frame.dtype} {list(frame.shape)}; a cloud is [points, {num_values}]")
        else:
            frame = frame[:, :num_values]
            kept.append(_to_float32(frame, str(files[number])) if files else frame)
    offsets = np.cumsum([0, *map(len, kept)], dtype=np.int64)
    if offsets[-1] == 0:
        raise DatasetError(f"{where} has {len(kept)} frames and not one point")
    return PointFrames(_to_float32(np.concatenate(kept), where), offsets)


def to_numbers(value: object, where: str, *, num_values: int) -> NDArray[np.float32]:
    """Some numbers per frame, such as the size of a person's box or the parameters of a body.

    Args:
        value: ``[T, D]``, or ``[T]`` where D is 1, or a list of either.
        where: The file, for messages.
        num_values: D of the dataset.

    Returns:
        ``[T, D]`` float32.

    Raises:
        DatasetError: There are no frames, or shape or values are others.

    Example:
        >>> to_numbers([0.4, 0.5], "000-ratios.pkl", num_values=1).shape
        (2, 1)
    """
    numbers = stack_frames(value, where)
    if numbers.ndim == 1 and num_values == 1:
        numbers = numbers[:, None]
    if numbers.shape[1:] != (num_values,):
        raise DatasetError(f"{where} has shape {list(numbers.shape)}; it should be [T, {num_values}]")
    return _to_float32(numbers, where)


def _frames(value: Any, where: str) -> list[Any]:
    """The items of a list or array; none of them may be missing."""
    if isinstance(value, Mapping):
        raise DatasetError(
            f"{where} holds a dict with {', '.join(map(str, list(value)[:5]))}; frames are a list or array"
        )
    if not isinstance(value, list | tuple | np.ndarray) or (isinstance(value, np.ndarray) and value.ndim == 0):
        raise DatasetError(f"{where} holds a {type(value).__name__}, no frames")
    if len(value) == 0:
        raise DatasetError(f"{where} has no frames (it is an empty {type(value).__name__})")
    empty = [number for number, frame in enumerate(value) if frame is None]
    if empty:
        raise DatasetError(f"{where}: {len(empty)} of {len(value)} frames are None (first: frame {empty[0]})")
    for number, frame in enumerate(value):
        if not isinstance(frame, np.ndarray | np.generic | int | float):
            raise DatasetError(f"{where}: frame {number} is a {type(frame).__name__}, no array")
    return list(value)


def _to_float32(array: NDArray[np.generic], where: str) -> NDArray[np.float32]:
    if array.dtype.kind not in "iuf":
        raise DatasetError(f"{where} holds {array.dtype}, no numbers")
    _check_finite(array, where)
    with np.errstate(over="ignore"):  # infinite values are refused below
        single = array.astype(np.float32)
    if array.dtype.itemsize > 4:
        _check_finite(single, f"{where}, as float32,")
    return single


def _check_finite(array: NDArray[np.generic], where: str) -> None:
    if array.dtype.kind != "f":
        return
    finite = np.isfinite(array)
    if finite.all():
        return
    num_nan = int(np.isnan(array).sum())
    broken = ~finite.reshape(len(array), -1).all(axis=1)
    raise DatasetError(
        f"{where} has {num_nan} NaN and {int((~finite).sum()) - num_nan} infinite of {array.size} values, the first in "
        f"row {int(np.argmax(broken))} of {len(array)}; repair or remove the file"
    )
