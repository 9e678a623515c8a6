"""What a record says of its data and its model."""

import json
from collections.abc import Collection, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
from pydantic import BaseModel

from gaitbench.cells.cell import ResolvedCell
from gaitbench.cells.people import People
from gaitbench.dataset import GaitDataset
from gaitbench.protocol import Division, Protocol
from gaitbench.results import AppendedAttributes, DataProvenance, ModelProvenance, TrainedOn

__all__ = ["changes_of", "data_provenance", "model_provenance", "training_provenance"]


def data_provenance(
    dataset: GaitDataset,
    protocol: Protocol,
    division: Division,
    modalities: tuple[str, ...],
    trained_on: TrainedOn | None = None,
    *,
    tested: Collection[str],
) -> DataProvenance:
    """Say what was trained and tested on.

    Args:
        dataset: The prepared dataset.
        protocol: How it was divided.
        division: Its rows by their part.
        modalities: Streams that the model read.
        trained_on: The training data, where they are others.
        tested: Those of the streams that it read of test sequences.
    """
    card, table = dataset.card, dataset.table
    return DataProvenance(
        name=card.name,
        version=card.version,
        fingerprint=dataset.fingerprint(modalities),
        modalities=modalities,
        options=card.options,
        protocol=protocol.model_dump(mode="json"),
        num_train_subjects=len(np.unique(table.subject_id[division.train])),
        num_train_sequences=len(division.train),
        num_test_subjects=len(np.unique(table.subject_id[division.test])),
        num_probes=len(np.unique(np.concatenate(list(division.probes.values())))),
        num_gallery=len(division.searched),
        repository=card.repository,
        trained_on=trained_on,
        **_read_in_test(dataset, modalities, tested),
    )


def _read_in_test(dataset: GaitDataset, modalities: tuple[str, ...], tested: Collection[str]) -> dict[str, Any]:
    """Tell streams that were read in training alone, and what the others hash to."""
    training_only = tuple(name for name in modalities if name not in tested)
    if not training_only:
        return {}
    seen = tuple(name for name in modalities if name in tested)
    return {"training_only": training_only, "test_fingerprint": dataset.fingerprint(seen)}


def training_provenance(
    dataset: GaitDataset,
    chosen: GaitDataset,
    protocol: Protocol,
    modalities: tuple[str, ...],
    people: People,
    *,
    tested: Collection[str],
) -> TrainedOn:
    """Say what was trained on, where the test is of other data.

    Args:
        dataset: The prepared dataset of the training.
        chosen: The sequences of it that were trained on.
        protocol: Which chose them.
        modalities: Streams that the model read.
        people: Whether they are those of the test.
        tested: Those of the streams that it read of test sequences.
    """
    card = dataset.card
    return TrainedOn(
        name=card.name,
        version=card.version,
        fingerprint=dataset.fingerprint(modalities),
        modalities=modalities,
        options=card.options,
        protocol=protocol.name,
        protocol_version=protocol.version,
        train=protocol.train.model_dump(mode="json"),
        num_subjects=len(np.unique(chosen.table.subject_id)),
        num_sequences=len(chosen),
        people=people,
        repository=card.repository,
        **_read_in_test(dataset, modalities, tested),
    )


def model_provenance(
    resolved: ResolvedCell,
    config: BaseModel,
    trained: Mapping[str, Any],
    embedded: Mapping[str, Any],
    appended: AppendedAttributes | None = None,
) -> ModelProvenance:
    """Say which model was run, how faithful and how large it is.

    Args:
        resolved: The cell.
        config: The model's configuration as it was built.
        trained: What was saved beside the weights.
        embedded: What was saved beside the embeddings.
        appended: What was appended to them.
    """
    spec, plugin = resolved.model_spec, resolved.plugin
    return ModelProvenance(
        name=spec.name,
        preset=resolved.cell.preset,
        fidelity=spec.fidelity,
        open_points=spec.open_points,
        is_trivial=spec.is_trivial,
        note=resolved.preset.note,
        plugin=plugin.distribution,
        plugin_version=plugin.version,
        config=config.model_dump(mode="json"),
        num_parameters=trained["num_parameters"],
        flops_per_sequence=embedded["flops_per_sequence"],
        towers=trained.get("towers", ()),
        decides=resolved.decides if resolved.task.looks_at == "attributes" else "",
        appended=appended,
        changes=changes_of(resolved.cell.overrides),
    )


def changes_of(overrides: Mapping[str, object]) -> tuple[str, ...]:
    """What was set otherwise than in the preset, as it is typed after ``--set``.

    Args:
        overrides: Dotted fields, as in :class:`gaitbench.cells.cell.Cell`.

    Example:
        >>> changes_of({"config.has_text": False, "recipe.stages.0.iterations": 9, "config.name": "a"})
        ('has_text=false', 'name=a', 'recipe.stages.0.iterations=9')
        >>> changes_of({"config.prompts_file": "/data/prompts.json"})
        ('prompts_file=prompts.json',)
    """
    texts = {name.removeprefix("config."): _typed(value) for name, value in overrides.items()}
    return tuple(f"{name}={value}" for name, value in sorted(texts.items()))


def _typed(value: object) -> str:
    """A value for a table, where folders of one machine say nothing."""
    if isinstance(value, str | PurePath):
        return PurePath(value).name if PurePath(value).is_absolute() else str(value)
    return json.dumps(value, separators=(",", ":"), default=str)
