"""From names to records: run every cell of a plan, keep what succeeds, tell what failed."""

import contextlib
import logging
import os
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from gaitbench.cells.cell import Cell, resolve_cell
from gaitbench.cells.cluster import find_cluster
from gaitbench.cells.open_cell import CellResult, OpenCell, open_data
from gaitbench.cells.plan import plan
from gaitbench.cells.run_folder import RunFolder, check_output
from gaitbench.cells.scored_on import ScoredOn
from gaitbench.checkpoint import load_model
from gaitbench.errors import GaitbenchError, ModelError, RecordError, UsageError
from gaitbench.hookspecs import RunEvent
from gaitbench.memory import keep_freed_memory
from gaitbench.model import GaitModel
from gaitbench.registry import Registry, load_registry, resolve
from gaitbench.results import RunRecord
from gaitbench.towers.left_out import weights_left_out

__all__ = [
    "Cell",
    "CellFailure",
    "CellResult",
    "RunResult",
    "ScoredOn",
    "begins_training",
    "load_trained",
    "plan",
    "run",
    "run_cell",
    "run_one",
]

_log = logging.getLogger("gaitbench")


class CellFailure(NamedTuple):
    """A cell that did not come to a record."""

    cell: Cell
    error: str
    """Class of the error."""
    message: str
    """What was wrong, where, and what to do next; with a traceback where the error was not foreseen."""

    def __str__(self) -> str:
        test = f", scored on {self.cell.scored_on.dataset}" if self.cell.scored_on is not None else ""
        return f"{self.cell.model} (preset {self.cell.preset}, seed {self.cell.seed}{test}): {self.message}"


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run came to. Cells that failed cost the others nothing."""

    records: list[RunRecord]
    folders: list[Path]
    """Of the records, in their order."""
    failures: list[CellFailure]
    num_reused: int = 0
    """Records that were there before."""

    @property
    def is_complete(self) -> bool:
        """True when no cell failed."""
        return not self.failures


def run(
    task: str,
    models: Sequence[str] | None = None,
    dataset: str | None = None,
    *,
    data: Path | None = None,
    preset: str = "quick",
    seeds: Sequence[int] = (0,),
    protocol: str | None = None,
    partition: Path | str | Mapping[str, object] | None = None,
    options: Mapping[str, object] | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002
    out: Path = Path("runs"),
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    precision: str | None = None,
    cache: str = "none",
    feature_cache: bool = False,
    allow_partial: bool = False,
    force: bool = False,
    jobs: int = 1,
    test_dataset: str | ScoredOn | Sequence[str | ScoredOn] | None = None,
    test_data: Path | str | Sequence[Path | str] | Mapping[str, Path | str] | None = None,
    test_options: Mapping[str, object] | None = None,
    test_protocol: str | Mapping[str, str] | None = None,
    test_partition: Path | str | Mapping[str, object] | None = None,
    append_attributes: str = "",
    append_weight: float = 1.0,
    registry: Registry | None = None,
) -> RunResult:
    """Run every cell; see :func:`gaitbench.run` for the arguments.

    A cell that fails is kept in :attr:`RunResult.failures` and the others go on. A run of a single cell raises its
    error instead. Where torchrun or Slurm started several processes, one per machine does the work and the others
    return at once, with an empty result; see :mod:`gaitbench.cells.cluster`.

    Raises:
        GaitbenchError: Nothing could be started, or the only cell failed.
    """
    registry = registry or load_registry()
    if jobs < 1:
        raise UsageError(f"jobs must be 1 or more, got {jobs}")
    cluster = find_cluster(os.environ)
    if cluster is not None:
        if not cluster.is_leader:
            _log.info("%s process %d steps aside", cluster.starter, cluster.local_rank)
            return RunResult(records=[], folders=[], failures=[])
        devices, nodes = cluster.sizes(devices, nodes)
    with cluster.joined() if cluster is not None else contextlib.nullcontext():
        cells = plan(
            task,
            models,
            dataset,
            data=data,
            preset=preset,
            seeds=seeds,
            protocol=protocol,
            partition=partition,
            options=options,
            set=set,
            device=device,
            devices=devices,
            nodes=nodes,
            precision=precision,
            cache=cache,
            feature_cache=feature_cache,
            allow_partial=allow_partial,
            test_dataset=test_dataset,
            test_data=test_data,
            test_options=test_options,
            test_protocol=test_protocol,
            test_partition=test_partition,
            append_attributes=append_attributes,
            append_weight=append_weight,
            registry=registry,
        )
        check_output(out)
        open_data([resolve_cell(cell, registry) for cell in cells])
        registry.notify(RunEvent(name="run_started", dataset=cells[0].dataset, text=f"{len(cells)} cells"))
        if len(cells) == 1:
            outcomes: list[CellResult | CellFailure] = [run_one(cells[0], out, force=force, registry=registry)]
        elif jobs > 1:
            from gaitbench.cells.launch import run_side_by_side

            outcomes = run_side_by_side(cells, out, force=force, jobs=jobs)
        else:
            outcomes = [
                _run_guarded(cell, out, force=force, retrain=force and is_first, registry=registry)
                for cell, is_first in zip(cells, begins_training(cells), strict=True)
            ]
    results = [outcome for outcome in outcomes if isinstance(outcome, CellResult)]
    registry.notify(RunEvent(name="run_finished", dataset=cells[0].dataset, text=f"{len(results)} of {len(cells)}"))
    return RunResult(
        records=[result.record for result in results],
        folders=[result.folder for result in results],
        failures=[outcome for outcome in outcomes if isinstance(outcome, CellFailure)],
        num_reused=sum(result.is_reused for result in results),
    )


def begins_training(cells: Sequence[Cell]) -> list[bool]:
    """Tell of each cell whether it is the first of its training; the later ones take its weights.

    Args:
        cells: In the order in which they are run.
    """
    trainings = [cell.training for cell in cells]
    return [trainings.index(training) == number for number, training in enumerate(trainings)]


def _run_guarded(cell: Cell, out: Path, *, force: bool, retrain: bool, registry: Registry) -> CellResult | CellFailure:
    """Run a cell; whatever goes wrong becomes a failure, because the other cells are worth having."""
    try:
        return run_one(cell, out, force=force, retrain=retrain, registry=registry)
    except GaitbenchError as error:
        failure = CellFailure(cell, type(error).__name__, str(error))
    except Exception as error:
        failure = CellFailure(cell, type(error).__name__, f"{error}\n{traceback.format_exc()}")
    _log.warning("%s failed: %s", cell.model, failure.message.splitlines()[0])
    return failure


def run_cell(
    cell: Cell, out: Path = Path("runs"), *, force: bool = False, registry: Registry | None = None
) -> RunRecord:
    """Bring one cell to its record, from whatever is there already.

    Args:
        cell: What to run.
        out: Root of the run folders.
        force: Run again what is finished.
        registry: Where to look names up; None for what is installed.

    Raises:
        GaitbenchError: It cannot be brought to a record; what was finished before stays.
        KeyboardInterrupt: Ctrl-C; a checkpoint was written.
    """
    return run_one(cell, out, force=force, registry=registry or load_registry()).record


def run_one(cell: Cell, out: Path, *, force: bool, registry: Registry, retrain: bool | None = None) -> CellResult:
    """Bring one cell to its record and say where it lies; see :func:`run_cell`.

    Args:
        cell: What to run.
        out: Root of the run folders.
        force: Run again what is finished.
        registry: Where to look names up.
        retrain: Train again too; None for whatever ``force`` says. A run of several test sets trains once.
    """
    check_output(out)
    keep_freed_memory()
    run_of_cell = OpenCell(resolve_cell(cell, registry), out)
    try:
        return run_of_cell.execute(force=force, retrain=force if retrain is None else retrain)
    except Exception as error:
        run_of_cell.notify("cell_failed", text=f"{type(error).__name__}: {error}")
        raise


def load_trained(folder: Path | str) -> GaitModel:
    """Rebuild the trained model of a run folder, on the CPU and in evaluation mode.

    Args:
        folder: A run folder, such as one of :attr:`RunResult.folders`.

    Raises:
        RecordError: The folder holds no trained model, or a damaged one.
        PluginError: The model's package is not installed any more.
        ModelError: The weights do not fit the model as it is today.
    """
    run_folder = RunFolder(Path(folder))
    info = run_folder.read_json(run_folder.model_info)
    if info is None:
        raise RecordError(f"{folder} holds no trained model; is it a folder of a run that finished training?")
    try:
        target, config_target, config = info["target"], info["config_target"], info["config"]
    except KeyError as error:
        raise RecordError(f"{run_folder.model_info} lacks {error}; run the cell again") from error
    cls, config_class = resolve(target), resolve(config_target)
    try:
        with weights_left_out():
            model = cls(config_class.model_validate(config))  # type: ignore[operator, attr-defined]
    except ValidationError as error:
        raise ModelError(
            f"the configuration in {run_folder.model_info} does not fit {config_target}: {error}"
        ) from error
    assert isinstance(model, GaitModel)
    load_model(run_folder.path, model)
    return model.eval()
