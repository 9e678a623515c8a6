"""Plugin discovery, look-up of components by name, API version, quarantine of broken plugins.

A plugin that fails breaks nobody else and is never silent: it is rolled back, listed with its error, and named
when somebody asks for what it should have provided. Importing this module imports nothing heavy.
"""

import contextlib
import dataclasses
import difflib
import functools
import importlib
import importlib.metadata
import inspect
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import pluggy

from gaitbench import hookspecs
from gaitbench.catalogue import PACKAGES
from gaitbench.errors import PluginError, UnknownNameError, UsageError
from gaitbench.hookspecs import LeaderboardColumn, RunEvent
from gaitbench.quarantine import (
    PluginInfo,
    Stage,
    describe,
    hint_for,
    in_one_line,
    names_of,
    normalised,
    quarantine,
    version_mismatch,
)
from gaitbench.spec_rules import KINDS, TARGET, check_spec
from gaitbench.specs import API_VERSION, Spec

__all__ = ["GROUP", "KINDS", "PluginInfo", "Registry", "build_registry", "load_registry", "nearest", "resolve"]

GROUP = "gaitbench"
"""The entry-point group."""

_log = logging.getLogger("gaitbench")

CORE = PluginInfo(name="gaitbench", distribution="gaitbench", version="", api_version=API_VERSION)


class _Entry(NamedTuple):
    spec: Spec
    distribution: str


