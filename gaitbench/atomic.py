"""Files that are either whole or absent: temp file in the same folder, fsync, rename, fsync of the folder.

A process killed at any point leaves the old file, or the new one, and at worst a hidden temp file beside it that
:func:`remove_leftovers` clears away.
"""

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gaitbench.errors import OutputError

__all__ = [
    "atomic_path",
    "link",
    "make_folder",
    "output_errors",
    "remove_leftovers",
    "write_bytes",
    "write_json",
    "write_text",
]

_NEXT_STEP = {
    "ENOSPC": "the disk is full; free some space or choose another folder, then run the same command again",
    "EDQUOT": "the disk quota is used up; free some space or choose another folder, then run the same command again",
    "EACCES": "no permission; choose a folder that you may write to",
    "EPERM": "no permission; choose a folder that you may write to",
    "EROFS": "the file system is read-only; choose another folder",
    "ENOTDIR": "a file stands where a folder is needed; move it away or choose another folder",
    "EEXIST": "a file stands where a folder is needed; move it away or choose another folder",
    "EISDIR": "a folder stands where a file is needed; move it away or choose another folder",
    "ENOENT": "the folder has gone; was it removed by another process?",
    "ENAMETOOLONG": "the name is too long for this file system; choose a shorter folder",
}


@contextlib.contextmanager
def output_errors(path: Path | str) -> Iterator[None]:
    """Turn an ``OSError`` of the block into an error that names the path and the next step.

    Args:
        path: What is being written.

    Raises:
        OutputError: Instead of any ``OSError``.

    Example:
        >>> with output_errors("/no/such"):
        ...     raise NotADirectoryError(20, "Not a directory")
        Traceback (most recent call last):
        gaitbench.errors.OutputError: cannot write /no/such: a file stands where a folder is needed; ...
    """
    import errno

    try:
        yield
    except OSError as error:
        reason = _NEXT_STEP.get(errno.errorcode.get(error.errno or 0, ""), f"{error.strerror or error}")
        raise OutputError(f"cannot write {path}: {reason}") from error


def make_folder(path: Path | str) -> Path:
    """Create a folder with its parents; an existing folder is fine.

    Returns:
        The folder.

    Raises:
        OutputError: It cannot be created.
    """
    with output_errors(path):
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Give a temp path in the same folder that takes the place of ``path`` when the block succeeds.

    The content and the folder entry are on disk (fsync) when the block has ended. When the block raises, the temp
    file is removed and ``path`` is as it was.

    Args:
        path: The file to create or replace; its folder is created when needed.

    Yields:
        The temp path; the block creates the file there and closes it.

    Raises:
        OutputError: The file cannot be written: no permission, read-only, full, or a file in place of a folder.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with atomic_path(folder / "a.txt") as temp:
        ...     _ = temp.write_text("whole")
        >>> [file.name for file in folder.iterdir()]
        ['a.txt']
    """
    path = Path(path)
    make_folder(path.parent)
    temp = path.parent / f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        with output_errors(path):
            yield temp
            _sync(temp, os.O_RDONLY)
            temp.replace(path)
            _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except BaseException:
        with contextlib.suppress(OSError):
            temp.unlink()
        raise


def write_bytes(path: Path | str, data: bytes) -> None:
    """Replace the content of a file, atomically.

    Raises:
        OutputError: The file cannot be written.
    """
    with atomic_path(path) as temp:
        descriptor = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)


def write_text(path: Path | str, text: str) -> None:
    """Replace the content of a file with UTF-8 text, atomically; line ends stay as they are.

    Raises:
        OutputError: The file cannot be written.
    """
    write_bytes(path, text.encode())


def write_json(path: Path | str, data: Any) -> None:
    """Replace the content of a file with indented JSON, keys in the order given, atomically.

    Args:
        path: The file.
        data: Anything that :func:`json.dumps` takes; NaN and infinity are refused because JSON has none.

    Raises:
        OutputError: The file cannot be written.
        ValueError: ``data`` holds NaN or infinity.
    """
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def link(source: Path, path: Path) -> None:
    """Make a file the same as another one, atomically: a hard link, or a copy where the file system has none.

    A link takes no space, and outlives the other name. Files that are replaced, never changed, may be linked.

    Args:
        source: The file that is there.
        path: The file to create or replace.

    Raises:
        OutputError: The file cannot be written.
    """
    # Renaming one name of a file over another name of it does nothing and would leave the temp file behind.
    if path.exists() and path.samefile(source):
        return
    with atomic_path(path) as temp:
        try:
            temp.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, temp)


def remove_leftovers(folder: Path) -> None:
    """Remove the temp files that killed processes left in a folder.

    Only for a folder that nobody else is writing to, such as one whose lock is held.

    Raises:
        OutputError: A file cannot be removed.
    """
    with output_errors(folder):
        for file in folder.glob(".*.tmp"):
            file.unlink(missing_ok=True)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
