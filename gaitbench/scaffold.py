"""Write the skeleton of a plugin package whose tests pass as they are."""

import re
import shutil
import tempfile
from importlib import resources
from pathlib import Path
from string import Template

from gaitbench import __version__
from gaitbench.errors import OutputError, UsageError
from gaitbench.quarantine import normalised
from gaitbench.registry import nearest
from gaitbench.specs import API_VERSION

__all__ = ["KINDS", "write_plugin"]

KINDS = ("model", "dataset", "metric", "modality")
"""Kinds of component that there is a template for."""

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


def write_plugin(name: str, *, kind: str = "model", parent: Path = Path()) -> Path:
    """Write a package ``gaitbench-NAME`` with one component of that name.

    Args:
        name: Lower case, digits and hyphens; a leading ``gaitbench-`` is dropped.
        kind: One of :data:`KINDS`.
        parent: Folder to write it into.

    Returns:
        The new folder, ``parent / "gaitbench-NAME"``.

    Raises:
        UsageError: The name cannot be used, or there is no such template.
        OutputError: The folder exists already, or cannot be written.
    """
    bare = name.removeprefix("gaitbench-")
    if not _NAME.fullmatch(bare):
        example = re.sub(r"[^a-z0-9]+", "-", normalised(bare)).strip("-0123456789") or "my-method"
        raise UsageError(
            f"{name!r} cannot name a plugin: use lower case letters, digits and single hyphens, and begin with a "
            f"letter, such as {example!r}."
        )
    if kind not in KINDS:
        near = nearest(kind, KINDS)
        raise UsageError(
            f"there is no template for {kind!r}; " + (f"did you mean {near!r}?" if near else f"use {', '.join(KINDS)}.")
        )
    target = parent / f"gaitbench-{bare}"
    if target.exists() or target.is_symlink():
        raise OutputError(f"{target} exists already; choose another name, or another folder with --out.")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".gaitbench-{bare}-", dir=parent))
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror}; choose another folder with --out.") from error
    try:
        for relative, text in _files(bare, kind).items():
            path = draft / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        draft.chmod(0o755)
        draft.rename(target)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise OutputError(f"cannot write {target}: {error.strerror}; choose another folder with --out.") from error
    return target


def _files(name: str, kind: str) -> dict[str, str]:
    """Path inside the package to text."""
    words = {
        "name": name,
        "package": f"gaitbench_{name.replace('-', '_')}",
        "component": name,
        "class_name": "".join(part.capitalize() for part in name.split("-")),
        "function_name": name.replace("-", "_"),
        "title": name.replace("-", " ").capitalize(),
        "api_version": str(API_VERSION),
        "gaitbench_version": ".".join(__version__.split(".")[:2]),
    }
    package = words["package"]
    sources = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"{package}/__init__.py": "__init__.py",
        f"{package}/plugin.py": f"plugin.{kind}.py",
        "tests/test_conformance.py": f"test.{kind}.py",
    }
    if kind != "modality":
        sources[f"{package}/{kind}.py"] = f"{kind}.py"
    folder = resources.files("gaitbench") / "templates" / "plugin"
    return {
        path: Template((folder / f"{template}.tmpl").read_text(encoding="utf-8")).substitute(words)
        for path, template in sources.items()
    }
