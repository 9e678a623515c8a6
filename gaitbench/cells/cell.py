"""One cell of a table: a model on a dataset under a protocol, with one seed. Names become objects here.

A cell is plain data that travels as JSON to another process; :func:`resolve_cell` looks everything up and checks it
without reading a frame.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pydantic import BaseModel, NonNegativeInt, PositiveInt, ValidationError

from gaitbench.errors import DatasetError, PluginError, UnknownNameError, UsageError
from gaitbench.model import GaitModel, InputSpec
from gaitbench.protocol import Protocol
from gaitbench.quarantine import PluginInfo
from gaitbench.recipe import Precision, Preset, Recipe
from gaitbench.registry import Registry, nearest
from gaitbench.seeding import derive_seed
from gaitbench.specs import DatasetSpec, ModelSpec, ProtocolSpec, TaskSpec
from gaitbench.storage.bank import CacheMode
from gaitbench.store import fit_protocol
from gaitbench.tasks import Task

T = TypeVar("T", bound=BaseModel)

__all__ = ["Cell", "ResolvedCell", "choose_preset", "find_protocol", "override", "resolve_cell"]


class Cell(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What to run."""

    task: str
    """Name of the task."""
    dataset: str
    """Name of the dataset."""
    data: Path | None = None
    """Folder of the official files, or of a prepared dataset; None for generated datasets."""
    options: dict[str, Any] = {}
    """Options of the dataset's builder."""
    protocol: str | None = None
    """Name of the protocol; None for the dataset's first one."""
    partition: dict[str, tuple[str, ...]] = {}
    """Lists of the protocol's partition file, by their names in it (``TRAIN_SET`` ...); empty for the protocol's own
    rules. They travel with the cell, so that a file which changes meanwhile changes nothing."""
    model: str
    """Name of the model."""
    preset: str = "quick"
    """Which of the model's presets."""
    overrides: dict[str, Any] = {}
    """Dotted fields that differ from the preset: ``config.width``, ``recipe.stages.0.iterations``."""
    seed: NonNegativeInt = 0
    """Seeds weights, batches and the bootstrap."""
    precision: Precision | None = None
    """None for the recipe's."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` takes CUDA when there is one."""
    devices: PositiveInt = 1
    """Devices per node."""
    nodes: PositiveInt = 1
    """Machines."""
    allow_partial: bool = False
    """Go on with missing subjects."""
    cache: CacheMode = "none"
    """Where packed training frames wait; changes how fast a run is, never its result."""
    is_compiled: bool = False
    """Compile the model."""

    @property
    def device_type(self) -> Literal["cpu", "cuda"]:
        """The device that ``auto`` stands for here."""
        if self.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        return self.device


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedCell:
    """A cell with everything it names."""

    cell: Cell
    registry: Registry
    task: Task
    task_spec: TaskSpec
    dataset_spec: DatasetSpec
    protocol: Protocol
    """As it is registered; :meth:`protocol_for` applies it to the data."""
    model_spec: ModelSpec
    plugin: PluginInfo
    """Where the model comes from."""
    model_class: type[GaitModel]
    preset: Preset
    config: BaseModel
    """The model's whole configuration, but for ``num_classes``."""
    recipe: Recipe
    """With the cell's precision."""
    inputs: tuple[InputSpec, ...]
    """What the model reads."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """Streams that the dataset must have."""
        return tuple(spec.modality for spec in self.inputs)

    def protocol_for(self, options: Mapping[str, object]) -> Protocol:
        """The protocol as a dataset made with these options has it, with the lists of the cell's partition.

        Raises:
            DatasetError: The lists contradict each other.
            ProtocolError: A list that the protocol is made of is not among them.
        """
        fitted = fit_protocol(self.registry, self.dataset_spec, options, self.protocol)
        return fitted.with_partition(self.cell.partition) if self.cell.partition else fitted

    def config_for(self, num_classes: int) -> BaseModel:
        """The configuration with the number of training subjects filled in, where there is a field for it."""
        if "num_classes" not in type(self.config).model_fields:
            return self.config
        return type(self.config).model_validate({**dict(self.config), "num_classes": num_classes})

    def build(self, config: BaseModel) -> GaitModel:
        """Make the model with the initial weights of the cell's seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.cell.seed, "init"))
            return self.model_class(config)


