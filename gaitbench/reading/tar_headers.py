"""The headers of a tar archive, counted before anything is unpacked.

Python's ``tarfile`` takes about 50 microseconds for each member, and unpacking a small file as much again, so that an
archive of a million empty files would be at work for minutes before it is found to be too large.
"""

import re
from typing import Any

__all__ = ["exceeds_members"]

_BLOCK = 512
_CHUNK = 2**20
_END = bytes(_BLOCK)
_EXTENSIONS = b"xgLK"
"""Types of headers that belong to the next member: its long name, its attributes."""
_MAX_EXTENSION = 2**20
_SIZE = re.compile(rb"\d+ size=(\d{1,20})\n")


def exceeds_members(file: Any, max_members: int) -> bool:
    """Tell whether a tar archive has more members than allowed, in flat memory.

    What is no header ends the count; whether that is sound is for the one who unpacks.

    Args:
        file: The archive from its beginning, decompressed; anything with ``read``.
        max_members: Where to stop.
    """
    blocks = _Blocks(file)
    found, size_override = 0, None
    while header := blocks.take(_BLOCK):
        size = _number(header[124:136])
        if len(header) < _BLOCK or header == _END or size is None:
            break
        kind = header[156:157]
        if kind in _EXTENSIONS and kind:
            content = blocks.take(min(size, _MAX_EXTENSION)) if kind == b"x" else b""
            if kind == b"x" and (match := _SIZE.search(content)):
                size_override = int(match[1])
            blocks.skip(_padded(size) - len(content))
            continue
        found += 1
        if found > max_members:
            return True
        # Links, devices and folders have no content, whatever size they state.
        blocks.skip(0 if kind in b"123456" and kind else _padded(size if size_override is None else size_override))
        size_override = None
    return False


class _Blocks:
    """Bytes in order; long stretches are passed over without being read, where the file can do that."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._can_seek = hasattr(file, "raw")  # decompressors only pretend to
        self._buffer = b""
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next bytes; fewer at the end."""
        if len(self._buffer) - self._at < size:
            self._buffer = self._buffer[self._at :] + self._file.read(max(size, _CHUNK))
            self._at = 0
        part = self._buffer[self._at : self._at + size]
        self._at += len(part)
        return part

    def skip(self, size: int) -> None:
        """Pass over bytes."""
        here = min(size, len(self._buffer) - self._at)
        self._at += here
        size -= here
        if size and self._can_seek:
            self._file.seek(size, 1)
            return
        while size > 0 and (part := self._file.read(min(size, _CHUNK))):
            size -= len(part)


def _number(field: bytes) -> int | None:
    """A size: octal digits, or binary when the first bit is set; None for neither."""
    if field[:1] >= b"\x80":
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b"\0 ")
    if not digits:
        return 0
    return int(digits, 8) if re.fullmatch(rb"[0-7]+", digits) else None


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
