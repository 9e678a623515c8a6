"""The contract of a whole plugin: it loads, and what it registers can be imported and built."""

from collections.abc import Mapping

from pydantic import BaseModel

from gaitbench.dataset import BuilderOptions, DatasetBuilder
from gaitbench.errors import PluginError
from gaitbench.model import GaitModel
from gaitbench.protocol import Protocol
from gaitbench.quarantine import PluginInfo, describe, normalised
from gaitbench.recipe import Preset
from gaitbench.registry import Registry, load_registry
from gaitbench.specs import DatasetSpec, MetricSpec, ModalitySpec, ModelSpec, ProtocolSpec, Spec, TaskSpec
from gaitbench.tasks import Task
from gaitbench.testing.metrics import check_metric
from gaitbench.testing.modalities import check_modality
from gaitbench.testing.tasks import check_task

__all__ = ["check_plugin"]


def check_plugin(distribution: str, *, registry: Registry | None = None) -> PluginInfo:
    """Try everything that an installed plugin registers.

    Checked: it loads without an error; every target can be imported and is what its kind asks for; presets are valid
    and build models whose inputs are those of the spec; protocols and datasets name each other; metrics, modalities
    and tasks pass their own check. Models and datasets have :func:`gaitbench.testing.check_model` and
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
    model = _need_class(registry, spec, "target", GaitModel)
    config = _need_class(registry, spec, "config", BaseModel)
    presets = registry.load(spec, "presets")
    if not isinstance(presets, Mapping) or not all(isinstance(preset, Preset) for preset in presets.values()):
        raise PluginError(f"model {spec.name!r}: {spec.presets} must be a dict of name to gaitbench.recipe.Preset.")
    if "quick" not in presets:
        raise PluginError(f"model {spec.name!r} has no preset 'quick', which is what a run takes by default.")
    for name in (*spec.inputs, *spec.tasks):
        registry.get("modality" if name in spec.inputs else "task", name)
    for name, preset in presets.items():
        built = model(config(**preset.config))
        inputs = tuple(each.modality for each in built.inputs)
        if not set(inputs) <= set(spec.inputs):
            raise PluginError(
                f"model {spec.name!r}, preset {name!r} reads {', '.join(inputs)}, its spec says "
                f"{', '.join(spec.inputs)}."
            )


def _need_class(registry: Registry, spec: Spec, field: str, base: type) -> type:
    found = registry.load(spec, field)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PluginError(f"{spec.kind} {spec.name!r}: {getattr(spec, field)} must be a class of {base.__name__}.")
    return found
