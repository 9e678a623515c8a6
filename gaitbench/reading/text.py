"""JSON and tables of numbers in text: poses, frame lists, partitions.

Axes: R rows, D columns, V joints.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import DatasetError
from gaitbench.reading.limits import read_regular_file, reading

__all__ = ["TextLimits", "read_json", "read_people", "read_table"]

_DEPTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TextLimits:
    """What one text file may hold."""

    num_bytes: int = 256 * 2**20
    """Size of the file."""
    num_values: int = 10_000_000
    """Numbers of a table."""


def read_json(path: Path | str, *, limits: TextLimits | None = None) -> Any:
    """Read a JSON file in UTF-8.

    Args:
        path: The file.
        limits: None for the defaults.

    Raises:
        DatasetError: The file is missing, too large, no JSON, nested more than 64 deep, or has a key twice in one
            object, or NaN or infinity, which JSON does not know.
    """
    path = Path(path)
    with reading(path):
        text = _text(path, limits or TextLimits())

        def refuse(constant: str) -> NoReturn:
            raise DatasetError(f"{path} has {constant}, which JSON does not know; write null, and repair the file")

        def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            whole = dict(pairs)
            if len(whole) != len(pairs):
                names = [name for name, _ in pairs]
                twice = next(name for name in names if names.count(name) > 1)
                raise DatasetError(
                    f"{path} has the key {twice[:80]!r} twice in one object; which one counts is unclear"
                )
            return whole

        try:
            value = json.loads(text, parse_constant=refuse, object_pairs_hook=unique)
        except json.JSONDecodeError as error:
            raise DatasetError(
                f"{path} is no JSON: {error.msg} in line {error.lineno}, column {error.colno}; copy it again"
            ) from error
        except RecursionError:
            raise DatasetError(f"{path} is nested too deeply; it is no file of poses or lists") from None
        _check_depth(path, value)
        return value


def read_people(path: Path | str, *, num_joints: int, limits: TextLimits | None = None) -> list[NDArray[np.float32]]:
    """Read the poses of one frame as OpenPose and AlphaPose write them: ``{"people": [{"pose_keypoints_2d": [...]}]}``.

    Args:
        path: The file.
        num_joints: V of the dataset.
        limits: None for the defaults.

    Returns:
        One ``[V, 3]`` array of x, y and confidence for each person in the frame; empty when nobody was seen.

    Raises:
        DatasetError: The file cannot be read, or is of another form.
    """
    content = read_json(path, limits=limits)
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list):
        raise DatasetError(f"{path} has no list of people; is it the pose of one frame?")
    poses = []
    for number, person in enumerate(people):
        values = person.get("pose_keypoints_2d") if isinstance(person, dict) else None
        if not isinstance(values, list) or len(values) != 3 * num_joints:
            count = len(values) if isinstance(values, list) else "no"
            raise DatasetError(
                f"{path}: person {number} has {count} numbers in pose_keypoints_2d; {num_joints} joints take "
                f"{3 * num_joints}"
            )
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            raise DatasetError(f"{path}: person {number} has something else than numbers in pose_keypoints_2d")
        pose = _finite(path, np.array(values, np.float64), f"person {number}")
        poses.append(pose.reshape(num_joints, 3))
    return poses


def read_table(
    path: Path | str, *, delimiter: str = ",", has_header: bool = False, limits: TextLimits | None = None
) -> NDArray[np.float32]:
    """Read rows of numbers, such as one pose per line.

    Args:
        path: The file, in UTF-8. Empty lines are passed over.
        delimiter: Between two numbers.
        has_header: The first line holds names.
        limits: None for the defaults.

    Returns:
        ``[R, D]`` float32.

    Raises:
        DatasetError: The file is missing, too large or empty, a value is no finite number, or rows differ in length;
            the message names the line.
    """
    path = Path(path)
    limits = limits or TextLimits()
    with reading(path):
        lines = _text(path, limits).splitlines()
        rows: list[list[float]] = []
        for number, line in enumerate(lines[has_header:], 1 + has_header):
            if not line.strip():
                continue
            words = line.split(delimiter)
            if rows and len(words) != len(rows[0]):
                raise DatasetError(f"{path}, line {number}: {len(words)} values, but {len(rows[0])} in the first row")
            if len(words) * (len(rows) + 1) > limits.num_values:
                raise DatasetError(f"{path} has more than {limits.num_values:,} values; split it")
            try:
                rows.append([float(word) for word in words])
            except ValueError:
                raise DatasetError(f"{path}, line {number}: {line[:60]!r} is not made of numbers") from None
        if not rows:
            raise DatasetError(f"{path} has no rows")
        return _finite(path, np.array(rows, np.float64), "the table")


def _text(path: Path, limits: TextLimits) -> str:
    data = read_regular_file(path, limits.num_bytes)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is no text in UTF-8: {error.reason} at byte {error.start:,}") from error


def _check_depth(path: Path, value: Any) -> None:
    level = [value]
    for _ in range(_DEPTH + 1):
        level = [item for parent in level if isinstance(parent, dict | list) for item in _items(parent)]
        if not level:
            return
    raise DatasetError(f"{path} is nested more than {_DEPTH} deep; it is no file of poses or lists")


def _items(parent: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return parent.values() if isinstance(parent, dict) else parent


def _finite(path: Path | str, numbers: NDArray[np.float64], where: str) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        single = numbers.astype(np.float32)
    if bad := int((~np.isfinite(single)).sum()):
        raise DatasetError(f"{path}: {bad} of {numbers.size} numbers of {where} are NaN, infinite or too large")
    return single
