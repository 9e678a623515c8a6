"""Which cells a run consists of: every name checked, every combination refused that cannot be, before anything slow."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from gaitbench.cells.cell import Cell, ResolvedCell, find_protocol, resolve_cell
from gaitbench.cells.cluster import RENDEZVOUS
from gaitbench.dataset import GaitDataset
from gaitbench.division import check_ready
from gaitbench.errors import DatasetError, UnknownNameError, UsageError
from gaitbench.partition import LIST_KEYS, read_partition
from gaitbench.recipe import Precision
from gaitbench.registry import Registry, load_registry, nearest
from gaitbench.specs import DatasetSpec, ModelSpec
from gaitbench.storage.bank import CacheMode
from gaitbench.store import is_prepared, source_modalities

__all__ = ["DEFAULT_DATASET", "plan"]

_log = logging.getLogger("gaitbench")

DEFAULT_DATASET = "walkers"
"""What is run on when nobody names a dataset."""


def plan(
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
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    precision: str | None = None,
    cache: str = "none",
    allow_partial: bool = False,
    registry: Registry | None = None,
) -> list[Cell]:
    """List the cells of a run, a cell per model and seed, and check every name and every list in them.

    The arguments are those of :func:`gaitbench.run`.

    Raises:
        UnknownNameError: A name that nobody registered; the message has the nearest one.
        UsageError: Something does not fit together, or no installed model fits task and dataset.
        DatasetError: The partition cannot be read, or its lists contradict each other.
        ProtocolError: The protocol needs other lists, or withholds its labels.
    """
    registry = registry or load_registry()
    if dataset is None:
        dataset = GaitDataset.open(data).card.name if data is not None and is_prepared(data) else DEFAULT_DATASET
    task_name = registry.get("task", task).name
    spec = registry.get("dataset", dataset)
    assert isinstance(spec, DatasetSpec)
    find_protocol(protocol, spec, registry)
    _check_choice("precision", precision, get_args(Precision))
    _check_choice("device", device, ("auto", "cpu", "cuda"))
    _check_choice("cache", cache, get_args(CacheMode))
    for name, value in (("devices", devices), ("nodes", nodes)):
        if value < 1:
            raise UsageError(f"{name} must be 1 or more, got {value}")
    if nodes > 1 and (unset := [name for name in RENDEZVOUS if not os.environ.get(name)]):
        raise UsageError(
            f"a run on {nodes} nodes needs {', '.join(unset)} in the environment: start the same command on each node, "
            "with NODE_RANK 0, 1 ... and the first node's address and a free port of it as MASTER_ADDR and "
            "MASTER_PORT, or let torchrun or srun start it"
        )
    if not seeds or any(seed < 0 for seed in seeds):
        raise UsageError(f"seeds must be integers of 0 or more, at least one; got {list(seeds)}")
    if models is not None and not models:
        raise UsageError("the list of models is empty; leave it out to run all that fit")

    lists = {} if partition is None else {LIST_KEYS[role]: words for role, words in read_partition(partition).items()}

    def cell_of(model: str, seed: int) -> Cell:
        return Cell.model_validate(
            {
                "task": task,
                "dataset": dataset,
                "data": data.resolve() if data is not None else None,
                "options": dict(options or {}),
                "protocol": protocol,
                "partition": lists,
                "model": model,
                "preset": preset,
                "overrides": dict(set or {}),
                "seed": seed,
                "precision": precision,
                "device": device,
                "devices": devices,
                "nodes": nodes,
                "cache": cache,
                "allow_partial": allow_partial,
            }
        )

    if models is not None:
        chosen = list(dict.fromkeys(models))
        resolved = [resolve_cell(cell_of(name, seeds[0]), registry) for name in chosen]
    else:
        if data is not None and is_prepared(data):
            supplied = GaitDataset.open(data).modalities
        else:
            supplied = source_modalities(registry, spec, data, options)
        chosen, resolved = [], []
        without_preset: list[UnknownNameError] = []
        for model in registry.specs("model"):
            assert isinstance(model, ModelSpec)
            if task_name not in model.tasks:
                continue
            try:
                found = resolve_cell(cell_of(model.name, seeds[0]), registry)
            except UnknownNameError as error:
                # Nobody asked for this model by name, so that it lacks the preset only leaves it out.
                _log.info("left out: %s", error)
                without_preset.append(error)
                continue
            except DatasetError as error:
                _log.info("left out: %s", error)
                continue
            if frozenset(supplied).issuperset(found.modalities):
                chosen.append(model.name)
                resolved.append(found)
        if not chosen and without_preset:
            raise without_preset[0]
    if not chosen:
        raise UsageError(
            f"no installed model does task {task!r} on dataset {spec.name!r}, which has {', '.join(spec.modalities)}. "
            "Install a plugin with models, such as gaitbench-baselines."
        )
    _check_protocol(resolved[0])
    return [cell_of(name, seed) for name in chosen for seed in dict.fromkeys(seeds)]


def _check_protocol(resolved: ResolvedCell) -> None:
    """Stop where no data could make the protocol apply, before any is prepared."""
    cell = resolved.cell
    if cell.data is not None and is_prepared(cell.data):
        protocol = resolved.protocol_for(GaitDataset.open(cell.data).card.options)
    else:
        protocol = resolved.protocol_for(cell.options)
    check_ready(protocol, allow_partial=cell.allow_partial)


def _check_choice(name: str, value: str | None, known: Sequence[str]) -> None:
    if value is not None and value not in known:
        near = nearest(value, known)
        guess = f"; did you mean {near!r}?" if near else ""
        raise UsageError(f"unknown {name} {value!r}{guess} There are {', '.join(known)}.")
