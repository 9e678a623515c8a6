"""Hashes of files, computed once as long as a file does not change.

A dataset may hold hundreds of gigabytes, so a hash that was checked is remembered beside the file's size, inode,
modification time and change time in ``$GAITBENCH_CACHE/checked``. Nothing can write to a file through the file system
without moving its change time; decay of the medium is what ``gaitbench verify`` looks for, which reads everything.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from gaitbench.atomic import write_json
from gaitbench.card import FileEntry
from gaitbench.errors import DatasetError, OutputError

__all__ = ["check_hashes", "check_sizes", "entry_of", "file_sha256"]

Entry = TypeVar("Entry", bound=FileEntry)

_AGAIN = "remove the dataset's folder and run `gaitbench prepare` again"
_SETTLED_S = 2.0


def file_sha256(path: Path) -> str:
    """Hash of a file's content, 64 hex digits.

    Raises:
        DatasetError: The file is missing or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}; {_AGAIN}") from error


def entry_of(root: Path, path: Path) -> FileEntry:
    """Describe a file of a dataset's folder."""
    return FileEntry(path=path.relative_to(root).as_posix(), num_bytes=path.stat().st_size, sha256=file_sha256(path))


def check_sizes(root: Path, files: Sequence[FileEntry]) -> None:
    """Stop when a file is missing or has another size than it was written with.

    Raises:
        DatasetError: Names the first such file, and how many there are.
    """
    faults = []
    for entry in files:
        try:
            size = os.stat(root / entry.path).st_size  # noqa: PTH116 - thousands of files, Path.stat is slower
        except OSError as error:
            faults.append(f"{root / entry.path} is missing ({error.strerror})")
            continue
        if size < entry.num_bytes:
            faults.append(f"{root / entry.path} is truncated: {size} of {entry.num_bytes} bytes")
        elif size > entry.num_bytes:
            faults.append(f"{root / entry.path} was altered: {size} bytes instead of {entry.num_bytes}")
    if faults:
        more = f" and {len(faults) - 1} more files" if len(faults) > 1 else ""
        raise DatasetError(f"{faults[0]}{more}; {_AGAIN}")


def check_hashes(root: Path, files: Sequence[Entry], sha256_of: Callable[[Entry], str]) -> None:
    """Stop when the content of a file changed; skip files that were checked before and not touched since.

    Args:
        root: The dataset's folder.
        files: Which of its files.
        sha256_of: Computes a file's hash; called from several threads.

    Raises:
        DatasetError: Names the first file that is missing or was altered.
    """
    memory = _memory_file(root)
    known = _read_memory(memory)
    stamps = {entry.path: _stamp(root / entry.path) for entry in files}
    due = [entry for entry in files if known.get(entry.path) != [*stamps[entry.path], entry.sha256]]
    if not due:
        return
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        hashes = pool.map(sha256_of, due)
        for entry, sha256 in zip(due, hashes, strict=True):
            if sha256 != entry.sha256:
                raise DatasetError(f"{root / entry.path} was altered after it was written; {_AGAIN}")
    # A file that changed within the clock's resolution would keep its stamp, so fresh files are hashed again.
    settled = time.time_ns() - int(_SETTLED_S * 1e9)
    for entry in due:
        stamp = stamps[entry.path]
        if stamp[2] < settled and stamp[3] < settled and stamp == _stamp(root / entry.path):
            known[entry.path] = [*stamp, entry.sha256]
    # The memory only saves time, so a cache that cannot be written is no reason to stop.
    with contextlib.suppress(OutputError):
        write_json(memory, known)


def _stamp(path: Path) -> list[int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise DatasetError(f"{path} is missing ({error.strerror}); {_AGAIN}") from error
    return [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]


def _memory_file(root: Path) -> Path:
    cache = Path(os.environ.get("GAITBENCH_CACHE") or Path.home() / ".cache" / "gaitbench")
    return cache / "checked" / f"{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:24]}.json"


def _read_memory(path: Path) -> dict[str, list[object]]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
