"""``prepare`` and ``verify``: datasets on disk."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gaitbench.commands.interrupts import import_torch
from gaitbench.commands.shell import AsJson, Command, echo, echo_json, pairs, words

if TYPE_CHECKING:
    from gaitbench.dataset import VerifyReport

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add these commands to an app."""
    app.command("prepare", cls=Command)(prepare_command)
    app.command("verify", cls=Command)(verify_command)


def prepare_command(
    name: Annotated[str, typer.Argument(help="The dataset, as gaitbench list datasets shows it.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the prepared dataset; the cache, where run looks, without it."),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--source", help="Folder of the official files."),
    ] = None,
    modalities: Annotated[
        list[str] | None,
        typer.Option("--modalities", help="Streams to prepare, one or several; all without it."),
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes; one per core without it.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="key=value of the dataset's own options, one or several."),
    ] = None,
    skip_broken: Annotated[
        bool,
        typer.Option("--skip-broken", help="Leave sequences with broken or missing files out; results are partial."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Turn official files into a prepared dataset, or generate one. Run it again to go on after a stop."""
    if source is None:
        import_torch()  # what is generated needs it, reading files does not
    from gaitbench import api
    from gaitbench.report import report, report_text

    if source is not None and not as_json:
        _say_terms(name)
    dataset = api.prepare(
        name,
        out=out,
        source=source,
        modalities=words(modalities) or None,
        workers=workers,
        options=pairs(option, "--option"),
        skip_broken=skip_broken,
    )
    counted = report(dataset)
    found = {
        "folder": str(dataset.root),
        "name": dataset.card.name,
        "version": dataset.card.version,
        "sequences": len(dataset),
        "modalities": list(dataset.modalities),
        "fingerprint": dataset.fingerprint(dataset.modalities),
        "report": counted.model_dump(mode="json"),
    }
    if as_json:
        echo_json(found)
    else:
        echo(f"{found['folder']}: {found['name']} {found['version']}, {found['sequences']} sequences")
        if source is not None:
            echo(f"  {dataset.card.description}")
        echo(report_text(counted))
        echo(f"  fingerprint  {found['fingerprint']}")


def verify_command(
    folder: Annotated[Path, typer.Argument(help="A prepared dataset.")],
    quick: Annotated[bool, typer.Option("--quick", help="Sizes only; do not hash the frames.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check a prepared dataset against its manifest; exit code 1 when something is wrong."""
    from gaitbench import api

    report = api.verify(folder, deep=not quick)
    if as_json:
        echo_json(report)
    else:
        echo(_text_of(report))
    if not report.is_sound:
        raise typer.Exit(1)


def _say_terms(name: str) -> None:
    """Print a real dataset's terms and what to cite, before its files are read."""
    from gaitbench.registry import load_registry
    from gaitbench.specs import DatasetSpec

    spec = load_registry().get("dataset", name)
    assert isinstance(spec, DatasetSpec)
    for title, text in (("licence", spec.licence), ("access", spec.access), ("cite", spec.citation)):
        if text:
            echo(f"{spec.name}: {title}: {text}")


def _text_of(report: "VerifyReport") -> str:
    depth = "every byte read" if report.is_deep else "sizes compared"
    state = "sound" if report.is_sound else f"{len(report.problems)} problems"
    size = f"{report.num_sequences} sequences, {report.num_files} files, {report.num_bytes / 1e6:.1f} MB"
    lines = [f"{report.root}: {state} ({size}, {depth})", f"  modalities: {', '.join(report.modalities) or 'none'}"]
    return "\n".join([*lines, *(f"  problem: {problem}" for problem in report.problems)])
