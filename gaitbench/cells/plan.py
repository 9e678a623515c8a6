"""Which cells a run consists of: every name checked, every combination refused that cannot be, before anything slow."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from gaitbench.cells.cell import Cell, ResolvedCell, resolve_cell
from gaitbench.cells.cluster import RENDEZVOUS
from gaitbench.cells.scored_on import ScoredOn, scored_on
from gaitbench.cells.source import Source
from gaitbench.dataset import GaitDataset
from gaitbench.division import check_ready, check_ready_to_train
from gaitbench.errors import DatasetError, ProtocolError, UnknownNameError, UsageError
from gaitbench.partition import LIST_KEYS, read_partition
from gaitbench.protocol import Selection
from gaitbench.recipe import Precision
from gaitbench.registry import Registry, load_registry, nearest
from gaitbench.specs import ModelSpec
from gaitbench.storage.bank import CacheMode
from gaitbench.store import is_prepared

__all__ = ["DEFAULT_DATASET", "plan"]

_log = logging.getLogger("gaitbench")

DEFAULT_DATASET = "walkers"
"""What is run on when nobody names a dataset."""

MOST_WEIGHT = 1e6
"""Of appended attributes; with more of it float32 holds nothing of the embeddings any more, or no distance at all."""


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
    feature_cache: bool = False,
    allow_partial: bool = False,
    test_dataset: str | ScoredOn | Sequence[str | ScoredOn] | None = None,
    test_data: Path | str | Sequence[Path | str] | Mapping[str, Path | str] | None = None,
    test_options: Mapping[str, object] | None = None,
    test_protocol: str | Mapping[str, str] | None = None,
    test_partition: Path | str | Mapping[str, object] | None = None,
    append_attributes: str = "",
    append_weight: float = 1.0,
    registry: Registry | None = None,
) -> list[Cell]:
    """List the cells of a run, a cell per model, seed and test set, and check every name and every list in them.

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
    if not 0 < append_weight <= MOST_WEIGHT:
        raise UsageError(f"append_weight must be above 0 and at most {MOST_WEIGHT:,.0f}, got {append_weight}")
    if not seeds or any(seed < 0 for seed in seeds):
        raise UsageError(f"seeds must be integers of 0 or more, at least one; got {list(seeds)}")
    if models is not None and not models:
        raise UsageError("the list of models is empty; leave it out to run all that fit")

    asked = scored_on(test_dataset, test_data, test_options, test_protocol, test_partition)
    lists = {} if partition is None else {LIST_KEYS[role]: words for role, words in read_partition(partition).items()}

    def cell_of(model: str, seed: int, test: ScoredOn | None) -> Cell:
        return Cell.model_validate(
            {
                "task": task,
                "dataset": dataset,
                "data": data.resolve() if data is not None else None,
                "options": dict(options or {}),
                "protocol": protocol,
                "partition": lists,
                "scored_on": test,
                "model": model,
                "preset": preset,
                "overrides": dict(set or {}),
                "seed": seed,
                "precision": precision,
                "device": device,
                "devices": devices,
                "nodes": nodes,
                "cache": cache,
                "feature_cache": feature_cache,
                "allow_partial": allow_partial,
                "append_attributes": append_attributes,
                "append_weight": append_weight,
            }
        )

    trained = cell_of("", 0, None)
    tests: Sequence[ScoredOn | None] = _different([_filled(test, trained) for test in asked]) or (None,)
    sources = [Source.find(registry, trained), *(Source.find(registry, test) for test in tests if test)]
    if models is not None:
        chosen = list(dict.fromkeys(models))
        found = [[resolve_cell(cell_of(name, seeds[0], test), registry) for test in tests] for name in chosen]
        if len(sources) > 1:
            # Before the first of them is prepared, which may take hours.
            _check_supplied(sources, [each[0] for each in found])
    else:
        supplied = [frozenset(source.supplied()) for source in sources]
        chosen, found = [], []
        without_preset: list[UnknownNameError] = []
        is_unfit = False
        for model in registry.specs("model"):
            assert isinstance(model, ModelSpec)
            if task_name not in model.tasks:
                continue
            try:
                resolved = [resolve_cell(cell_of(model.name, seeds[0], test), registry) for test in tests]
            except UnknownNameError as error:
                # Nobody asked for this model by name, so that it lacks the preset only leaves it out.
                _log.info("left out: %s", error)
                without_preset.append(error)
                continue
            except DatasetError as error:
                _log.info("left out: %s", error)
                is_unfit = True
                continue
            first = resolved[0]
            needed = [first.modalities, *[first.test_modalities] * (len(supplied) - 1)]
            if all(there.issuperset(names) for there, names in zip(supplied, needed, strict=True)):
                chosen.append(model.name)
                found.append(resolved)
        if not chosen and without_preset and not is_unfit:
            raise without_preset[0]
    if not chosen:
        places = " and ".join(f"dataset {s.spec.name!r}, which has {', '.join(s.spec.modalities)}" for s in sources)
        raise UsageError(
            f"no installed model does task {task!r} on {places}. Install a plugin with models, such as "
            "gaitbench-baselines."
        )
    for resolved_cell in found[0]:
        _check_protocol(resolved_cell)
    return [cell_of(name, seed, test) for name in chosen for seed in dict.fromkeys(seeds) for test in tests]


