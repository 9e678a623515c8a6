"""Skeletons: pickled as models read them, or raw as pose estimators wrote them.

Axes: T frames, V joints.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gaitbench.card import StreamInfo
from gaitbench.errors import DatasetError
from gaitbench.reading.frames import to_joints
from gaitbench.reading.text import read_people, read_table
from gaitbench.reading.unpickle import read_pickle
from gaitbench.sequence import Absent, SequenceInfo
from gaitbench.streams.pickled import first_frame, read_array
from gaitbench.tree import StreamFiles

__all__ = [
    "COCO_OF_18",
    "POSE_INDEX_FILE",
    "coco_joints",
    "frame_number",
    "holds_joints",
    "people_joints",
    "pickled_joints",
    "text_joints",
]

COCO_OF_18 = (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)
"""Where the 17 joints of COCO stand among the 18 of OpenPose, whose second is the neck."""
POSE_INDEX_FILE = "pose_selection_idx.pkl"
"""Who of several people in a frame is the walker: a dict from the frame's number, as its file name has it."""
_NUM_JOINTS = 17
_EXTRA_VALUES = 2


def pickled_joints(
    pattern: str,
    frame_rate_hz: float,
    *,
    modality: str = "skeleton2d",
    folder: Callable[[SequenceInfo], str] | None = None,
    clock: str | None = None,
) -> StreamFiles:
    """Joints in a pickle, 17 of COCO or 18 of OpenPose, which become 17.

    Args:
        pattern: Glob of the file.
        frame_rate_hz: Frames per second.
        modality: ``skeleton2d`` or ``skeleton3d``.
        folder: See :class:`gaitbench.tree.StreamFiles`.
        clock: See :class:`gaitbench.card.StreamInfo`.
    """

    def read(paths: Sequence[Path]) -> NDArray[np.float32] | Absent:
        frames = read_array(paths[0])
        return frames if isinstance(frames, Absent) else coco_joints(frames, paths[0])

    return StreamFiles(modality=modality, info=_info(frame_rate_hz, clock), pattern=pattern, read=read, folder=folder)


def text_joints(
    pattern: str,
    frame_rate_hz: float,
    *,
    folder: Callable[[SequenceInfo], str] | None = None,
    may_lack: bool = False,
) -> StreamFiles:
    """Joints in text: lines of 53 numbers with commas between them, a frame each, the last 51 being the joints.

    Args:
        pattern: Glob of the files, sorted by name.
        frame_rate_hz: Frames per second.
        folder: See :class:`gaitbench.tree.StreamFiles`.
        may_lack: See :class:`gaitbench.tree.StreamFiles`.
    """

    def read(paths: Sequence[Path]) -> NDArray[np.float32]:
        width = _EXTRA_VALUES + 3 * _NUM_JOINTS
        rows = []
        for path in paths:
            table = read_table(path)
            if table.shape[1] != width:
                raise DatasetError(f"{path} has {table.shape[1]} values a line where a pose takes {width}")
            rows.append(table[:, _EXTRA_VALUES:])
        return np.concatenate(rows).reshape(-1, _NUM_JOINTS, 3)

    return StreamFiles(
        modality="skeleton2d",
        info=_info(frame_rate_hz),
        pattern=pattern,
        read=read,
        is_single=False,
        folder=folder,
        may_lack=may_lack,
    )


def people_joints(pattern: str, frame_rate_hz: float) -> StreamFiles:
    """Joints of everybody in a frame, a JSON file per frame with 18 joints each, as OpenPose writes them.

    Frames without people are left out. Where a frame has several, :data:`POSE_INDEX_FILE` beside the frames says who
    is meant; without it, or where it does not name the frame, it is the first one.

    Args:
        pattern: Glob of the files, sorted by name.
        frame_rate_hz: Frames per second.
    """

    def read(paths: Sequence[Path]) -> NDArray[np.float32] | Absent:
        index = _pose_index(paths[0].parent / POSE_INDEX_FILE)
        chosen = []
        for path in paths:
            people = read_people(path, num_joints=len(COCO_OF_18) + 1)
            if not people:
                continue
            number = index.get(frame_number(path), 0) if len(people) > 1 else 0
            if not 0 <= number < len(people):
                raise DatasetError(
                    f"{path.parent / POSE_INDEX_FILE} names person {number} of {path.name}, which has {len(people)}"
                )
            chosen.append(people[number])
        if not chosen:
            return Absent(f"{paths[0].parent} shows nobody in any of its {len(paths)} frames", is_defect=False)
        return coco_joints(np.stack(chosen), paths[0].parent)

    return StreamFiles(modality="skeleton2d", info=_info(frame_rate_hz), pattern=pattern, read=read, is_single=False)


def coco_joints(frames: NDArray[np.generic], where: Path) -> NDArray[np.float32]:
    """Bring joints to the 17 of COCO, three values each.

    Args:
        frames: ``[T, 17, 3]`` or ``[T, 18, 3]``, or without a confidence, which then is 1.
        where: The file, for messages.

    Returns:
        ``[T, 17, 3]``.

    Raises:
        DatasetError: The frames are something else, or a value is not finite.

    Example:
        >>> coco_joints(np.zeros((5, 18, 2)), Path("090.pkl"))[0, 0]
        array([0., 0., 1.], dtype=float32)
    """
    shape = frames.shape
    if len(shape) != 3 or shape[1] not in (_NUM_JOINTS, len(COCO_OF_18) + 1) or shape[2] not in (2, 3):
        raise DatasetError(f"{where} holds an array {list(shape)} where joints [T, 17, 3] or [T, 18, 3] are expected")
    joints = to_joints(frames, str(where), num_joints=shape[1], num_values=shape[2])
    if shape[1] > _NUM_JOINTS:
        joints = joints[:, COCO_OF_18]
    if shape[2] == 2:
        joints = np.concatenate([joints, np.ones((*joints.shape[:2], 1), np.float32)], axis=2)
    return joints


def holds_joints(folder: Path) -> bool:
    """Tell whether the pickle of a folder holds joints and no masks, as their names do not."""
    for path in sorted(folder.glob("*.pkl")):
        try:
            frame = first_frame(path)
        except DatasetError:
            return False
        shape = () if frame is None else frame.shape
        return len(shape) == 2 and shape[0] in (_NUM_JOINTS, len(COCO_OF_18) + 1) and shape[1] in (2, 3)
    return False


def frame_number(path: Path) -> str:
    """The digits that name a frame: those before the suffix, or the first four in a row where there are none.

    Example:
        >>> frame_number(Path("0042.json")), frame_number(Path("0001_keypoints.json"))
        ('0042', '0001')
    """
    at_end = re.search(r"[0-9]+\Z", path.stem)
    found = at_end or re.search(r"[0-9]{4}", path.stem)
    if found is None:
        raise DatasetError(f"{path} has no frame number in its name")
    return found.group()


def _pose_index(path: Path) -> Mapping[str, int]:
    if not path.exists():
        return {}
    content = read_pickle(path)
    if not isinstance(content, dict) or not all(type(number) is int for number in content.values()):
        raise DatasetError(f"{path} must be a dict from frame numbers to whole numbers")
    return {frame: number for frame, number in content.items() if isinstance(number, int)}


def _info(frame_rate_hz: float, clock: str | None = None) -> StreamInfo:
    return StreamInfo(frame_shape=(_NUM_JOINTS, 3), frame_rate_hz=frame_rate_hz, clock=clock)
