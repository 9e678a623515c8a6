"""gaitbench: the benchmark library of gait recognition.

Everything that the command line does is a function here, of the same name. Importing the package is cheap: its
functions are loaded on first use.

Example:
    >>> import gaitbench
    >>> [spec.name for spec in gaitbench.list_components("task")]
    ['attribute', 'crossmodal', 'identity']
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gaitbench.api import (
        add_to_leaderboard,
        annotate,
        build_leaderboard,
        check_leaderboard,
        convert,
        doctor,
        embed,
        estimate_annotation,
        explain,
        export,
        gap,
        info,
        list_components,
        list_features,
        list_plugins,
        load,
        new_plugin,
        prepare,
        preview,
        rank_runs,
        remove_features,
        run,
        score,
        show_leaderboard,
        submit,
        verify,
        view3d,
    )
    from gaitbench.errors import GaitbenchError

__all__ = [
    "GaitbenchError",
    "__version__",
    "add_to_leaderboard",
    "annotate",
    "build_leaderboard",
    "check_leaderboard",
    "convert",
    "doctor",
    "embed",
    "estimate_annotation",
    "explain",
    "export",
    "gap",
    "info",
    "list_components",
    "list_features",
    "list_plugins",
    "load",
    "new_plugin",
    "prepare",
    "preview",
    "rank_runs",
    "remove_features",
    "run",
    "score",
    "show_leaderboard",
    "submit",
    "verify",
    "view3d",
]

__version__ = "0.1.0"
"""Version of the package."""


def __getattr__(name: str) -> object:
    if name in __all__:
        home = "gaitbench.errors" if name == "GaitbenchError" else "gaitbench.api"
        return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'gaitbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps ``gaitbench.prepare`` the function when the module of that name is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
