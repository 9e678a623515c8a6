"""``leaderboard``: records in, ranked tables out."""

from pathlib import Path
from typing import Annotated

import typer

from gaitbench.commands.shell import AsJson, Command, echo, echo_json

__all__ = ["add_to"]

Folder = Annotated[Path, typer.Argument(help="A leaderboard's folder: records below it, tables in it.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to an app."""
    board = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Build, show and check leaderboards.")
    board.command("build", cls=Command)(build_command)
    board.command("show", cls=Command)(show_command)
    board.command("check", cls=Command)(check_command)
    board.command("add", cls=Command)(add_command)
    app.add_typer(board, name="leaderboard")


def build_command(folder: Folder = Path("leaderboards"), as_json: AsJson = False) -> None:
    """Audit every record and write the tables."""
    from gaitbench import api

    written = api.build_leaderboard(folder)
    if as_json:
        echo_json(written)
    else:
        for path in written:
            echo(str(path))


def show_command(
    folder: Folder = Path("leaderboards"),
    task: Annotated[str | None, typer.Option("--task", help="Only this task.")] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Only this dataset.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the tables of a leaderboard."""
    from gaitbench import api

    board = api.show_leaderboard(folder, task, dataset)
    if as_json:
        echo_json(board)
    else:
        echo(str(board))


def check_command(folder: Folder = Path("leaderboards"), as_json: AsJson = False) -> None:
    """Audit every record and compare the tables with what the records give; exit code 1 on any difference."""
    from gaitbench import api

    problems = api.check_leaderboard(folder)
    if as_json:
        echo_json(problems)
    else:
        echo("\n".join(problems) if problems else f"{folder}: every number follows from its records")
    if problems:
        raise typer.Exit(1)


def add_command(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs.")],
    to: Annotated[Path, typer.Option("--to", help="The leaderboard's folder.")] = Path("leaderboards"),
    as_json: AsJson = False,
) -> None:
    """Copy finished runs into a leaderboard, after an audit, and build it again."""
    from gaitbench import api

    written = api.add_to_leaderboard(runs, to)
    if as_json:
        echo_json(written)
    else:
        for path in written:
            echo(str(path))
