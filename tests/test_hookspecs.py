import inspect

import pluggy
import pytest

from gaitbench import hookspecs
from gaitbench.hookspecs import LeaderboardColumn, RunEvent, hookimpl

HOOKS = ("gaitbench_register", "gaitbench_run_event", "gaitbench_cli", "gaitbench_leaderboard_columns")


def test_every_hook_is_specified_and_documented() -> None:
    manager = pluggy.PluginManager("gaitbench")
    manager.add_hookspecs(hookspecs)
    assert {name for name in vars(manager.hook) if not name.startswith("_")} == set(HOOKS)
    assert all(inspect.getdoc(getattr(hookspecs, name)) for name in HOOKS)


def test_hookimpl_is_of_this_project() -> None:
    class Plugin:
        @hookimpl
        def gaitbench_register(self, registry: list[str]) -> None:
            registry.append("called")

    manager = pluggy.PluginManager("gaitbench")
    manager.add_hookspecs(hookspecs)
    manager.register(Plugin())
    called: list[str] = []
    manager.hook.gaitbench_register(registry=called)
    assert called == ["called"]


def test_events_and_columns_are_frozen() -> None:
    with pytest.raises(AttributeError):
        RunEvent(name="step").step = 3  # type: ignore[misc]
    with pytest.raises(AttributeError):
        LeaderboardColumn(title="energy", value=str).title = ""  # type: ignore[misc]
