"""Reads the files that standard input lists, and reports what the interpreter was asked to do meanwhile.

Run as a program; gives one JSON object: for each file what became of it, and all forbidden events.
"""

import importlib
import json
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

from gaitbench.errors import GaitbenchError
from gaitbench.quarantine import PluginInfo
from gaitbench.reading.archives import unpack
from gaitbench.reading.arrays import read_npy, read_npz
from gaitbench.reading.images import read_image
from gaitbench.reading.limits import ProcessLimits, limit_process
from gaitbench.reading.text import read_json
from gaitbench.reading.unpickle import read_pickle
from gaitbench.registry import Registry, build_registry

FORBIDDEN = (
    "code.__new__",
    "ctypes",
    "exec",
    "ftplib",
    "marshal",
    "os.chmod",
    "os.exec",
    "os.fork",
    "os.kill",
    "os.link",
    "os.posix_spawn",
    "os.remove",
    "os.spawn",
    "os.symlink",
    "os.system",
    "pickle.find_class",
    "pty",
    "shutil",
    "socket",
    "subprocess",
    "sys.addaudithook",
    "urllib",
    "webbrowser",
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


class Watch:
    """An audit hook; what it is told while ``case`` is set counts as done by that file."""

    def __init__(self) -> None:
        self.case = ""
        self.ours: tuple[str, ...] = ()
        self.events: list[str] = []

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.case:
            return
        if event == "open":
            path, _, flags = arguments
            # A number is a file that was opened before.
            is_ours = isinstance(path, int) or str(path).startswith(self.ours)
            if isinstance(flags, int) and flags & WRITING and not is_ours:
                self.events.append(f"{self.case}: open {path!r} to write")
        elif event == "import":
            self.events.append(f"{self.case}: import {arguments[0]}")
        elif event in ("os.remove", "os.rmdir") or event.startswith("shutil"):
            # Unpacking clears up behind itself.
            is_in_a_folder_of_ours = self.ours and isinstance(arguments[-1], int)
            if not (is_in_a_folder_of_ours or str(arguments[0]).startswith(self.ours)):
                self.events.append(f"{self.case}: {event} {arguments!r}")
        elif event.startswith(FORBIDDEN):
            self.events.append(f"{self.case}: {event} {str(arguments)[:200]}")


def read(kind: str, path: str, target: str) -> object:
    """Read a file as a dataset's loader would."""
    if kind == "pickle":
        return read_pickle(path)
    if kind == "npy":
        return read_npy(path)
    if kind == "npz":
        return read_npz(path)
    if kind == "image":
        return read_image(path, "grey")
    if kind == "json":
        return read_json(path)
    if kind == "archive":
        done = unpack(path, target)
        return {
            str(file.relative_to(target)): file.read_bytes().hex() for file in done.folder.rglob("*") if file.is_file()
        }
    if kind == "weights":
        from gaitbench.weights import load_weights

        return load_weights(path, tiny_registry())[0]
    if kind == "checkpoint":
        from gaitbench.checkpoint import load_tensors
        from gaitbench.weights import convert_opengait

        if path.endswith(".safetensors"):
            return {name: list(tensor.shape) for name, tensor in load_tensors(Path(path)).items()}
        return str(convert_opengait(path, "tiny-net", target + "/w.safetensors", registry=tiny_registry()))
    raise AssertionError(kind)


def tiny_registry() -> Registry:
    registry = build_registry([])
    info = PluginInfo(name="tiny", distribution="gaitbench-tiny", version="0.1", target="tiny_plugin")
    registry.load_plugin(info, lambda: importlib.import_module("tiny_plugin"))
    return registry


def plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return ["array", value.dtype.str, list(value.shape), value.tobytes().hex() if value.size < 10_000 else ""]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value if isinstance(value, int | float | str | None) else str(type(value))


def main() -> None:
    job = json.load(sys.stdin)
    watch = Watch()
    sys.addaudithook(watch)
    limit_process(ProcessLimits(memory_bytes=2 * 2**30, seconds_per_file=20))
    # What a library imports on its first use is no deed of a file.
    for kind, path in job["warm"]:
        try:
            read(kind, path, job["target"] + "/warm" + Path(path).name)
        except GaitbenchError as error:
            str(error)
    outcomes = {}
    for number, (kind, path) in enumerate(job["files"]):
        watch.ours = (job["target"] + "/",) if kind in ("archive", "checkpoint") else ()
        if kind == "checkpoint":
            # Before it refuses an old tar file, torch makes a folder for it.
            watch.ours += (f"{tempfile.gettempdir()}/tmp",)
        started = time.perf_counter()
        watch.case = path
        try:
            value = read(kind, path, f"{job['target']}/{number}")
            watch.case = ""
            outcome: list[object] = ["read", plain(value)]
        except GaitbenchError as error:
            watch.case = ""
            outcome = [type(error).__name__, str(error)]
        except BaseException:
            watch.case = ""
            outcome = ["crash", traceback.format_exc()]
        outcomes[path] = [*outcome, time.perf_counter() - started]
    print(json.dumps({"outcomes": outcomes, "events": watch.events}))


if __name__ == "__main__":
    main()
