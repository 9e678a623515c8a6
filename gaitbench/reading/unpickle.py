"""Numpy arrays out of pickles, without unpickling: see :mod:`gaitbench.reading.pickle_machine`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import DatasetError
from gaitbench.reading.limits import read_regular_file, reading
from gaitbench.reading.pickle_machine import PickledArray, PickleError, run

__all__ = ["PickleLimits", "Pickled", "read_pickle", "unpickled"]

Pickled: TypeAlias = "NDArray[np.generic] | list[Pickled] | dict[str, Pickled] | int | float | str | None"
"""What a pickle can hold for us. Tuples come as lists; arrays are read-only and in this machine's byte order."""

_MAX_WORD_BYTES = 4096
_OTHER_KINDS = {
    b"PK\x03\x04": "a zip archive (.npz or a checkpoint of torch)",
    b"\x93NUMPY": "a .npy file",
    b"\x1f\x8b": "compressed with gzip",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x89HDF": "an HDF5 file",
    b"version https://git-lfs": "a pointer to a file in Git LFS, not the file",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PickleLimits:
    """What one pickle may hold."""

    num_bytes: int = 2 * 2**30
    """Size of the file."""
    num_instructions: int = 5_000_000
    """A list needs about 35 for each of its arrays."""
    num_values: int = 1_000_000
    """Arrays, numbers and words, shared ones counted as often as they appear."""
    depth: int = 8
    """Lists and dicts within each other."""


def read_pickle(
    path: Path | str, *, limits: PickleLimits | None = None
) -> NDArray[np.generic] | list[Pickled] | dict[str, Pickled]:
    """Read a pickle of numpy arrays: one array, or a list or a dict of arrays, numbers and words.

    Pickles of Python 2 and 3, of numpy 1 and 2, and of all protocols are read. Arrays are of truth values, integers or
    floats, of any byte order and memory layout; a row of objects, as ragged frames are often saved, comes as a list.
    Nothing of the file is run, and no module is imported for it.

    Args:
        path: The file.
        limits: None for the defaults.

    Returns:
        The arrays, read-only: most are views of the file's bytes.

    Raises:
        DatasetError: The file is missing, damaged, cut short or too large, or holds anything else. The message says
            what, such as ``posix.system``.

    Example:
        >>> import pickle, tempfile
        >>> path = Path(tempfile.mkdtemp()) / "000.pkl"
        >>> _ = path.write_bytes(pickle.dumps(np.zeros((80, 64, 64), np.uint8)))
        >>> read_pickle(path).shape
        (80, 64, 64)
        >>> _ = path.write_bytes(pickle.dumps(exit))
        >>> read_pickle(path)
        Traceback (most recent call last):
        gaitbench.errors.DatasetError: ...000.pkl asks for _sitebuiltins.Quitter, which is not loaded: ...
    """
    path = Path(path)
    limits = limits or PickleLimits()
    with reading(path):
        data = read_regular_file(path, limits.num_bytes)
        for start, kind in _OTHER_KINDS.items():
            if data.startswith(start):
                raise DatasetError(f"{path} is {kind}, not a pickle")
        value = unpickled(data, str(path), limits)
        if not isinstance(value, np.ndarray | list | dict):
            raise DatasetError(f"{path} holds a {type(value).__name__}, no array and no list or dict of arrays")
        return value


def unpickled(data: bytes, where: str, limits: PickleLimits) -> Pickled:
    """What a pickle in memory holds.

    Args:
        data: The whole pickle.
        where: The file, for messages.
        limits: What it may hold.

    Raises:
        DatasetError: It is damaged, or holds anything but arrays, numbers, words, and lists and dicts of them.
    """
    try:
        return _Conversion(limits, len(data)).convert(run(data, limits.num_instructions), 0)
    except PickleError as error:
        raise DatasetError(f"{where} {error}") from error


class _Conversion:
    """From the machine's values to ours; counts them, because few instructions can make lists that share lists."""

    def __init__(self, limits: PickleLimits, num_bytes: int) -> None:
        self._limits = limits
        self._left = limits.num_values
        self._uncopied = num_bytes

    def convert(self, value: Any, depth: int) -> Pickled:
        self._left -= 1
        if self._left < 0:
            raise PickleError(f"holds more than {self._limits.num_values:,} values; it is no pickle of frames")
        if isinstance(value, PickledArray):
            if value.value is None:
                raise PickleError("holds an array without content; it is damaged")
            if isinstance(value.value, list):
                return self._convert_items(value.value, depth)
            if not value.value.dtype.isnative:
                value.value = self._native(value.value)
            value.value.flags.writeable = False
            return value.value
        if value is None or isinstance(value, int | float | str):
            return value
        if isinstance(value, list | tuple):
            return self._convert_items(value, depth)
        if isinstance(value, dict):
            self._check_depth(depth)
            return {key: self.convert(item, depth + 1) for key, item in value.items()}
        if isinstance(value, memoryview) and len(value) <= _MAX_WORD_BYTES:
            return str(value, "latin-1")
        what = "bytes" if isinstance(value, memoryview) else f"a bare {getattr(value, 'text', 'numpy.dtype')}"
        raise PickleError(f"holds {what} where an array belongs; save the data as arrays")

    def _native(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """A copy in this machine's byte order; arrays that share bytes cannot take more memory than the file."""
        self._uncopied -= array.nbytes
        if self._uncopied < 0:
            raise PickleError("holds the same bytes in many arrays; it is made to exhaust the reader")
        return array.astype(array.dtype.newbyteorder("="))

    def _convert_items(self, values: "list[Any] | tuple[Any, ...]", depth: int) -> list[Pickled]:
        self._check_depth(depth)
        return [self.convert(item, depth + 1) for item in values]

    def _check_depth(self, depth: int) -> None:
        if depth >= self._limits.depth:
            raise PickleError(
                f"holds lists within lists, more than {self._limits.depth} deep; it is no pickle of frames"
            )
