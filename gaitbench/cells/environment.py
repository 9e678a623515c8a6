"""What a run ran on: hardware, library versions, revision of the code. None of it enters a run's hash."""

import importlib.metadata
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import torch

import gaitbench
from gaitbench.results import Environment

__all__ = ["GitState", "environment_of", "git_state", "hardware", "package_versions", "utc_now"]

PACKAGES = (
    "datasets",
    "lightning-fabric",
    "numpy",
    "open_clip_torch",
    "pyarrow",
    "pydantic",
    "safetensors",
    "timm",
    "torch",
)
"""Libraries whose version a record keeps, besides gaitbench and the model's plugin."""


class GitState(NamedTuple):
    """Which code, when it comes from a git checkout."""

    revision: str
    """Commit hash; empty when the code is not in a checkout."""
    is_dirty: bool | None
    """Whether files differ from that commit; None when the code is not in a checkout."""


def hardware(device: torch.device) -> str:
    """Describe the device in one line, such as ``2 x Intel(R) Xeon(R)``.

    Example:
        >>> len(hardware(torch.device("cpu"))) > 0
        True
    """
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    cores = torch.get_num_threads()
    return f"{cores} x {_cpu_name()}"


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Hardware", "cpu model") and value.strip():
                return " ".join(value.split())
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def package_versions(*distributions: str) -> dict[str, str]:
    """Versions of gaitbench, its main libraries, and any further distributions that are installed, by name."""
    versions = {"gaitbench": gaitbench.__version__}
    for name in {*PACKAGES, *distributions} - {"gaitbench"}:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return dict(sorted(versions.items()))


def git_state(package: Path = Path(gaitbench.__file__).parent) -> GitState:
    """Find the commit of a package's source.

    Args:
        package: Its folder. A package that lies in a checkout without being tracked there, such as one installed
            below somebody's project, has no revision.
    """
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return GitState("", None)
    revision = _git(package, "rev-parse", "HEAD")
    changes = _git(package, "status", "--porcelain", "--untracked-files=no")
    if revision is None or changes is None:
        return GitState("", None)
    return GitState(revision.strip(), bool(changes.strip()))


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), "--no-optional-locks", *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout if result.returncode == 0 else None


def utc_now() -> str:
    """The time as ``2025-01-31T12:34:56Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def environment_of(
    device_type: str,
    plugin: str,
    *,
    started_utc: str,
    train_seconds: float,
    embed_seconds: float,
    score_seconds: float,
    feature_cache: bool = False,
) -> Environment:
    """Describe where and how long a run ran, which ends now.

    Args:
        device_type: ``cpu`` or ``cuda``.
        plugin: Distribution of the model.
        started_utc: When the run was first begun.
        train_seconds: Time in training, over all attempts.
        embed_seconds: Time in embedding.
        score_seconds: Time in scoring.
        feature_cache: A frozen tower's features were read from disk.
    """
    device = torch.device(device_type)
    git = git_state()
    return Environment(
        started_utc=started_utc,
        finished_utc=utc_now(),
        train_seconds=train_seconds,
        embed_seconds=embed_seconds,
        score_seconds=score_seconds,
        hardware=hardware(device),
        device=str(device),
        num_threads=torch.get_num_threads(),
        python=platform.python_version(),
        packages=package_versions(plugin),
        git_revision=git.revision,
        git_dirty=git.is_dirty,
        feature_cache=feature_cache,
    )
