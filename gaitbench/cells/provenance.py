"""What a record says of its data and its model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel

from gaitbench.cells.cell import ResolvedCell
from gaitbench.dataset import GaitDataset
from gaitbench.protocol import Division, Protocol
from gaitbench.results import DataProvenance, ModelProvenance

__all__ = ["data_provenance", "model_provenance"]


def data_provenance(
    dataset: GaitDataset, protocol: Protocol, division: Division, modalities: tuple[str, ...]
) -> DataProvenance:
    """Say what was trained and tested on.

    Args:
        dataset: The prepared dataset.
        protocol: How it was divided.
        division: Its rows by their part.
        modalities: Streams that the model read.
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
        num_gallery=len(division.gallery),
        repository=card.repository,
    )


def model_provenance(
    resolved: ResolvedCell, config: BaseModel, trained: Mapping[str, Any], embedded: Mapping[str, Any]
) -> ModelProvenance:
    """Say which model was run, how faithful and how large it is.

    Args:
        resolved: The cell.
        config: The model's configuration as it was built.
        trained: What was saved beside the weights.
        embedded: What was saved beside the embeddings.
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
    )
