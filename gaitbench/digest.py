"""Hashes that name things: a run by what determines it, a file by its bytes, code by its source.

All are SHA-256 in lower-case hexadecimal.
"""

import errno
import hashlib
import importlib.util
import json
import os
import stat
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from gaitbench.errors import PluginError

__all__ = ["canonical_json", "file_digest", "json_digest", "source_digest"]

_BLOCK_BYTES = 1 << 20


def canonical_json(value: object) -> str:
    """Write JSON that depends on the value alone: sorted keys, no spaces, tuples as lists.

    Raises:
        TypeError: ``value`` holds something that JSON cannot.
        ValueError: ``value`` holds NaN or an infinity, which JSON cannot either.

    Example:
        >>> canonical_json({"b": (1, 2), "a": None})
        '{"a":null,"b":[1,2]}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def json_digest(value: object) -> str:
    """Hash a JSON value, whatever the order of its keys.

    Example:
        >>> json_digest({"a": 1, "b": 2}) == json_digest({"b": 2, "a": 1})
        True
    """
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def file_digest(path: Path, *, max_bytes: int | None = None) -> str:
    """Hash the bytes of a file.

    Args:
        path: The file.
        max_bytes: Larger files are refused before anything is read; None for no limit.

    Raises:
        OSError: The file cannot be read, is none (a pipe, a device, a folder), or is too large.
    """
    digest = hashlib.sha256()
    with os.fdopen(_open_without_waiting(path), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if max_bytes is not None and status.st_size > max_bytes:
            raise OSError(
                errno.EFBIG, f"it has {status.st_size:,} bytes, more than the limit of {max_bytes:,}", str(path)
            )
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def source_digest(modules: Iterable[str]) -> str:
    """Hash the Python source of modules and packages, so that changed code counts as a different run.

    Args:
        modules: Dotted names, importable. A package counts with every ``*.py`` below it. Nothing is imported but the
            parents of dotted names; names that are part of another one in the list are counted once more, harmlessly.

    Raises:
        PluginError: A module cannot be found.

    Example:
        >>> source_digest(["gaitbench.errors"]) == source_digest(["gaitbench.modality"])
        False
    """
    return json_digest([[name, _one_source_digest(name)] for name in sorted(set(modules))])


def _open_without_waiting(path: Path) -> int:
    """Open a file; a pipe would otherwise wait for somebody who writes."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:  # NUL, or letters that no file system can name
        raise OSError(errno.EINVAL, f"this is no name of a file ({error})", str(path)) from error


@lru_cache(maxsize=256)
def _one_source_digest(name: str) -> str:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError) as error:
        raise PluginError(f"cannot find the source of module {name!r}: {error}") from error
    if spec is None:
        raise PluginError(f"cannot find the source of module {name!r}; is its package installed?")
    if spec.submodule_search_locations is not None:
        roots = [Path(root) for root in spec.submodule_search_locations]
        files = [(path.relative_to(root).as_posix(), path) for root in roots for path in root.rglob("*.py")]
    else:
        files = [(name, Path(spec.origin))] if spec.origin else []
    return json_digest([[relative, file_digest(path)] for relative, path in sorted(files)])
