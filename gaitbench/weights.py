"""Weights with the model they belong to: one safetensors file, and published checkpoints on their way into one.

The file's metadata says which model and configuration rebuild it, and where the weights come from.
"""

import json
import pickle
import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from gaitbench.checkpoint import apply_weights, load_tensors, save_tensors
from gaitbench.digest import file_digest
from gaitbench.errors import ModelError, RecordError, UsageError
from gaitbench.layers.published_keys import published_name, rename_published
from gaitbench.model import GaitModel
from gaitbench.recipe import Preset
from gaitbench.registry import Registry, load_registry
from gaitbench.specs import ModelSpec
from gaitbench.towers.left_out import weights_left_out

__all__ = ["Converted", "build_model", "convert_opengait", "load_weights", "read_checkpoint", "save_weights"]

_FORMAT = "gaitbench-weights-1"
_STATE_NAMES = ("model", "state_dict", "model_state_dict")
_MAX_NESTING = 3
_WRAPPERS = ("module.", "_orig_mod.")
"""What names begin with when the saved model was wrapped for several devices, or compiled."""
_TRAINING_FIELDS = ("augment", "margin", "label_smoothing", "logit_scale", "triplets", "dropout", "num_classes")
"""Fields of configurations that change no embedding."""


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
    alternatives: Mapping[str, tuple[str, ...]]
    """Other presets whose shapes fit as well, with the fields in which they differ; ``config`` decides between them."""


