"""What this package adds to gaitbench. Imports nothing heavy."""

from gaitbench.hookspecs import hookimpl
from gaitbench_rgb.records import DATASETS

__all__ = ["api_version", "gaitbench_register"]

api_version = 1
"""The plugin interface this package is written for."""


@hookimpl
def gaitbench_register(registry):  # type: ignore[no-untyped-def]
    """Add the datasets; their protocols are core's."""
    for spec in DATASETS:
        registry.add(spec)
