"""Plugins that are installed, and what is kept of those that failed: where, why, what to do, what they claim.

What a broken plugin claims is read from its source without running it, so that asking for one of its names can
say which package failed.
"""

import dataclasses
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gaitbench.errors import PluginError
from gaitbench.spec_rules import KINDS
from gaitbench.specs import API_VERSION, Spec

__all__ = [
    "PluginInfo",
    "Stage",
    "describe",
    "hint_for",
    "in_one_line",
    "names_of",
    "normalised",
    "quarantine",
    "version_mismatch",
]

Stage = Literal["import", "api version", "hooks", "register", "command line", "run event", "leaderboard"]
"""Where a plugin can fail; the last three leave its components usable."""

_CLAIM = re.compile(rf"\b({'|'.join(spec.__name__ for spec in KINDS.values())})\s*\([^)]*?\bname\s*=\s*[\"']([^\"']+)")
_STATED = re.compile(r"^api_version\b[^=\n]*=\s*(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginInfo:
    """What is known of an installed plugin, working or not."""

    name: str
    """Name of the entry point."""
    distribution: str
    """The package that ``pip`` knows."""
    version: str
    """Its version."""
    api_version: int | None = None
    """The plugin interface it was written for; None when it was never read."""
    status: Literal["loaded", "quarantined"] = "loaded"
    """``quarantined``: none of its components can be used by their bare names."""
    stage: Stage | None = None
    """Where it failed."""
    error: str = ""
    """Why it failed; empty when it did not."""
    hint: str = ""
    """What to do next."""
    target: str = ""
    """The module, or ``module:attribute``, of the entry point."""
    components: tuple[tuple[str, str], ...] = ()
    """Kind and name of what it provides; of a quarantined plugin, of what it is known to claim."""


def normalised(distribution: str) -> str:
    """A distribution's name as package indices compare it.

    Example:
        >>> normalised("Gaitbench_Sample")
        'gaitbench-sample'
    """
    return re.sub(r"[-_.]+", "-", distribution).lower()


def describe(info: PluginInfo) -> str:
    """Distribution and version, as messages name a plugin."""
    return f"{info.distribution} {info.version}".strip()


def in_one_line(error: BaseException) -> str:
    """An exception without line breaks, with its type where the message alone would not explain it."""
    text = " ".join(str(error).split())
    return text if isinstance(error, PluginError) and text else f"{type(error).__name__}: {text}".removesuffix(": ")


def hint_for(error: BaseException, package: str) -> str:
    """What a user can do about an exception from a package."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"Install what provides the module {error.name.partition('.')[0]!r}, or reinstall {package}."
    return f"Update {package} (pip install -U), uninstall it, or report this to its authors."


def names_of(specs: Iterable[Spec]) -> tuple[tuple[str, str], ...]:
    """Kind and name of each spec."""
    return tuple((spec.kind, spec.name) for spec in specs)


def quarantine(info: PluginInfo, stage: Stage, error: BaseException, specs: Iterable[Spec] = ()) -> PluginInfo:
    """Describe a failure, with what can be read from the plugin's source without running it."""
    claims, stated = _read_statically(info.target)
    text = in_one_line(error)
    hint = hint_for(error, info.distribution)
    if stage == "import" and stated is not None and stated != API_VERSION:
        text = f"{version_mismatch(stated)} (and it fails to import: {text})"
    if stage in ("import", "api version") and stated is not None and stated != API_VERSION:
        hint = _version_hint(stated, info)
    return dataclasses.replace(
        info,
        api_version=info.api_version if info.api_version is not None else stated,
        status="quarantined",
        stage=stage,
        error=text,
        hint=hint,
        components=tuple(dict.fromkeys((*names_of(specs), *claims))),
    )


def _read_statically(target: str) -> tuple[tuple[tuple[str, str], ...], int | None]:
    """Names claimed by ``XSpec(name="...")`` in a plugin's source, and its ``api_version``; never raises.

    Patterns, not a parser: the source may not even be valid Python.
    """
    kinds = {spec.__name__: kind for kind, spec in KINDS.items()}
    parts = target.partition(":")[0].split(".")
    for folder in sys.path:
        base = Path(folder or ".").joinpath(*parts)
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            try:
                source = path.read_text(encoding="utf-8", errors="replace")
            except (OSError, ValueError):
                continue
            stated = _STATED.search(source)
            claims = tuple((kinds[cls], name) for cls, name in _CLAIM.findall(source))
            return claims, int(stated[1]) if stated else None
    return (), None


def version_mismatch(stated: object) -> str:
    """The one line for a plugin of another API version."""
    return f"written for plugin API {stated}, this gaitbench has {API_VERSION}"


def _version_hint(stated: int, info: PluginInfo) -> str:
    package = info.distribution if stated < API_VERSION else "gaitbench"
    return f"Update {package}: pip install -U {package}."
