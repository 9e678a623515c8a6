"""Worker processes that build shards, spoken to in lines of JSON.

A worker is a fresh interpreter that imports the builder by name: it neither runs the user's script again nor
unpickles anything. It ends when its standard input closes, so a killed parent leaves no workers behind. Files of others
are read in workers alone, under limits on memory and time, even when there is only one.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import gaitbench.errors
from gaitbench.card import ShardEntry, StreamInfo
from gaitbench.errors import DatasetError, GaitbenchError
from gaitbench.memory import keep_freed_memory
from gaitbench.modality import Modality
from gaitbench.reading.limits import limit_process
from gaitbench.sequence import SequenceInfo

if TYPE_CHECKING:
    from gaitbench.dataset import DatasetBuilder

__all__ = ["ShardJob", "run_jobs", "serve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardJob:
    """One shard to build."""

    root: Path
    """The dataset's folder."""
    path: str
    """The shard, relative to it."""
    modality: Modality
    """What a frame is and how it is stored."""
    info: StreamInfo
    """Frame shape and rate."""
    sequences: tuple[SequenceInfo, ...]
    """The rows."""


def run_jobs(
    builder: "DatasetBuilder",
    builder_class: "type[DatasetBuilder]",
    jobs: Sequence[ShardJob],
    workers: int | None,
    advance: Callable[[int], None],
) -> list[ShardEntry]:
    """Build shards, in processes; for one worker that reads no files, or a builder that cannot be imported, here.

    Numerical libraries run on one thread, here too, so that the number of workers changes no bit.

    Args:
        builder: Used when the work is done here.
        builder_class: Imported by name in each process.
        jobs: What to build.
        workers: Processes; None takes one per usable core.
        advance: Told of finished sequences.

    Returns:
        One entry per job, in their order.

    Raises:
        GaitbenchError: What a worker raised; the other workers are stopped.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be 1 or more, got {workers}")
    count = min(workers or len(os.sched_getaffinity(0)), len(jobs))
    is_here = count < 1 or (count == 1 and builder.source is None)
    if is_here or not _is_importable(builder_class) or not _is_importable(type(builder.options)):
        return _run_here(builder, jobs, advance)
    return _Pool(builder, builder_class, jobs, advance).run(count)


def _run_here(builder: "DatasetBuilder", jobs: Sequence[ShardJob], advance: Callable[[int], None]) -> list[ShardEntry]:
    import torch

    from gaitbench.prepare import build_shard

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [_guarded(builder, job, lambda: build_shard(builder, job, advance)) for job in jobs]  # noqa: B023
    finally:
        torch.set_num_threads(threads)


def _guarded(builder: "DatasetBuilder", job: ShardJob, build: Callable[[], ShardEntry]) -> ShardEntry:
    """Say which shard a builder's own exception belongs to."""
    try:
        return build()
    except (GaitbenchError, MemoryError):
        raise
    except Exception as error:
        raise DatasetError(
            f"{type(builder).__name__} failed while reading {job.modality.name} of sequences "
            f"{job.sequences[0].sequence_id} to {job.sequences[-1].sequence_id}: {type(error).__name__}: {error}"
        ) from error


_ENDINGS = {-signal.SIGKILL: " (was it out of memory?)", -signal.SIGXCPU: " (a file took too long to read)"}


