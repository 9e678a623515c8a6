"""Attributes appended to the embeddings before they are compared: the true ones, or those that a model tells.

How much attributes would help to tell people apart: RA-GAR (AAAI 2025), Table 7, with the true ones. Each part of an
embedding gets the whole label vector, a positive label standing as the weight and the others as 0; an unknown attribute
adds nothing but zeros.

Axes: N sequences, D embedding width, P parts, L labels.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from gaitbench.card import Attribute
from gaitbench.errors import DatasetError, IncompleteDataError, UsageError
from gaitbench.metrics.label_encoding import label_encoding
from gaitbench.results import AppendedAttributes
from gaitbench.table import SequenceTable
from gaitbench.tasks.attribute import AttributeTask, check_schema
from gaitbench.tasks.attribute_evidence import AnswerSheet
from gaitbench.tasks.audit import read_audited

if TYPE_CHECKING:
    from gaitbench.cells.cell import Cell, ResolvedCell
    from gaitbench.cells.open_cell import OpenCell

__all__ = ["Appending", "predictor_cell", "source_of"]

_PREDICTED = "predicted"


def source_of(cell: "Cell") -> tuple[Literal["true", "predicted"], str]:
    """What is appended, and the model that tells it; empty for none.

    Raises:
        UsageError: It is neither ``true``, ``predicted`` nor ``predicted:MODEL``.
    """
    word, _, model = cell.append_attributes.partition(":")
    if word == "true" and not model:
        return "true", ""
    if word == _PREDICTED:
        return "predicted", model or cell.model
    raise UsageError(
        f"append_attributes (--append-attributes) must be true, predicted, or predicted:MODEL, got "
        f"{cell.append_attributes!r}"
    )


def predictor_cell(cell: "Cell") -> "Cell":
    """The cell of the attribute task whose predictions are appended: the same data, preset, seed and device.

    Overrides go with the same model only; another one has other fields.
    """
    _, model = source_of(cell)
    return cell.model_copy(
        update={
            "task": AttributeTask.name,
            "model": model,
            "overrides": cell.overrides if model == cell.model else {},
            "append_attributes": "",
            "append_weight": 1.0,
            "feature_cache": cell.feature_cache and model == cell.model,
        }
    )


class Appending:
    """What is appended in a run.

    Args:
        resolved: The run's cell, which asks for it.
        attributes: Schema of the test data.
        out: Root of the run folders, among which the model that tells attributes has its own.

    Raises:
        DatasetError: The test data declare no attributes.
        UsageError: The model cannot tell attributes.
    """

    def __init__(self, resolved: "ResolvedCell", attributes: tuple[Attribute, ...], out: Path) -> None:
        from gaitbench.cells.cell import resolve_cell
        from gaitbench.cells.open_cell import OpenCell

        check_schema(attributes)
        source, model = source_of(resolved.cell)
        self.encoding = label_encoding([len(attribute.classes) for attribute in attributes])
        self.predictor: OpenCell | None = None
        if source == "predicted":
            self.predictor = OpenCell(resolve_cell(predictor_cell(resolved.cell), resolved.registry), out)
        self.provenance = AppendedAttributes(
            source=source,
            encoding=self.encoding.name,
            weight=resolved.cell.append_weight,
            predictor=model,
            run_id="" if self.predictor is None else self.predictor.run_id,
        )

    @property
    def determines(self) -> dict[str, Any]:
        """What the result depends on."""
        return self.provenance.model_dump(mode="json")

    def check(self, table: SequenceTable) -> None:
        """Stop where nothing can be appended to any sequence of a table.

        Raises:
            DatasetError: True attributes are asked for, and not one is known.
        """
        if self.predictor is None and not (table.attributes >= 0).any():
            raise DatasetError(
                "not one test sequence has a known attribute, so that there is nothing true to append; complete the "
                "labels, or append predicted ones (--append-attributes predicted)"
            )

    def append(self, embeddings: Tensor, table: SequenceTable) -> Tensor:
        """Append the label vector to every part.

        Args:
            embeddings: ``[N, D, P]``.
            table: ``[N]`` rows.

        Returns:
            ``[N, D + L, P]``.

        Raises:
            GaitbenchError: The model that tells the attributes cannot be run, or tells nothing of a sequence.
        """
        classes = table.attributes if self.predictor is None else self._predicted(self.predictor, table)
        labels = torch.from_numpy(self.encoding.of_classes(classes).value).to(embeddings.dtype)
        vector = self.provenance.weight * labels[:, :, None].expand(-1, -1, embeddings.shape[2])
        return torch.cat([embeddings, vector], dim=1)

    def _predicted(self, predictor: "OpenCell", table: SequenceTable) -> np.typing.NDArray[np.int64]:
        """``[N, A]`` classes that the model told, from the evidence of its run."""
        folder = predictor.execute(force=False).folder
        sheet = AnswerSheet.read(read_audited(folder)[1], str(folder))
        at = np.searchsorted(sheet.sequence, table.sequence_id)
        found = sheet.sequence[np.minimum(at, len(sheet.sequence) - 1)] == table.sequence_id
        if not found.all():
            missing = table.sequence_id[~found]
            raise IncompleteDataError(
                f"{self.provenance.predictor} tells nothing of {len(missing)} of {len(table)} test sequences (first: "
                f"{', '.join(missing[:3].tolist())}), which lack a stream that it reads; choose another model "
                "(--append-attributes predicted:MODEL)"
            )
        return sheet.prediction[at]
