"""A finished run and the sequences that belong to it: found, checked and opened before anything is drawn."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from gaitbench.cells.cell import Cell
from gaitbench.cells.run_folder import RunFolder, TrainingFolder
from gaitbench.cells.source import Source
from gaitbench.dataset import GaitDataset
from gaitbench.errors import DatasetError, RecordError, UsageError
from gaitbench.protocol import Protocol
from gaitbench.registry import Registry, nearest
from gaitbench.results import RECORD_FILE, RunRecord, read_record
from gaitbench.selection import Selection, select
from gaitbench.specs import ModelSpec

__all__ = ["FinishedRun", "Split", "check_explains", "find_run"]

Split = Literal["test", "train"]
"""The part of the protocol that is looked at."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run with a record."""

    folder: Path
    record: RunRecord
    registry: Registry

    def open_data(self, split: Split, modalities: tuple[str, ...], data: Path | None = None) -> GaitDataset:
        """Open the sequences of one part.

        Args:
            split: ``test``, or ``train``: those that the model learnt from.
            modalities: Streams that every sequence must have.
            data: Where the files are now; None for where they were.

        Raises:
            RecordError: The plan of the run is missing or damaged.
            DatasetError: The data are not there, or are not those of the run.
        """
        cell, about = self._cell(), self.record.data
        other = about.trained_on if split == "train" else None
        named = cell if cell.scored_on is None or other is not None else cell.scored_on
        source = Source.find(self.registry, named.model_copy(update={} if data is None else {"data": data}))
        streams, fingerprint = (
            (other.modalities, other.fingerprint) if other is not None else (about.modalities, about.fingerprint)
        )
        dataset = source.open(tuple(dict.fromkeys((*streams, *modalities))))
        present = dataset.present(modalities)
        if fingerprint not in (present.fingerprint(streams), dataset.present(streams).fingerprint(streams)):
            raise DatasetError(
                f"{dataset.root} holds other sequences than those of run {self.record.run_id[:12]} (fingerprint "
                f"{present.fingerprint(streams)[:12]}, the run's is {fingerprint[:12]}); give the folder of the run's "
                "data with --data, or run it again on these"
            )
        return present.take(self._rows(split, present))

    @property
    def protocol(self) -> Protocol:
        """By which the run was scored.

        Raises:
            RecordError: Another gaitbench wrote it.
        """
        try:
            return Protocol.model_validate(self.record.data.protocol)
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            raise RecordError(
                f"the protocol in {RunFolder(self.folder).record} was written by another gaitbench ({faults}); run the "
                "cell again"
            ) from error

    def _rows(self, split: Split, dataset: GaitDataset) -> NDArray[np.int64]:
        protocol, other = self.protocol, self.record.data.trained_on
        if split == "train":
            rule = protocol.train if other is None else Selection.model_validate(other.train)
            return select(dataset.table, rule, allow_unmatched=True)
        # What was missing was allowed, or refused, when the run was made.
        return protocol.divide(dataset.table, allow_partial=True, needs_train=False, needs_matches=False).test

    def _cell(self) -> Cell:
        folder = RunFolder(self.folder)
        plan = folder.read_json(folder.plan)
        if plan is None or plan.get("run_id") != self.record.run_id:
            raise RecordError(
                f"{folder.plan} is missing, damaged or of another run; it says which data the run was made of. Run the "
                "cell again."
            )
        try:
            return Cell.model_validate(plan.get("cell"))
        except ValidationError as error:
            raise RecordError(
                f"{folder.plan} was written by another gaitbench ({error}); run the cell again"
            ) from error


def check_explains(registry: Registry, name: str) -> None:
    """Stop when a model cannot show what it looks at; nothing of it is imported.

    Raises:
        UnknownNameError: No such model is installed.
        UsageError: It cannot; the message names those that can.
    """
    spec = registry.get("model", name)
    assert isinstance(spec, ModelSpec)
    if spec.explains:
        return
    able = [each.name for each in registry.specs("model") if isinstance(each, ModelSpec) and each.explains]
    raise UsageError(
        f"model {name!r} cannot show what it looks at; those that can: {', '.join(able) or 'none is installed'}."
    )


def find_run(path: Path, registry: Registry, model: str | None = None) -> FinishedRun:
    """Find a finished run.

    Args:
        path: Its folder, or one that holds it, up to three levels above.
        registry: Where the model is looked up.
        model: Its model, which tells several runs of a folder apart.

    Raises:
        RecordError: There is no finished run, or its record cannot be read.
        UsageError: The run is of another model, or there are several.
    """
    if not path.is_dir():
        raise RecordError(f"{path} is no folder; give the folder of a finished run, OUT/TASK/DATASET/MODEL-...")
    if (path / RECORD_FILE).exists():
        record = read_record(path)
        if model is not None and record.model.name != model:
            raise UsageError(f"{path} is a run of {record.model.name}, not of {model}; leave --model out")
        return FinishedRun(path, record, registry)
    if RunFolder(path).plan.exists() or TrainingFolder(path).about.exists():
        raise RecordError(
            f"{path} holds no {RECORD_FILE}: the run is not finished, or only a training lies here; finish it with the "
            "command that began it, and give the folder of the run"
        )
    places = [place.parent for depth in range(1, 4) for place in sorted(path.glob("*/" * depth + RECORD_FILE))]
    found = [FinishedRun(place, read_record(place), registry) for place in places]
    if not found:
        raise RecordError(f"{path} holds no finished run; 'gaitbench run' says where it writes its own")
    chosen = [run for run in found if model is None or run.record.model.name == model]
    if not chosen:
        names = sorted({run.record.model.name for run in found})
        near = nearest(str(model), names)
        guess = f"; did you mean {near!r}?" if near else "."
        raise UsageError(f"{path} has no run of {model}{guess} It has runs of {', '.join(names)}")
    if len(chosen) > 1:
        listed = "".join(f"\n  {run.folder}" for run in chosen[:8]) + ("\n  ..." if len(chosen) > 8 else "")
        of = f" of {model}" if model is not None else ""
        raise UsageError(f"{path} has {len(chosen)} finished runs{of}; give the folder of one:{listed}")
    return chosen[0]
