"""Weights with the model they belong to: one safetensors file, and published checkpoints on their way into one.

The file's metadata says which model and configuration rebuild it, and where the weights come from.
"""

import json
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gaitbench.checkpoint import apply_weights, load_tensors, save_tensors
from gaitbench.digest import file_digest
from gaitbench.errors import ModelError, RecordError, UsageError
from gaitbench.layers.published_keys import rename_published
from gaitbench.model import GaitModel
from gaitbench.recipe import Preset
from gaitbench.registry import Registry, load_registry
from gaitbench.specs import ModelSpec

__all__ = ["Converted", "build_model", "convert_opengait", "load_weights", "save_weights"]

_FORMAT = "gaitbench-weights-1"
_STATE_NAMES = ("model", "state_dict", "model_state_dict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What became of a checkpoint."""

    path: Path
    """The safetensors file."""
    model: str
    """The model it belongs to."""
    preset: str
    """The preset whose configuration fits the weights; empty when the configuration was given."""
    config: Mapping[str, object]
    """The whole configuration."""
    num_parameters: int
    """Trainable numbers."""
    num_tensors: int
    """Entries of the state."""


def convert_opengait(
    checkpoint: Path | str,
    model: str,
    out: Path | str,
    *,
    config: Mapping[str, object] | None = None,
    registry: Registry | None = None,
) -> Converted:
    """Turn a published checkpoint into weights of ours.

    The number of training subjects is read off the weights. The rest of the configuration is that of the first preset
    that fits all shapes, ``paper`` first, unless ``config`` is given.

    Args:
        checkpoint: A file of ``torch.save``: a state dict, or a dict with one under ``model``; or a safetensors file.
            It is read with ``weights_only=True``: anything but tensors and plain containers is refused.
        model: Name of the model.
        out: The safetensors file to write.
        config: Fields of the model's configuration, on top of its defaults.
        registry: Where to look the model up; None for what is installed.

    Raises:
        UnknownNameError: There is no such model.
        UsageError: The model has no published keys, or ``config`` does not fit.
        RecordError: The checkpoint cannot be read, or holds more than tensors.
        ModelError: Keys are unknown or missing, or shapes fit no configuration; all of them are listed.
        OutputError: The file cannot be written.
    """
    registry = registry or load_registry()
    spec = _model_spec(model, registry)
    if not spec.published_keys:
        raise UsageError(f"no published checkpoints of {spec.name} are known; 'gaitbench list models' shows the others")
    path, out = Path(checkpoint), Path(out)
    if out.suffix != ".safetensors":
        raise UsageError(f"weights are written as safetensors; name the file {out.with_suffix('.safetensors')}")
    published = _read_checkpoint(path)
    patterns = registry.load(spec, "published_keys")
    assert isinstance(patterns, Mapping)
    try:
        names = rename_published(published, patterns)
    except ModelError as error:
        raise ModelError(f"{path} is no checkpoint of {spec.name}: {error}") from error
    weights = {names[key]: value for key, value in published.items()}
    preset, fitting = _fitting_config(spec, registry, weights, config, str(path))
    built = _build(spec, registry, fitting)
    apply_weights(built, weights, str(path))
    save_weights(out, built, spec.name, source={"file": path.name, "sha256": file_digest(path), "format": "opengait"})
    return Converted(
        path=out,
        model=spec.name,
        preset=preset,
        config=fitting.model_dump(mode="json"),
        num_parameters=sum(weight.numel() for weight in built.parameters()),
        num_tensors=len(weights),
    )


def save_weights(path: Path, model: GaitModel, name: str, *, source: Mapping[str, object]) -> None:
    """Write a model in one file.

    Args:
        path: The safetensors file.
        model: Parameters and persistent buffers are written.
        name: As registered.
        source: Where the weights come from, as JSON values.

    Raises:
        OutputError: The file cannot be written.
    """
    about = {"format": _FORMAT, "model": name, "config": model.config.model_dump(mode="json"), "source": dict(source)}
    state = {key: value.detach().cpu().contiguous().clone() for key, value in model.state_dict().items()}
    save_tensors(path, state, {"gaitbench": json.dumps(about, sort_keys=True)})


def load_weights(path: Path | str, registry: Registry | None = None) -> tuple[str, GaitModel]:
    """Rebuild the model of a file that :func:`save_weights` wrote, on the CPU and in evaluation mode.

    Returns:
        The model's name, and the model.

    Raises:
        RecordError: The file cannot be read, or does not say which model it belongs to.
        UnknownNameError: Its model is not installed.
        ModelError: The weights do not fit the model as it is today.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("gaitbench", "{}"))
        name, config = str(about["model"]), dict(about["config"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(
            f"{path} is no file of weights with their model ({type(error).__name__}: {error}); write one with "
            "gaitbench convert, or give the folder of a finished run"
        ) from error
    registry = registry or load_registry()
    spec = _model_spec(name, registry)
    model = _build(spec, registry, _validated(spec, registry, config))
    apply_weights(model, load_tensors(path), str(path))
    return name, model.eval()


def build_model(name: str, registry: Registry | None = None, config: Mapping[str, object] | None = None) -> GaitModel:
    """Make an untrained model by name, always with the same weights.

    Args:
        name: As registered.
        registry: Where to look it up; None for what is installed.
        config: Fields of its configuration, on top of the defaults.

    Raises:
        UnknownNameError: There is no such model.
        UsageError: ``config`` does not fit.
    """
    registry = registry or load_registry()
    spec = _model_spec(name, registry)
    return _build(spec, registry, _validated(spec, registry, config or {}))


def _model_spec(name: str, registry: Registry) -> ModelSpec:
    spec = registry.get("model", name)
    assert isinstance(spec, ModelSpec)
    return spec


def _read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Published key to tensor."""
    if path.suffix == ".safetensors":
        return load_tensors(path)
    try:
        with warnings.catch_warnings():
            # A file of another pickle protocol is refused below, with a better word than torch's.
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            warnings.filterwarnings("ignore", message="'torch.load' received a zip file", category=UserWarning)
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise RecordError(
            f"{path} holds more than tensors and is not read, because unpickling runs the code that a file brings: "
            f"{str(error).splitlines()[0]}. Save its state dict alone: torch.save(model.state_dict(), FILE)"
        ) from error
    except Exception as error:  # torch's reader of old files lets anything through that a damaged one provokes
        raise RecordError(f"{path} cannot be read as a checkpoint ({type(error).__name__}: {error})") from error
    for name in _STATE_NAMES:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
            break
    if not isinstance(content, Mapping) or not content:
        raise RecordError(f"{path} holds a {type(content).__name__} and no state dict; it is no model checkpoint")
    if others := [str(key) for key, value in content.items() if not isinstance(value, Tensor)]:
        raise RecordError(
            f"{path} has {len(others)} entries that are no tensors (first: {', '.join(others[:3])}); it is no "
            "state dict"
        )
    # Weights saved from a model that was wrapped for several devices.
    prefix = "module."
    if all(str(key).startswith(prefix) for key in content):
        return {str(key).removeprefix(prefix): value for key, value in content.items()}
    return {str(key): value for key, value in content.items()}


def _fitting_config(
    spec: ModelSpec, registry: Registry, weights: Mapping[str, Tensor], config: Mapping[str, object] | None, where: str
) -> tuple[str, BaseModel]:
    """Name of a preset and the configuration whose shapes are those of the weights."""
    presets = registry.load(spec, "presets")
    assert isinstance(presets, dict)
    candidates: dict[str, Mapping[str, object]] = {}
    if config is not None:
        candidates[""] = config
    else:
        ordered = sorted(presets, key=lambda name: (name != "paper", not name.startswith("paper"), name))
        for name in ordered:
            preset = presets[name]
            assert isinstance(preset, Preset)
            # The weights know better for how many subjects they were trained.
            candidates[name] = {key: value for key, value in preset.config.items() if key != "num_classes"}
    failures: dict[str, str] = {}
    for name, fields in candidates.items():
        fitted = _with_classes(spec, registry, fields, weights)
        shapes = {key: value.shape for key, value in _build(spec, registry, fitted, "meta").state_dict().items()}
        problems = _misfits(shapes, weights)
        if not problems:
            return name, fitted
        failures[name] = problems
    first = min(failures, key=lambda name: len(failures[name]))
    tried = f" (nearest of {len(failures)} presets: {first})" if config is None else ""
    raise ModelError(
        f"{where} fits no configuration of {spec.name}{tried}: {failures[first]}. Give the configuration that it was "
        "trained with (--set key=value)"
    )


def _with_classes(
    spec: ModelSpec, registry: Registry, fields: Mapping[str, object], weights: Mapping[str, Tensor]
) -> BaseModel:
    """The configuration with the number of classes that the weights have: the size that follows ``num_classes``."""
    config = _validated(spec, registry, fields)
    if "num_classes" not in type(config).model_fields or "num_classes" in fields:
        return config
    few, more = (
        _build(spec, registry, _validated(spec, registry, {**fields, "num_classes": number}), "meta").state_dict()
        for number in (2, 3)
    )
    for key in few:
        for axis, (a, b) in enumerate(zip(few[key].shape, more[key].shape, strict=True)):
            if (a, b) == (2, 3) and key in weights and weights[key].ndim > axis:
                return _validated(spec, registry, {**fields, "num_classes": weights[key].shape[axis]})
    return config


def _misfits(shapes: Mapping[str, torch.Size], weights: Mapping[str, Tensor]) -> str:
    problems = []
    if missing := sorted(shapes.keys() - weights.keys()):
        problems.append(f"{len(missing)} keys are missing: {', '.join(missing)}")
    if unknown := sorted(weights.keys() - shapes.keys()):
        problems.append(f"{len(unknown)} keys are unknown: {', '.join(unknown)}")
    problems += [
        f"{key} is {list(weights[key].shape)} and should be {list(shape)}"
        for key, shape in shapes.items()
        if key in weights and weights[key].shape != shape
    ]
    return "; ".join(problems)


def _validated(spec: ModelSpec, registry: Registry, fields: Mapping[str, object]) -> BaseModel:
    config_class = registry.load(spec, "config")
    assert isinstance(config_class, type)
    assert issubclass(config_class, BaseModel)
    try:
        return config_class.model_validate(dict(fields))
    except ValidationError as error:
        raise UsageError(f"the configuration does not fit {spec.name}: {error}") from error


def _build(spec: ModelSpec, registry: Registry, config: BaseModel, device: str = "cpu") -> GaitModel:
    cls: Any = registry.load(spec)
    with torch.random.fork_rng(devices=[]), torch.device(device):
        torch.manual_seed(0)
        model = cls(config)
    assert isinstance(model, GaitModel)
    return model
