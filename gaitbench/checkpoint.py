"""Weights and training state on disk: tensors as safetensors, everything else as JSON, never a pickle.

::

    FOLDER/
      SS-NNNNNNNN.safetensors   tensors after N steps of stage S: weights, buffers, optimizer state
      SS-NNNNNNNN.json          the rest, with the sha256 of the tensors and of itself

The JSON file is written last, so a checkpoint without one does not exist. The newest two are kept: if the newest is
damaged, the one before it is used.
"""

import contextlib
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import BaseModel, NonNegativeInt, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gaitbench import atomic
from gaitbench.digest import file_digest, json_digest
from gaitbench.errors import ModelError, OutputError, RecordError, TrainingError
from gaitbench.model import GaitModel

__all__ = [
    "TrainingState",
    "apply_weights",
    "latest_checkpoint",
    "load_model",
    "load_tensors",
    "optimizer_state",
    "restore_optimizer",
    "save_checkpoint",
    "save_model",
    "save_tensors",
    "weights_of",
]

_log = logging.getLogger("gaitbench")
_NAME = re.compile(r"(\d{2,})-(\d{8,})\.json")
NUM_KEPT = 2
"""Checkpoints kept: the last good one and the one before."""


class TrainingState(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Where training stands, apart from tensors. No generator's state: each step seeds its own."""

    identity: str
    """Hash of model, recipe and seed; a checkpoint of another training is refused."""
    stage: NonNegativeInt
    """Stage of the recipe, from 0."""
    step: NonNegativeInt
    """Steps done in that stage."""
    num_steps: NonNegativeInt
    """Steps done in all stages."""
    seconds: float
    """Time spent training so far."""
    recent: tuple[dict[str, float], ...] = ()
    """Losses of the last steps, oldest first."""
    optimizer: dict[str, dict[str, float | int | bool | None]] = {}
    """Numbers of the optimizer's state that are no tensors, by parameter."""
    scaler: dict[str, float | int] = {}
    """State of the gradient scaler of float16 training."""


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Copy a model's parameters and persistent buffers to the CPU, each with memory of its own."""
    return {name: _own(tensor) for name, tensor in model.state_dict().items()}


def _own(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def apply_weights(model: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Copy weights into a model.

    Args:
        model: Its names and shapes must be exactly those of the weights.
        weights: Name to tensor.
        where: Where they come from, for the message.

    Raises:
        ModelError: Names are missing or unexpected, or shapes differ; all of them are listed.
    """
    if isinstance(model, GaitModel):
        model.take_form_of(weights)
    expected = model.state_dict()
    problems = []
    if missing := sorted(expected.keys() - weights.keys()):
        problems.append(f"missing: {_listed(missing)}")
    if unexpected := sorted(weights.keys() - expected.keys()):
        problems.append(f"unexpected: {_listed(unexpected)}")
    problems.extend(
        f"{name} is {list(weights[name].shape)}, the model has {list(expected[name].shape)}"
        for name in sorted(expected.keys() & weights.keys())
        if expected[name].shape != weights[name].shape
    )
    if problems:
        raise ModelError(
            f"the weights in {where} do not fit {type(model).__name__}. {'; '.join(problems)}. "
            "Build the model with the configuration that the weights were trained with."
        )
    model.load_state_dict(dict(weights))


def _listed(names: list[str], limit: int = 20) -> str:
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> str:
    """Write a safetensors file atomically.

    Returns:
        Its sha256.

    Raises:
        OutputError: The file cannot be written.
    """
    with atomic.atomic_path(path) as temporary:
        # safetensors makes private files; others may read results, as far as the umask lets them.
        temporary.touch()
        mode = temporary.stat().st_mode
        try:
            save_file(dict(tensors), temporary, metadata=dict(metadata or {}))
            temporary.chmod(mode)
        except SafetensorError as error:
            raise OutputError(
                f"cannot write {path}: {error}. Free some space or choose another folder, then run the same command "
                "again; finished work is kept."
            ) from error
        return file_digest(temporary)


def load_tensors(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Read a safetensors file to the CPU.

    Args:
        path: The file.
        sha256: What its bytes must hash to; None skips the comparison.

    Raises:
        RecordError: The file is missing, truncated, or not the one that was hashed.
    """
    try:
        if sha256 is not None and (found := file_digest(path)) != sha256:
            raise RecordError(f"{path} is damaged or altered: its sha256 is {found[:12]}..., not {sha256[:12]}...")
        return load_file(path, device="cpu")
    except (OSError, SafetensorError) as error:
        raise RecordError(f"cannot read {path}: {error}. Delete it to have it made again.") from error


def optimizer_state(
    optimizer: torch.optim.Optimizer,
) -> tuple[dict[str, Tensor], dict[str, dict[str, float | int | bool | None]]]:
    """Take an optimizer's state apart into tensors, named ``index/key``, and plain numbers by index."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, dict[str, float | int | bool | None]] = {}
    for index, entries in optimizer.state_dict()["state"].items():
        for key, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{index}/{key}"] = _own(value)
            else:
                numbers.setdefault(str(index), {})[key] = value
    return tensors, numbers


def restore_optimizer(
    optimizer: torch.optim.Optimizer,
    tensors: Mapping[str, Tensor],
    numbers: Mapping[str, Mapping[str, float | int | bool | None]],
) -> None:
    """Put back what :func:`optimizer_state` took apart, into an optimizer built from the same recipe."""
    state: dict[int, dict[str, object]] = {int(index): dict(entries) for index, entries in numbers.items()}
    for name, tensor in tensors.items():
        index, key = name.split("/", 1)
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    # The memory layout of the parameter, because the order of summation may follow the layout.
    for parameter, entries in optimizer.state.items():
        for key, value in entries.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.ndim > 0:
                entries[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def save_checkpoint(folder: Path, state: TrainingState, tensors: Mapping[str, Tensor]) -> None:
    """Write a checkpoint and drop all but the newest two.

    Raises:
        OutputError: The folder cannot be written; the checkpoints in it are untouched.
    """
    stem = folder / f"{state.stage:02d}-{state.step:08d}"
    sha256 = save_tensors(stem.with_suffix(".safetensors"), tensors)
    body = {"state": state.model_dump(mode="json"), "sha256": sha256}
    atomic.write_json(stem.with_suffix(".json"), {**body, "self": json_digest(body)})
    for path in _newest_first(folder)[NUM_KEPT:]:
        # Nobody looks for tensors without their JSON file, so it goes first.
        path.unlink(missing_ok=True)
        path.with_suffix(".safetensors").unlink(missing_ok=True)


def latest_checkpoint(folder: Path, identity: str) -> tuple[TrainingState, dict[str, Tensor]] | None:
    """Read the newest checkpoint that is whole.

    A damaged one is named in a warning and passed over.

    Args:
        folder: May be missing or empty.
        identity: Hash of model, recipe and seed.

    Returns:
        The state and the tensors; None when there is nothing to go on from.

    Raises:
        TrainingError: The checkpoint belongs to another training.
    """
    for path in _newest_first(folder):
        try:
            state, sha256 = _read_state(path)
            if state.identity != identity:
                raise TrainingError(
                    f"{path} is a checkpoint of another training (model, recipe or seed differ). Use another folder, "
                    f"or delete {folder} to start afresh."
                )
            return state, load_tensors(path.with_suffix(".safetensors"), sha256)
        except RecordError as error:
            _log.warning("checkpoint passed over: %s", error)
    return None


def _newest_first(folder: Path) -> list[Path]:
    found = [(match, path) for path in folder.glob("*.json") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found, key=lambda item: (int(item[0][1]), int(item[0][2])), reverse=True)]


def _read_state(path: Path) -> tuple[TrainingState, str]:
    try:
        content = json.loads(path.read_bytes())
        body = {key: content[key] for key in ("state", "sha256")}
        if json_digest(body) != content["self"]:
            raise RecordError(f"{path} is damaged or altered: it does not hash to what it says")
        return TrainingState.model_validate(content["state"]), str(content["sha256"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise RecordError(f"{path} is no checkpoint: {error}") from error


def save_model(folder: Path, model: nn.Module, about: Mapping[str, object]) -> None:
    """Write ``model.safetensors`` and ``model.json``.

    Args:
        folder: Must exist.
        model: Weights and persistent buffers are written.
        about: What rebuilds the model and how it was trained, as JSON values.

    Raises:
        OutputError: The folder cannot be written.
    """
    with contextlib.suppress(FileNotFoundError):
        (folder / "model.json").unlink()
    sha256 = save_tensors(folder / "model.safetensors", weights_of(model))
    atomic.write_json(folder / "model.json", {"sha256": sha256, **about})


def load_model(folder: Path, model: nn.Module) -> None:
    """Read the weights that :func:`save_model` wrote.

    Raises:
        RecordError: A file is missing or damaged.
        ModelError: The weights do not fit the model.
    """
    path = folder / "model.json"
    try:
        sha256 = str(json.loads(path.read_bytes())["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"cannot read {path}: {error}. Run the cell again to have it made.") from error
    weights = folder / "model.safetensors"
    apply_weights(model, load_tensors(weights, sha256), str(weights))