class Registry:
    """Components by kind and name, and the plugins they come from.

    Example:
        >>> from gaitbench.specs import TaskSpec
        >>> registry = Registry()
        >>> registry.add(TaskSpec(name="identity", title="Who is it?", target="gaitbench.tasks.identity:IDENTITY"))
        >>> registry.get("task", "gaitbench/identity").title
        'Who is it?'
    """

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._qualified: dict[tuple[str, str], Spec] = {}
        self._plugins: dict[tuple[str, str], PluginInfo] = {}
        self._active = CORE
        self._pending: list[Spec] | None = None
        self._muted: set[tuple[str, Stage]] = set()
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)

    def add(self, spec: Spec) -> None:
        """Register a component.

        Args:
            spec: Any of the classes in :data:`KINDS`.

        Raises:
            PluginError: The spec is malformed, or its name is taken; the message names both distributions.
        """
        check_spec(spec, describe(self._active))
        if self._pending is not None:
            if any((spec.kind, spec.name) == (other.kind, other.name) for other in self._pending):
                raise PluginError(f"{describe(self._active)} registers {spec.kind} {spec.name!r} twice; remove one.")
            self._pending.append(spec)
            return
        self._check_free(spec)
        self._insert(spec)

    def get(self, kind: str, name: str) -> Spec:
        """Look a component up.

        Args:
            kind: ``model``, ``dataset``, ``protocol``, ``task``, ``metric`` or ``modality``.
            name: As registered, or ``distribution/name``.

        Raises:
            UnknownNameError: Nobody registered it; the message has the nearest name, the package to install, or the
                broken plugin that should have provided it.
            UsageError: There is no such kind.
        """
        _check_kind(kind)
        if "/" in name:
            distribution, _, bare = name.partition("/")
            spec = self._qualified.get((kind, f"{normalised(distribution)}/{bare}"))
        else:
            entry = self._entries.get((kind, name))
            spec = entry.spec if entry else None
        if spec is None:
            raise UnknownNameError(self._explain_unknown(kind, name))
        return spec

    def specs(self, kind: str) -> list[Spec]:
        """All components of a kind, by name."""
        _check_kind(kind)
        return [entry.spec for (k, _), entry in sorted(self._entries.items(), key=lambda item: item[0]) if k == kind]

    def names(self, kind: str) -> list[str]:
        """The names of all components of a kind, sorted."""
        return [spec.name for spec in self.specs(kind)]

    def owner(self, kind: str, name: str) -> PluginInfo:
        """The plugin that a component comes from; raises like :meth:`get`."""
        spec = self.get(kind, name)
        for info in self._plugins.values():
            if (kind, spec.name) in info.components and self._provides(info, spec):
                return info
        return dataclasses.replace(CORE, version=_version_of(CORE.distribution))

    def plugins(self) -> list[PluginInfo]:
        """All installed plugins, core first, then by distribution; broken ones too."""
        return sorted(
            self._plugins.values(),
            key=lambda info: (info.distribution != CORE.distribution, info.distribution, info.name),
        )

    def load(self, spec: Spec, field: str = "target") -> object:
        """Import what a spec points to.

        Args:
            spec: A registered spec.
            field: Which of its string targets: ``target``, ``config``, ``presets``, ``options`` or ``preview``.

        Raises:
            PluginError: The import fails; the message names the component, its package and the reason.
        """
        target = getattr(spec, field)
        try:
            owner = describe(self.owner(spec.kind, spec.name))
        except UnknownNameError:
            owner = "an unregistered spec"
        return resolve(target, needed_by=f"{field} of {spec.kind} {spec.name!r} of {owner}")

    def notify(self, event: RunEvent) -> None:
        """Tell all plugins of an event; one that raises is warned about and not told again."""
        for _ in self._call_each("gaitbench_run_event", "run event", event=event):
            pass

    def leaderboard_columns(self) -> list[LeaderboardColumn]:
        """Columns that plugins add to leaderboards."""
        columns: list[LeaderboardColumn] = []
        for result in self._call_each("gaitbench_leaderboard_columns", "leaderboard"):
            columns.extend(result if isinstance(result, Iterable) else ())
        return columns

    def extend_cli(self, extend: Callable[[Callable[..., object]], None]) -> None:
        """Let each plugin add commands; ``extend`` gets the plugin's hook and may raise :class:`PluginError`."""
        for implementation in self._implementations("gaitbench_cli", "command line"):
            try:
                extend(implementation.function)
            except (Exception, SystemExit) as error:
                self._degrade(implementation, "command line", error)

    def load_plugin(self, info: PluginInfo, load: Callable[[], object]) -> None:
        """Load one plugin: import, check its API version, its hooks, and let it register.

        Nothing of a plugin that fails stays behind, and the failure is kept in :meth:`plugins`.

        Args:
            info: Name, distribution, version and target.
            load: Imports and returns the plugin's module.
        """
        key = (normalised(info.distribution), info.name)
        stage: Stage = "import"
        plugin: object = None
        specs: list[Spec] = []
        try:
            # A plugin's prints would spoil the output of --json.
            with contextlib.redirect_stdout(sys.stderr):
                plugin = load()
                if self._manager.is_registered(plugin):
                    return
                stage = "api version"
                info = dataclasses.replace(info, api_version=_check_api_version(plugin, info))
                stage = "hooks"
                self._manager.register(plugin, name="/".join(key))
                self._manager.check_pending()
                _check_hooks(plugin, self._manager, info)
                stage = "register"
                self._collect(plugin, info, specs)
                for spec in specs:
                    self._qualified[spec.kind, f"{key[0]}/{spec.name}"] = spec
                for spec in specs:
                    self._check_free(spec, info)
        except (Exception, SystemExit) as error:
            if plugin is not None and self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            self._plugins[key] = quarantine(info, stage, error, specs)
        else:
            for spec in specs:
                self._entries[spec.kind, spec.name] = _Entry(spec, info.distribution)
            self._plugins[key] = dataclasses.replace(info, components=names_of(specs))

    def _insert(self, spec: Spec) -> None:
        distribution = self._active.distribution
        self._entries[spec.kind, spec.name] = _Entry(spec, distribution)
        self._qualified[spec.kind, f"{normalised(distribution)}/{spec.name}"] = spec

    def _check_free(self, spec: Spec, info: PluginInfo | None = None) -> None:
        info = info or self._active
        if taken := self._entries.get((spec.kind, spec.name)):
            ours, theirs = (f"{normalised(name)}/{spec.name}" for name in (info.distribution, taken.distribution))
            raise PluginError(
                f"{spec.kind} {spec.name!r} of {info.distribution} is already provided by {taken.distribution}. "
                f"Ask for one of them as {ours!r} or {theirs!r}, "
                "or uninstall one of the two."
            )

    def _collect(self, plugin: object, info: PluginInfo, specs: list[Spec]) -> None:
        """Call the plugin's ``gaitbench_register`` alone; what it adds goes to ``specs``."""
        others = [other for other in self._manager.get_plugins() if other is not plugin]
        register = self._manager.subset_hook_caller("gaitbench_register", remove_plugins=others)
        previous = self._active
        self._active, self._pending = info, specs
        try:
            register(registry=self)
        finally:
            self._active, self._pending = previous, None

    def _provides(self, info: PluginInfo, spec: Spec) -> bool:
        return self._qualified.get((spec.kind, f"{normalised(info.distribution)}/{spec.name}")) is spec

    def _implementations(self, hook: str, stage: Stage) -> list[pluggy.HookImpl]:
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        return [each for each in caller.get_hookimpls() if (each.plugin_name, stage) not in self._muted]

    def _call_each(self, hook: str, stage: Stage, **arguments: object) -> Iterator[object]:
        for implementation in self._implementations(hook, stage):
            try:
                result = implementation.function(*(arguments[name] for name in implementation.argnames))
            except Exception as error:
                self._degrade(implementation, stage, error)
            else:
                yield result

    def _degrade(self, implementation: pluggy.HookImpl, stage: Stage, error: BaseException) -> None:
        """Note a hook's failure and stop calling that hook; the plugin's components stay."""
        distribution, _, name = implementation.plugin_name.partition("/")
        info = self._plugins[distribution, name]
        broken = quarantine(info, stage, error)
        self._plugins[distribution, name] = dataclasses.replace(broken, status="loaded", components=info.components)
        self._muted.add((implementation.plugin_name, stage))
        _log.warning("%s failed in its %s hook and is not asked again: %s", describe(info), stage, broken.error)

    def _explain_unknown(self, kind: str, name: str) -> str:
        bare = name.rpartition("/")[2]
        known = self.names(kind)
        reasons = [f"unknown {kind} {name!r}."]
        if broken := self._suspects(kind, name):
            reasons.extend(
                f"{describe(info)} should provide it but failed ({info.stage}): {info.error} {info.hint}".strip()
                for info in broken
            )
            return "\n".join(reasons)
        installed = {info.distribution for info in self._plugins.values()}
        elsewhere = {n: package for (k, n), package in PACKAGES.items() if k == kind and package not in installed}
        if bare in elsewhere:
            reasons.append(f"It comes with {elsewhere[bare]}: pip install {elsewhere[bare]}.")
        elif near := nearest(bare, [*known, *elsewhere]):
            where = f" It comes with {elsewhere[near]}: pip install {elsewhere[near]}." if near in elsewhere else ""
            reasons.append(f"Did you mean {near!r}?{where}")
        if others := [other for other in KINDS if other != kind and (other, bare) in self._entries]:
            reasons.append(f"There is a {others[0]} of that name.")
        reasons.append(f"Known: {', '.join(known) or 'none'}.")
        if quarantined := [info for info in self.plugins() if info.status == "quarantined"]:
            listed = "; ".join(f"{describe(info)}: {info.error.splitlines()[0]}" for info in quarantined)
            reasons.append(f"Plugins that failed to load and may provide it: {listed} (see 'gaitbench plugins').")
        return " ".join(reasons)

    def _suspects(self, kind: str, name: str) -> list[PluginInfo]:
        """Quarantined plugins that claim this name, or are asked for by ``distribution/name``."""
        distribution, _, bare = name.rpartition("/")
        return [
            info
            for info in self.plugins()
            if info.status == "quarantined"
            and (
                (kind, bare) in info.components
                or (distribution and normalised(distribution) == normalised(info.distribution))
                or (not info.components and bare in (info.name, info.distribution.removeprefix("gaitbench-")))
            )
        ]


