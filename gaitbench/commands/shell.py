"""What commands share: options that take several values, ``key=value`` pairs, printing as text or JSON."""

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from gaitbench.errors import UsageError

__all__ = ["AsJson", "Command", "echo", "echo_json", "pairs", "words"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
"""The option that every command has."""


class Command(TyperCommand):
    """A command whose repeatable options also take several values at once: ``--model lmgait gaitbase``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each further value, up to the next option."""
        several = {
            flag for parameter in self.params if getattr(parameter, "multiple", False) for flag in parameter.opts
        }
        return list(super().parse_args(ctx, _repeat_flags(args, several)))


def _repeat_flags(args: Sequence[str], several: set[str]) -> list[str]:
    """Write ``--model a b`` as ``--model a --model b``.

    Example:
        >>> _repeat_flags(["--model", "a", "b", "--json"], {"--model"})
        ['--model', 'a', '--model', 'b', '--json']
    """
    expanded: list[str] = []
    flag: str | None = None
    has_value = False
    for position, arg in enumerate(args):
        if arg == "--":
            return [*expanded, *args[position:]]
        if arg.startswith("-") and len(arg) > 1:
            name, _, value = arg.partition("=")
            flag = name if name in several else None
            has_value = bool(value)
            expanded.append(arg)
        else:
            if flag is not None and has_value:
                expanded.append(flag)
            expanded.append(arg)
            has_value = flag is not None
    return expanded


def words(values: Iterable[str] | None) -> list[str]:
    """Split at commas and drop repetitions.

    Example:
        >>> words(["gaitset,gaitbase", "gaitset"])
        ['gaitset', 'gaitbase']
    """
    parts = (part.strip() for value in values or () for part in value.split(","))
    return list(dict.fromkeys(part for part in parts if part))


def pairs(values: Iterable[str] | None, flag: str) -> dict[str, object]:
    """Read ``key=value`` arguments; a value is JSON where it can be, and text where it cannot.

    Raises:
        UsageError: No equals sign, a key twice, or bytes that are no text.

    Example:
        >>> pairs(["seed=1", "channels=[4, 8]", "split=official"], "--option")
        {'seed': 1, 'channels': [4, 8], 'split': 'official'}
    """
    found: dict[str, object] = {}
    for item in values or ():
        key, equals, text = item.partition("=")
        if not equals or not key:
            raise UsageError(f"{flag} takes key=value, got {item!r}; for instance {flag} seed=1.")
        if any("\ud800" <= letter <= "\udfff" for letter in item):
            raise UsageError(f"{flag} takes text in UTF-8, got {item!r}; for a file of another name, rename it.")
        if key in found:
            raise UsageError(f"{flag} {key} is given twice; keep one.")
        try:
            found[key] = json.loads(text)
        except ValueError:
            found[key] = text
    return found


def echo(text: str = "") -> None:
    """Print to stdout."""
    typer.echo(text)


def echo_json(value: object) -> None:
    """Print strict JSON: dataclasses and pydantic models as objects, paths as text, NaN as null."""
    typer.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):
        return _plain(value.model_dump(mode="python"))
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Path):
        return str(value)
    return str(value)
