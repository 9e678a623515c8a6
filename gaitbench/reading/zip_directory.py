"""The directory at the end of a zip file, looked at before it is loaded.

Python's ``zipfile`` takes about a kilobyte of memory for each entry, however many there are and whatever they say.
"""

import struct
from pathlib import Path
from typing import IO

from gaitbench.errors import DatasetError

__all__ = ["check_directory"]

_END = struct.Struct("<4s4H2LH")
_END_64_PLACE = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY_BYTES = 46
_MAX_ENTRY_BYTES = 1024
"""On average; `zipfile` loads the whole directory."""
_MAX_COMMENT = 65_535


def check_directory(path: Path, max_members: int) -> int:
    """Count the members of a zip file in flat memory.

    Args:
        path: The file.
        max_members: Where to stop.

    Returns:
        The number of members.

    Raises:
        DatasetError: There are more, or the file is no zip file or damaged.
        OSError: The file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        tail_bytes = min(size, _MAX_COMMENT + _END.size)
        file.seek(size - tail_bytes)
        tail = file.read(tail_bytes)
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < _END.size:
            raise DatasetError(
                f"{path} has no directory at its end: it is no zip file, or was cut short; copy it again"
            )
        _, disk, _, _, count, num_bytes, _, _ = _END.unpack_from(tail, at)
        if disk not in (0, 0xFFFF):
            raise DatasetError(f"{path} is one part of a split archive; join the parts with `zip -s 0`, then unpack")
        end = size - tail_bytes + at
        end, count, num_bytes = _end_64(path, file, end, count, num_bytes)
        if count > max_members or num_bytes > max_members * _MAX_ENTRY_BYTES:
            raise DatasetError(
                f"{path} has {count:,} members, more than the limit of {max_members:,}; unpack it with the tool that "
                "its publishers name and give the folder"
            )
        if num_bytes > end:
            raise DatasetError(f"{path} has a damaged directory; copy or download it again")
        return _count_entries(path, file, end - num_bytes, end, max_members)


def _end_64(path: Path, file: IO[bytes], end: int, count: int, num_bytes: int) -> tuple[int, int, int]:
    """The directory's end, entries and bytes as the 64-bit record has them, where there is one."""
    if end < _END_64_PLACE.size:
        return end, count, num_bytes
    file.seek(end - _END_64_PLACE.size)
    sign, _, place, _ = _END_64_PLACE.unpack(file.read(_END_64_PLACE.size))
    if sign != b"PK\x06\x07":
        return end, count, num_bytes
    # As zipfile does: the record is taken from right before its locator, wherever that says it is.
    record = end - _END_64_PLACE.size - _END_64.size
    if record < 0:
        raise DatasetError(f"{path} has a damaged directory (its end is said to be at {place:,}); copy it again")
    file.seek(record)
    fields = _END_64.unpack(file.read(_END_64.size))
    if fields[0] != b"PK\x06\x06":
        raise DatasetError(f"{path} has a damaged directory; copy or download it again")
    return record, int(fields[7]), int(fields[8])


def _count_entries(path: Path, file: IO[bytes], start: int, end: int, max_members: int) -> int:
    """Walk over the entries themselves, because the count beside them may be a lie."""
    found, at = 0, start
    file.seek(start)
    while at < end:
        entry = file.read(_ENTRY_BYTES)
        if len(entry) < _ENTRY_BYTES or entry[:4] != b"PK\x01\x02":
            raise DatasetError(f"{path} has a damaged directory at byte {at:,}; copy or download it again")
        rest = sum(struct.unpack_from("<3H", entry, 28))
        file.read(rest)
        at += _ENTRY_BYTES + rest
        found += 1
        if found > max_members:
            raise DatasetError(
                f"{path} has more than the limit of {max_members:,} members; unpack it with the tool that its "
                "publishers name and give the folder"
            )
    return found
