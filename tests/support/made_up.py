"""Distributions that were never installed, and the type of the ``cli`` fixture."""

import importlib.metadata
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

from gaitbench.registry import Registry, build_registry

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


class Site:
    """A folder of installed distributions, made by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def add(
        self,
        distribution: str,
        source: str | None,
        *,
        version: str = "1.0",
        entry_point: str = "",
        entry_points: str | None = None,
    ) -> str:
        """Install a one-module distribution; gives the module's name."""
        module = distribution.replace("-", "_")
        if source is not None:
            (self.folder / f"{module}.py").write_text(textwrap.dedent(source))
        info = self.folder / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        default = f"[gaitbench]\n{module} = {entry_point or module}\n"
        (info / "entry_points.txt").write_text(default if entry_points is None else entry_points)
        return module

    def entry_points(self) -> list[importlib.metadata.EntryPoint]:
        return [
            entry_point
            for distribution in importlib.metadata.distributions(path=[str(self.folder)])
            for entry_point in distribution.entry_points.select(group="gaitbench")
        ]

    def registry(self) -> Registry:
        return build_registry(self.entry_points())
