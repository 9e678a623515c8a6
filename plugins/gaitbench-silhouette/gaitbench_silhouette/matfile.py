"""Read named arrays of a MATLAB 5 file, and notice when the file was cut short or altered."""

import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import DatasetError

__all__ = ["read_arrays"]

_HEADER_BYTES = 128
_COMPRESSED = 15


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read numeric arrays.

    Args:
        path: A MAT-file of version 5 to 7.2 (not 7.3, which is HDF5).
        names: Variables to read.

    Returns:
        Name to array, as MATLAB shaped it.

    Raises:
        DatasetError: The file is missing, unreadable, cut short, altered, or lacks a variable.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}. Check the folder.") from error
    _check_elements(path, data)
    # Imported late: listing what is installed must not load it.
    from scipy.io import loadmat

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = loadmat(path, variable_names=tuple(names))
    except Exception as error:
        raise DatasetError(f"{path} is no MAT-file that can be read: {error}. {_AGAIN}") from error
    arrays = {}
    for name in names:
        if not isinstance(found.get(name), np.ndarray) or found[name].dtype.kind not in "biuf":
            present = ", ".join(key for key in found if not key.startswith("__")) or "none of them"
            raise DatasetError(f"{path}: needs numeric arrays {', '.join(names)}, has {present}. {_AGAIN}")
        arrays[name] = found[name]
    return arrays


_AGAIN = "Copy the file from its source again."


def _check_elements(path: Path, data: bytes) -> None:
    """Walk the file's elements: none may reach past the end, and compressed ones carry a checksum."""
    if len(data) <= _HEADER_BYTES:
        raise DatasetError(f"{path}: {len(data)} bytes are too few for a MAT-file. {_AGAIN}")
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise DatasetError(f"{path} is no MAT-file of version 5 to 7.2: its header has no byte order. {_AGAIN}")
    at = _HEADER_BYTES
    while at < len(data):
        if at + 8 > len(data):
            raise DatasetError(f"{path} ends inside an element's tag at byte {at}: it is cut short. {_AGAIN}")
        kind, size = struct.unpack(f"{order}II", data[at : at + 8])
        end = at + 8 + size
        if end > len(data):
            raise DatasetError(
                f"{path} is cut short or altered: the element at byte {at} reaches to byte {end} of {len(data)}. "
                f"{_AGAIN}"
            )
        if kind == _COMPRESSED:
            try:
                zlib.decompress(data[at + 8 : end])
            except zlib.error as error:
                raise DatasetError(f"{path} is altered: the element at byte {at} has {error}. {_AGAIN}") from error
        at = end
