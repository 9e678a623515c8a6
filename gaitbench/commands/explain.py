"""``explain`` and ``gap``: what a trained model looks at, and how far the sensors lie apart in its space."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gaitbench.commands.interrupts import import_torch
from gaitbench.commands.shell import AsJson, Command, echo, echo_json
from gaitbench.errors import UsageError
from gaitbench.listing import columns

if TYPE_CHECKING:
    from gaitbench.explaining.gap import ModalityGap

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add these commands to an app."""
    app.command("explain", cls=Command)(explain_command)
    app.command("gap", cls=Command)(gap_command)


def explain_command(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run, or one that holds it.")],
    out: Annotated[
        Path, typer.Option("--out", help="The folder to write: a page, a picture per sequence, the numbers.")
    ],
    model: Annotated[
        str | None, typer.Option("--model", help="The run's model, where a folder holds runs of several.")
    ] = None,
    sequences: Annotated[
        list[str] | None, typer.Option("--sequences", help="Ids of sequences, one or several; some are chosen without.")
    ] = None,
    num: Annotated[int | None, typer.Option("--num", min=1, help="How many are chosen; 8 without it.")] = None,
    split: Annotated[
        Literal["test", "train"], typer.Option("--split", help="The part of the protocol they are of.")
    ] = "test",
    frames: Annotated[int | None, typer.Option("--frames", min=1, help="Frames drawn of each; 8 without it.")] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of the data; where the run found them without it.")
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Where to compute.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Draw what a trained model looks at: its maps over the frames, and the space that several modalities share."""
    if sequences and num is not None:
        raise UsageError("give --sequences ID [ID ...] or --num COUNT, not both.")
    import_torch()
    from gaitbench import api

    found = api.explain(
        run,
        out,
        model=model,
        sequences=sequences or None,
        num=num,
        split=split,
        num_frames=frames,
        data=data,
        device=device,
    )
    if as_json:
        echo_json(found)
        return
    on = f"on {len(found.sequences)} sequences of" if found.sequences else "on"
    echo(f"{out / 'index.html'}: {found.model} ({found.preset}) {on} {found.dataset}")
    if found.space is not None:
        told = [f"{g.first} to {g.second} {_number(g.gap, 3)}" for g in found.space.gap.gaps]
        echo(f"  {found.space.file}: shared space; modality gap {', '.join(told)}")
    for each in found.sequences:
        titles = [*(row.title for row in each.heatmaps), *(told.title for told in each.findings)]
        echo(f"  {each.file or each.sequence_id}: {', '.join(titles)}")


def gap_command(
    run: Annotated[Path, typer.Argument(help="The folder of a finished cross-modal run, or one that holds it.")],
    model: Annotated[
        str | None, typer.Option("--model", help="The run's model, where a folder holds runs of several.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of the data; where the run found them without it.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=2, help="Test sequences compared at most, whole people.")] = 1500,
    as_json: AsJson = False,
) -> None:
    """Measure how far the modalities of a cross-modal run lie from each other."""
    import_torch()
    from gaitbench import api

    found = api.gap(run, model=model, data=data, limit=limit)
    if as_json:
        echo_json(found)
        return
    people = f"{found.num_compared} of {found.num_sequences} test sequences, {found.num_subjects} people"
    echo(f"{people}; {found.distance} distances, mean and standard deviation")
    echo(_table_of(found))


def _table_of(found: "ModalityGap") -> str:
    gaps = {(each.first, each.second): each.gap for each in found.gaps}
    rows = [
        [
            f"within {pair.first}" if pair.first == pair.second else f"{pair.first} to {pair.second}",
            *(f"{kind.mean:.4g} ± {kind.std:.2g}" if kind.num else "-" for kind in (pair.genuine, pair.impostor)),
            "-" if pair.separation is None else f"{pair.separation:.1%}",
            "" if pair.first == pair.second else _number(gaps[pair.first, pair.second], 3),
        ]
        for pair in found.pairs
    ]
    return columns(["distances", "genuine", "impostor", "genuine nearer", "modality gap"], rows)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
