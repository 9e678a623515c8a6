"""Silence for what carries requests: its logs hold headers of answers, in which an endpoint may repeat a key."""

import contextlib
import logging
import threading
from collections.abc import Iterator

__all__ = ["silent_transport"]

_NAMES = ("openai", "httpx2", "httpcore2")
_lock = threading.Lock()
_levels: dict[str, int] = {}
_num_inside = 0


@contextlib.contextmanager
def silent_transport() -> Iterator[None]:
    """Keep the client and its transport from logging anything below a warning, until the end of the block.

    Blocks may overlap in several threads; the levels from before come back with the end of the last one.
    """
    global _num_inside
    with _lock:
        _num_inside += 1
        for name in _NAMES:
            logger = logging.getLogger(name)
            _levels.setdefault(name, logger.level)
            logger.setLevel(max(logger.level, logging.WARNING))
    try:
        yield
    finally:
        with _lock:
            _num_inside -= 1
            if not _num_inside:
                for name, level in _levels.items():
                    logging.getLogger(name).setLevel(level)
                _levels.clear()
