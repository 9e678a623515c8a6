"""Files that will be read soon: the kernel fetches them while others are decoded."""

import contextlib
import fnmatch
import os
from pathlib import Path

__all__ = ["announce"]


def announce(folder: Path, pattern: str) -> None:
    """Have the kernel read files into memory; returns at once, and is silent about files that cannot be opened.

    On systems that take no such advice nothing happens.

    Args:
        folder: Of the files; it may be missing.
        pattern: Of their names, such as ``*.png``.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if fnmatch.fnmatchcase(entry.name, pattern) and entry.is_file():
                with contextlib.suppress(OSError):
                    _fetch(entry.path)


def _fetch(path: str) -> None:
    # A pipe that took the file's place must not be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
    finally:
        os.close(descriptor)
