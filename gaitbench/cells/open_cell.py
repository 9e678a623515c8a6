"""One cell on its way to a record, in a folder named by a hash of everything that determines the result.

Each step leaves a file that is either whole or absent: trained weights, embeddings, tables, record. A step whose file
is there and whole is not done again. Weights come from the folder of the training, which cells share.
"""

import dataclasses
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

import gaitbench
from gaitbench import atomic
from gaitbench.cells.appending import Appending
from gaitbench.cells.cell import ResolvedCell
from gaitbench.cells.environment import environment_of, utc_now
from gaitbench.cells.open_training import TRAINING_MODULES, OpenTraining, feature_cache, make_fabric
from gaitbench.cells.people import check_people
from gaitbench.cells.provenance import data_provenance, model_provenance, training_provenance
from gaitbench.cells.run_folder import RunFolder
from gaitbench.cells.source import Source
from gaitbench.checkpoint import load_tensors, save_tensors
from gaitbench.clips import check_clocks, check_inputs, test_batches
from gaitbench.dataset import GaitDataset
from gaitbench.digest import json_digest, source_digest
from gaitbench.division import training_part
from gaitbench.embed import check_embeddings, embed
from gaitbench.errors import DatasetError, IncompleteDataError, ModelError, PluginError, RecordError
from gaitbench.features.cache import Wanted
from gaitbench.features.cacheable import is_mirrored
from gaitbench.flops import count_flops
from gaitbench.hookspecs import EventName, RunEvent
from gaitbench.layers import channels_last
from gaitbench.model import GaitModel
from gaitbench.progress import track
from gaitbench.protocol import Division
from gaitbench.results import (
    RunRecord,
    TrainedOn,
    TrainingSummary,
    read_record,
    record_text,
    write_record,
)
from gaitbench.seeding import derive_seed, deterministic
from gaitbench.specs import MetricSpec
from gaitbench.tasks import EmbeddingSet, RankingMetric, TaskData, audit, read_audited

__all__ = ["RESULT_MODULES", "CellResult", "OpenCell", "open_data"]

_log = logging.getLogger("gaitbench")

RESULT_MODULES = (
    *TRAINING_MODULES,
    "gaitbench.division",
    "gaitbench.embed",
    "gaitbench.metrics",
    "gaitbench.patterns",
    "gaitbench.protocol",
    "gaitbench.selection",
    "gaitbench.tasks",
)
"""Modules of core whose source determines results; a change to one of them makes a run a different run."""


class CellResult(NamedTuple):
    """A cell's record and where it lies."""

    record: RunRecord
    folder: Path
    is_reused: bool
    """True when the record was there before."""


def open_data(cells: Sequence[ResolvedCell]) -> None:
    """Prepare what cells need of their data, each dataset once."""
    needed: dict[tuple[object, ...], tuple[Source, dict[str, None]]] = {}
    for cell in cells:
        for source, modalities in ((cell.trained_on, cell.modalities), (cell.scored_on, cell.test_modalities)):
            needed.setdefault(source.place, (source, {}))[1].update(dict.fromkeys(modalities))
    for source, names in needed.values():
        source.open(tuple(names))


