"""Ctrl-C while libraries are imported."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["import_torch", "interrupts_held"]


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back until the end of the block, where it raises KeyboardInterrupt.

    Outside the main thread, where signals never arrive, nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        held.append(number)

    before = signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held and before is not signal.SIG_IGN:
        raise KeyboardInterrupt


def import_torch() -> None:
    """Import torch, which ends the process with an abort when Ctrl-C is raised inside its C++."""
    with interrupts_held():
        import torch  # noqa: F401
