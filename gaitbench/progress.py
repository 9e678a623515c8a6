"""Progress of long work: a bar on a terminal, plain lines elsewhere, nothing when quiet.

Everything goes to stderr, so that stdout stays free for results. Importing this module does not import rich.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Tracker", "announce", "is_quiet", "quiet", "track"]

LINE_INTERVAL_S = 5.0
"""Seconds between two plain lines of one piece of work."""

_lock = threading.RLock()
_silencers = 0
_display: "Progress | None" = None
_open_bars = 0


class Tracker(Protocol):
    """What :func:`track` hands out: report what has been done."""

    def advance(self, n: float = 1) -> None:
        """Count ``n`` more units as done."""

    def update(self, text: str) -> None:
        """Show a short text, such as the current loss, beside the bar."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence every :func:`track` inside the block, in all threads of this process.

    Example:
        >>> with quiet(), track(2, "counting") as bar:
        ...     bar.advance()
    """
    global _silencers
    with _lock:
        _silencers += 1
    try:
        yield
    finally:
        with _lock:
            _silencers -= 1


def is_quiet() -> bool:
    """Tell whether progress is silenced: inside :func:`quiet`, or with ``GAITBENCH_QUIET`` set and not ``0``."""
    return _silencers > 0 or os.environ.get("GAITBENCH_QUIET", "0") not in ("", "0")


def announce(text: str) -> None:
    """Print a line that people should read before long work begins, above any bar; nothing when quiet.

    Args:
        text: One line.
    """
    with _lock:
        if is_quiet():
            return
        if _display is not None:
            _display.console.print(text, highlight=False, markup=False, soft_wrap=True)
        else:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()


@contextlib.contextmanager
def track(total: float | None, description: str) -> Iterator[Tracker]:
    """Show progress over a piece of work.

    Blocks may be nested and may run in several threads; on a terminal each open block has a bar of its own.
    A block that ends with an exception never claims to be done.

    Args:
        total: Units of work; None where nobody knows.
        description: What is being done, such as ``"train gaitset"``.

    Yields:
        An object with ``advance(n)`` and ``update(text)``.

    Example:
        >>> with quiet(), track(3, "embed") as bar:
        ...     for _ in range(3):
        ...         bar.advance()
    """
    if is_quiet():
        yield _Silent()
    elif _is_terminal(sys.stderr):
        with _shared_display() as display:
            task = display.add_task(description, total=total, text="")
            try:
                yield _Bar(display, task)
            finally:
                display.remove_task(task)
    else:
        lines = _Lines(total, description, sys.stderr)
        yield lines
        lines.finish()


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


@contextlib.contextmanager
def _shared_display() -> "Iterator[Progress]":
    """One rich display for all open blocks: two live displays cannot share a terminal."""
    global _display, _open_bars
    with _lock:
        if _display is None:
            _display = _start_display()
        display = _display
        _open_bars += 1
    try:
        yield display
    finally:
        with _lock:
            _open_bars -= 1
            if _open_bars == 0:
                display.stop()
                _display = None


def _start_display() -> "Progress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    display = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
        console=Console(stderr=True),
        transient=True,
    )
    display.start()
    return display


class _Silent:
    def advance(self, n: float = 1) -> None:
        """Count nothing."""

    def update(self, text: str) -> None:
        """Show nothing."""


class _Bar:
    def __init__(self, display: "Progress", task: "TaskID") -> None:
        self._display = display
        self._task = task

    def advance(self, n: float = 1) -> None:
        """Move the bar."""
        self._display.advance(self._task, n)

    def update(self, text: str) -> None:
        """Change the text beside the bar."""
        self._display.update(self._task, text=text)


class _Lines:
    """Plain lines for logs: at most one per interval, and one at the end of work that took longer than that."""

    def __init__(self, total: float | None, description: str, stream: TextIO) -> None:
        self._total = total
        self._description = description
        self._stream = stream
        self._done: float = 0
        self._text = ""
        self._start = self._last = time.monotonic()
        self._num_lines = 0

    def advance(self, n: float = 1) -> None:
        """Count, and print when the last line is old enough."""
        self._done += n
        if time.monotonic() - self._last >= LINE_INTERVAL_S:
            self._print()

    def update(self, text: str) -> None:
        """Keep the text for the next line."""
        self._text = text

    def finish(self) -> None:
        """Close work that has shown a line or taken a while; short work stays silent."""
        if self._num_lines or time.monotonic() - self._start >= LINE_INTERVAL_S:
            self._print(" done")

    def _print(self, ending: str = "") -> None:
        self._last = time.monotonic()
        self._num_lines += 1
        counted = f"{self._done:g}" if self._total is None else f"{self._done:g}/{self._total:g}"
        text = f" {self._text}" if self._text else ""
        line = f"{self._description}: {counted}{text} ({self._last - self._start:.0f} s){ending}"
        print(line, file=self._stream, flush=True)