_COMPLETE = (
    "complete the data, or allow partial results (allow_partial=True, --allow-partial); a partial result is marked and "
    "kept off the leaderboard"
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
        self.resolved = resolved = _without_itself(resolved)
        self.cell = resolved.cell
        self.trained_on: TrainedOn | None = None
        training_data = self._open_both() if resolved.is_cross_dataset else self._open_one()
        for key in self._embedding_keys():
            check_clocks(self.dataset, key.split("+"))
        self.training = OpenTraining(resolved, training_data, out)
        self.task = resolved.task.for_data(
            TaskData(
                attributes=training_data.card.attributes,
                tested=self.dataset.card.attributes,
                learnt=training_data.table,
                decides=resolved.decides,
                asked=self.dataset.table.take(self.division.test),
            )
        )
        if not resolved.needs_matches and (further := self._extra_metrics()):
            raise PluginError(
                f"{', '.join(further)}: further metrics are computed from distances, and the task "
                f"{resolved.task_spec.name} has none; leave it out of the metric's tasks"
            )
        self.appending: Appending | None = None
        if self.cell.append_attributes:
            self.appending = Appending(resolved, self.dataset.card.attributes, out)
            self.appending.check(self.dataset.table.take(self.division.test))
        self.config = self.training.config
        self.determines = self._determines()
        self.run_id = json_digest(self.determines)
        self.out = out
        origin = f"-from-{resolved.trained_on.spec.name}" if resolved.is_cross_dataset else ""
        name = f"{resolved.model_spec.name}-{self.cell.preset}-s{self.cell.seed}{origin}-{self.run_id[:12]}"
        self.folder = RunFolder(out / resolved.task_spec.name / resolved.scored_on.spec.name / name)

    def _open_one(self) -> GaitDataset:
        """Divide the data of an ordinary run; gives the training sequences."""
        resolved, is_partial_allowed = self.resolved, self.cell.allow_partial
        # A sequence counts where it has all streams that are read.
        whole = resolved.trained_on.open(resolved.modalities)
        problems = _broken(whole, resolved.modalities, allow_partial=is_partial_allowed)
        self.dataset = whole.present(resolved.test_modalities)
        self.modalities = resolved.modalities
        check_inputs(self.dataset, resolved.inputs)
        self.protocol = resolved.scored_on.protocol_for(self.dataset.card.options).for_table(self.dataset.table)
        division = self.protocol.divide(
            self.dataset.table, allow_partial=is_partial_allowed, needs_matches=resolved.needs_matches
        )
        listed = self.dataset.take(division.train)
        # Streams that only losses look at may be missing of a test sequence, not of all sequences of somebody.
        chosen = listed.present(resolved.modalities)
        lost = np.setdiff1d(listed.table.subject_id, chosen.table.subject_id)
        if lost.size:
            problems.append(
                f"{lost.size} training subjects have no sequence with all of {', '.join(resolved.modalities)} (first: "
                f"{', '.join(lost[:3].tolist())})"
            )
            if not is_partial_allowed:
                raise IncompleteDataError(f"{self.dataset.card.name}: {problems[-1]}; {_COMPLETE}")
        self.division: Division = dataclasses.replace(
            division,
            train=division.train[np.isin(listed.table.sequence_id, chosen.table.sequence_id)],
            problems=(*division.problems, *problems),
        )
        return chosen

    def _open_both(self) -> GaitDataset:
        """Divide the data of the training and those of the test; gives the training sequences."""
        resolved, is_partial_allowed = self.resolved, self.cell.allow_partial
        whole = resolved.trained_on.open(resolved.modalities)
        problems = _broken(whole, resolved.modalities, allow_partial=is_partial_allowed)
        learnt = whole.present(resolved.modalities)
        check_inputs(learnt, resolved.inputs)
        scored = resolved.scored_on.open(resolved.test_modalities)
        problems += _broken(scored, resolved.test_modalities, allow_partial=is_partial_allowed)
        self.dataset = scored.present(resolved.test_modalities)
        self.modalities = resolved.test_modalities
        check_inputs(self.dataset, resolved.test_inputs)
        rule = resolved.trained_on.protocol_for(learnt.card.options)
        part = training_part(rule, learnt.table, allow_partial=is_partial_allowed)
        self.protocol = resolved.scored_on.protocol_for(self.dataset.card.options).for_table(self.dataset.table)
        division = self.protocol.divide(
            self.dataset.table,
            allow_partial=is_partial_allowed,
            needs_train=False,
            needs_matches=resolved.needs_matches,
        )
        self.division = dataclasses.replace(division, problems=(*part.problems, *division.problems, *problems))
        chosen = learnt.take(part.rows)
        people = check_people(
            resolved.trained_on.spec, chosen, resolved.scored_on.spec, self.dataset.take(division.test)
        )
        self.trained_on = training_provenance(
            learnt, chosen, rule, resolved.modalities, people, tested=resolved.test_modalities
        )
        return chosen

    def _determines(self) -> dict[str, Any]:
        """Everything that the result depends on, as JSON values."""
        resolved, cell, card = self.resolved, self.cell, self.dataset.card
        packages = {resolved.package, resolved.task_spec.target.partition(":")[0].partition(".")[0]} - {"gaitbench"}
        determines: dict[str, Any] = {
            "task": [resolved.task_spec.name, resolved.task.version],
            "dataset": [card.name, card.version, self.dataset.fingerprint(self.modalities), card.options],
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
            **resolved.rounding,
        }
        if self.appending is not None:
            determines["appended"] = self.appending.determines
        if self.trained_on is not None:
            determines["trained_on"] = self.trained_on.model_dump(mode="json")
            determines["training"] = self.training.training_id
        return determines

    def notify(
        self, name: EventName, *, step: int | None = None, values: Mapping[str, float] | None = None, text: str = ""
    ) -> None:
        """Tell plugins what happened."""
        self.resolved.registry.notify(
            RunEvent(
                name=name,
                run_id=self.run_id,
                model=self.resolved.model_spec.name,
                dataset=self.resolved.scored_on.spec.name,
                seed=self.cell.seed,
                step=step,
                values=values or {},
                text=text,
            )
        )

    def watch(self, name: str, step: int, values: Mapping[str, float]) -> None:
        """Tell plugins of a training step or a checkpoint."""
        self.notify("checkpoint" if name == "checkpoint" else "step", step=step, values=values)

    def execute(self, *, force: bool, retrain: bool = False) -> CellResult:
        """Take the finished record, or go on from what is there.

        Args:
            force: Embed and score again what is finished.
            retrain: Train again, too.
        """
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
            trained, embedded, embeddings = self._trained_and_embedded(retrain=retrain)
            record = self._score(started, trained, embedded, embeddings)
            self.notify("cell_finished")
            return CellResult(record, self.folder.path, is_reused=False)

    def _help_first_node(self) -> CellResult:
        """Lend this machine's devices to a training that the first node leads, and wait for its record."""
        if (record := self._finished()) is not None:
            return CellResult(record, self.folder.path, is_reused=True)
        if not self.training.is_done():
            from gaitbench.cells.launch import train_on_many

            train_on_many(self.cell, self.out)
        if self.appending is not None and self.appending.predictor is not None:
            self.appending.predictor.execute(force=False)
        with track(None, f"wait for the first node to score {self.resolved.model_spec.name}") as bar:
            while not self.folder.record.exists():
                time.sleep(1)
                bar.advance(1)
        return CellResult(read_record(self.folder.path), self.folder.path, is_reused=False)

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

    def _trained_and_embedded(self, *, retrain: bool) -> tuple[dict[str, Any], dict[str, Any], dict[str, Tensor]]:
        """What is known of training and embedding, and the embeddings, from the folders as far as they are there."""
        trained = None if retrain else self.training.info()
        if trained is not None and self.folder.model_info.exists() and (found := self._read_embeddings()) is not None:
            return trained, *found
        model = self.resolved.build(self.config)
        if trained is None:
            self._keep_features(model)
        trained = self.training.bring(model, self.folder, self.watch, again=retrain)
        return trained, *self._embed(model)

    def _keep_features(self, model: GaitModel) -> None:
        """Compute all features that training and test read, before training, as far as they are to be kept."""
        if self.resolved.feature_dtype is None:
            return
        fabric = make_fabric(self.cell.model_copy(update={"devices": 1, "nodes": 1}), self.resolved.recipe)
        model.to(fabric.device)
        channels_last(model)
        cache = feature_cache(self.resolved, model, fabric)
        assert cache is not None
        learnt = Wanted(self.training.data, is_mirrored(self.resolved.recipe))
        tested = Wanted(self.dataset.take(self.division.test))
        is_read = cache.modality in self.resolved.test_modalities
        cache.require([learnt, tested] if is_read else [learnt])

    def _embedding_keys(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(key for direction in self.resolved.directions() for key in direction))

    def _embed(self, model: GaitModel) -> tuple[dict[str, Any], dict[str, Tensor]]:
        fabric = make_fabric(self.cell.model_copy(update={"devices": 1, "nodes": 1}), self.resolved.recipe)
        model.to(fabric.device)
        channels_last(model)
        recipe, started = self.resolved.recipe, time.perf_counter()
        cache = feature_cache(self.resolved, model, fabric)
        embeddings = {}
        for key in self._embedding_keys():
            is_kept = cache is not None and cache.modality in key.split("+")
            embedded = embed(
                model,
                self.dataset,
                self.division.test,
                key.split("+"),
                max_frames=recipe.max_test_frames,
                frames_per_batch=recipe.test_frames_per_batch,
                device=fabric.device,
                autocast=fabric.autocast,
                features=cache.bank(Wanted(self.dataset.take(self.division.test))) if cache and is_kept else None,
                read=self.task.answer,
                description=f"embed {key}",
            )
            embeddings[key] = embedded.embeddings
        seconds = time.perf_counter() - started
        flops = max(self._flops(model, key, fabric) for key in embeddings)
        sha256 = save_tensors(self.folder.embeddings, embeddings)
        info = {
            "sha256": sha256,
            "run_id": self.run_id,
            "embed_seconds": seconds,
            "flops_per_sequence": flops,
            "feature_cache": cache is not None,
        }
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
        info = self.folder.read_json(self.folder.embeddings_info)
        if info is None or info.get("run_id") != self.run_id:
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
        if self.appending is not None:
            embeddings = {key: self.appending.append(embedded, table) for key, embedded in embeddings.items()}
        sets = {key: EmbeddingSet(embeddings=embeddings[key], table=table) for key in self._embedding_keys()}
        with track(None, f"score {resolved.model_spec.name} s{self.cell.seed}"):
            evaluation = self.task.evaluate(
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
            data=data_provenance(
                self.dataset,
                self.protocol,
                division,
                self.modalities,
                self.trained_on,
                tested=resolved.test_modalities,
            ),
            model=model_provenance(
                resolved, self.config, trained, embedded, None if self.appending is None else self.appending.provenance
            ),
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
                feature_cache=bool(trained.get("feature_cache") or embedded.get("feature_cache")),
            ),
        )
        # Audited as a later reader will find it, so that nothing lost on the way to JSON goes unnoticed.
        audit(RunRecord.model_validate_json(record_text(record)), evaluation.tables)
        return write_record(self.folder.path, record, evaluation.tables)


def _without_itself(resolved: ResolvedCell) -> ResolvedCell:
    """The ordinary cell where the other test set turns out to be that of the training data."""
    if not resolved.is_cross_dataset:
        return resolved
    if resolved.trained_on.spec.name != resolved.scored_on.spec.name:
        return resolved
    sides = []
    for source in (resolved.trained_on, resolved.scored_on):
        data = source.open(resolved.test_modalities)
        protocol = source.protocol_for(data.card.options).for_table(data.table)
        sides.append((data.card.version, data.card.options, data.fingerprint(resolved.test_modalities), protocol))
    if sides[0] != sides[1]:
        return resolved
    return dataclasses.replace(resolved, cell=resolved.cell.training, scored_on=resolved.trained_on)