def convert_opengait(
    checkpoint: Path | str,
    model: str,
    out: Path | str,
    *,
    config: Mapping[str, object] | None = None,
    registry: Registry | None = None,
) -> Converted:
    """Turn a published checkpoint into weights of ours.

    The number of training subjects is read off the weights. The rest of the configuration is that of a preset that fits
    all shapes, unless ``config`` is given: where several do, of one for that number of subjects, then of one that
    sets the fewest fields, ``paper`` first. Whole numbers are not learned: counters may be missing, and tables, such as
    of window places, are the model's own.

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
        ModelError: Keys are unknown or missing, shapes fit no configuration, or entries are no finite fractions; all
            of them are listed under their published names.
        OutputError: The file cannot be written.
    """
    registry = registry or load_registry()
    spec = _model_spec(model, registry)
    if not spec.published_keys:
        raise UsageError(f"no published checkpoints of {spec.name} are known; 'gaitbench list models' shows the others")
    path, out = Path(checkpoint), Path(out)
    if out.suffix != ".safetensors":
        raise UsageError(f"weights are written as safetensors; name the file {out.with_suffix('.safetensors')}")
    published = read_checkpoint(path)
    patterns = registry.load(spec, "published_keys")
    assert isinstance(patterns, Mapping)
    unknown = [key for key in published if not any(re.fullmatch(pattern, key) for pattern in patterns)]
    try:
        # Where nothing has a place, what is missing says no more; else both are listed.
        has_place = len(unknown) < len(published)
        names = rename_published([key for key in published if not has_place or key not in unknown], patterns)
    except ModelError as error:
        raise ModelError(f"{path} is no checkpoint of {spec.name}: {error}") from error
    _check_numbers(published, names, str(path))
    weights = {names[key]: published[key] for key in names}
    preset, fitting, alternatives = _fitting_config(spec, registry, weights, config, str(path), names, unknown)
    built = _build(spec, registry, fitting)
    own = {key: value for key, value in built.state_dict().items() if not value.is_floating_point()}
    tables = {key: value for key, value in own.items() if value.ndim}
    apply_weights(built, own | weights | tables, str(path))
    save_weights(out, built, spec.name, source={"file": path.name, "sha256": file_digest(path), "format": "opengait"})
    return Converted(
        path=out,
        model=spec.name,
        preset=preset,
        config=fitting.model_dump(mode="json"),
        num_parameters=sum(weight.numel() for weight in built.parameters()),
        num_tensors=len(weights),
        alternatives=alternatives,
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
    with weights_left_out():
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


def read_checkpoint(path: Path, *, numbers: Collection[str] = ()) -> dict[str, Tensor]:
    """Read somebody's checkpoint to the CPU: safetensors, or a state dict of ``torch.save``, bare or among others.

    Args:
        path: The file; it is read with ``weights_only=True``.
        numbers: Keys that may hold plain numbers, which become tensors.

    Returns:
        Published key to tensor.

    Raises:
        RecordError: It cannot be read, holds more than tensors, or is no state dict.
    """
    if path.suffix == ".safetensors":
        try:
            tensors: dict[str, Tensor] = load_file(path, device="cpu")
            return tensors
        except (OSError, SafetensorError) as error:
            raise RecordError(f"{path} cannot be read as a checkpoint ({error})") from error
    try:
        with warnings.catch_warnings():
            # A file of another pickle protocol is refused below, with a better word than torch's.
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            warnings.filterwarnings("ignore", message="'torch.load' received a zip file", category=UserWarning)
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        raise RecordError(
            f"{path} holds more than tensors{f', {named[1]}' if named else ''}, or is damaged. It is not read, because "
            "unpickling runs the code that a file brings. Save its state dict alone: "
            "torch.save(model.state_dict(), FILE)"
        ) from error
    except Exception as error:  # torch's reader of old files lets anything through that a damaged one provokes
        raise RecordError(f"{path} cannot be read as a checkpoint ({type(error).__name__}: {error})") from error
    for _ in range(_MAX_NESTING):
        name = next((name for name in _STATE_NAMES if isinstance(content, Mapping) and name in content), None)
        if name is not None and isinstance(content[name], Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not content:
        raise RecordError(f"{path} holds a {type(content).__name__} and no state dict; it is no model checkpoint")
    state: dict[str, Tensor] = {
        str(key): torch.tensor(value) if key in numbers and isinstance(value, int | float) else value
        for key, value in content.items()
    }
    if others := [key for key, value in state.items() if not isinstance(value, Tensor)]:
        raise RecordError(
            f"{path} has {len(others)} entries that are no tensors (first: {', '.join(others[:3])}); it is no "
            "state dict"
        )
    while prefix := next((prefix for prefix in _WRAPPERS if all(key.startswith(prefix) for key in state)), ""):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _model_spec(name: str, registry: Registry) -> ModelSpec:
    spec = registry.get("model", name)
    assert isinstance(spec, ModelSpec)
    return spec


def _fitting_config(
    spec: ModelSpec,
    registry: Registry,
    weights: Mapping[str, Tensor],
    config: Mapping[str, object] | None,
    where: str,
    names: Mapping[str, str],
    unknown: Collection[str],
) -> tuple[str, BaseModel, dict[str, tuple[str, ...]]]:
    """Name of a preset, the configuration whose shapes are those of the weights, and other presets that fit."""
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
    fitting: dict[str, BaseModel] = {}
    patterns = registry.load(spec, "published_keys")
    assert isinstance(patterns, Mapping)
    for name, fields in candidates.items():
        fitted = _with_classes(spec, registry, fields, weights)
        problems = _misfits(_build(spec, registry, fitted, "meta").state_dict(), weights, names, patterns)
        if unknown:
            problems = f"{len(unknown)} published keys have no place in this model: {', '.join(unknown)}; {problems}"
        if problems:
            failures[name] = problems
        else:
            fitting[name] = fitted
    if fitting:
        chosen = min(fitting, key=lambda name: _unlikely(fitting[name], presets.get(name)))
        others = {name: _differences(fitting[chosen], other) for name, other in fitting.items()}
        return chosen, fitting[chosen], {name: fields for name, fields in others.items() if fields}
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


def _unlikely(config: BaseModel, preset: Preset | None) -> tuple[bool, int]:
    """Sorts the preset first whose number of subjects is that of the weights, then the one that sets the least."""
    given = {} if preset is None else preset.config
    expected = given.get("num_classes", getattr(type(config)(), "num_classes", None))
    return expected != getattr(config, "num_classes", None), len(given.keys() - {"num_classes"})


def _differences(one: BaseModel, other: BaseModel) -> tuple[str, ...]:
    """Fields in which two configurations differ, but for what only training reads."""
    fields = type(one).model_fields
    return tuple(name for name in fields if name not in _TRAINING_FIELDS and getattr(one, name) != getattr(other, name))


def _check_numbers(published: Mapping[str, Tensor], names: Mapping[str, str], where: str) -> None:
    """Stop at weights that would be taken for others, such as whole numbers, or that embed nothing."""
    problems = []
    for key in names:
        value = published[key]
        if value.layout is not torch.strided or value.is_complex() or value.is_quantized:
            problems.append(f"{key} holds {value.dtype} ({value.layout})")
        elif value.is_floating_point() and not bool(value.isfinite().all()):
            problems.append(f"{key} holds NaN or infinity")
    if problems:
        raise ModelError(f"{where} holds what is no weight: {'; '.join(problems)}. Fetch it again")


def _misfits(
    expected: Mapping[str, Tensor], weights: Mapping[str, Tensor], names: Mapping[str, str], patterns: Mapping[str, str]
) -> str:
    """What is missing, unknown, or of another shape or kind, under published names; empty when all fits."""
    problems = []
    published = {ours: key for key, ours in names.items()}
    if missing := sorted(
        published_name(key, patterns, names)
        for key, value in expected.items()
        if key not in weights and value.is_floating_point()
    ):
        problems.append(f"{len(missing)} keys are missing: {', '.join(missing)}")
    if unknown := sorted(published[key] for key in weights.keys() - expected.keys()):
        problems.append(f"{len(unknown)} keys are unknown: {', '.join(unknown)}")
    for key in expected.keys() & weights.keys():
        found, wanted = weights[key], expected[key]
        if found.shape != wanted.shape:
            problems.append(f"{published[key]} is {list(found.shape)} and should be {list(wanted.shape)}")
        elif wanted.is_floating_point() and not found.is_floating_point():
            problems.append(f"{published[key]} holds {found.dtype} and should hold fractions")
    return "; ".join(sorted(problems))


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
