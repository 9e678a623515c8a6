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
    task: Annotated[str, typer.Option("--task", help="identity, crossmodal, attribute or a plugin's.")],
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
    test_dataset: Annotated[
        Texts,
        typer.Option("--test-dataset", help="Other data to be scored, one or several; trained once on --dataset."),
    ] = None,
    test_data: Annotated[
        Texts, typer.Option("--test-data", help="Folder of its files; of several one for each, or NAME=FOLDER.")
    ] = None,
    test_option: Annotated[
        Texts, typer.Option("--test-option", help="key=value of it; of several test datasets NAME.key=value.")
    ] = None,
    test_protocol: Annotated[
        Texts, typer.Option("--test-protocol", help="Its first one without; of several test datasets NAME=PROTOCOL.")
    ] = None,
    test_partition: Annotated[
        Texts, typer.Option("--test-partition", help="JSON file of its lists; of several test datasets NAME=FILE.")
    ] = None,
    append_attributes: Annotated[
        Text,
        typer.Option(
            "--append-attributes", help="true, predicted or predicted:MODEL: compare embeddings with these behind."
        ),
    ] = None,
    append_weight: Annotated[
        float, typer.Option("--append-weight", help="What a positive label stands as in what is appended.")
    ] = 1.0,
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
    feature_cache: Annotated[
        bool, typer.Option("--feature-cache", help="Keep what a frozen tower computes on disk, once per frame.")
    ] = False,
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

    tests = words(test_dataset)
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
        feature_cache=feature_cache,
        allow_partial=allow_partial,
        force=force,
        jobs=jobs,
        test_dataset=tests or None,
        test_data=test_data if _are_plain(test_data, tests) else _of_each("--test-data", test_data, tests),
        test_options=_options_of_each(test_option, tests),
        test_protocol=_of_each("--test-protocol", test_protocol, tests),
        test_partition=_of_each("--test-partition", test_partition, tests),
        append_attributes=append_attributes or "",
        append_weight=append_weight,
    )
    if as_json:
        echo_json(result)
    elif result.folders:
        echo(str(api.rank_runs(result.folders)))
    for failure in result.failures:
        typer.echo(f"failed: {failure}", err=True)
    if result.failures:
        raise typer.Exit(1)


def _are_plain(values: list[str] | None, tests: list[str]) -> bool:
    """Tell whether there is a folder for each of several test datasets, in their order and without their names."""
    return len(values or ()) == len(tests) > 1 and not any(_name_in(value, "=", tests) for value in values or ())


def _of_each(flag: str, values: list[str] | None, tests: list[str]) -> str | dict[str, str] | None:
    """What is said of the only test dataset, or of each by ``NAME=VALUE``."""
    if not values:
        return None
    named = {}
    for value in values:
        name = _name_in(value, "=", tests)
        if name is None and len(values) == 1 and len(tests) < 2:
            return value
        if name is None:
            raise UsageError(
                f"{flag} {value!r} is of no single test dataset; write {flag} NAME=VALUE, NAME being one of "
                f"{', '.join(tests) or 'those that --test-dataset names'}."
            )
        told = value[len(name) + 1 :]
        # Shells leave a tilde alone that stands behind NAME=.
        named[name] = str(Path(told).expanduser()) if told.startswith("~/") else told
    return named


def _options_of_each(values: list[str] | None, tests: list[str]) -> dict[str, object] | None:
    """Options of the only test dataset, or of each by ``NAME.key=value``."""
    by_name: dict[str, list[str]] = {}
    for value in values or ():
        name = _name_in(value, ".", tests)
        if name is None and len(tests) != 1:
            raise UsageError(
                f"--test-option {value!r} is of no single test dataset; write --test-option NAME.key=value, NAME being "
                f"one of {', '.join(tests) or 'those that --test-dataset names'}."
            )
        by_name.setdefault(name or tests[0], []).append(value if name is None else value[len(name) + 1 :])
    return {name: pairs(items, "--test-option") for name, items in by_name.items()} or None


def _name_in(value: str, separator: str, names: list[str]) -> str | None:
    """The test dataset that a value begins with."""
    return next((name for name in names if value.startswith(name + separator)), None)


def _seeds(count: int | None, listed: list[str] | None) -> tuple[int, ...]:
    if count is not None and listed:
        raise UsageError("give --seeds COUNT or --seed N [N ...], not both.")
    if not listed:
        return tuple(range(count or 1))
    try:
        return tuple(int(value) for value in words(listed))
    except ValueError as error:
        raise UsageError(f"--seed takes whole numbers, got {', '.join(listed)}.") from error
