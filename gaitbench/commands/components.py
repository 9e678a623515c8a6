"""``list``, ``info``, ``plugins``, ``doctor`` and ``new``: what is installed, and how to add to it."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from gaitbench.commands.shell import AsJson, Command, echo, echo_json
from gaitbench.errors import UsageError
from gaitbench.listing import block, columns
from gaitbench.quarantine import PluginInfo

__all__ = ["add_to"]

_PLURALS = {
    "models": "model",
    "datasets": "dataset",
    "protocols": "protocol",
    "tasks": "task",
    "metrics": "metric",
    "modalities": "modality",
    "plugins": "plugin",
}

_NEXT_STEPS = {
    "model": "none; pip install gaitbench-baselines brings the published baselines",
}


def add_to(app: typer.Typer) -> None:
    """Add these commands to an app."""
    app.command("list", cls=Command)(list_command)
    app.command("info", cls=Command)(info_command)
    app.command("plugins", cls=Command)(plugins_command)
    app.command("doctor", cls=Command)(doctor_command)
    new = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Write the skeleton of something new.")
    new.command("plugin", cls=Command)(new_plugin_command)
    app.add_typer(new, name="new")


def list_command(
    kind: Annotated[
        str | None,
        typer.Argument(help="models, datasets, protocols, tasks, metrics, modalities or plugins; all without it."),
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="Only models and metrics of this task.")] = None,
    as_json: AsJson = False,
) -> None:
    """List what is installed."""
    from gaitbench import api
    from gaitbench.registry import nearest

    wanted = list(_PLURALS.values()) if kind is None else [_PLURALS.get(kind, kind)]
    if wanted[0] not in _PLURALS.values():
        near = nearest(wanted[0], [*_PLURALS, *_PLURALS.values()])
        guess = f"Did you mean {near!r}?" if near else f"There are {', '.join(_PLURALS)}."
        raise UsageError(f"cannot list {kind!r}. {guess}")
    if kind is not None and wanted[0] == "plugin":
        plugins_command(as_json=as_json)
        return
    found = {
        plural: _rows(single, task) for plural, single in _PLURALS.items() if single in wanted and single != "plugin"
    }
    if as_json:
        echo_json(found if kind is None else next(iter(found.values())))
        return
    for plural, rows in found.items():
        if kind is None:
            echo(f"{plural}:")
        echo(_table_of(_PLURALS[plural], rows))
        if kind is None:
            echo()
    broken = [plugin for plugin in api.list_plugins() if plugin.status == "quarantined"]
    if kind is None:
        echo("plugins:")
        echo(_plugin_table(api.list_plugins()))
    elif broken:
        names = ", ".join(plugin.distribution for plugin in broken)
        typer.echo(f"not listed, because it failed to load: {names} (see gaitbench plugins)", err=True)


def _rows(kind: str, task: str | None) -> list[dict[str, object]]:
    """Each spec as a dict, with the package it comes from."""
    from gaitbench.registry import load_registry

    registry = load_registry()
    if task is not None:
        registry.get("task", task)
    rows: list[dict[str, object]] = []
    for spec in registry.specs(kind):
        if task is not None and task not in getattr(spec, "tasks", (task,)):
            continue
        owner = registry.owner(kind, spec.name)
        fields = {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec)}
        rows.append({**fields, "distribution": owner.distribution, "version": owner.version})
    return rows


def _table_of(kind: str, rows: list[dict[str, object]]) -> str:
    if not rows:
        return _NEXT_STEPS.get(kind, "none")
    extra = {"model": ("inputs", "tasks", "fidelity"), "dataset": ("modalities",), "metric": ("tasks",)}.get(kind, ())
    head = ["name", *extra, "package", "title"]
    lines = [
        [str(row["name"]), *(_cell(row[field]) for field in extra), str(row["distribution"]), str(row["title"])]
        for row in rows
    ]
    return columns(head, lines)


def _cell(value: object) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, tuple) else str(value)


def info_command(
    name: Annotated[
        str,
        typer.Argument(
            help="A model, dataset, protocol, task, metric, modality or plugin; with --view3d the folder of a prepared "
            "dataset too."
        ),
    ],
    kind: Annotated[str | None, typer.Option("--kind", help="Look among these only, such as model.")] = None,
    preview: Annotated[
        Path | None,
        typer.Option("--preview", help="Draw a contact sheet of the dataset into this PNG file."),
    ] = None,
    view3d: Annotated[
        bool, typer.Option("--view3d", help="Open a window with the points of a walk; needs Open3D and a display.")
    ] = False,
    sequence: Annotated[
        str | None, typer.Option("--sequence", help="With --view3d: the walk's id; the first that has points without.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show everything known of a component."""
    if sequence is not None and not view3d:
        raise UsageError("--sequence says which walk --view3d shows; give both, or neither.")
    from gaitbench import api

    if view3d:
        shown = api.view3d(name, sequence)
        if as_json:
            echo_json(shown._asdict())
        else:
            echo(f"{shown.sequence_id}: {shown.num_frames} frames of {shown.modality}, {shown.num_points} points")
        return
    found = api.info(name, _PLURALS.get(kind, kind) if kind else None)
    drawn = None if preview is None else api.preview(name, preview)
    if as_json:
        echo_json(found)
        return
    for component in found:
        title = f"{component.kind} {component.name}: {component.title}"
        details = [("package", (component.package,)), *((each.label, each.lines) for each in component.details)]
        echo(block(title, details))
        echo()
    if drawn is not None:
        echo(f"contact sheet: {drawn}")


