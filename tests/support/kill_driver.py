"""Run a cell many times, each in a fresh child that is killed at a given point and then run again.

Called as ``kill_driver.py ROOT MODEL POINT...``; writes ``ROOT/outcomes.json``. Everything is imported once and the
children are forked, because importing costs more than the run. ``KILL=rename@0.5`` is the rename half-way through the
first run, which must not be killed.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import tiny_plugin
import torch

from gaitbench.cells.cell import Cell
from gaitbench.quarantine import PluginInfo
from gaitbench.registry import build_registry
from gaitbench.runner import run_cell


def _in_child(work: Callable[[], None]) -> int:
    """Exit code of a forked child, negative for a signal."""
    if (child := os.fork()) == 0:
        try:
            work()
        except KeyboardInterrupt:
            os._exit(130)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(3)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _run(root: Path, model: str, point: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    kind, _, at = point.partition("=")
    os.environ[f"TINY_{kind}"] = at
    os.environ["GAITBENCH_CACHE"] = str(root / "cache")
    counts = tiny_plugin.watch_renames()
    registry = build_registry([])
    info = PluginInfo(name="tiny", distribution="gaitbench-tiny", version="0.1", target="tiny_plugin")
    registry.load_plugin(info, lambda: tiny_plugin)
    run_cell(Cell(task="identity", dataset="tiny", model=model), root / "runs", registry=registry)
    if not (root / "counts.json").exists():
        (root / "counts.json").write_text(json.dumps(counts))


def main() -> None:
    """Kill and run again, at each point."""
    root, model, *points = sys.argv[1:]
    torch.set_num_threads(1)
    outcomes = {}
    for number, point in enumerate(points):
        folder = Path(root) / str(number)
        if "@" in point:
            kind, share = point.split("@")
            total = json.loads((Path(root) / "0" / "counts.json").read_text())["rename"]
            point = f"{kind}:{1 + round(float(share) * (total - 1))}"
        first = _in_child(lambda folder=folder, point=point: _run(folder, model, point))
        again = _in_child(lambda folder=folder: _run(folder, model, "KILL=never"))
        outcomes[point] = {"folder": str(folder), "first": first, "again": again}
    (Path(root) / "outcomes.json").write_text(json.dumps(outcomes))


if __name__ == "__main__":
    main()
