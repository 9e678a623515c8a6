"""``export``: a dataset as a Hugging Face repository."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gaitbench.commands.interrupts import import_torch
from gaitbench.commands.shell import AsJson, Command, echo, echo_json, pairs, words
from gaitbench.errors import UsageError

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the command to an app."""
    app.command("export", cls=Command)(export_command)


def export_command(
    dataset: Annotated[str, typer.Argument(help="A dataset, or the folder of a prepared one.")],
    out: Annotated[Path, typer.Option("--out", help="A new folder; or one in which the same export was begun.")],
    to: Annotated[Literal["hf"], typer.Option("--to", help="The form: hf, a Hugging Face dataset repository.")] = "hf",
    modalities: Annotated[
        list[str] | None,
        typer.Option("--modalities", help="Streams to write, one or several; all without it."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", "--source", help="Folder of the dataset's official files."),
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="key=value of the dataset, one or several.")
    ] = None,
    push: Annotated[
        str | None,
        typer.Option("--push", help="ORG/NAME to upload to, private; with the token of HF_TOKEN or of the login."),
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Let everybody see what is pushed.")] = False,
    has_right: Annotated[
        bool,
        typer.Option("--i-have-the-right", help="Push although the terms forbid it or say nothing: you may."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a dataset repository that Hugging Face's datasets opens as it is. Run it again to go on after a stop."""
    if push is None and (public or has_right):
        raise UsageError("--public and --i-have-the-right belong to --push ORG/NAME.")
    import_torch()
    from gaitbench import api

    done = api.export(
        dataset,
        out,
        to=to,
        modalities=words(modalities) or None,
        source=data,
        options=pairs(option, "--option"),
        push=push,
        public=public,
        has_right=has_right,
    )
    if as_json:
        echo_json(done)
        return
    written = done.export
    splits = ", ".join(f"{num} {split}" for split, num in written.splits.items())
    echo(f"{written.folder}: {splits} sequences in {written.num_files} files, {written.num_bytes / 1e6:.1f} MB")
    echo(f"  modalities   {', '.join(written.modalities)}")
    echo(f"  fingerprint  {written.fingerprint}")
    if done.pushed is not None:
        seen = "private" if done.pushed.is_private else "public"
        echo(f"{done.pushed.url} ({seen}), commit {done.pushed.commit}")
        echo(f"  next: gaitbench run --task identity --dataset hf:{done.pushed.repository}@{done.pushed.commit[:12]}")
    else:
        echo(f"  next: datasets.load_dataset({str(written.folder)!r}), or gaitbench prepare hf:{written.folder}")