def _check_supplied(sources: Sequence[Source], models: Sequence[ResolvedCell]) -> None:
    """Stop where data lack a stream that a model reads of them."""
    for number, source in enumerate(sources):
        there = source.supplied()
        for model in models:
            needed = model.test_modalities if number else model.modalities
            if missing := [name for name in needed if name not in there]:
                raise DatasetError(
                    f"{source.named.data or 'dataset'} ({source.spec.name}) has no {', '.join(missing)}, which model "
                    f"{model.model_spec.name!r} reads; it has {', '.join(there)}. Prepare it with --modalities "
                    f"{' '.join(missing)}, or choose another model."
                )


def _check_protocol(resolved: ResolvedCell) -> None:
    """Stop where no data could make the protocols apply, before any is prepared."""
    partial, protocol = resolved.cell.allow_partial, resolved.scored_on.known_protocol()
    if resolved.is_cross_dataset:
        check_ready_to_train(resolved.trained_on.known_protocol(), allow_partial=partial)
    check_ready(protocol, allow_partial=partial, needs_train=not resolved.is_cross_dataset)
    is_undivided = protocol.train == Selection() and protocol.test_subjects == ("*",) and not protocol.lists
    if is_undivided and not protocol.is_closed_set and not resolved.is_cross_dataset:
        raise ProtocolError(
            f"{protocol.name} says of nobody whether to train on or to test, as no division is published; hand yours "
            "in with --partition FILE (partition=FILE), a JSON file with TRAIN_SET and TEST_SET, and allow partial "
            "results (allow_partial=True, --allow-partial)"
        )


def _filled(test: ScoredOn, trained: Cell) -> ScoredOn:
    """A test set of the training data's name without a folder lies where they lie, and is read as they are."""
    if test.dataset != trained.dataset or test.data is not None or trained.data is None:
        return test
    fields = ("data", "options", "protocol", "partition")
    return test.model_copy(update={name: getattr(test, name) or getattr(trained, name) for name in fields})


def _different(tests: Sequence[ScoredOn]) -> tuple[ScoredOn, ...]:
    different: list[ScoredOn] = []
    for test in tests:
        test = test.model_copy(update={"data": test.data.resolve() if test.data is not None else None})
        if test not in different:
            different.append(test)
    return tuple(different)


def _check_choice(name: str, value: str | None, known: Sequence[str]) -> None:
    if value is not None and value not in known:
        near = nearest(value, known)
        guess = f"; did you mean {near!r}?" if near else ""
        raise UsageError(f"unknown {name} {value!r}{guess} There are {', '.join(known)}.")