def resolve_cell(cell: Cell, registry: Registry) -> ResolvedCell:
    """Look up everything that a cell names and check that it fits together.

    Raises:
        UnknownNameError: A name that nobody registered; the message has the nearest one.
        UsageError: The model does not do the task, an override does not fit, or the device cannot do the precision.
        DatasetError: The dataset lacks a modality that the model reads.
        PluginError: A target cannot be imported, or is not what its spec says.
    """
    task_spec, dataset_spec = registry.get("task", cell.task), registry.get("dataset", cell.dataset)
    model_spec = registry.get("model", cell.model)
    assert isinstance(task_spec, TaskSpec)
    assert isinstance(dataset_spec, DatasetSpec)
    assert isinstance(model_spec, ModelSpec)
    if task_spec.name not in model_spec.tasks:
        raise UsageError(
            f"model {model_spec.name!r} does not do task {task_spec.name!r}; it does {', '.join(model_spec.tasks)}. "
            f"'gaitbench list models --task {task_spec.name}' shows those that do."
        )
    device = cell.device_type
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("there is no CUDA device here; use --device cpu, or see 'gaitbench doctor'")
    if device == "cuda" and cell.devices > torch.cuda.device_count():
        raise UsageError(
            f"this process sees {torch.cuda.device_count()} CUDA devices, the run asks for {cell.devices}; lower "
            "--devices, or, where Slurm binds devices to tasks, start one task per machine (--ntasks-per-node=1)"
        )

    presets = registry.load(model_spec, "presets")
    if not (isinstance(presets, Mapping) and all(isinstance(preset, Preset) for preset in presets.values())):
        raise PluginError(f"{model_spec.presets} of model {model_spec.name!r} must be a dict of name to Preset")
    preset = choose_preset(model_spec.name, presets, cell.preset, task_spec.name, dataset_spec.name)
    config_class = registry.load(model_spec, "config")
    if not (isinstance(config_class, type) and issubclass(config_class, BaseModel)):
        raise PluginError(f"{model_spec.config} of model {model_spec.name!r} must be a pydantic class")
    config, recipe = override(model_spec.name, config_class, preset, cell.overrides)
    if cell.precision is not None:
        recipe = recipe.model_copy(update={"precision": cell.precision})
    if device == "cpu" and recipe.precision == "16-mixed":
        raise UsageError("precision 16-mixed needs a CUDA device; on the CPU use bf16-mixed or 32-true")

    model_class = registry.load(model_spec)
    if not (isinstance(model_class, type) and issubclass(model_class, GaitModel)):
        raise PluginError(f"{model_spec.target} of model {model_spec.name!r} must be a GaitModel class")
    task = registry.load(task_spec)
    task = task() if isinstance(task, type) else task
    if not isinstance(task, Task):
        raise PluginError(f"{task_spec.target} of task {task_spec.name!r} must be a Task class")
    inputs = _inputs_of(model_class, config)
    if missing := [spec.modality for spec in inputs if spec.modality not in dataset_spec.modalities]:
        raise DatasetError(
            f"dataset {dataset_spec.name!r} has no {', '.join(missing)}, which model {model_spec.name!r} reads; "
            f"it has {', '.join(dataset_spec.modalities)}"
        )
    # The task refuses here what it cannot be asked of.
    task.directions(tuple(spec.modality for spec in inputs))
    return ResolvedCell(
        cell=cell,
        registry=registry,
        task=task,
        task_spec=task_spec,
        dataset_spec=dataset_spec,
        protocol=find_protocol(cell.protocol, dataset_spec, registry),
        model_spec=model_spec,
        plugin=registry.owner("model", cell.model),
        model_class=model_class,
        preset=preset,
        config=config,
        recipe=recipe,
        inputs=inputs,
    )


def _inputs_of(model_class: type[GaitModel], config: BaseModel) -> tuple[InputSpec, ...]:
    # The inputs may depend on the configuration, so they are asked of an instance; its weights are never used.
    with torch.random.fork_rng(devices=[]):
        return tuple(model_class(config).inputs)


