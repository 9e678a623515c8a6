"""``convert``, ``embed`` and ``score``: from a published checkpoint to the official table."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gaitbench.commands.interrupts import import_torch
from gaitbench.commands.shell import AsJson, Command, echo, echo_json, pairs
from gaitbench.errors import UsageError

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add these commands to an app."""
    app.command("convert", cls=Command)(convert_command)
    app.command("embed", cls=Command)(embed_command)
    app.command("score", cls=Command)(score_command)


def convert_command(
    source: Annotated[str, typer.Argument(help="Where the checkpoint comes from: opengait.")],
    checkpoint: Annotated[Path, typer.Argument(help="The file; nothing but tensors is ever loaded from it.")],
    model: Annotated[str, typer.Option("--model", help="The model that it belongs to.")],
    out: Annotated[Path, typer.Option("--out", help="The .safetensors file to write.")],
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value of the model's config; the presets are tried without it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Turn a published checkpoint into weights of ours."""
    import_torch()
    from gaitbench import api

    if source != "opengait":
        raise UsageError(
            f"convert reads checkpoints of opengait, not of {source!r}; write 'gaitbench convert opengait'."
        )
    done = api.convert(checkpoint, model, out, config=pairs(setting, "--set") or None)
    if as_json:
        echo_json(done)
        return
    fitted = f"preset {done.preset}" if done.preset else "the configuration given"
    classes = f", {done.config['num_classes']} training subjects" if "num_classes" in done.config else ""
    echo(f"{done.path}: {done.model}, {done.num_parameters:,} parameters, {fitted}{classes}")
    for name, fields in done.alternatives.items():
        echo(f"preset {name} has the same shapes and another {', '.join(fields)}; --set key=value decides")


def embed_command(
    source: Annotated[
        str, typer.Argument(help="A dataset, a prepared dataset's folder, or an .npz file of network inputs.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The .npz or .parquet file to write; score reads it.")],
    model: Annotated[str | None, typer.Option("--model", help="The model; that of the weights without it.")] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="A file of convert, or the folder of a finished run.")
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the dataset's official files.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="key=value of the dataset, one or several.")
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Where to compute.")] = "auto",
    precision: Annotated[
        Literal["32-true", "bf16-mixed", "16-mixed"], typer.Option("--precision", help="Number format.")
    ] = "32-true",
    max_frames: Annotated[
        int, typer.Option("--max-frames", min=1, help="Longer sequences of a dataset are cut to their first frames.")
    ] = 720,
    as_json: AsJson = False,
) -> None:
    """Embed a dataset, or raw network inputs, with trained or converted weights."""
    import_torch()
    from gaitbench import api

    written = api.embed(
        source,
        out,
        model=model,
        weights=weights,
        data=data,
        options=pairs(option, "--option"),
        device=device,
        precision=precision,
        max_frames=max_frames,
    )
    if as_json:
        echo_json({"embeddings": written})
    else:
        echo(f"{written}: score it with 'gaitbench score --protocol NAME {written}'")


def score_command(
    file: Annotated[Path, typer.Argument(help="Embeddings, .npz or .parquet.")],
    protocol: Annotated[str, typer.Option("--protocol", help="As gaitbench list protocols shows it.")],
    partition: Annotated[
        Path | None, typer.Option("--partition", help="JSON file of the official lists, where a protocol has them.")
    ] = None,
    reranking: Annotated[bool, typer.Option("--reranking", help="Re-rank with k-reciprocal encoding.")] = False,
    distance: Annotated[
        Literal["euclidean", "cosine"] | None, typer.Option("--distance", help="In place of the protocol's own.")
    ] = None,
    bootstrap: Annotated[int, typer.Option("--bootstrap", min=0, help="Resamples of the intervals; 0: none.")] = 1000,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop when anything sets the file apart from the official test.")
    ] = False,
    submission: Annotated[
        Path | None, typer.Option("--submission", help="Write this file for a server that keeps the probes' labels.")
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Where to compare and count.")
    ] = "auto",
    as_json: AsJson = False,
) -> None:
    """Score embeddings under an official protocol; needs no model, dataset or plugin."""
    import_torch()
    from gaitbench import api

    if submission is not None:
        written = api.submit(
            file, submission, protocol, partition=partition, reranking=reranking, distance=distance, device=device
        )
        if as_json:
            echo_json({"submission": written})
        else:
            echo(f"{written}: hand it in at the server that keeps the probes' labels")
        return
    found = api.score(
        file,
        protocol,
        partition=partition,
        reranking=reranking,
        distance=distance,
        bootstrap=bootstrap,
        is_strict=strict,
        device=device,
    )
    if as_json:
        echo_json(found)
    else:
        echo(str(found))
