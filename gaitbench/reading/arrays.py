"""``.npy`` and ``.npz`` files: numbers and truth values only, and as many of them as the header declares.

What the frames of a dataset are turned into afterwards is in :mod:`gaitbench.reading.frames`.
"""

import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from gaitbench.errors import DatasetError
from gaitbench.reading.limits import check_regular_file, reading
from gaitbench.reading.unpickle import Pickled, PickleLimits, unpickled
from gaitbench.reading.zip_directory import check_directory

__all__ = ["ArrayLimits", "check_members", "read_npy", "read_npz", "read_npz_objects"]

_Value = TypeVar("_Value")

_KINDS = "biuf"
_MAX_HEADER = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayLimits:
    """What one file of arrays may hold."""

    num_bytes: int = 4 * 2**30
    """All arrays together, unpacked."""
    num_arrays: int = 10_000
    """Members of an ``.npz`` file."""
    ratio: float = 300.0
    """Unpacked bytes per packed byte of a member, and of all together; masks of people come out below 100."""
    bytes_without_ratio: int = 64 * 2**20
    """Up to this size they may be packed any tighter: an empty mask packs to nearly nothing."""


def read_npy(path: Path | str, *, limits: ArrayLimits | None = None) -> NDArray[np.generic]:
    """Read a ``.npy`` file.

    Args:
        path: The file.
        limits: None for the defaults.

    Returns:
        The array, in this machine's byte order.

    Raises:
        DatasetError: The file is missing, damaged or too large, or holds anything but numbers and truth values.
    """
    path = Path(path)
    limits = limits or ArrayLimits()
    with reading(path):
        size = check_regular_file(path, limits.num_bytes)
        with path.open("rb") as file:
            return _read_array(file, size, str(path))


def read_npz(path: Path | str, *, limits: ArrayLimits | None = None) -> dict[str, NDArray[np.generic]]:
    """Read all arrays of an ``.npz`` file, by name.

    Args:
        path: The file.
        limits: None for the defaults.

    Returns:
        Name to array, in the file's order and this machine's byte order.

    Raises:
        DatasetError: The file is missing, damaged or too large, is a zip bomb, names an array twice, or holds anything
            but arrays of numbers and truth values.
    """
    return _read_members(Path(path), limits or ArrayLimits(), _read_array)


def read_npz_objects(path: Path | str, *, limits: ArrayLimits | None = None) -> dict[str, Pickled]:
    """Read all arrays of an ``.npz`` file, also those that numpy pickled because they hold lists and dicts of arrays.

    The pickles are not unpickled: see :mod:`gaitbench.reading.pickle_machine` for what is read of them.

    Args:
        path: The file.
        limits: None for the defaults.

    Returns:
        Name to array, or to the list of what an array of objects holds.

    Raises:
        DatasetError: As :func:`read_npz`, or a pickle holds anything but arrays, numbers, words, and lists and dicts of
            them.
    """
    return _read_members(Path(path), limits or ArrayLimits(), _read_objects)


def _read_members(path: Path, limits: ArrayLimits, read: Callable[[IO[bytes], int, str], _Value]) -> dict[str, _Value]:
    arrays: dict[str, _Value] = {}
    with reading(path):
        check_regular_file(path, limits.num_bytes)
        check_directory(path, limits.num_arrays)
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            check_members(path, members, limits)
            for member in members:
                name = member.filename.removesuffix(".npy")
                if name in arrays:
                    raise DatasetError(f"{path} holds two arrays named {name}; write it again")
                if name == member.filename:
                    raise DatasetError(f"{path} holds {name!r}, which is no array; an .npz file holds .npy files only")
                with archive.open(member) as file:
                    arrays[name] = read(file, member.file_size, f"{path}: {name}")
                    if file.read(1):  # also has the checksum compared
                        raise DatasetError(f"{path}: {name} goes on after its end; write it again")
    return arrays


