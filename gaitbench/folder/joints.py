"""Skeletons as pose estimators write them: OpenPose's file per frame, lists in the form of COCO, tables, arrays.

Axes: T frames, V joints, D values of each.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import DatasetError
from gaitbench.folder.files import kind_of
from gaitbench.folder.rasters import frames_in_arrays
from gaitbench.reading.frames import stack_frames, to_joints
from gaitbench.reading.images import in_order
from gaitbench.reading.limits import read_regular_file, reading
from gaitbench.reading.text import TextLimits, read_json, read_people, read_table
from gaitbench.sequence import Absent
from gaitbench.streams.joints import COCO_OF_18

__all__ = ["COCO_OF_25", "read_joints"]

COCO_OF_25 = (0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11)
"""Where the 17 joints of COCO stand among the 25 of OpenPose's BODY_25."""
_COCO: dict[int, tuple[int, ...]] = {18: COCO_OF_18, 25: COCO_OF_25}
_WIDTHS = {34: 2, 51: 3, 36: 2, 54: 3, 50: 2, 75: 3}
"""Numbers in a line to values per joint, for 17, 18 and 25 joints."""
_BESIDE = ("frame", "frame_id", "frame_number", "index", "t", "time", "timestamp")
"""Columns of a table that are no joints."""


def read_joints(
    paths: Sequence[Path], modality: str, joints: Literal["coco", "keep"] = "coco"
) -> NDArray[np.float32] | Absent:
    """Read the skeletons of a walk. Frames without people are dropped; of several people the surest is taken.

    Args:
        paths: Files of OpenPose, one per frame; or one JSON file with a list in the form of COCO (``image_id``,
            ``keypoints``, ``score``); or one CSV file with a line per frame; or arrays ``[T, V, D]``.
        modality: ``skeleton2d``: x, y and a confidence, which is 1 where files have none. ``skeleton3d``: x, y, z.
        joints: ``coco`` brings OpenPose's 18 or 25 joints to COCO's 17; ``keep`` leaves them.

    Returns:
        ``[T, V, 3]``; or that nobody is seen.

    Raises:
        DatasetError: A file cannot be read, is of another form, or has frames with different joints.
    """
    kind, where = kind_of(paths), str(paths[0] if len(paths) == 1 else paths[0].parent)
    is_flat = modality == "skeleton2d"
    if kind == "array":
        frames: NDArray[Any] | None = stack_frames(frames_in_arrays(paths, modality), where)
    elif kind == "csv":
        frames = _table(paths[0], is_flat=is_flat)
    elif len(paths) == 1 and (listed := _list_of(paths[0])) is not None:
        frames = _annotations(listed, paths[0], is_flat=is_flat)
    elif is_flat:
        frames = _people(in_order(paths))
    else:
        raise DatasetError(
            f"{where} has a JSON file per frame, which hold joints in the image; save joints in space as "
            "a list in the form of COCO, a table or an array"
        )
    if frames is None:
        return Absent(f"{where} shows nobody", is_defect=False)
    if frames.ndim != 3 or frames.shape[1] < 1 or frames.shape[2] not in ((2, 3) if is_flat else (3,)):
        values = "2 or 3" if is_flat else "3"
        raise DatasetError(f"{where} has shape {list(frames.shape)}; skeletons are [frames, joints, {values}]")
    found = to_joints(frames, where, num_joints=frames.shape[1], num_values=frames.shape[2])
    if joints == "coco" and (order := _COCO.get(found.shape[1])):
        found = found[:, order]
    if found.shape[2] == 2:
        found = np.concatenate([found, np.ones((*found.shape[:2], 1), np.float32)], axis=2)
    return found


def _people(paths: Sequence[Path]) -> NDArray[np.float32] | None:
    """``[T, V, 3]`` of OpenPose's files."""
    num_joints, frames = 0, []
    for path in paths:
        num_joints = num_joints or _num_joints(path)
        if num_joints and (people := read_people(path, num_joints=num_joints)):
            frames.append(max(people, key=lambda pose: float(pose[:, 2].sum())))
    return np.stack(frames) if frames else None


def _num_joints(path: Path) -> int:
    """Joints of the first person of a file; 0 where there is none."""
    content = read_json(path)
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list):
        raise DatasetError(f"{path} has no list of people (OpenPose) and no list of keypoints (COCO)")
    if not people:
        return 0
    values = people[0].get("pose_keypoints_2d") if isinstance(people[0], dict) else None
    if not isinstance(values, list) or not values or len(values) % 3:
        raise DatasetError(f"{path}: the first person has no pose_keypoints_2d of three numbers per joint")
    return len(values) // 3


def _list_of(path: Path) -> list[Any] | None:
    """The annotations of a file in the form of COCO; None where it is of another form."""
    content = read_json(path)
    listed = content.get("annotations") if isinstance(content, dict) else content
    return listed if isinstance(listed, list) else None


def _annotations(listed: list[Any], path: Path, *, is_flat: bool) -> NDArray[np.float64] | None:
    """``[T, V, 3]``, images in the order of the numbers in their ids."""
    best: dict[str, tuple[float, list[float]]] = {}
    width = 0
    for number, item in enumerate(listed):
        values = item.get("keypoints") if isinstance(item, dict) else None
        image = item.get("image_id") if isinstance(item, dict) else None
        if not isinstance(values, list) or not values or len(values) % 3 or not isinstance(image, int | str):
            raise DatasetError(f"{path}: annotation {number} needs image_id, and keypoints of three numbers per joint")
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            raise DatasetError(f"{path}: annotation {number} has something else than numbers among its keypoints")
        width = width or len(values)
        if len(values) != width:
            raise DatasetError(f"{path}: annotation {number} has {len(values)} keypoint values, the first one {width}")
        score = item.get("score", sum(values[2::3]) if is_flat else 0.0)
        if not isinstance(score, int | float):
            raise DatasetError(f"{path}: annotation {number} has the score {json.dumps(score)[:40]}, no number")
        if str(image) not in best or score > best[str(image)][0]:
            best[str(image)] = (score, values)
    if not best:
        return None
    images = sorted(best, key=lambda name: [int(part) for part in re.findall(r"[0-9]{1,18}", name)] or [0])
    with reading(path):  # a number can be too large for a float
        return np.array([best[image][1] for image in images], np.float64).reshape(len(images), -1, 3)


def _table(path: Path, *, is_flat: bool) -> NDArray[np.float32]:
    """``[T, V, D]`` of lines of numbers, below a line of names or not."""
    with reading(path):
        start = read_regular_file(path, TextLimits().num_bytes)[: 2**20].decode("utf-8-sig", "replace")
    names = [word.strip().strip('"').lower() for word in start.partition("\n")[0].split(",")]
    has_header = not any(_is_number(name) for name in names)  # a word among numbers is a broken frame
    table = read_table(path, has_header=has_header)
    if has_header and len(names) == table.shape[1]:
        table = table[:, [name not in _BESIDE for name in names]]
    width = table.shape[1]
    num_values = 3 if not is_flat else _WIDTHS.get(width, 3 if width % 3 == 0 else 2)
    if width == 0 or width % num_values:
        raise DatasetError(f"{path} has {width} numbers in a line, which are no joints of {num_values} values each")
    return table.reshape(len(table), -1, num_values)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
