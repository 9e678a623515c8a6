"""The hooks a plugin can implement: few, with one object each.

A plugin is a module that states ``api_version`` and decorates its implementations with :data:`hookimpl`::

    from gaitbench.hookspecs import hookimpl

    api_version = 1

    @hookimpl
    def gaitbench_register(registry):
        registry.add(ModelSpec(...))

The entry point of group ``gaitbench`` names that module. This module imports nothing heavy.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import pluggy

if TYPE_CHECKING:
    import typer

    from gaitbench.registry import Registry
    from gaitbench.results import RunRecord

__all__ = [
    "EventName",
    "LeaderboardColumn",
    "RunEvent",
    "gaitbench_cli",
    "gaitbench_leaderboard_columns",
    "gaitbench_register",
    "gaitbench_run_event",
    "hookimpl",
]

_hookspec = pluggy.HookspecMarker("gaitbench")

hookimpl = pluggy.HookimplMarker("gaitbench")
"""Decorates a plugin's implementation of a hook."""

EventName = Literal[
    "run_started", "cell_started", "step", "checkpoint", "cell_reused", "cell_finished", "cell_failed", "run_finished"
]
"""What can happen. A cell is one model on one dataset with one seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """Something that happened in a run, for trackers and dashboards."""

    name: EventName
    """What happened."""
    run_id: str = ""
    """The cell's id, as in its record; empty for events of the whole run."""
    model: str = ""
    """The cell's model."""
    dataset: str = ""
    """The cell's dataset."""
    seed: int | None = None
    """The cell's seed."""
    step: int | None = None
    """Training step, where one is meant."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Numbers of the moment, such as losses and the learning rate."""
    text: str = ""
    """Anything else, such as the reason of a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderboardColumn:
    """A column that a plugin adds to leaderboards."""

    title: str
    """The head of the column."""
    value: "Callable[[RunRecord], str]"
    """The cell's text for a record; what is measured must come from the record."""


@_hookspec
def gaitbench_register(registry: "Registry") -> None:
    """Add specs with ``registry.add``. Called once, when plugins are loaded; keep it cheap."""


@_hookspec
def gaitbench_run_event(event: RunEvent) -> None:
    """Watch a run. An exception in here is reported once and never stops the run."""


@_hookspec
def gaitbench_cli(app: "typer.Typer") -> None:
    """Add commands to the command line. Names that core uses cannot be taken."""


@_hookspec
def gaitbench_leaderboard_columns() -> Sequence[LeaderboardColumn]:  # type: ignore[empty-body]
    """Columns to show beside the measured ones."""
