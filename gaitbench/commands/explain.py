"""``explain``: pictures of what a trained model looks at."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gaitbench.commands.interrupts import import_torch
from gaitbench.commands.shell import AsJson, Command, echo, echo_json
from gaitbench.errors import UsageError

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the command to an app."""
    app.command("explain", cls=Command)(explain_command)


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
    frames: Annotated[int, typer.Option("--frames", min=1, help="Frames drawn of each.")] = 8,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of the data; where the run found them without it.")
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Where to compute.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Draw what a trained model looks at: its maps over the frames, with a page to read them."""
    if sequences and num is not None:
        raise UsageError("give --sequences ID [ID ...] or --num COUNT, not both.")
    import_torch()
    from gaitbench import api

    found = api.explain(
        run,
        out,
        model=model,
        sequences=sequences or None,
        num=8 if num is None else num,
        split=split,
        num_frames=frames,
        data=data,
        device=device,
    )
    if as_json:
        echo_json(found)
        return
    echo(f"{out / 'index.html'}: {found.model} ({found.preset}) on {len(found.sequences)} sequences of {found.dataset}")
    for each in found.sequences:
        titles = [*(row.title for row in each.heatmaps), *(told.title for told in each.findings)]
        echo(f"  {each.file or each.sequence_id}: {', '.join(titles)}")
