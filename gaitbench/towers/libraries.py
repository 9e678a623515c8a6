"""The packages that towers come from, imported when a tower is built and not before."""

import importlib
from collections.abc import Iterable
from typing import Any, Literal

from gaitbench.errors import ModelError, UnknownNameError
from gaitbench.registry import nearest

__all__ = ["library", "unknown_architecture"]

_PACKAGES = {"timm": "timm", "open_clip": "open_clip_torch"}


def library(name: Literal["timm", "open_clip"]) -> Any:
    """Import timm or open_clip.

    Raises:
        ModelError: It is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ModelError(
            f"this tower comes from {_PACKAGES[name]}, which cannot be imported ({error}); install it with "
            "pip install 'gaitbench[towers]'"
        ) from error


def unknown_architecture(name: str, known: Iterable[str], package: str) -> UnknownNameError:
    """The error for a name that a package does not have, with the nearest that it has."""
    originals = {each.lower(): each for each in known}
    near = originals.get(nearest(name, originals) or "")
    return UnknownNameError(f"{package} has no architecture {name!r}" + (f"; did you mean {near!r}?" if near else ""))