def find_protocol(name: str | None, spec: DatasetSpec, registry: Registry) -> Protocol:
    """Look a protocol up; None takes the dataset's first one.

    Raises:
        UnknownNameError: Nobody registered it; the message has the nearest one.
        UsageError: It belongs to another dataset, or the dataset has none.
        PluginError: Its target is no protocol.
    """
    if name is None and not spec.protocols:
        raise UsageError(
            f"dataset {spec.name!r} has no protocol: none is published, so that nothing can be scored on it. It can be "
            "prepared, loaded and embedded."
        )
    found = registry.get("protocol", name or spec.protocols[0])
    assert isinstance(found, ProtocolSpec)
    if found.dataset != spec.name:
        raise UsageError(
            f"protocol {found.name!r} belongs to dataset {found.dataset!r}, not {spec.name!r}, which has "
            f"{', '.join(spec.protocols)}"
        )
    protocol = registry.load(found)
    if not isinstance(protocol, Protocol):
        raise PluginError(f"{found.target} of protocol {found.name!r} must be a Protocol")
    return protocol


def choose_preset(model: str, presets: Mapping[str, Preset], name: str, task: str, dataset: str) -> Preset:
    """Pick the most particular preset of a name: ``NAME@TASK@DATASET``, ``NAME@TASK``, ``NAME@DATASET``, ``NAME``.

    Raises:
        UnknownNameError: There is none of them; the message has the nearest name.

    Example:
        >>> presets = {"quick": Preset(note="general"), "quick@ccpg": Preset(note="own")}
        >>> choose_preset("gei", presets, "quick", "identity", "ccpg").note
        'own'
    """
    for key in (f"{name}@{task}@{dataset}", f"{name}@{task}", f"{name}@{dataset}", name):
        if key in presets:
            return presets[key]
    near = nearest(name, presets)
    raise UnknownNameError(
        f"model {model!r} has no preset {name!r}"
        + (f"; did you mean {near!r}?" if near else ".")
        + f" It has {', '.join(sorted(presets)) or 'none'}."
    )


def override(
    model: str, config_class: type[BaseModel], preset: Preset, overrides: Mapping[str, object]
) -> tuple[BaseModel, Recipe]:
    """Apply dotted overrides to a preset.

    Args:
        model: For messages.
        config_class: The model's configuration.
        preset: What is overridden.
        overrides: ``config.FIELD``, or just ``FIELD``, and ``recipe.FIELD``, dots leading into nested fields and
            numbers into lists. A value given as text is read as JSON where it is JSON.

    Raises:
        UsageError: There is no such field, with the nearest one, or the value does not fit.

    Example:
        >>> class Config(BaseModel):
        ...     width: int = 8
        >>> _, recipe = override("m", Config, Preset(), {"recipe.stages.0.iterations": "7"})
        >>> recipe.stages[0].iterations
        7
    """
    tree: dict[str, Any] = {
        "config": _checked(model, "config", config_class, preset.config).model_dump(mode="json"),
        "recipe": preset.recipe.model_dump(mode="json"),
    }
    for key, value in overrides.items():
        path = key.split(".")
        if path[0] not in tree:
            path = ["config", *path]
        _put(tree, path, _parsed(value), f"model {model!r}: {key}")
    return (
        _checked(model, "config", config_class, tree["config"]),
        _checked(model, "recipe", Recipe, tree["recipe"]),
    )


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _put(node: Any, path: list[str], value: object, label: str) -> None:
    for depth, key in enumerate(path):
        is_last = depth == len(path) - 1
        if isinstance(node, list):
            if not key.isdecimal() or int(key) >= len(node):
                raise UsageError(f"{label}: {key!r} must be a number from 0 to {len(node) - 1}")
            if is_last:
                node[int(key)] = value
            else:
                node = node[int(key)]
        elif isinstance(node, dict):
            # An empty dict is one with free keys, such as loss weights; validation decides on the others.
            if key not in node and not (
                is_last and (not node or all(isinstance(v, int | float) for v in node.values()))
            ):
                near = nearest(key, node)
                guess = f"; did you mean {near!r}?" if near else "."
                raise UsageError(f"{label}: there is no field {key!r}{guess} There are {', '.join(node) or 'none'}.")
            if is_last:
                node[key] = value
            else:
                node = node[key]
        else:
            raise UsageError(f"{label}: {'.'.join(path[:depth])} has no fields of its own")


def _checked(model: str, what: str, cls: type[T], values: Mapping[str, object]) -> T:
    try:
        return cls.model_validate(dict(values))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in (what, *problem["loc"]))
        near = nearest(str(problem["loc"][-1]), cls.model_fields) if problem["loc"] else None
        guess = f" Did you mean {near!r}?" if near and problem["type"] == "extra_forbidden" else ""
        raise UsageError(f"model {model!r}: {where}: {problem['msg']}, got {problem['input']!r}.{guess}") from error
