"""The contract of a whole plugin: it loads, and what it registers can be imported and built."""

import json
import subprocess
import sys
from typing import Any

import torch
from pydantic import BaseModel, ValidationError

from gaitbench.dataset import BuilderOptions, DatasetBuilder
from gaitbench.errors import PluginError
from gaitbench.model import GaitModel
from gaitbench.protocol import Protocol
from gaitbench.quarantine import PluginInfo, describe, normalised
from gaitbench.registry import Registry, load_registry
from gaitbench.specs import DatasetSpec, MetricSpec, ModalitySpec, ModelSpec, ProtocolSpec, Spec, TaskSpec
from gaitbench.tasks import Task
from gaitbench.testing.metrics import check_metric
from gaitbench.testing.modalities import check_modality
from gaitbench.testing.presets import load_presets
from gaitbench.testing.tasks import check_task

__all__ = ["check_plugin"]

HEAVY = ("numpy", "pandas", "pyarrow", "pydantic", "scipy", "torch")
"""What a plugin's module must not import: every ``gaitbench list`` would wait for it."""

_IMPORT = """
import importlib, json, sys
path, module, heavy = json.loads(sys.argv[1])
sys.path[:] = path
before = set(sys.modules)
importlib.import_module(module)
print(json.dumps([name for name in heavy if name in sys.modules and name not in before]))
"""


def check_plugin(distribution: str, *, registry: Registry | None = None) -> PluginInfo:
    """Try everything that an installed plugin registers.

    Checked: it loads without an error and imports nothing heavy (:data:`HEAVY`) for it; every target can be imported
    and is what its kind asks for; presets are valid, survive JSON, and build models whose inputs are those of the spec;
    protocols and datasets name each other; metrics, modalities and tasks pass their own check. Models and datasets have
    :func:`gaitbench.testing.check_model`, :func:`gaitbench.testing.check_recipe` and
    :func:`gaitbench.testing.check_dataset`, which need an instance.

    Args:
        distribution: The package, such as ``gaitbench-sample``.
        registry: Where it is registered; None for that of this process.

    Returns:
        What is known of the plugin.

    Raises:
        PluginError: What is wrong, and what to do.
    """
    registry = registry or load_registry()
    plugins = [plugin for plugin in registry.plugins() if normalised(plugin.distribution) == normalised(distribution)]
    if not plugins:
        installed = ", ".join(plugin.distribution for plugin in registry.plugins())
        raise PluginError(
            f"no plugin of {distribution} is installed (there are {installed}); is it installed in this environment, "
            "and does its pyproject.toml have an entry point of group 'gaitbench'?"
        )
    for plugin in plugins:
        if plugin.error:
            raise PluginError(f"{describe(plugin)} failed ({plugin.stage}): {plugin.error} {plugin.hint}")
        if not plugin.components:
            raise PluginError(f"{describe(plugin)} registers nothing; call registry.add in gaitbench_register.")
        for kind, name in plugin.components:
            _check_component(registry, registry.get(kind, name))
        _check_imports(plugin)
    return plugins[0]


def _check_component(registry: Registry, spec: Spec) -> None:
    if isinstance(spec, ModalitySpec):
        check_modality(spec.modality)
    elif isinstance(spec, ModelSpec):
        _check_model_spec(registry, spec)
    elif isinstance(spec, DatasetSpec):
        _need_class(registry, spec, "target", DatasetBuilder)
        _need_class(registry, spec, "options", BuilderOptions)
        for name in spec.protocols:
            found = registry.get("protocol", name)
            if getattr(found, "dataset", None) != spec.name:
                raise PluginError(f"dataset {spec.name!r} names protocol {name!r}, which belongs to another dataset.")
        for name in spec.modalities:
            registry.get("modality", name)
    elif isinstance(spec, ProtocolSpec):
        protocol = registry.load(spec)
        if not isinstance(protocol, Protocol) or (protocol.name, protocol.dataset) != (spec.name, spec.dataset):
            raise PluginError(
                f"protocol {spec.name!r}: {spec.target} must be a Protocol of that name for dataset {spec.dataset!r}."
            )
        registry.get("dataset", spec.dataset)
    elif isinstance(spec, MetricSpec):
        metric = registry.load(spec)
        if not callable(metric):
            raise PluginError(f"metric {spec.name!r}: {spec.target} is no function.")
        if spec.unit == "probe":
            check_metric(metric, higher_is_better=spec.higher_is_better)
    elif isinstance(spec, TaskSpec):
        check_task(_need_class(registry, spec, "target", Task)())


def _check_model_spec(registry: Registry, spec: ModelSpec) -> None:
    model: type[GaitModel] = _need_class(registry, spec, "target", GaitModel)
    config: type[BaseModel] = _need_class(registry, spec, "config", BaseModel)
    presets = load_presets(spec.name, registry=registry)
    if "quick" not in presets:
        raise PluginError(f"model {spec.name!r} has no preset 'quick', which is what a run takes by default.")
    for name in (*spec.inputs, *spec.tasks):
        registry.get("modality" if name in spec.inputs else "task", name)
    for name, preset in presets.items():
        where = f"model {spec.name!r}, preset {name!r}"
        try:
            stated = config(**preset.config)
            stored = config.model_validate_json(stated.model_dump_json())
        except ValidationError as error:
            raise PluginError(f"{where}: its config is not valid, or does not survive JSON: {error}") from error
        if stored != stated:
            raise PluginError(f"{where}: its config changes when it is stored as JSON: {stated!r} became {stored!r}.")
        inputs = tuple(each.modality for each in _build(model, stated).inputs)
        if not set(inputs) <= set(spec.inputs):
            raise PluginError(f"{where} reads {', '.join(inputs)}, its spec says {', '.join(spec.inputs)}.")


def _build(model: type[GaitModel], config: BaseModel) -> GaitModel:
    """Without memory for its weights, since those of a published size take seconds to draw."""
    try:
        with torch.device("meta"):
            return model(config)
    except (RuntimeError, TypeError):  # a constructor that computes with its weights needs real ones
        return model(config)


def _check_imports(plugin: PluginInfo) -> None:
    module = plugin.target.partition(":")[0]
    asked = json.dumps([sys.path, module, HEAVY])
    command = [sys.executable, "-c", _IMPORT, asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise PluginError(f"{describe(plugin)}: {module} cannot be imported in a fresh process: {reason}")
    if heavy := json.loads(done.stdout.splitlines()[-1]):
        raise PluginError(
            f"{describe(plugin)}: importing {module} imports {', '.join(heavy)}, and every listing waits for it. Name "
            "code by 'package.module:attribute' in the specs, and import it nowhere else in this module."
        )


def _need_class(registry: Registry, spec: Spec, field: str, base: type) -> type[Any]:
    found = registry.load(spec, field)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PluginError(f"{spec.kind} {spec.name!r}: {getattr(spec, field)} must be a class of {base.__name__}.")
    return found
