"""What ``hf:`` names: a folder, or a repository of the hub at a revision."""

import re
from pathlib import Path
from typing import NamedTuple

from gaitbench.errors import UsageError

__all__ = ["PREFIX", "Address", "is_address", "parse_address"]

PREFIX = "hf:"

_REPOSITORY = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?", re.ASCII)


class Address(NamedTuple):
    """Where a dataset repository is: exactly one of the two."""

    folder: Path | None = None
    repository: str = ""
    """``ORG/NAME``."""
    revision: str = "main"
    """Branch, tag or commit."""

    def __str__(self) -> str:
        return f"{PREFIX}{self.folder}" if self.folder else f"{PREFIX}{self.repository}@{self.revision}"


def is_address(text: str) -> bool:
    """Tell whether a dataset is named by an address."""
    return text.startswith(PREFIX)


def parse_address(text: str) -> Address:
    """Read ``hf:ORG/NAME``, ``hf:ORG/NAME@REVISION`` or ``hf:FOLDER``; a folder that exists comes first.

    Raises:
        UsageError: It is neither the one nor the other.

    Example:
        >>> parse_address("hf:gait/walkers@v1")
        Address(folder=None, repository='gait/walkers', revision='v1')
        >>> parse_address("hf:./walkers").folder
        PosixPath('walkers')
    """
    body = text.removeprefix(PREFIX)
    folder = Path(body).expanduser()
    if body and "\0" not in body and folder.is_dir():
        return Address(folder=folder)
    if match := _REPOSITORY.fullmatch(body):
        name, revision = match["name"], match["revision"] or "main"
        if ".." not in f"{name}/{revision}" and name.split("/")[0] not in (".", "..", "~"):
            return Address(repository=name, revision=revision)
    if body.startswith(("/", ".", "~")) and "\0" not in body:
        return Address(folder=folder)
    raise UsageError(
        f"{text!r} is no dataset repository: write hf:ORG/NAME, hf:ORG/NAME@REVISION, or hf:FOLDER with the path of one"
    )
