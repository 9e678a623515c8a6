"""What a process that reads files of others may use: memory in all, processor time for each file.

The readers of this package work inside :func:`reading`, which turns whatever goes wrong into an error that names the
file. A process that has called :func:`limit_process` also stops at files that ask for too much.
"""

import contextlib
import math
import os
import resource
import signal
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from gaitbench.errors import DatasetError, GaitbenchError

__all__ = ["ProcessLimits", "check_regular_file", "is_limited", "limit_process", "read_regular_file", "reading"]

_STATUS = Path("/proc/self/status")
_MAPPED_BYTES = 8 * 2**30
"""Address space beyond the memory limit, for libraries that are loaded later and files that are mapped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """What reading may cost."""

    memory_bytes: int = 8 * 2**30
    """Memory beyond what the process uses when the limit is set."""
    seconds_per_file: float = 300.0
    """Processor time; waiting for a slow disk does not count."""


class _TimeIsUp(BaseException):
    """Not an ``Exception``, so that no library on the way swallows it."""


class _State:
    """Of this process: limits are those of processes, too."""

    seconds: float | None = None
    is_timing = False


def limit_process(limits: ProcessLimits | None = None) -> None:
    """Limit this process from now on; to be called once, when the libraries it needs are loaded.

    Memory beyond the limit fails as ``MemoryError``. A file that takes too long fails in :func:`reading`; should it
    hang in foreign code, the kernel ends the process after twice the time.

    Args:
        limits: None for the defaults.
    """
    limits = limits or ProcessLimits()
    used = _memory_use()
    _lower(resource.RLIMIT_DATA, used["VmData"] + limits.memory_bytes)
    _lower(resource.RLIMIT_AS, used["VmSize"] + limits.memory_bytes + _MAPPED_BYTES)
    _lower(resource.RLIMIT_CORE, 0)
    signal.signal(signal.SIGPROF, _on_time_is_up)
    _State.seconds = limits.seconds_per_file


def is_limited() -> bool:
    """Whether :func:`limit_process` was called in this process, which may then read files of others by itself."""
    return _State.seconds is not None


@contextlib.contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turn whatever goes wrong in the block into an error that names the file.

    Args:
        path: What is being read. Blocks may be nested; the innermost names the file.

    Raises:
        DatasetError: Instead of any exception that is not a :class:`gaitbench.errors.GaitbenchError`, and when the
            time is up in a process under :func:`limit_process`.

    Example:
        >>> with reading("walk.pkl"):
        ...     raise MemoryError
        Traceback (most recent call last):
        gaitbench.errors.DatasetError: walk.pkl needs more memory than there is, or than reading may use; ...
    """
    try:
        with _timed():
            yield
    except GaitbenchError:
        raise
    except _TimeIsUp:
        raise DatasetError(
            f"{path} took longer than {_State.seconds:g} s of processor time to read; it is damaged, made to "
            "exhaust the reader, or far too large for one file"
        ) from None
    except MemoryError as error:
        raise DatasetError(
            f"{path} needs more memory than there is, or than reading may use; is it what its name says? "
            "Use fewer workers, or split the file"
        ) from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # the file is hostile until proven otherwise: any library may fail on it in any way
        raise DatasetError(f"{path} is damaged ({type(error).__name__}: {error}); copy or download it again") from error


def check_regular_file(path: Path, max_bytes: int) -> int:
    """Refuse pipes, devices, folders, and files that are empty or too large.

    Returns:
        Size in bytes.

    Raises:
        DatasetError: The file is not to be read.
        OSError: There is no such file.
    """
    return _checked_size(path, path.stat(), max_bytes)


def read_regular_file(path: Path, max_bytes: int) -> bytes:
    """The bytes of a file that passes :func:`check_regular_file`, and no more of them than it had when it was opened.

    Raises:
        DatasetError: The file is not to be read, or became shorter meanwhile.
        OSError: It cannot be read.
    """
    # Opening a pipe would wait for somebody who writes.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        size = _checked_size(path, os.fstat(descriptor), max_bytes)
        data = os.read(descriptor, size)
        if len(data) < size:  # one call gives two gigabytes at most
            parts = [data]
            while len(data) and (left := size - sum(map(len, parts))):
                parts.append(data := os.read(descriptor, left))
            data = b"".join(parts)
    finally:
        os.close(descriptor)
    if len(data) != size:
        raise DatasetError(f"{path} became shorter while it was read; is it still being copied?")
    return data


def _checked_size(path: Path, status: os.stat_result, max_bytes: int) -> int:
    if not stat.S_ISREG(status.st_mode):
        raise DatasetError(f"{path} is no regular file; name a file with data")
    if status.st_size == 0:
        raise DatasetError(f"{path} is empty; copy or download it again")
    if status.st_size > max_bytes:
        raise DatasetError(f"{path} has {status.st_size:,} bytes, more than the limit of {max_bytes:,}; split it")
    return status.st_size


@contextlib.contextmanager
def _timed() -> Iterator[None]:
    """Arm the timer, where the process has a limit and no outer block armed it."""
    if _State.seconds is None or _State.is_timing or threading.current_thread() is not threading.main_thread():
        yield
        return
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    last = math.ceil(usage.ru_utime + usage.ru_stime + 2 * _State.seconds + 1)
    _State.is_timing = True
    _lower(resource.RLIMIT_CPU, last)
    # Fires again and again, in case a destructor or a callback swallows the first one.
    signal.setitimer(signal.ITIMER_PROF, _State.seconds, 1.0)
    try:
        yield
    finally:
        _State.is_timing = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))


def _on_time_is_up(_number: int, _frame: FrameType | None) -> None:
    if _State.is_timing:
        raise _TimeIsUp


def _lower(kind: int, value: int) -> None:
    """Set a soft limit, but never above the hard one."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _memory_use() -> dict[str, int]:
    """Bytes by the kernel's names; address space stands in for data where there is no ``/proc``."""
    if not _STATUS.exists():
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {"VmData": used, "VmSize": used}
    lines = (line.split() for line in _STATUS.read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[0] in ("VmData:", "VmSize:")}
