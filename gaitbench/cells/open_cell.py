"""One cell on its way to a record, in a folder named by a hash of everything that determines the result.

Each step leaves a file that is either whole or absent: trained weights, embeddings, tables, record. A step whose file
is there and whole is not done again.
"""

import dataclasses
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from numpy.typing import NDArray
from torch import Tensor

import gaitbench
from gaitbench import atomic
from gaitbench.cells.cell import Cell, ResolvedCell
from gaitbench.cells.environment import environment_of, utc_now
from gaitbench.cells.provenance import data_provenance, model_provenance
from gaitbench.cells.run_folder import RunFolder, check_output
from gaitbench.checkpoint import load_model, load_tensors, save_model, save_tensors
from gaitbench.clips import ClipSampler, check_inputs, test_batches
from gaitbench.dataset import GaitDataset
from gaitbench.digest import json_digest, source_digest
from gaitbench.embed import check_embeddings, embed
from gaitbench.errors import DatasetError, IncompleteDataError, ModelError, RecordError
from gaitbench.flops import count_flops, count_parameters
from gaitbench.hookspecs import EventName, RunEvent
from gaitbench.layers import channels_last
from gaitbench.model import GaitBatch, GaitModel
from gaitbench.progress import track
from gaitbench.protocol import Division
from gaitbench.recipe import Recipe, Stage
from gaitbench.results import (
    RunRecord,
    TrainingSummary,
    read_record,
    record_text,
    write_record,
)
from gaitbench.seeding import derive_seed, deterministic
from gaitbench.specs import MetricSpec
from gaitbench.store import open_or_prepare
from gaitbench.tasks import EmbeddingSet, RankingMetric, audit, read_audited
from gaitbench.train import BatchSource, TrainingData, TrainResult, train

__all__ = ["RESULT_MODULES", "CellResult", "OpenCell", "make_fabric", "open_data"]

_log = logging.getLogger("gaitbench")

RESULT_MODULES = (
    "gaitbench.augment",
    "gaitbench.storage.bank",
    "gaitbench.clips",
    "gaitbench.storage.codec",
    "gaitbench.dataset",
    "gaitbench.distributed",
    "gaitbench.division",
    "gaitbench.embed",
    "gaitbench.layers",
    "gaitbench.losses",
    "gaitbench.metrics",
    "gaitbench.model",
    "gaitbench.optim",
    "gaitbench.patterns",
    "gaitbench.projection",
    "gaitbench.protocol",
    "gaitbench.recipe",
    "gaitbench.seeding",
    "gaitbench.selection",
    "gaitbench.start_weights",
    "gaitbench.tasks",
    "gaitbench.train",
)
"""Modules of core whose source determines results; a change to one of them makes a run a different run."""


class CellResult(NamedTuple):
    """A cell's record and where it lies."""

    record: RunRecord
    folder: Path
    is_reused: bool
    """True when the record was there before."""


def open_data(cells: Sequence[ResolvedCell]) -> GaitDataset:
    """Open the dataset of cells that share it; what they need of it is prepared first."""
    cell = cells[0].cell
    modalities = list(dict.fromkeys(modality for each in cells for modality in each.modalities))
    return open_or_prepare(
        cells[0].registry, cell.dataset, modalities=modalities, source=cell.data, options=cell.options
    )


def _broken(dataset: GaitDataset, modalities: Sequence[str], *, allow_partial: bool) -> list[str]:
    """A line for each stream of which files were broken when it was prepared; walks in which nothing was seen are none.

    Raises:
        IncompleteDataError: There are such files, and partial results are not allowed.
    """
    defects = {name: [i for i, why in dataset.absent(name).items() if why.is_defect] for name in modalities}
    problems = [
        f"{name} of {len(ids)} sequences was broken or missing (first: {', '.join(ids[:3])})"
        for name, ids in defects.items()
        if ids
    ]
    if problems and not allow_partial:
        raise IncompleteDataError(
            f"{dataset.card.name}: {'; '.join(problems)}, and they were skipped when the dataset was prepared. Mend "
            "the files and prepare again, or allow partial results (allow_partial=True, --allow-partial); a partial "
            "result is marked and kept off the leaderboard."
        )
    return problems


