"""One cell of a table: a model on a dataset under a protocol, with one seed. Names become objects here.

A cell is plain data that travels as JSON to another process; :func:`resolve_cell` looks everything up and checks it
without reading a frame.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pydantic import BaseModel, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError
from pydantic_core import to_jsonable_python

from gaitbench.card import Attribute
from gaitbench.cells.appending import predictor_cell, source_of
from gaitbench.cells.scored_on import ScoredOn
from gaitbench.cells.source import Source
from gaitbench.cells.wearing import as_worn, head_overrides, is_native, preset_for_head
from gaitbench.errors import DatasetError, PluginError, UnknownNameError, UsageError
from gaitbench.features.cacheable import check_recipe, kept_features
from gaitbench.frozen import FeatureDtype
from gaitbench.half_letters import has_half_letter
from gaitbench.model import Decision, GaitModel, InputSpec
from gaitbench.quarantine import PluginInfo
from gaitbench.recipe import Precision, Preset, Recipe
from gaitbench.registry import Registry, nearest
from gaitbench.seeding import derive_seed
from gaitbench.specs import DatasetSpec, ModelSpec, TaskSpec
from gaitbench.storage.bank import CacheMode
from gaitbench.tasks import Direction, Task
from gaitbench.towers.left_out import weights_left_out
from gaitbench.with_attributes import HeadConfig

T = TypeVar("T", bound=BaseModel)

__all__ = ["Cell", "ResolvedCell", "choose_preset", "override", "resolve_cell"]


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
    scored_on: ScoredOn | None = None
    """Other data whose test set is scored; None for the test set of the training data."""
    model: str
    """Name of the model."""
    preset: str = "quick"
    """Which of the model's presets."""
    overrides: dict[str, Any] = {}
    """Dotted fields that differ from the preset: ``config.width``, ``recipe.stages.0.iterations``; ``head.loss`` where
    the model wears a head."""
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
    feature_cache: bool = False
    """Keep what a frozen tower computes on disk; changes how fast a run is, and its result only where features are kept
    as float16."""
    append_attributes: str = ""
    """What is appended to the embeddings before they are compared: ``true`` attributes of the test sequences, those
    ``predicted`` by the same model with another head, or ``predicted:MODEL``; empty for nothing."""
    append_weight: PositiveFloat = 1.0
    """What a positive label stands as in what is appended."""
    is_compiled: bool = False
    """Compile the model."""

    @property
    def device_type(self) -> Literal["cpu", "cuda"]:
        """The device that ``auto`` stands for here."""
        if self.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        return self.device

    @property
    def training(self) -> "Cell":
        """The cell of the same training that is scored on its own data; equal for all cells that share a training."""
        return self.model_copy(update={"scored_on": None, "append_attributes": "", "append_weight": 1.0})


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedCell:
    """A cell with everything it names."""

    cell: Cell
    registry: Registry
    task: Task
    task_spec: TaskSpec
    trained_on: Source
    """Data and protocol of the training."""
    scored_on: Source
    """Data and protocol of the test; the same where nothing else was asked for."""
    model_spec: ModelSpec
    plugin: PluginInfo
    """Where the model comes from."""
    model_class: type[GaitModel]
    preset: Preset
    config: BaseModel
    """The model's whole configuration, but for ``num_classes`` and ``attributes``."""
    recipe: Recipe
    """With the cell's precision."""
    inputs: tuple[InputSpec, ...]
    """What the model reads."""
    feature_dtype: FeatureDtype | None = None
    """How the features are kept that the cell reads from disk; None where the model computes them in every step."""
    decides: Decision = "argmax"
    """How the model's attribute logits become labels."""
    fusions: tuple[tuple[str, ...], ...] = ()
    """Sets of streams that the model embeds as one beside each alone."""

    @property
    def is_cross_dataset(self) -> bool:
        """True when the test set is not that of the training data."""
        return self.scored_on is not self.trained_on

    @property
    def modalities(self) -> tuple[str, ...]:
        """Streams that the training data must have."""
        return tuple(spec.modality for spec in self.inputs)

    @property
    def rounding(self) -> dict[str, str]:
        """What the feature cache adds to what determines a result: nothing, unless it rounds."""
        return {"feature_cache": self.feature_dtype} if self.feature_dtype == "float16" else {}

    @property
    def test_inputs(self) -> tuple[InputSpec, ...]:
        """What the model reads of test sequences."""
        return tuple(spec for spec in self.inputs if not spec.is_for_training)

    @property
    def test_modalities(self) -> tuple[str, ...]:
        """Streams that the test data must have."""
        return tuple(spec.modality for spec in self.test_inputs)

    def directions(self) -> tuple[Direction, ...]:
        """What the task asks of the model.

        Raises:
            UsageError: The task cannot be asked of it.
        """
        fused = ["+".join(fusion) for fusion in self.fusions] if self.task.asks_about_fusions else []
        return self.task.directions((*self.test_modalities, *fused))

    @property
    def needs_matches(self) -> bool:
        """Whether probes must be found in a gallery."""
        return self.task.looks_at == "embedding"

    @property
    def package(self) -> str:
        """Where the model's own code is, also of one that wears a head of core."""
        spec = self.registry.get("model", self.cell.model)
        assert isinstance(spec, ModelSpec)
        return spec.target.partition(":")[0].partition(".")[0]

    def config_for(self, num_classes: int, attributes: tuple[Attribute, ...] = ()) -> BaseModel:
        """The configuration with what is known of the training data filled in, where there are fields for it.

        Args:
            num_classes: Training subjects.
            attributes: Their schema.
        """
        known: dict[str, object] = {"num_classes": num_classes}
        if attributes:
            known["attributes"] = attributes
        fields = {name: value for name, value in known.items() if name in type(self.config).model_fields}
        if not fields:
            return self.config
        return type(self.config).model_validate({**dict(self.config), **fields})

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
    task_spec, model_spec = registry.get("task", cell.task), registry.get("model", cell.model)
    assert isinstance(task_spec, TaskSpec)
    assert isinstance(model_spec, ModelSpec)
    trained_on = Source.find(registry, cell)
    scored_on = trained_on if cell.scored_on is None else Source.find(registry, cell.scored_on)
    scored_on.protocol.check_task(task_spec.name)
    task = registry.load(task_spec)
    task = task() if isinstance(task, type) else task
    if not isinstance(task, Task):
        raise PluginError(f"{task_spec.target} of task {task_spec.name!r} must be a Task class")
    # Whoever tells people apart can tell attributes, with another head.
    if task_spec.name not in model_spec.tasks and not (
        task.looks_at == "attributes" and "identity" in model_spec.tasks
    ):
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
    of_data = f"@{trained_on.spec.name}"
    preset = choose_preset(model_spec.name, presets, cell.preset, task_spec.name, trained_on.spec.name)
    config_class = registry.load(model_spec, "config")
    if not (isinstance(config_class, type) and issubclass(config_class, BaseModel)):
        raise PluginError(f"{model_spec.config} of model {model_spec.name!r} must be a pydantic class")
    model_class = registry.load(model_spec)
    if not (isinstance(model_class, type) and issubclass(model_class, GaitModel)):
        raise PluginError(f"{model_spec.target} of model {model_spec.name!r} must be a GaitModel class")
    wears_head = task.looks_at == "attributes" and not is_native(config_class)
    of_head, overrides = head_overrides(cell.overrides) if wears_head else ({}, cell.overrides)
    if wears_head and not any(f"{cell.preset}@{task_spec.name}{end}" in presets for end in ("", of_data)):
        preset = preset_for_head(model_spec, model_class, config_class, preset, cell.preset)
    config, recipe = override(model_spec.name, config_class, preset, overrides)
    if wears_head:
        head = _checked(model_spec.name, "head", HeadConfig, {k: _parsed(v) for k, v in of_head.items()})
        model_spec, model_class, config = as_worn(model_spec, task_spec.name, config, head)
    if cell.precision is not None:
        recipe = recipe.model_copy(update={"precision": cell.precision})
    if device == "cpu" and recipe.precision == "16-mixed":
        raise UsageError("precision 16-mixed needs a CUDA device; on the CPU use bf16-mixed or 32-true")

    built = _built(model_class, config)
    resolved = ResolvedCell(
        cell=cell,
        registry=registry,
        task=task,
        task_spec=task_spec,
        trained_on=trained_on,
        scored_on=scored_on,
        model_spec=model_spec,
        plugin=registry.owner("model", cell.model),
        model_class=model_class,
        preset=preset,
        config=config,
        recipe=recipe,
        inputs=tuple(built.inputs),
        decides=built.decides,
        fusions=_fusions_of(built, model_spec.name),
        feature_dtype=kept_features(built, model_spec.name).dtype if cell.feature_cache else None,
    )
    if cell.feature_cache:
        check_recipe(recipe)
    _check_modalities(trained_on.spec, resolved.modalities, model_spec.name)
    _check_modalities(scored_on.spec, resolved.test_modalities, model_spec.name)
    # The task refuses here what it cannot be asked of.
    resolved.directions()
    if cell.append_attributes:
        _check_appending(resolved)
    return resolved


