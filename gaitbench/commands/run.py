"""``run``: from a task's name to a leaderboard."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gaitbench.commands.interrupts import import_torch
from gaitbench.commands.shell import AsJson, Command, echo, echo_json, pairs, words
from gaitbench.errors import UsageError

__all__ = ["add_to"]

Texts = list[str] | None
Text = str | None


def add_to(app: typer.Typer) -> None:
    """Add the command to an app."""
    app.command("run", cls=Command)(run_command)


def run_command(
    task: Annotated[str, typer.Option("--task", help="identity, crossmodal or a plugin's.")],
    model: Annotated[
        Texts, typer.Option("--model", help="One or several; every model that fits task and dataset without it.")
    ] = None,
    dataset: Annotated[Text, typer.Option("--dataset", help="The embedded walkers without it.")] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder of the official files, or of a prepared dataset."),
    ] = None,
    preset: Annotated[str, typer.Option("--preset", help="quick (for a CPU) or paper (as published).")] = "quick",
    seeds: Annotated[int | None, typer.Option("--seeds", min=1, help="How many seeds: 0, 1, 2 ...")] = None,
    seed: Annotated[Texts, typer.Option("--seed", help="The seeds themselves, one or several.")] = None,
    protocol: Annotated[Text, typer.Option("--protocol", help="The dataset's first one without it.")] = None,
    partition: Annotated[
        Path | None, typer.Option("--partition", help="JSON file of the official lists, where a protocol has them.")
    ] = None,
    option: Annotated[Texts, typer.Option("--option", help="key=value of the dataset, one or several.")] = None,
    setting: Annotated[Texts, typer.Option("--set", help="key=value of the models' config, one or several.")] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option("--devices", min=1, help="Devices per machine.")] = 1,
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Machines.")] = 1,
    precision: Annotated[
        Literal["32-true", "bf16-mixed", "16-mixed"] | None,
        typer.Option("--precision", help="The recipe's without it."),
    ] = None,
    cache: Annotated[
        Literal["none", "ram", "device"],
        typer.Option("--cache", help="Where training frames wait: in their files, in memory or on the device."),
    ] = "none",
    out: Annotated[Path, typer.Option("--out", help="Folder of the runs.")] = Path("runs"),
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Models and seeds run side by side.")] = 1,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Go on with missing subjects; the result is marked and not ranked.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Run again what is finished.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train and score models, and print the leaderboard. Run it again to resume; finished work is reused."""
    import_torch()
    from gaitbench import api

    result = api.run(
        task,
        words(model) or None,
        dataset,
        data=data,
        preset=preset,
        seeds=_seeds(seeds, seed),
        protocol=protocol,
        partition=partition,
        options=pairs(option, "--option"),
        set=pairs(setting, "--set"),
        out=out,
        device=device,
        devices=devices,
        nodes=nodes,
        precision=precision,
        cache=cache,
        allow_partial=allow_partial,
        force=force,
        jobs=jobs,
    )
    if as_json:
        echo_json(result)
    elif result.folders:
        echo(str(api.rank_runs(result.folders)))
    for failure in result.failures:
        typer.echo(f"failed: {failure}", err=True)
    if result.failures:
        raise typer.Exit(1)


def _seeds(count: int | None, listed: list[str] | None) -> tuple[int, ...]:
    if count is not None and listed:
        raise UsageError("give --seeds COUNT or --seed N [N ...], not both.")
    if not listed:
        return tuple(range(count or 1))
    try:
        return tuple(int(value) for value in words(listed))
    except ValueError as error:
        raise UsageError(f"--seed takes whole numbers, got {', '.join(listed)}.") from error
