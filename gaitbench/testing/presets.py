"""Models as their presets say, at the size of a test."""

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import BaseModel

from gaitbench.cells.cell import choose_preset
from gaitbench.errors import PluginError
from gaitbench.model import GaitModel
from gaitbench.recipe import Preset, Recipe
from gaitbench.registry import Registry, load_registry
from gaitbench.specs import ModelSpec
from gaitbench.weights import build_model

__all__ = ["LoadedPreset", "LoadedPublished", "load_preset", "load_presets", "load_published"]


class LoadedPreset(NamedTuple):
    """A model and how it is trained."""

    model: GaitModel
    """Untrained, in training mode, always with the same weights."""
    recipe: Recipe
    """That of the preset, as it is."""


class LoadedPublished(NamedTuple):
    """A model as it was published, and how its published checkpoints call its weights."""

    model: GaitModel
    """Untrained, with the defaults of its config."""
    keys: Mapping[str, str]
    """For :func:`gaitbench.layers.rename_published`."""


def load_presets(model: str, *, registry: Registry | None = None) -> Mapping[str, Preset]:
    """Give the presets of a model by name, to run a test for each.

    Args:
        model: As registered.
        registry: Where to look it up; None for what is installed.

    Raises:
        UnknownNameError: There is no such model.
        PluginError: Its presets cannot be imported, or are no dict of presets.
    """
    registry = registry or load_registry()
    spec = _spec(model, registry)
    presets = registry.load(spec, "presets")
    if not isinstance(presets, Mapping) or not all(isinstance(preset, Preset) for preset in presets.values()):
        raise PluginError(f"model {spec.name!r}: {spec.presets} must be a dict of name to gaitbench.recipe.Preset.")
    return presets


def load_preset(
    model: str,
    preset: str = "quick",
    *,
    config: Mapping[str, object] | None = None,
    num_classes: int | None = None,
    registry: Registry | None = None,
) -> LoadedPreset:
    """Build a model as a preset says, in small where the test says so.

    ::

        check_recipe(*load_preset("my-method", "paper", config={"channels": (4, 8)}, num_classes=3))

    Args:
        model: As registered.
        preset: Its whole name, such as ``paper@casia-b``.
        config: Fields that differ from the preset's.
        num_classes: Training subjects, which a config with such a field is told, as in a run; None for the preset's.
        registry: Where to look the model up; None for what is installed.

    Raises:
        UnknownNameError: There is no such model or preset; the message has the nearest name.
        UsageError: The config does not fit the model.
        PluginError: The presets cannot be imported.
    """
    registry = registry or load_registry()
    found = choose_preset(model, load_presets(model, registry=registry), preset, "", "")
    fields = {**found.config, **(config or {})}
    config_class = registry.load(_spec(model, registry), "config")
    assert isinstance(config_class, type)
    assert issubclass(config_class, BaseModel)
    if num_classes is not None and "num_classes" in config_class.model_fields:
        fields["num_classes"] = num_classes
    return LoadedPreset(build_model(model, registry, fields).train(), found.recipe)


def load_published(
    model: str, *, config: Mapping[str, object] | None = None, registry: Registry | None = None
) -> LoadedPublished:
    """Build a model with the keys of its published checkpoints, to compare it with published code.

    Args:
        model: As registered.
        config: Fields that differ from the defaults.
        registry: Where to look it up; None for what is installed.

    Raises:
        UnknownNameError: There is no such model.
        UsageError: The config does not fit the model.
        PluginError: The model names no published keys, or they cannot be imported.
    """
    registry = registry or load_registry()
    spec = _spec(model, registry)
    if not spec.published_keys:
        raise PluginError(f"model {spec.name!r} names no published keys; set published_keys in its spec.")
    keys = registry.load(spec, "published_keys")
    if not isinstance(keys, Mapping):
        raise PluginError(f"model {spec.name!r}: {spec.published_keys} must be a dict of published keys to ours.")
    return LoadedPublished(build_model(model, registry, config), keys)


def _spec(model: str, registry: Registry) -> ModelSpec:
    spec = registry.get("model", model)
    assert isinstance(spec, ModelSpec)
    return spec