class _Pool:
    def __init__(
        self,
        builder: "DatasetBuilder",
        builder_class: "type[DatasetBuilder]",
        jobs: Sequence[ShardJob],
        advance: Callable[[int], None],
    ) -> None:
        self._hello = {
            "builder": _name(builder_class),
            "options_class": _name(type(builder.options)),
            "options": builder.options.model_dump_json(),
            "source": None if builder.source is None else str(builder.source),
        }
        self._jobs = jobs
        self._advance = advance
        self._todo: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._results: list[ShardEntry | None] = [None] * len(jobs)
        self._events: queue.SimpleQueue[int | BaseException | None] = queue.SimpleQueue()
        self._stop = threading.Event()

    def run(self, count: int) -> list[ShardEntry]:
        for number in range(len(self._jobs)):
            self._todo.put(number)
        processes: list[subprocess.Popen[bytes]] = []
        threads: list[threading.Thread] = []
        try:
            for _ in range(count):
                process = _start()
                processes.append(process)
                threads.append(threading.Thread(target=self._drive, args=(process,), daemon=True))
                threads[-1].start()
            self._wait(count)
        finally:
            self._stop.set()
            for process in processes:
                if process.poll() is None:
                    process.kill()
            for thread in threads:
                thread.join()
            for process in processes:
                process.wait()
        assert all(entry is not None for entry in self._results)
        return [entry for entry in self._results if entry is not None]

    def _wait(self, count: int) -> None:
        """Report progress from the calling thread until all workers are done or one failed."""
        while count:
            event = self._events.get()
            if event is None:
                count -= 1
            elif isinstance(event, int):
                self._advance(event)
            else:
                raise event

    def _drive(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        number = -1
        try:
            _send(process.stdin, self._hello)
            while not self._stop.is_set():
                try:
                    number = self._todo.get_nowait()
                except queue.Empty:
                    break
                _send(process.stdin, _job_to_json(self._jobs[number]))
                self._results[number] = self._listen(process.stdout)
            self._events.put(None)
        except GaitbenchError as error:
            self._events.put(error)
        except (OSError, EOFError, json.JSONDecodeError) as error:
            code = process.wait()
            doing = self._jobs[max(number, 0)].path
            failure = DatasetError(
                f"a worker process ended with code {code} while it wrote {doing}"
                f"{_ENDINGS.get(code, '')}; run the same command again, "
                "with fewer workers if that does not help: finished shards are kept"
            )
            failure.__cause__ = error
            self._events.put(failure)
        except Exception as error:  # the calling thread raises it: nothing is lost here
            self._events.put(error)
        finally:
            # Closing flushes, which fails when the worker is gone.
            with contextlib.suppress(OSError):
                process.stdin.close()
            process.stdout.close()

    def _listen(self, stream: Any) -> ShardEntry:
        while line := stream.readline():
            message = json.loads(line)
            if "advance" in message:
                self._events.put(int(message["advance"]))
            elif "entry" in message:
                return ShardEntry.model_validate(message["entry"])
            else:
                raise _error_from_json(message)
        raise EOFError("the worker closed its output")


def _start() -> "subprocess.Popen[bytes]":
    paths = [path or os.getcwd() for path in sys.path]  # noqa: PTH109
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        # Looking for pydantic's plugins takes a tenth of the start, and none has a part in reading frames.
        "PYDANTIC_DISABLE_PLUGINS": "__all__",
    }
    # A session of its own: Ctrl-C reaches the parent alone, which then stops its workers.
    return subprocess.Popen(
        [sys.executable, "-c", "from gaitbench.storage.workers import serve; serve()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )


def serve() -> None:
    """Run as a worker: build the shards that standard input asks for until it closes."""
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    output = os.fdopen(os.dup(1), "wb")
    # What a builder prints must not mix with the answers.
    os.dup2(2, 1)
    builder: DatasetBuilder | None = None

    def read() -> None:
        for line in sys.stdin.buffer:
            requests.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        message = json.loads(requests.get())
        try:
            if builder is None:
                builder = _builder_from_json(message)
                if builder.source is not None:
                    limit_process()
                keep_freed_memory()
                continue
            _send(output, {"entry": _build(builder, _job_from_json(message), output).model_dump()})
        except GaitbenchError as error:
            _send(output, {"error": type(error).__name__, "message": str(error)})
        except MemoryError:
            what = message.get("path", "the dataset")
            text = f"{what} needs more memory than a worker may use; run the same command again with fewer workers"
            _send(output, {"error": "DatasetError", "message": text})


def _build(builder: "DatasetBuilder", job: ShardJob, output: BinaryIO) -> ShardEntry:
    from gaitbench.prepare import build_shard

    return _guarded(builder, job, lambda: build_shard(builder, job, lambda n: _send(output, {"advance": n})))


def _builder_from_json(message: dict[str, Any]) -> "DatasetBuilder":
    from gaitbench.registry import resolve

    options: Any = resolve(message["options_class"])
    builder_class: Any = resolve(message["builder"])
    source = message["source"]
    builder: DatasetBuilder = builder_class(
        options.model_validate_json(message["options"]), None if source is None else Path(source)
    )
    return builder


def _job_to_json(job: ShardJob) -> dict[str, Any]:
    return {
        "root": str(job.root),
        "path": job.path,
        "modality": asdict(job.modality),
        "info": job.info.model_dump(mode="json"),
        "sequences": [asdict(info) for info in job.sequences],
    }


def _job_from_json(message: dict[str, Any]) -> ShardJob:
    modality = message["modality"]
    return ShardJob(
        root=Path(message["root"]),
        path=message["path"],
        modality=Modality(**{**modality, "value_range": tuple(modality["value_range"])}),
        info=StreamInfo.model_validate(message["info"]),
        sequences=tuple(
            SequenceInfo(**{**info, "attributes": tuple(info["attributes"])}) for info in message["sequences"]
        ),
    )


def _error_from_json(message: dict[str, str]) -> GaitbenchError:
    kind = getattr(gaitbench.errors, message["error"], DatasetError)
    error = kind(message["message"])
    return error if isinstance(error, GaitbenchError) else DatasetError(message["message"])


def _send(stream: Any, message: object) -> None:
    stream.write(json.dumps(message, default=_plain).encode() + b"\n")
    stream.flush()


def _plain(value: Any) -> object:
    """NumPy scalars, which builders like to put into sequence infos."""
    return value.item()


def _name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _is_importable(cls: type) -> bool:
    """Tell whether another process finds the same class by its name."""
    if cls.__module__ == "__main__" or "<" in cls.__qualname__:
        return False
    found: Any = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is cls