def plugins_command(as_json: AsJson = False) -> None:
    """List installed plugins, broken ones with the reason."""
    from gaitbench import api

    plugins = api.list_plugins()
    if as_json:
        echo_json(plugins)
    else:
        echo(_plugin_table(plugins))


def _plugin_table(plugins: list[PluginInfo]) -> str:
    rows = []
    for plugin in plugins:
        what = f"{len(plugin.components)} components" if plugin.status == "loaded" else f"failed ({plugin.stage})"
        api_version = "-" if plugin.api_version is None else str(plugin.api_version)
        rows.append([plugin.distribution, plugin.version or "-", api_version, plugin.status, what])
    text = columns(["package", "version", "api", "status", "provides"], rows)
    for plugin in plugins:
        if plugin.error:
            text += f"\n\n{plugin.distribution} failed ({plugin.stage}): {plugin.error}\n  next: {plugin.hint}"
    return text


def doctor_command(as_json: AsJson = False) -> None:
    """Look at the machine and the installation; exit code 1 when gaitbench cannot work."""
    from gaitbench import api

    checks = api.doctor()
    if as_json:
        echo_json(checks)
    else:
        marks = {"ok": "ok", "warning": "warn", "failure": "FAIL"}
        for check in checks:
            echo(f"{marks[check.status]:4}  {check.name}: {check.detail}")
            if check.next_step:
                echo(f"      next: {check.next_step}")
    if any(check.status == "failure" for check in checks):
        raise typer.Exit(1)


def new_plugin_command(
    name: Annotated[str, typer.Argument(help="Lower case, digits and hyphens; the package becomes gaitbench-NAME.")],
    kind: Annotated[str, typer.Option("--kind", help="model, dataset, metric or modality.")] = "model",
    parent: Annotated[Path, typer.Option("--out", help="Folder to write the package into.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Write a working plugin package whose tests pass."""
    from gaitbench import api

    folder = api.new_plugin(name, kind=kind, parent=parent)
    if as_json:
        echo_json({"folder": folder})
        return
    echo(f"{folder} is written. Next:")
    echo(f"  pip install --editable {folder}")
    echo(f"  pytest {folder}")
    echo(f"  gaitbench info {name}")
