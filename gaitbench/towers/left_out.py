"""Towers built without fetching or reading their weights, where those are not needed."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

__all__ = ["are_weights_left_out", "weights_left_out"]

_LEFT_OUT: ContextVar[bool] = ContextVar("gaitbench_tower_weights_left_out", default=False)


@contextlib.contextmanager
def weights_left_out() -> Iterator[None]:
    """Build towers with drawn weights in the block, whatever their configuration says.

    For models that are only counted, and for those whose weights, the tower's among them, are loaded right after:
    neither the hub nor the file must be at hand then.

    Example:
        >>> with weights_left_out():
        ...     are_weights_left_out()
        True
    """
    token = _LEFT_OUT.set(True)
    try:
        yield
    finally:
        _LEFT_OUT.reset(token)


def are_weights_left_out() -> bool:
    """Tell whether towers that are built now draw their weights."""
    return _LEFT_OUT.get()