def _check_appending(resolved: ResolvedCell) -> None:
    source, _ = source_of(resolved.cell)
    if resolved.task.looks_at != "embedding":
        raise UsageError(
            f"task {resolved.task_spec.name!r} compares no embeddings, so that attributes cannot be appended to them "
            "(--append-attributes); run the identity task with it"
        )
    if source == "predicted":
        resolve_cell(predictor_cell(resolved.cell), resolved.registry)


def _check_modalities(dataset: DatasetSpec, modalities: tuple[str, ...], model: str) -> None:
    if missing := [name for name in modalities if name not in dataset.modalities]:
        raise DatasetError(
            f"dataset {dataset.name!r} has no {', '.join(missing)}, which model {model!r} reads; "
            f"it has {', '.join(dataset.modalities)}"
        )


def _fusions_of(model: GaitModel, name: str) -> tuple[tuple[str, ...], ...]:
    shown = {spec.modality for spec in model.inputs if not spec.is_for_training}
    for fusion in model.fusions:
        if len(set(fusion)) < max(2, len(fusion)) or not shown.issuperset(fusion):
            raise PluginError(
                f"model {name!r} says that it fuses {' and '.join(fusion) or 'nothing'}; a fusion must be of two or "
                f"more different ones of {', '.join(sorted(shown))}, which it reads of test sequences"
            )
    return model.fusions


