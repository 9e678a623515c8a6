"""Other processes that work for a run: independent cells side by side, or one training on several devices.

A worker is ``python -m gaitbench.cells.launch``. It gets its order as one line of JSON on stdin and writes its answer
to a file. When stdin closes, its parent has died, and the worker ends at once. Only the parent hears Ctrl-C and passes
it on, so that each worker hears it once and can write its checkpoint.
"""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gaitbench import errors
from gaitbench.cells.cell import Cell, resolve_cell
from gaitbench.cells.cluster import STARTER_VARIABLES
from gaitbench.cells.open_cell import OpenCell
from gaitbench.cells.open_training import make_fabric
from gaitbench.errors import GaitbenchError, TrainingError
from gaitbench.progress import quiet
from gaitbench.registry import load_registry
from gaitbench.results import read_record
from gaitbench.runner import CellFailure, CellResult, begins_training, run_one
from gaitbench.seeding import deterministic

__all__ = ["run_side_by_side", "train_on_many"]

_log = logging.getLogger("gaitbench")
_POLL_S = 0.05
_GRACE_S = 60.0


@dataclass(slots=True)
class _Worker:
    """A running process and where its answer will be."""

    process: "subprocess.Popen[str]"
    answer: Path

    def result(self) -> dict[str, Any]:
        """Its answer, once it has ended; one that says how it died when there is none."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            content = json.loads(self.answer.read_bytes())
            assert isinstance(content, dict)
        except (OSError, ValueError):
            code = self.process.returncode
            how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
            return {"error": "TrainingError", "message": f"the worker process {how}; is there enough memory?"}
        return content


def _start(order: Mapping[str, object], answer: Path, environment: Mapping[str, str]) -> _Worker:
    process = subprocess.Popen(
        [sys.executable, "-m", "gaitbench.cells.launch"],
        stdin=subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name not in STARTER_VARIABLES} | {**environment},
        start_new_session=True,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({**order, "answer": str(answer)}) + "\n")
    process.stdin.flush()
    return _Worker(process, answer)


def _stop(workers: Sequence[_Worker], signum: signal.Signals) -> None:
    """Signal the workers that still run and wait for them, killing those that do not end."""
    running = [worker for worker in workers if worker.process.poll() is None]
    for worker in running:
        worker.process.send_signal(signum)
    deadline = time.monotonic() + _GRACE_S
    for worker in running:
        try:
            worker.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
    for worker in workers:
        if worker.process.stdin is not None:
            worker.process.stdin.close()


def run_side_by_side(cells: Sequence[Cell], out: Path, *, force: bool, jobs: int) -> list[CellResult | CellFailure]:
    """Run cells in ``jobs`` processes at a time, which share the threads of this one.

    Args:
        cells: Independent of each other; their data is prepared.
        out: Root of the run folders.
        force: Run again what is finished.
        jobs: Processes.

    Returns:
        One outcome per cell, in their order. A worker that dies costs its own cell only. Cells that share a training
        follow each other.
    """
    threads = max(1, torch.get_num_threads() // jobs)
    # Several bars of several processes would overwrite each other, so workers write plain lines.
    environment = {"OMP_NUM_THREADS": str(threads), "TERM": "dumb"}
    outcomes: dict[int, CellResult | CellFailure] = {}
    running: dict[int, _Worker] = {}
    waiting = list(range(len(cells)))
    is_first = begins_training(cells)
    with tempfile.TemporaryDirectory(prefix="gaitbench-") as scratch:
        try:
            while waiting or running:
                while len(running) < jobs and (number := _next(cells, waiting, running)) is not None:
                    waiting.remove(number)
                    order = {
                        "kind": "cell",
                        "cell": cells[number].model_dump(mode="json"),
                        "out": str(out.resolve()),
                        "force": force,
                        "retrain": force and is_first[number],
                        "threads": threads,
                    }
                    running[number] = _start(order, Path(scratch) / f"{number}.json", environment)
                for number in [n for n, worker in running.items() if worker.process.poll() is not None]:
                    outcomes[number] = _outcome(cells[number], running.pop(number).result())
                time.sleep(_POLL_S)
        finally:
            _stop(list(running.values()), signal.SIGINT)
    return [outcomes[number] for number in range(len(cells))]


def _next(cells: Sequence[Cell], waiting: Sequence[int], running: Iterable[int]) -> int | None:
    """The first cell that waits and whose training nobody is at."""
    busy = [cells[number].training for number in running]
    return next((number for number in waiting if cells[number].training not in busy), None)


def _outcome(cell: Cell, answer: Mapping[str, Any]) -> CellResult | CellFailure:
    if "error" in answer:
        failure = CellFailure(cell, answer["error"], answer["message"])
        _log.warning("%s failed: %s", cell.model, failure.message.splitlines()[0])
        return failure
    folder = Path(answer["folder"])
    return CellResult(read_record(folder), folder, is_reused=answer["is_reused"])


def train_on_many(cell: Cell, out: Path) -> None:
    """Train a cell on several devices, a process each; the trained model is then in the run folder.

    Args:
        cell: Its ``devices`` and ``nodes`` say on how many. With several nodes, the same command is started on each,
            with ``NODE_RANK``, ``MASTER_ADDR`` and ``MASTER_PORT`` set.
        out: Root of the run folders; this process holds the lock of the cell's folder.

    Raises:
        GaitbenchError: What went wrong in a worker; the others are stopped.
        KeyboardInterrupt: Ctrl-C; the workers wrote a checkpoint.
    """
    environment = {
        "WORLD_SIZE": str(cell.devices * cell.nodes),
        "NODE_RANK": os.environ.get("NODE_RANK", "0"),
        "MASTER_ADDR": os.environ.get("MASTER_ADDR", "127.0.0.1"),
        "MASTER_PORT": os.environ.get("MASTER_PORT") or str(_free_port()),
    }
    threads = max(1, torch.get_num_threads() // cell.devices)
    environment["OMP_NUM_THREADS"] = str(threads)
    order = {"kind": "rank", "cell": cell.model_dump(mode="json"), "out": str(out.resolve()), "threads": threads}
    workers: list[_Worker] = []
    with tempfile.TemporaryDirectory(prefix="gaitbench-") as scratch:
        try:
            workers.extend(
                _start(order, Path(scratch) / f"{rank}.json", {**environment, "LOCAL_RANK": str(rank)})
                for rank in range(cell.devices)
            )
            while any(worker.process.poll() is None for worker in workers):
                if failed := [worker for worker in workers if worker.process.poll() not in (None, 0)]:
                    # The others may wait for it for ever.
                    _stop(workers, signal.SIGTERM)
                    _raise(failed[0].result())
                time.sleep(_POLL_S)
        except BaseException:
            _stop(workers, signal.SIGINT)
            raise
        for answer in [worker.result() for worker in workers]:
            if "error" in answer:
                _raise(answer)


def _raise(answer: Mapping[str, Any]) -> None:
    cls = getattr(errors, str(answer["error"]), TrainingError)
    if not (isinstance(cls, type) and issubclass(cls, GaitbenchError)):
        cls = TrainingError
    raise cls(answer["message"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _work(order: Mapping[str, Any]) -> dict[str, object]:
    """Do what the parent asked for; gives the answer."""
    cell = Cell.model_validate(order["cell"])
    out = Path(order["out"])
    torch.set_num_threads(int(order["threads"]))
    registry = load_registry()
    if order["kind"] == "cell":
        result = run_one(cell, out, force=bool(order["force"]), registry=registry, retrain=bool(order["retrain"]))
        return {"folder": str(result.folder), "is_reused": result.is_reused}
    resolved = resolve_cell(cell, registry)
    fabric = make_fabric(cell, resolved.recipe)
    fabric.launch()
    opened = OpenCell(resolved, out)
    model = resolved.build(opened.config)
    with deterministic():
        if fabric.is_global_zero:
            opened.training.train_here(model, fabric, opened.watch)
        else:
            with quiet():
                opened.training.train_here(model, fabric, opened.watch)
    fabric.barrier()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return {}


def _die_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def main() -> int:
    """Serve one order from stdin; gives the exit code."""
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_die_with_parent, daemon=True).start()
    answer: dict[str, object]
    try:
        answer, code = _work(order), 0
    except KeyboardInterrupt:
        return 130
    except GaitbenchError as error:
        answer, code = {"error": type(error).__name__, "message": str(error)}, 1
    except Exception as error:
        answer, code = {"error": type(error).__name__, "message": f"{error}\n{traceback.format_exc()}"}, 1
    Path(order["answer"]).write_text(json.dumps(answer), encoding="utf-8")
    return code


if __name__ == "__main__":
    # The other modules know the classes of this one by its own name.
    from gaitbench.cells.launch import main as serve

    status = serve()
    sys.stderr.flush()
    # The thread that watches stdin never ends by itself.
    os._exit(status)
