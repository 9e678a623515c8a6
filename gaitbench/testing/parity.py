"""Agreement with published code: parameters and inputs filled by a rule, outputs compared.

A vector is a pair of files. ``NAME.json`` lists the entries of the published state dict with the rule that fills each,
the rule of each input, and the parameter count; ``NAME.npz`` holds the outputs that the published code gave for them.

Axes: N sequences, D embedding width, P parts.
"""

import json
import math
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, NonNegativeInt, ValidationError
from torch import Tensor

from gaitbench.errors import DatasetError, ModelError
from gaitbench.layers.published_keys import rename_published
from gaitbench.model import GaitModel, GaitOutput

__all__ = ["ParityVector", "check_parity", "fill_by_rule"]

TOLERANCE = 1e-4
"""Largest absolute difference over largest absolute expected value, in float32."""
DIFFERENCE_TOLERANCE = 1e-2
"""The same for the difference between the first two sequences, as some models hardly look at their input."""

_ARRAYS = ("embeddings", "logits")
_BELOW = re.compile(r"\(?default_rng\(seed\)\.random\(shape\) < ([0-9.]+)\)?")


class _Input(BaseModel, frozen=True):
    name: str
    rule: str
    shape: tuple[NonNegativeInt, ...]
    seed: int


class _Description(BaseModel, frozen=True):
    parameters: NonNegativeInt
    input: tuple[_Input, ...]
    state: tuple[tuple[str, tuple[NonNegativeInt, ...], str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityVector:
    """Numbers of published code, and what they were made from."""

    num_parameters: int
    """Trainable numbers of the published model."""
    inputs: Mapping[str, Tensor]
    """Name to float32 input, as the published network takes it."""
    weights: Mapping[str, Tensor]
    """Published key to value; counters are 0."""
    expected: Mapping[str, NDArray[np.float32]]
    """``embeddings [N, D, P]`` and, where the model has a classifier, ``logits [N, classes, P]``."""

    @classmethod
    def read(cls, path: Path | str) -> "ParityVector":
        """Read ``NAME.json`` with the ``NAME.npz`` beside it.

        Raises:
            DatasetError: A file is missing or damaged, or has a rule that is not known here.
        """
        path = Path(path)
        try:
            described = _Description.model_validate(json.loads(path.read_text(encoding="utf-8")))
            # NumPy leaves a damaged file open, unless it is opened here.
            with path.with_name(f"{path.stem}.npz").open("rb") as file, np.load(file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        except (OSError, ValueError, ValidationError, zipfile.BadZipFile) as error:
            raise DatasetError(f"{path} with its .npz is no parity vector: {error}. Fetch the pair again.") from error
        expected = {name: arrays[name] for name in _ARRAYS if name in arrays}
        if "embeddings" not in expected:
            raise DatasetError(f"{path}: its .npz holds {', '.join(arrays) or 'nothing'}, but no embeddings.")
        return cls(
            num_parameters=described.parameters,
            inputs={given.name: _draw_input(given, path) for given in described.input},
            weights={key: _draw(key, shape, rule, arrays, path) for key, shape, rule in described.state},
            expected=expected,
        )


def fill_by_rule(model: GaitModel, keys: Mapping[str, str], vector: ParityVector) -> None:
    """Give a model the weights of a vector.

    Args:
        model: Any.
        keys: The model's published keys, as for :func:`gaitbench.layers.rename_published`.
        vector: Of the same network.

    Raises:
        ModelError: Keys are unknown or missing, shapes differ, or the number of parameters does.
    """
    name = type(model).__name__
    if (found := sum(weight.numel() for weight in model.parameters())) != vector.num_parameters:
        raise ModelError(f"{name} has {found:,} parameters, the published model {vector.num_parameters:,}.")
    names = rename_published(vector.weights, keys)
    # Whole numbers are counters, or tables that the model works out by itself.
    own = {key: value for key, value in model.state_dict().items() if not value.is_floating_point()}
    state = {names[key]: own.get(names[key], value) for key, value in vector.weights.items()}
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise ModelError(f"{name} cannot take the published weights: {error}") from error


def check_parity(
    model: GaitModel,
    keys: Mapping[str, str],
    vector: ParityVector | Path | str,
    *,
    run: Callable[..., Tensor | GaitOutput] | None = None,
    tolerance: float = TOLERANCE,
) -> dict[str, float]:
    """Compare a model with published code.

    ::

        check_parity(*load_published("my-method"), "vectors/my-method.json")

    Args:
        model: With the published configuration; its weights are replaced, and it is left in evaluation mode.
        keys: The model's published keys, as for :func:`gaitbench.layers.rename_published`.
        vector: The numbers, or the path of their JSON file.
        run: Called with the inputs, gives the output, or the embeddings alone; None for ``model.embed_raw``. Logits
            are those of the output, or of the model's own ``forward`` if it is called on the way.
        tolerance: Largest absolute difference over largest absolute expected value.

    Returns:
        Relative error by array: ``embeddings`` and, where the vector has them, ``logits``.

    Raises:
        ModelError: An array differs, is missing, or differs between the first two sequences in another way.
        DatasetError: The vector cannot be read.
    """
    vector = vector if isinstance(vector, ParityVector) else ParityVector.read(vector)
    name = type(model).__name__
    fill_by_rule(model.eval(), keys, vector)
    found = _outputs(model, run or model.embed_raw, list(vector.inputs.values()))
    errors = {}
    for array, expected in vector.expected.items():
        if array not in found:
            raise ModelError(f"{name} gives no {array} to compare; pass run=... with a function that gives them.")
        if found[array].shape != expected.shape:
            raise ModelError(f"{name}: {array} are {list(found[array].shape)}, published {list(expected.shape)}.")
        errors[array] = _relative(found[array], expected)
        # Written so that NaN does not pass.
        if not errors[array] <= tolerance:
            raise ModelError(f"{name}: {array} differ from the published ones by {errors[array]:.1e} of their size.")
    ours, theirs = found["embeddings"], vector.expected["embeddings"]
    if len(theirs) > 1 and not (error := _relative(ours[0] - ours[1], theirs[0] - theirs[1])) <= DIFFERENCE_TOLERANCE:
        raise ModelError(
            f"{name}: what differs between the first two sequences is off by {error:.1e} of its size; the network sees "
            "its input differently, and the weights hide it."
        )
    return errors


def _outputs(
    model: GaitModel, run: Callable[..., Tensor | GaitOutput], inputs: list[Tensor]
) -> dict[str, NDArray[np.float32]]:
    forwarded: list[GaitOutput] = []

    def note(_module: torch.nn.Module, _inputs: object, output: GaitOutput) -> None:
        forwarded.append(output)

    handle = model.register_forward_hook(note)
    try:
        with torch.inference_mode():
            output = run(*inputs)
    finally:
        handle.remove()
    embedding = output.embedding if isinstance(output, GaitOutput) else output
    last = output if isinstance(output, GaitOutput) else next(reversed(forwarded), None)
    found = {"embeddings": embedding.numpy()}
    if last is not None and last.logits is not None:
        found["logits"] = last.logits.numpy()
    return found


def _relative(found: NDArray[Any], expected: NDArray[Any]) -> float:
    largest = float(np.abs(expected).max(initial=0.0))
    return float(np.abs(found - expected).max(initial=0.0)) / max(largest, 1e-30)


def _draw_input(given: _Input, path: Path) -> Tensor:
    rng = np.random.default_rng(given.seed)
    if given.rule == "default_rng(seed).standard_normal(shape)":
        drawn = rng.standard_normal(given.shape)
    elif below := _BELOW.fullmatch(given.rule):
        drawn = (rng.random(given.shape) < float(below[1])).astype(np.float64)
    else:
        raise DatasetError(f"{path}: input {given.name} has the rule {given.rule!r}, which is not known here.")
    return torch.from_numpy(drawn.astype(np.float32))


def _draw(key: str, shape: tuple[int, ...], rule: str, arrays: Mapping[str, NDArray[Any]], path: Path) -> Tensor:
    """One entry of a published state; each key has a generator of its own, so that order does not matter."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    match rule:
        case "normal/sqrt(prod(shape[1:]))":
            drawn = rng.standard_normal(shape) / math.sqrt(math.prod(shape[1:]))
        case "uniform(0.5,1.5)":
            drawn = rng.uniform(0.5, 1.5, shape)
        case "0.1*normal":
            drawn = 0.1 * rng.standard_normal(shape)
        case "keep":
            return torch.zeros(shape, dtype=torch.int64)
        case "stored":
            if f"stored:{key}" not in arrays:
                raise DatasetError(f"{path}: its .npz has no 'stored:{key}'. Fetch the pair again.")
            drawn = arrays[f"stored:{key}"]
        case _:
            raise DatasetError(f"{path}: {key} has the rule {rule!r}, which is not known here.")
    return torch.from_numpy(np.asarray(drawn, dtype=np.float32))
