"""Embed a prepared dataset, or arrays that are a network's input already, and keep the embeddings in a file.

Axes: N sequences, T frames, D embedding width, P parts.
"""

import contextlib
import inspect
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gaitbench.dataset import GaitDataset
from gaitbench.embed import Autocast, check_embeddings, embed
from gaitbench.embedding_file import StoredEmbeddings, read_npz
from gaitbench.errors import DatasetError, ModelError, UsageError
from gaitbench.model import ClosedFormModel, GaitModel
from gaitbench.progress import track
from gaitbench.registry import Registry, load_registry
from gaitbench.tasks.arrays import table_of_arrays

__all__ = ["embed_arrays", "embed_dataset", "open_model"]

_ABOUT = ("labels", "types", "views", "sequence_ids", "view_deg")
FRAMES_PER_BATCH = 2048
"""Frames embedded together; bounds memory and changes nothing but the last bits."""


def open_model(name: str | None, weights: Path | str | None, registry: Registry | None = None) -> tuple[str, GaitModel]:
    """Find the model to embed with.

    Args:
        name: As registered; None for that of the weights.
        weights: A safetensors file of ``gaitbench convert``, or the folder of a finished run; None only for a model
            that learns nothing.
        registry: Where to look names up; None for what is installed.

    Returns:
        Name and model, in evaluation mode on the CPU.

    Raises:
        UsageError: Weights are needed and missing, or belong to another model.
        RecordError: They cannot be read.
        ModelError: They do not fit the model.
    """
    from gaitbench.cells.run_folder import RunFolder
    from gaitbench.runner import load_trained
    from gaitbench.weights import build_model, load_weights

    registry = registry or load_registry()
    if weights is None:
        if name is None:
            raise UsageError("give --model NAME, --weights FILE, or both")
        model = build_model(name, registry)
        if isinstance(model, ClosedFormModel) or any(True for _ in model.parameters()):
            raise UsageError(
                f"{name} must be trained, and untrained weights say nothing: give --weights with a file of 'gaitbench "
                "convert' or the folder of a finished run"
            )
        return name, model.eval()
    if Path(weights).is_dir():
        model = load_trained(weights)
        folder = RunFolder(Path(weights))
        found = str((folder.read_json(folder.model_info) or {})["model"])
    else:
        found, model = load_weights(weights, registry)
    if name is not None and name != found:
        raise UsageError(f"{weights} holds weights of {found}, not of {name}")
    return found, model


def embed_dataset(
    model: GaitModel,
    dataset: GaitDataset,
    *,
    max_frames: int | None = 720,
    device: torch.device | str = "cpu",
    autocast: Autocast = contextlib.nullcontext,
) -> StoredEmbeddings:
    """Embed every sequence of a dataset that has frames in all modalities that the model reads.

    Args:
        model: It is moved to the device.
        dataset: Holds all modalities that the model reads.
        max_frames: Longer sequences are cut to their first frames; None keeps all.
        device: Where to.
        autocast: Gives a context for mixed precision.

    Raises:
        DatasetError: The dataset does not fit the model.
        ModelError: An embedding is NaN or infinite.
    """
    model.to(device)
    modalities = [spec.modality for spec in model.inputs if not spec.is_for_training]
    dataset = dataset.present(modalities)
    everything = np.arange(len(dataset))
    found = embed(model, dataset, everything, modalities, max_frames=max_frames, device=device, autocast=autocast)
    return StoredEmbeddings(found.embeddings, found.table)


def embed_arrays(
    model: GaitModel,
    path: Path | str,
    *,
    device: torch.device | str = "cpu",
    autocast: Autocast = contextlib.nullcontext,
) -> StoredEmbeddings:
    """Embed the arrays of an ``.npz`` file, taken as the network's input as they are.

    The file has one array besides ``labels``, ``types``, ``views`` ``[N]`` (words that are kept with the embeddings;
    numbers of the rows and ``-`` without them): whatever :meth:`gaitbench.model.GaitModel.embed_raw` of the model
    takes, such as silhouettes ``[N, T, H, W]`` in [0, 1]. Where it takes several arrays, they are named as the model's
    modalities, or stand in their order.

    Args:
        model: It is moved to the device.
        path: The file.
        device: Where to.
        autocast: Gives a context for mixed precision.

    Raises:
        DatasetError: The file cannot be read, or has other arrays than the model takes.
        ShapeError: The input has not the axes that the model takes.
        ModelError: It does not fit the model, or an embedding is NaN or infinite.
    """
    path = Path(path)
    arrays = read_npz(path)
    inputs = {name: array for name, array in arrays.items() if name not in _ABOUT}
    names = _in_order(model, inputs.keys(), path)
    for name in names:
        given = inputs[name]
        if given.dtype.kind not in "fiub" or given.ndim < 2 or 0 in given.shape:
            raise DatasetError(f"{path}: {name} must be numbers [N, T, ...], got {given.dtype} {list(given.shape)}")
    number, length = inputs[names[0]].shape[:2]
    if any(len(inputs[name]) != number for name in names):
        sizes = ", ".join(f"{name} {list(inputs[name].shape)}" for name in names)
        raise DatasetError(f"{path}: all inputs must be of the same sequences, got {sizes}")
    for key in _ABOUT:
        if key in arrays and arrays[key].shape != (number,):
            raise DatasetError(
                f"{path}: {key} {list(arrays[key].shape)} must have one entry for each of the {number} sequences"
            )
    words = [arrays.get(key, np.full(number, "-")) for key in ("types", "views")]
    table = table_of_arrays(
        arrays.get("labels", np.arange(number)),
        *words,
        sequence_ids=arrays.get("sequence_ids"),
        view_deg=arrays.get("view_deg"),
    )
    model.to(device).eval()
    size = max(1, FRAMES_PER_BATCH // length)
    parts = []
    with torch.inference_mode(), autocast(), track(number, "embed") as bar:
        for start in range(0, number, size):
            rows = {name: np.array(inputs[name][start : start + size], dtype=np.float32) for name in names}
            batch = {name: torch.from_numpy(row).to(device) for name, row in rows.items()}
            parts.append(_embedded(model, batch, path).float().cpu())
            bar.advance(len(parts[-1]))
    embeddings = torch.cat(parts).clone()
    check_embeddings(embeddings, table.sequence_id, type(model).__name__)
    return StoredEmbeddings(embeddings, table)


def _in_order(model: GaitModel, names: Collection[str], path: Path) -> list[str]:
    """Names of the arrays in the order in which the model takes them."""
    modalities = [spec.modality for spec in model.inputs if not spec.is_for_training]
    takes = min(len(modalities), len(inspect.signature(model.embed_raw).parameters))
    if len(names) != takes:
        many = "one array" if takes == 1 else f"{takes} arrays"
        raise DatasetError(
            f"{path} must have {many} of network input besides {', '.join(_ABOUT)}; it has {', '.join(names) or 'none'}"
        )
    return modalities if set(modalities) == set(names) else list(names)


def _embedded(model: GaitModel, batch: Mapping[str, Tensor], path: Path) -> Tensor:
    try:
        embedding = model.embed_raw(*batch.values())
    except (RuntimeError, IndexError) as error:
        shapes = " and ".join(f"{name} {list(x.shape)}" for name, x in batch.items())
        raise ModelError(
            f"{type(model).__name__} cannot read {shapes} of {path}: {error}. See what its embed_raw takes"
        ) from error
    if embedding.ndim != 3 or len(embedding) != len(next(iter(batch.values()))):
        raise ModelError(f"{type(model).__name__}.embed_raw must give [N, D, P], got {list(embedding.shape)}")
    return embedding
