"""Look at the machine and the installation, and say what to do about what is wrong.

Nothing here relies on a plugin: the worst of them leaves a line, not a failure.
"""

import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import gaitbench
from gaitbench.quarantine import describe
from gaitbench.registry import Registry, load_registry
from gaitbench.specs import DatasetSpec, MetricSpec, ModelSpec

__all__ = ["Check", "diagnose"]

MIN_FREE_BYTES = 5 << 30
"""Below this much free disk, doctor warns."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    """What."""
    status: Literal["ok", "warning", "failure"]
    """``failure``: gaitbench cannot work like this."""
    detail: str
    """What was found."""
    next_step: str = ""
    """What to do; empty when all is well."""


def diagnose() -> list[Check]:
    """Run every check; a check that itself fails is a failed check, never an exception."""
    groups: tuple[Callable[[], list[Check]], ...] = (_python, _packages, _torch, _disk, _cached_datasets, _plugins)
    checks: list[Check] = []
    for group in groups:
        try:
            checks.extend(group())
        except Exception as error:
            name = group.__name__.strip("_").replace("_", " ")
            step = "Run 'gaitbench --debug doctor' and report this."
            checks.append(Check(name, "failure", f"{type(error).__name__}: {error}", step))
    return checks


def _python() -> list[Check]:
    return [
        Check("python", "ok", f"{platform.python_version()} at {sys.executable}"),
        Check("gaitbench", "ok", f"{gaitbench.__version__} at {Path(gaitbench.__file__ or '').parent}"),
    ]


def _packages() -> list[Check]:
    """Core's dependencies that are not there at all; version conflicts are pip's business."""
    missing = []
    for package in ("datasets", "lightning-fabric", "numpy", "pillow", "pyarrow", "pydantic", "safetensors", "torch"):
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    if missing:
        step = f"{sys.executable} -m pip install {' '.join(missing)}"
        return [Check("dependencies", "failure", f"not installed: {', '.join(missing)}", step)]
    return [Check("dependencies", "ok", "all installed")]


def _torch() -> list[Check]:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = torch.get_num_threads()
    checks = [Check("torch", "ok", f"{torch.__version__}, {threads} threads on {cores} cores")]
    if threads > cores:
        step = f"Set OMP_NUM_THREADS={cores}: more threads than cores slow training down."
        checks.append(Check("threads", "warning", f"{threads} threads on {cores} cores", step))
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        checks.append(Check("gpu", "ok", ", ".join(names)))
    elif Path("/proc/driver/nvidia").exists():
        step = "Install a torch build for CUDA that fits the driver (nvidia-smi shows it)."
        checks.append(Check("gpu", "warning", "a driver is loaded, but torch sees no GPU", step))
    else:
        checks.append(Check("gpu", "ok", "none; preset 'quick' is made for CPUs"))
    return checks


def _disk() -> list[Check]:
    from gaitbench.store import cache_root

    checks = []
    for name, folder, step in (
        ("cache folder", cache_root(), "Set GAITBENCH_CACHE to a folder that you can write to."),
        ("current folder", Path.cwd(), "Give runs another place: --out DIR."),
    ):
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(existing).free
        found = f"{folder}, {free / (1 << 30):.0f} GiB free"
        if not _is_writable(existing):
            status: Literal["ok", "warning", "failure"] = "failure" if name == "cache folder" else "warning"
            checks.append(Check(name, status, f"{found}, not writable", step))
        elif free < MIN_FREE_BYTES:
            checks.append(Check(name, "warning", found, f"Free some space. {step}"))
        else:
            checks.append(Check(name, "ok", found))
    return checks


def _is_writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _cached_datasets() -> list[Check]:
    from gaitbench.store import cache_root, is_prepared

    root = cache_root() / "datasets"
    checks = []
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        found = f"{folder.name}, {size / (1 << 20):.0f} MiB"
        if is_prepared(folder):
            checks.append(Check("cached dataset", "ok", found))
        else:
            step = f"Ask for the dataset again to go on, or remove {folder}."
            checks.append(Check("cached dataset", "warning", f"{found}, not finished", step))
    return checks or [Check("cached datasets", "ok", f"none yet under {root}")]


def _plugins() -> list[Check]:
    registry = load_registry()
    checks = []
    for plugin in registry.plugins():
        if plugin.error:
            found = f"{describe(plugin)} {plugin.status}, failed ({plugin.stage}): {plugin.error}"
            checks.append(Check("plugin", "warning", found, plugin.hint))
        else:
            checks.append(Check("plugin", "ok", f"{describe(plugin)}, {len(plugin.components)} components"))
    return checks + [
        Check("component", "warning", text, "Install the plugin that provides it.") for text in _dangling(registry)
    ]


def _dangling(registry: Registry) -> list[str]:
    """References between specs that lead nowhere."""
    known = {kind: set(registry.names(kind)) for kind in ("modality", "dataset", "protocol", "task")}
    lost: list[str] = []
    for kind in ("model", "dataset", "metric"):  # a protocol scores embeddings without its dataset
        for spec in registry.specs(kind):
            references: list[tuple[str, str]] = []
            if isinstance(spec, ModelSpec):
                references = [*(("modality", name) for name in spec.inputs), *(("task", name) for name in spec.tasks)]
            elif isinstance(spec, DatasetSpec):
                references = [*(("modality", n) for n in spec.modalities), *(("protocol", n) for n in spec.protocols)]
            elif isinstance(spec, MetricSpec):
                references = [("task", name) for name in spec.tasks]
            lost += [
                f"{kind} {spec.name} needs {k} {n}, which is not installed" for k, n in references if n not in known[k]
            ]
    return lost