def check_members(path: Path, members: list[zipfile.ZipInfo], limits: ArrayLimits) -> None:
    """Stop before a zip file that unpacks to far more than it holds.

    Raises:
        DatasetError: Members overlap, need a password, or are too large together or for what they take in the file.
    """
    if sum(member.compress_size for member in members) > path.stat().st_size:
        raise DatasetError(f"{path} has members that overlap, as in a zip bomb; it is not read")
    if (total := sum(member.file_size for member in members)) > limits.num_bytes:
        raise DatasetError(f"{path} unpacks to {total:,} bytes, more than the limit of {limits.num_bytes:,}; split it")
    for member in members:
        if member.flag_bits & 1:
            raise DatasetError(f"{path} is protected with a password; unpack it, and write it again without")
        is_large = member.file_size > limits.bytes_without_ratio
        if is_large and member.file_size > limits.ratio * max(member.compress_size, 1):
            raise DatasetError(
                f"{path}: {member.filename} unpacks {member.compress_size:,} bytes to {member.file_size:,}, as a zip "
                f"bomb does; write it again without compression if it is sound"
            )
    if total > max(limits.bytes_without_ratio, limits.ratio * path.stat().st_size):
        raise DatasetError(
            f"{path} unpacks {path.stat().st_size:,} bytes to {total:,}, as a zip bomb does; write it again without "
            "compression if it is sound"
        )


def _read_objects(file: IO[bytes], size: int, where: str) -> Pickled:
    """Read one array in ``.npy`` form, or what the pickle holds that numpy writes for objects."""
    header = _read_header(file, where)
    if not header.dtype.hasobject:
        return _read_body(file, size, where, header)
    data = bytearray(size - file.tell())
    if _fill(file, memoryview(data)) != len(data):
        raise DatasetError(f"{where} ends early; copy or download it again")
    return unpickled(bytes(data), where, PickleLimits())


def _read_array(file: IO[bytes], size: int, where: str) -> NDArray[np.generic]:
    """Read one array in ``.npy`` form that takes ``size`` bytes with its header."""
    header = _read_header(file, where)
    if header.dtype.hasobject:
        raise DatasetError(
            f"{where} holds pickled Python objects, which are never loaded; save numbers, and frames of different "
            "sizes as one array each in an .npz file"
        )
    return _read_body(file, size, where, header)


class _Header(NamedTuple):
    """What stands before the content of an array."""

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: "np.dtype[Any]"


def _read_header(file: IO[bytes], where: str) -> _Header:
    version = npy_format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise DatasetError(f"{where} is of .npy version {version[0]}.{version[1]}; only plain arrays are read")
    read_header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    return _Header(*read_header(file, max_header_size=_MAX_HEADER))


def _read_body(file: IO[bytes], size: int, where: str, header: _Header) -> NDArray[np.generic]:
    shape, is_fortran, dtype = header
    if dtype.kind not in _KINDS or dtype.subdtype is not None:
        raise DatasetError(f"{where} holds values of type {dtype}; only numbers and truth values are read")
    count, left = math.prod(shape), size - file.tell()
    if count * dtype.itemsize != left or min(shape, default=0) < 0:
        raise DatasetError(
            f"{where} declares an array of shape {list(shape)} and type {dtype}, which takes "
            f"{count * dtype.itemsize:,} bytes, but has {left:,}; it was cut short or altered"
        )
    data = bytearray(left)
    if _fill(file, memoryview(data)) != left:
        raise DatasetError(f"{where} ends early; copy or download it again")
    if dtype.kind == "b" and left and int(np.frombuffer(data, np.uint8).max()) > 1:
        raise DatasetError(f"{where} holds truth values other than 0 and 1; it is damaged")
    flat = np.frombuffer(data, dtype) if left else np.empty(0, dtype)
    array = flat.reshape(shape, order="F" if is_fortran else "C")
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


def _fill(file: IO[bytes], view: memoryview) -> int:
    """Read until the buffer is full or the file ends; returns the bytes read."""
    done = 0
    while done < len(view):
        part = file.read(min(len(view) - done, 2**22))
        if not part:
            break
        view[done : done + len(part)] = part
        done += len(part)
    return done