def _built(model_class: type[GaitModel], config: BaseModel) -> GaitModel:
    # What a model reads may depend on the configuration, so an instance is asked; its weights are never used, and those
    # of others in it need not be at hand.
    with torch.random.fork_rng(devices=[]), weights_left_out():
        return model_class(config)


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
        "config": _all_fields(_checked(model, "config", config_class, preset.config)),
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


def _all_fields(config: BaseModel) -> dict[str, Any]:
    """A configuration as JSON values, with the fields that records leave out while they have their default."""
    dumped = config.model_dump(mode="json")
    return {
        name: dumped[name] if name in dumped else to_jsonable_python(getattr(config, name))
        for name in type(config).model_fields
    }


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
        checked = cls.model_validate(dict(values))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in (what, *problem["loc"]))
        near = nearest(str(problem["loc"][-1]), cls.model_fields) if problem["loc"] else None
        guess = f" Did you mean {near!r}?" if near and problem["type"] == "extra_forbidden" else ""
        said = problem["msg"].removeprefix("Value error, ")
        # What contradicts itself is said in the model's own words, which its whole configuration would only hide.
        is_whole = problem["type"] == "value_error" and isinstance(problem["input"], Mapping)
        got = "" if is_whole else f", got {problem['input']!r}"
        raise UsageError(f"model {model!r}: {where}: {said}{got}.{guess}") from error
    for where, found in _unwritable(checked.model_dump(), what):
        raise UsageError(f"model {model!r}: {where} {found}")
    return checked


def _unwritable(value: object, where: str) -> Iterator[tuple[str, str]]:
    """What no record can hold, with its place; pydantic's types admit infinities and halves of characters."""
    if isinstance(value, float) and not math.isfinite(value):
        yield where, f"must be a finite number, got {value}"
    elif isinstance(value, str) and has_half_letter(value):
        yield where, f"must be text that a file can hold, got {value!r}"
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _unwritable(key, f"a key of {where}")
            yield from _unwritable(part, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _unwritable(part, f"{where}.{index}")
