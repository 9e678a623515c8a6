"""The command line: ``gaitbench COMMAND``. Only typer is imported before a command runs.

Exit codes: 0 done, 1 an error or a failed check, 2 a command that cannot mean anything, 130 interrupted.
"""

import os
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from gaitbench import __version__
from gaitbench.commands import annotate, boards, components, data, embeddings, explain, features, hub, run
from gaitbench.errors import GaitbenchError, PluginError, UsageError

__all__ = ["build_app", "main"]

EXIT_ERROR, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: Arguments without the program's name; None for the process's own.

    Returns:
        The exit code. Whatever goes wrong is one readable block on stderr; ``--debug`` adds the traceback.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    is_debug = "--debug" in arguments or os.environ.get("GAITBENCH_DEBUG", "0") not in ("", "0")
    words = [argument for argument in arguments if argument != "--debug"]
    try:
        command = typer.main.get_command(build_app())
        code = command.main(words, prog_name="gaitbench", standalone_mode=False)
        code = code if isinstance(code, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has gone; a second failure while Python flushes stdout would be noise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except GaitbenchError as error:
        code = EXIT_USAGE if isinstance(error, UsageError) else EXIT_ERROR
        _report(str(error), is_debug=is_debug)
    except Exception as error:
        code = _report_other(error, is_debug=is_debug)
    if code == EXIT_INTERRUPTED:
        again = shlex.join(["gaitbench", *arguments])
        _say(f"\ninterrupted: finished work is kept, and unfinished work resumes with the same command:\n  {again}")
    return code


def build_app() -> typer.Typer:
    """Assemble the commands of core and plugins; a plugin that fails here is reported and left out."""
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        help="Train and score gait recognition methods under official protocols.",
    )
    app.callback()(_options)
    for group in (run, components, data, features, hub, embeddings, explain, annotate, boards):
        group.add_to(app)
    _add_plugin_commands(app)
    return app


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"gaitbench {__version__}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")]


def _options(version: Version = False, debug: Debug = False) -> None:
    """Options of gaitbench itself. Both are dealt with before this is called."""
    del version, debug


def _add_plugin_commands(app: typer.Typer) -> None:
    from gaitbench.registry import load_registry

    taken = _names(app)

    def extend(hook: Callable[..., object]) -> None:
        own = typer.Typer()
        hook(own)
        if clash := sorted(taken & _names(own)):
            raise PluginError(f"the command {clash[0]!r} exists already; rename it.")
        if _names(own):
            typer.main.get_command(own)  # a malformed command fails here, inside the plugin's own try
        app.registered_commands.extend(own.registered_commands)
        app.registered_groups.extend(own.registered_groups)
        taken.update(_names(own))

    load_registry().extend_cli(extend)


def _names(app: typer.Typer) -> set[str]:
    commands = {command.name or _dashed(command.callback) for command in app.registered_commands}
    return commands | {str(group.name) for group in app.registered_groups}


def _dashed(function: Callable[..., object] | None) -> str:
    return getattr(function, "__name__", "").replace("_", "-")


def _report(message: str, *, is_debug: bool) -> None:
    if is_debug:
        traceback.print_exc()
    _say(f"error: {message}")


def _report_other(error: Exception, *, is_debug: bool) -> int:
    """Report a mistyped command, or an error that nobody foresaw."""
    if any(cls.__name__ == "ClickException" for cls in type(error).__mro__):
        context = getattr(error, "ctx", None)
        where = getattr(context, "command_path", "gaitbench")
        if type(error).__name__ == "NoArgsIsHelpError":
            _say(str(error))
            return EXIT_USAGE
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        _report(f"{message}\n  see {where} --help", is_debug=is_debug)
        return EXIT_USAGE
    step = "This is a fault of gaitbench or of a plugin: run it again with --debug and report what it prints."
    _report(f"{type(error).__name__}: {error}\n  {step}", is_debug=is_debug)
    return EXIT_ERROR


def _say(text: str) -> None:
    typer.echo(text, err=True)
