"""Open3D, which few need and which takes seconds to load: asked for by name where it is missing, loaded on use."""

import importlib
from importlib.util import find_spec
from typing import Any

from gaitbench.errors import UsageError

__all__ = ["load_open3d", "needs_open3d"]

_INSTALL = "pip install 'gaitbench-lidar[open3d]'"


def needs_open3d(what: str) -> None:
    """Stop where Open3D is missing; it is not imported.

    Args:
        what: Wants it, the subject of a sentence in the plural: ``3D views``.

    Raises:
        UsageError: It is missing; the message has the command that installs it.
    """
    try:
        is_there = find_spec("open3d") is not None
    except ValueError:  # put there by hand, without a spec
        is_there = True
    if not is_there:
        raise UsageError(f"{what} need Open3D, which is not installed: {_INSTALL}")


def load_open3d(what: str) -> Any:
    """Import Open3D.

    Args:
        what: Wants it, as in :func:`needs_open3d`.

    Raises:
        UsageError: It is missing, or a library of the system that it needs is.
    """
    needs_open3d(what)
    try:
        return importlib.import_module("open3d")
    except (ImportError, OSError) as error:
        raise UsageError(
            f"{what} need Open3D, which is installed and cannot be loaded: {error}. It needs OpenGL and OpenMP of the "
            f"system (libgl1, libgomp1 on Debian and Ubuntu); or install it again: {_INSTALL}"
        ) from error
