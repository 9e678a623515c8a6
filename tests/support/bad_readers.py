"""Readers that fail in every way; each runs in a child process."""

import ctypes
import os
import time
from pathlib import Path

import numpy as np

from gaitbench.reading.limits import reading


def crash(path: str) -> None:
    with reading(path):
        ctypes.string_at(0)


def fill_memory(path: str) -> int:
    with reading(path):
        return int(np.ones(2**30, np.uint8).sum())


def write(path: str) -> None:
    with reading(path):
        Path("written").write_bytes(bytes(100))


def leave(path: str) -> None:
    os._exit(3)


def hang(path: str) -> None:
    """As a loop in foreign code: no signal handler of Python runs."""
    import signal

    with reading(path):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPROF})
        end = time.monotonic() + 60
        while time.monotonic() < end:
            pass