class OpenCell:
    """A cell with its data opened and divided, and the folder that its hash names.

    Args:
        resolved: The cell.
        out: Root of the run folders.

    Raises:
        DatasetError: The data is missing, damaged or incomplete, or does not fit the model.
        ProtocolError: The protocol cannot be applied to it.
    """

    def __init__(self, resolved: ResolvedCell, out: Path) -> None:
        self.resolved = resolved
        self.cell = resolved.cell
        # A sequence counts where it has all streams that are read.
        whole = open_data([resolved])
        broken = _broken(whole, resolved.modalities, allow_partial=self.cell.allow_partial)
        self.dataset = whole.present(resolved.modalities)
        check_inputs(self.dataset, resolved.inputs)
        self.protocol = resolved.protocol_for(self.dataset.card.options).for_table(self.dataset.table)
        division = self.protocol.divide(self.dataset.table, allow_partial=self.cell.allow_partial)
        self.division: Division = dataclasses.replace(division, problems=(*division.problems, *broken))
        subjects = self.dataset.table.subject_id[self.division.train]
        self.classes, labels = np.unique(subjects, return_inverse=True)
        self.labels = torch.from_numpy(labels.astype(np.int64))
        self.config = resolved.config_for(max(1, len(self.classes)))
        self.determines = self._determines()
        self.run_id = json_digest(self.determines)
        name = f"{resolved.model_spec.name}-{self.cell.preset}-s{self.cell.seed}-{self.run_id[:12]}"
        self.out = out
        self.folder = RunFolder(out / resolved.task_spec.name / resolved.dataset_spec.name / name)

    def _determines(self) -> dict[str, Any]:
        """Everything that the result depends on, as JSON values."""
        resolved, cell, card = self.resolved, self.cell, self.dataset.card
        packages = {
            spec.target.partition(":")[0].partition(".")[0] for spec in (resolved.model_spec, resolved.task_spec)
        } - {"gaitbench"}
        return {
            "task": [resolved.task_spec.name, resolved.task.version],
            "dataset": [card.name, card.version, self.dataset.fingerprint(resolved.modalities), card.options],
            "protocol": self.protocol.model_dump(mode="json"),
            "model": [resolved.model_spec.name, self.config.model_dump(mode="json")],
            "recipe": resolved.recipe.model_dump(mode="json"),
            "seed": cell.seed,
            "precision": resolved.recipe.precision,
            "device": cell.device_type,
            "is_compiled": cell.is_compiled,
            "gaitbench": gaitbench.__version__,
            "plugin": [resolved.plugin.distribution, resolved.plugin.version],
            "source": source_digest([*RESULT_MODULES, *packages]),
        }

    def notify(
        self, name: EventName, *, step: int | None = None, values: Mapping[str, float] | None = None, text: str = ""
    ) -> None:
        """Tell plugins what happened."""
        self.resolved.registry.notify(
            RunEvent(
                name=name,
                run_id=self.run_id,
                model=self.resolved.model_spec.name,
                dataset=self.resolved.dataset_spec.name,
                seed=self.cell.seed,
                step=step,
                values=values or {},
                text=text,
            )
        )

    def execute(self, *, force: bool) -> CellResult:
        """Take the finished record, or go on from what is there."""
        if self.cell.nodes > 1 and os.environ.get("NODE_RANK", "0") != "0":
            return self._help_first_node()
        with self.folder.lock(), deterministic():
            if force:
                self.folder.clear()
            elif (record := self._finished()) is not None:
                self.notify("cell_reused")
                return CellResult(record, self.folder.path, is_reused=True)
            self.notify("cell_started")
            started = self._write_plan()
            trained, embedded, embeddings = self._trained_and_embedded()
            record = self._score(started, trained, embedded, embeddings)
            self.notify("cell_finished")
            return CellResult(record, self.folder.path, is_reused=False)

    def _help_first_node(self) -> CellResult:
        """Lend this machine's devices to a training that the first node leads, and wait for its record."""
        if (record := self._finished()) is not None:
            return CellResult(record, self.folder.path, is_reused=True)
        if not self._is_trained():
            from gaitbench.cells.launch import train_on_many

            train_on_many(self.cell, self.out)
        with track(None, f"wait for the first node to score {self.resolved.model_spec.name}") as bar:
            while not self.folder.record.exists():
                time.sleep(1)
                bar.advance(1)
        return CellResult(read_record(self.folder.path), self.folder.path, is_reused=False)

    def _is_trained(self) -> bool:
        try:
            load_model(self.folder.path, self.resolved.build(self.config))
        except RecordError:
            return False
        return True

    def _finished(self) -> RunRecord | None:
        """The record in the folder, if it is whole, of this run, and agrees with its tables."""
        if not self.folder.record.exists():
            return None
        try:
            record, _ = read_audited(self.folder.path)
            if record.run_id != self.run_id:
                raise RecordError(f"{self.folder.record} is of run {record.run_id[:12]}")
        except RecordError as error:
            _log.warning("%s; it is made again from the run's embeddings", error)
            return None
        known = {score.metric for score in record.scores}
        return record if known.issuperset(self._extra_metrics()) else None

    def _extra_metrics(self) -> dict[str, RankingMetric]:
        """Metrics that plugins add to the task."""
        registry = self.resolved.registry
        metrics: dict[str, RankingMetric] = {}
        for spec in registry.specs("metric"):
            assert isinstance(spec, MetricSpec)
            is_core = registry.owner("metric", spec.name).distribution == "gaitbench"
            if self.resolved.task_spec.name in spec.tasks and not is_core:
                metrics[spec.name] = cast("RankingMetric", registry.load(spec))
        return metrics

    def _write_plan(self) -> str:
        """Write down what is run; gives the time at which it was first begun."""
        known = self.folder.read_json(self.folder.plan)
        if known is not None and known.get("run_id") == self.run_id:
            return str(known["started_utc"])
        started = utc_now()
        atomic.write_json(
            self.folder.plan,
            {
                "run_id": self.run_id,
                "started_utc": started,
                "cell": self.cell.model_dump(mode="json"),
                "determines": self.determines,
            },
        )
        return started

    def _trained_and_embedded(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Tensor]]:
        """What is known of training and embedding, and the embeddings, from the folder as far as they are there."""
        trained = self._read_info(self.folder.model_info)
        if trained is not None and (found := self._read_embeddings()) is not None:
            return trained, *found
        model = self.resolved.build(self.config)
        if trained is not None:
            try:
                load_model(self.folder.path, model)
            except RecordError as error:
                _log.warning("%s; the model is trained again", error)
                trained = None
        if trained is None:
            trained = self._train(model)
        return trained, *self._embed(model)

    def _read_info(self, path: Path) -> dict[str, Any] | None:
        info = self.folder.read_json(path)
        return info if info is not None and info.get("run_id") == self.run_id else None

    def _train(self, model: GaitModel) -> dict[str, Any]:
        weight_bytes = 4 * sum(x.numel() for x in model.state_dict().values())
        # Two checkpoints of weights with two moments each, one being written, and the model itself.
        check_output(self.folder.path, 10 * weight_bytes)
        if self.cell.devices * self.cell.nodes > 1:
            from gaitbench.cells.launch import train_on_many

            train_on_many(self.cell, self.out)
            load_model(self.folder.path, model)
            trained = self._read_info(self.folder.model_info)
            assert trained is not None
            return trained
        return self.train_here(model, make_fabric(self.cell, self.resolved.recipe))

    def train_here(self, model: GaitModel, fabric: Fabric) -> dict[str, Any]:
        """Train on the devices of a fabric and save the model; gives what was saved beside its weights."""
        spec = self.resolved.model_spec

        def watch(name: str, step: int, values: Mapping[str, float]) -> None:
            self.notify("checkpoint" if name == "checkpoint" else "step", step=step, values=values)

        result = train(
            model,
            self._training_data(model, fabric.device),
            self.resolved.recipe,
            seed=self.cell.seed,
            fabric=fabric,
            checkpoint_dir=self.folder.checkpoints,
            log_path=self.folder.train_log,
            identity=self.run_id,
            watch=watch,
            description=f"{spec.name} s{self.cell.seed}",
            is_compiled=self.cell.is_compiled,
        )
        info = self._model_info(model, result)
        if fabric.is_global_zero:
            save_model(self.folder.path, model, info)
        return info

    def _model_info(self, model: GaitModel, result: TrainResult) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "model": self.resolved.model_spec.name,
            "target": self.resolved.model_spec.target,
            "config_target": self.resolved.model_spec.config,
            "config": self.config.model_dump(mode="json"),
            "subjects": self.classes.tolist(),
            "num_parameters": count_parameters(model),
            "num_steps": result.num_steps,
            "final_losses": result.final_losses,
            "train_seconds": result.seconds,
        }

    def _training_data(self, model: GaitModel, device: torch.device) -> TrainingData:
        dataset = self.dataset.take(self.division.train)

        def sampler(stage: Stage, seed: int) -> BatchSource:
            return ClipSampler(
                dataset, self.labels, stage.clips, model.inputs, stage.augment, seed, device, cache=self.cell.cache
            )

        def sequences() -> Iterator[tuple[Tensor, GaitBatch]]:
            return test_batches(
                dataset,
                model.inputs,
                max_frames=self.resolved.recipe.max_test_frames,
                frames_per_batch=self.resolved.recipe.test_frames_per_batch,
                padding=model.padding,
                device=device,
            )

        return TrainingData(sampler=sampler, sequences=sequences, labels=self.labels)

    def _embedding_keys(self) -> tuple[str, ...]:
        directions = self.resolved.task.directions(self.resolved.modalities)
        return tuple(dict.fromkeys(key for direction in directions for key in direction))

    def _embed(self, model: GaitModel) -> tuple[dict[str, Any], dict[str, Tensor]]:
        fabric = make_fabric(self.cell.model_copy(update={"devices": 1, "nodes": 1}), self.resolved.recipe)
        model.to(fabric.device)
        channels_last(model)
        recipe, started = self.resolved.recipe, time.perf_counter()
        embeddings = {}
        for key in self._embedding_keys():
            embedded = embed(
                model,
                self.dataset,
                self.division.test,
                key.split("+"),
                max_frames=recipe.max_test_frames,
                frames_per_batch=recipe.test_frames_per_batch,
                device=fabric.device,
                autocast=fabric.autocast,
                description=f"embed {key}",
            )
            embeddings[key] = embedded.embeddings
        seconds = time.perf_counter() - started
        flops = max(self._flops(model, key, fabric) for key in embeddings)
        sha256 = save_tensors(self.folder.embeddings, embeddings)
        info = {"sha256": sha256, "run_id": self.run_id, "embed_seconds": seconds, "flops_per_sequence": flops}
        atomic.write_json(self.folder.embeddings_info, info)
        return info, embeddings

    def _flops(self, model: GaitModel, key: str, fabric: Fabric) -> int:
        """Operations for the test sequence of median length, seen in one set of modalities."""
        test = self.division.test
        order = np.argsort(self.dataset.table.num_frames[test], kind="stable")
        median: NDArray[np.int64] = test[order[len(order) // 2]][None]
        inputs = [spec for spec in model.inputs if spec.modality in key.split("+")]
        recipe = self.resolved.recipe
        for _, batch in test_batches(
            self.dataset.take(median),
            inputs,
            max_frames=recipe.max_test_frames,
            frames_per_batch=recipe.test_frames_per_batch,
            padding=model.padding,
            device=fabric.device,
        ):
            with fabric.autocast():
                return count_flops(model, batch)
        raise DatasetError("the test sequence of median length gave no batch")

    def _read_embeddings(self) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        info = self._read_info(self.folder.embeddings_info)
        if info is None:
            return None
        try:
            embeddings = load_tensors(self.folder.embeddings, str(info["sha256"]))
            ids = self.dataset.table.sequence_id[self.division.test]
            for key in self._embedding_keys():
                check_embeddings(embeddings[key], ids, self.resolved.model_spec.name)
        except (RecordError, ModelError, KeyError) as error:
            _log.warning("embeddings are made again: %s", error)
            return None
        return info, embeddings

    def _score(
        self, started: str, trained: dict[str, Any], embedded: dict[str, Any], embeddings: dict[str, Tensor]
    ) -> RunRecord:
        resolved, division, start = self.resolved, self.division, time.perf_counter()
        table = self.dataset.table.take(division.test)
        sets = {key: EmbeddingSet(embeddings=embeddings[key], table=table) for key in self._embedding_keys()}
        with track(None, f"score {resolved.model_spec.name} s{self.cell.seed}"):
            evaluation = resolved.task.evaluate(
                sets,
                self.protocol,
                division,
                seed=derive_seed(self.cell.seed, "bootstrap"),
                metrics=self._extra_metrics(),
            )
        record = RunRecord(
            run_id=self.run_id,
            status="partial" if division.is_partial else "complete",
            task=resolved.task_spec.name,
            task_version=resolved.task.version,
            data=data_provenance(self.dataset, self.protocol, division, resolved.modalities),
            model=model_provenance(resolved, self.config, trained, embedded),
            training=TrainingSummary(
                recipe=resolved.recipe.model_dump(mode="json"),
                seed=self.cell.seed,
                precision=resolved.recipe.precision,
                num_steps=trained["num_steps"],
                final_losses=trained["final_losses"],
            ),
            scores=evaluation.scores,
            environment=environment_of(
                self.cell.device_type,
                resolved.plugin.distribution,
                started_utc=started,
                train_seconds=trained["train_seconds"],
                embed_seconds=embedded["embed_seconds"],
                score_seconds=time.perf_counter() - start,
            ),
        )
        # Audited as a later reader will find it, so that nothing lost on the way to JSON goes unnoticed.
        audit(RunRecord.model_validate_json(record_text(record)), evaluation.tables)
        return write_record(self.folder.path, record, evaluation.tables)


def make_fabric(cell: Cell, recipe: Recipe) -> Fabric:
    """Make Fabric for the devices of a cell, in the recipe's precision."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    # Who is who is known from the cell; Fabric would otherwise ask Slurm or torchrun, which started other processes.
    here = LightningEnvironment()
    if cell.devices * cell.nodes == 1:
        return Fabric(accelerator=cell.device_type, devices=1, precision=recipe.precision, plugins=[here])
    # Stages freeze parameters and losses use some outputs only, so not every parameter has a gradient.
    strategy = DDPStrategy(find_unused_parameters=True)
    return Fabric(
        accelerator=cell.device_type,
        devices=cell.devices,
        num_nodes=cell.nodes,
        precision=recipe.precision,
        strategy=strategy,
        plugins=[here],
    )
