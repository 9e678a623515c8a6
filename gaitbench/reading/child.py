"""Reading in a process of its own, so that no file can exhaust, hang or crash the program that asked.

The answer comes back as JSON and the bytes of arrays; neither side unpickles anything. A new interpreter takes about a
third of a second to start: whoever reads thousands of files does so in workers that called
:func:`gaitbench.reading.limits.limit_process`.
"""

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gaitbench.errors
from gaitbench.errors import DatasetError, GaitbenchError
from gaitbench.reading.limits import ProcessLimits, limit_process
from gaitbench.sequence import PointFrames

__all__ = ["in_child", "serve"]

_START_SECONDS = 60.0
_ARRAY = "__array__"
_POINTS = "__points__"


def in_child(function: str, *args: Any, limits: ProcessLimits | None = None, **options: Any) -> Any:
    """Call a reading function in a child process with limits on memory, time and, being a reader, no right to write.

    Args:
        function: ``package.module:name``. It takes what JSON can say, paths as strings, and returns arrays, point
            frames, numbers, words, None, and lists and dicts of them.
        args: Its arguments; the first, usually the file, is what messages speak of.
        limits: None for the defaults.
        options: Its keyword arguments.

    Returns:
        What it returns, arrays read-only; tuples come as lists.

    Raises:
        GaitbenchError: As the function raised it, or a :class:`gaitbench.errors.DatasetError` when the process ended or
            was stopped.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.npy"
        >>> np.save(path, np.arange(3))
        >>> in_child("gaitbench.reading.arrays:read_npy", path)
        array([0, 1, 2])
    """
    limits = limits or ProcessLimits()
    what = str(args[0]) if args else function
    request = {"function": function, "args": args, "options": options, "limits": asdict(limits)}
    paths = [path or os.getcwd() for path in sys.path]  # noqa: PTH109
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    # Twice the processor time, because a disk may be slow.
    patience = 2 * limits.seconds_per_file + _START_SECONDS
    try:
        done = subprocess.run(
            [sys.executable, "-c", "from gaitbench.reading.child import serve; serve()"],
            input=json.dumps(request, default=str).encode(),
            capture_output=True,
            env={**os.environ, **threads, "PYTHONPATH": os.pathsep.join(paths)},
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DatasetError(
            f"{what} was not read within {patience:g} s and the process was stopped; is its disk reachable? "
            "Otherwise the file is damaged or made to exhaust the reader"
        ) from None
    if done.returncode:
        raise DatasetError(f"{what}: the process that read it {_ending(done.returncode, done.stderr)}")
    return _decode(done.stdout)


def serve() -> None:
    """Run as the child: answer one request from standard input."""
    request = json.loads(sys.stdin.buffer.read())
    output = os.fdopen(os.dup(1), "wb")
    # What a library prints must not mix with the answer.
    os.dup2(2, 1)
    module, _, name = request["function"].partition(":")
    function = getattr(importlib.import_module(module), name)
    limit_process(ProcessLimits(**request["limits"]))
    # A reader writes no files. Pipes are not meant by this limit.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    parts: list[NDArray[np.generic]] = []
    try:
        answer: dict[str, Any] = {"value": _encode(function(*request["args"], **request["options"]), parts)}
    except GaitbenchError as error:
        answer, parts = {"error": type(error).__name__, "message": str(error)}, []
    except MemoryError:
        first = request["args"][0] if request["args"] else name
        message = f"{first} needs more memory than reading may use"
        answer, parts = {"error": "DatasetError", "message": message}, []
    output.write(json.dumps(answer).encode() + b"\n")
    for part in parts:
        output.write(part.data if part.size else b"")
    output.close()


def _encode(value: Any, parts: list[NDArray[np.generic]]) -> Any:
    """JSON of a value; arrays are put aside."""
    if isinstance(value, np.ndarray):
        parts.append(np.ascontiguousarray(value))
        return {_ARRAY: [value.dtype.str, list(value.shape)]}
    if isinstance(value, PointFrames):
        return {_POINTS: [_encode(value.points, parts), _encode(value.offsets, parts)]}
    if isinstance(value, dict):
        return {"dict": [[key, _encode(item, parts)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [_encode(item, parts) for item in value]
    return str(value) if isinstance(value, Path) else value


def _decode(answer: bytes) -> Any:
    end = answer.index(b"\n")
    said = json.loads(answer[:end])
    if "error" in said:
        kind = getattr(gaitbench.errors, said["error"], DatasetError)
        raise kind(said["message"])
    at = end + 1

    def decode(value: Any) -> Any:
        nonlocal at
        if isinstance(value, list):
            return [decode(item) for item in value]
        if not isinstance(value, dict):
            return value
        if _POINTS in value:
            return PointFrames(*map(decode, value[_POINTS]))
        if _ARRAY not in value:
            return {key: decode(item) for key, item in value["dict"]}
        dtype, shape = np.dtype(value[_ARRAY][0]), value[_ARRAY][1]
        count = int(np.prod(shape, dtype=np.int64))
        flat = np.frombuffer(answer, dtype, count, at) if count else np.empty(0, dtype)
        at += count * dtype.itemsize
        return flat.reshape(shape)

    return decode(said["value"])


def _ending(code: int, stderr: bytes) -> str:
    if code > 0:
        last = stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return f"failed: {last or f'code {code}'}"
    name = signal.Signals(-code).name
    cause = {
        "SIGXCPU": "it took more processor time than a file may; it is damaged or made to exhaust the reader",
        "SIGKILL": "was it out of memory?",
    }.get(name, "the file is damaged or made to crash the reader; copy or download it again")
    return f"was ended by {name}: {cause}"
