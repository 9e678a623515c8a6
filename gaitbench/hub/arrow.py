"""A dataset as a `datasets.Dataset`, with the columns of an export, memory-mapped from the cache."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from gaitbench.atomic import atomic_path
from gaitbench.dataset import GaitDataset
from gaitbench.digest import json_digest
from gaitbench.errors import DatasetError
from gaitbench.hub.rows import RowSource

if TYPE_CHECKING:
    import datasets

__all__ = ["as_hugging_face"]

_LAYOUT = 1


def as_hugging_face(dataset: GaitDataset, cache: Path, modalities: Sequence[str] | None = None) -> "datasets.Dataset":
    """Write the rows into an Arrow file of the cache, unless they are there, and open it.

    Args:
        dataset: The sequences.
        cache: The folder of everything that can be made again.
        modalities: Columns of frames; None for all in the dataset's folder.

    Raises:
        DatasetError: A stream is missing or damaged, or there is no sequence.
        OutputError: The cache cannot be written.
    """
    import datasets

    if not len(dataset):
        raise DatasetError(f"{dataset.root}: there is no sequence to convert; take some")
    rows = RowSource(dataset, modalities or dataset.modalities)
    parts: list[object] = [_LAYOUT, dataset.card.model_dump(mode="json")]
    parts += [str(column.tolist()) for column in dataset.table.columns()]
    for name in rows.modalities:
        parts += [name, [each.hex() for each in dataset.manifest(name)["sha256"].to_pylist()]]
    path = cache / "hf" / f"{json_digest(parts)[:24]}.arrow"
    if not path.is_file():
        schema = rows.features().arrow_schema
        with atomic_path(path) as temp, pa.OSFile(str(temp), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
            for batch in rows.batches(np.arange(len(dataset))):
                writer.write_table(batch.table)
    return datasets.Dataset.from_file(str(path))
