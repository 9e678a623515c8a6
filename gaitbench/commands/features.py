"""``features``: what frozen towers have computed and is kept."""

from typing import Annotated

import typer

from gaitbench.commands.shell import AsJson, Command, echo, echo_json, words
from gaitbench.listing import columns

__all__ = ["add_to"]

_GIB = 1 << 30


def add_to(app: typer.Typer) -> None:
    """Add the command to an app."""
    app.command("features", cls=Command)(features_command)


def features_command(
    remove: Annotated[
        list[str] | None, typer.Option("--remove", help="Remove these, one or several, or all of them: all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the features that `run --feature-cache` keeps, or remove some."""
    from gaitbench import api

    found = api.remove_features(words(remove)) if remove else api.list_features()
    if as_json:
        echo_json(found)
        return
    if not found:
        echo("no features are kept; `gaitbench run --feature-cache` keeps those of frozen towers")
        return
    rows = [
        [
            kept.name,
            kept.dataset,
            kept.model,
            kept.features,
            f"{'x'.join(map(str, kept.shape))} {kept.dtype}",
            f"{kept.num_bytes / _GIB:.2f} GiB",
        ]
        for kept in found
    ]
    if remove:
        echo("removed:")
    echo(columns(["name", "dataset", "model", "features", "per frame", "size"], rows))