@functools.cache
def load_registry() -> Registry:
    """The registry of this process: core's components and those of all installed plugins."""
    return build_registry(_entry_points())


def build_registry(entry_points: Iterable[importlib.metadata.EntryPoint]) -> Registry:
    """Load core's components and then each entry point, guarded.

    Args:
        entry_points: Of the group ``gaitbench``; repetitions (a package seen twice on the path) count once.
    """
    registry = Registry()
    core = dataclasses.replace(CORE, version=_version_of(CORE.distribution), target="gaitbench.builtin")
    registry.load_plugin(core, lambda: importlib.import_module("gaitbench.builtin"))
    if (failure := registry.plugins()[0]).status == "quarantined":
        raise PluginError(f"gaitbench's own components failed to register: {failure.error}")
    seen: set[tuple[str, str]] = set()
    for entry_point in sorted(entry_points, key=_order):
        distribution, version = _distribution_of(entry_point)
        key = (normalised(distribution), entry_point.name)
        if key in seen:
            continue
        seen.add(key)
        info = PluginInfo(name=entry_point.name, distribution=distribution, version=version, target=entry_point.value)
        registry.load_plugin(info, entry_point.load)
    return registry


def resolve(target: str, *, needed_by: str = "") -> object:
    """Import ``package.module:attribute``.

    Args:
        target: What to import.
        needed_by: What asks for it, for the message.

    Raises:
        PluginError: The target is malformed, its module fails to import, or has no such attribute.

    Example:
        >>> resolve("math:pi")
        3.141592653589793
    """
    who = f" ({needed_by})" if needed_by else ""
    if not TARGET.fullmatch(target):
        raise PluginError(f"{target!r}{who} is not a target of the form 'package.module:attribute'.")
    module, _, path = target.partition(":")
    try:
        found: object = importlib.import_module(module)
    except Exception as error:
        raise PluginError(
            f"cannot import {target}{who}: {in_one_line(error)}. {hint_for(error, 'the package')}"
        ) from error
    for attribute in path.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError as error:
            near = nearest(attribute, [name for name in dir(found) if not name.startswith("_")])
            raise PluginError(
                f"cannot import {target}{who}: {module} has no {attribute!r}"
                + (f"; did you mean {near!r}?" if near else ".")
            ) from error
    return found


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like this one, or None when none is alike.

    Example:
        >>> nearest("gaitbse", ["gaitset", "gaitbase"])
        'gaitbase'
    """
    close = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def _entry_points() -> list[importlib.metadata.EntryPoint]:
    try:
        return list(importlib.metadata.entry_points(group=GROUP))
    except Exception:  # one unreadable entry_points.txt anywhere on the path
        found: list[importlib.metadata.EntryPoint] = []
        for distribution in importlib.metadata.distributions():
            with contextlib.suppress(Exception):
                found.extend(distribution.entry_points.select(group=GROUP))
        return found


def _order(entry_point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    return (normalised(_distribution_of(entry_point)[0]), entry_point.name)


def _distribution_of(entry_point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    module = entry_point.value.partition(":")[0].partition(".")[0]
    if entry_point.dist is None:
        return module, ""
    try:
        return entry_point.dist.name or module, entry_point.dist.version or ""
    except Exception:  # no METADATA file, or none that can be parsed
        return module, ""


@functools.cache
def _version_of(distribution: str) -> str:
    from gaitbench import __version__

    return __version__ if distribution == CORE.distribution else importlib.metadata.version(distribution)


def _check_api_version(plugin: object, info: PluginInfo) -> int:
    stated = getattr(plugin, "api_version", None)
    if stated is None:
        raise PluginError(f"{info.target} states no api_version; add 'api_version = {API_VERSION}' to it.")
    if type(stated) is not int or stated != API_VERSION:
        raise PluginError(version_mismatch(stated))
    return stated


def _check_hooks(plugin: object, manager: pluggy.PluginManager, info: PluginInfo) -> None:
    """Refuse a plugin without any hook, or with one that lacks its decorator: both would do nothing, silently."""
    implemented = {caller.name for caller in manager.get_hookcallers(plugin) or ()}
    own = getattr(plugin, "__name__", None)
    for name, function in inspect.getmembers(plugin, inspect.isroutine):
        if name.startswith("gaitbench_") and name not in implemented and getattr(function, "__module__", own) == own:
            raise PluginError(
                f"{info.target}: {name} is not decorated; put '@hookimpl' from gaitbench.hookspecs above it."
            )
    if not implemented:
        raise PluginError(f"{info.target} implements no hook; define gaitbench_register(registry) under '@hookimpl'.")


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        near = nearest(kind, KINDS)
        raise UsageError(
            f"there is no kind of component called {kind!r}"
            + (f"; did you mean {near!r}?" if near else f"; there are {', '.join(KINDS)}.")
        )
