"""The training of a cell, in a folder named by a hash of everything that determines its weights.

Cells that differ in their test set alone share it: whoever comes first trains, the others take the weights.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor

import gaitbench
from gaitbench import atomic
from gaitbench.cells.cell import Cell, ResolvedCell
from gaitbench.cells.run_folder import RunFolder, TrainingFolder, check_output
from gaitbench.checkpoint import load_model, save_model
from gaitbench.clips import ClipSampler, test_batches
from gaitbench.dataset import GaitDataset
from gaitbench.described import describe
from gaitbench.digest import json_digest, source_digest
from gaitbench.errors import RecordError, TrainingError
from gaitbench.features.bank import FeatureBank
from gaitbench.features.cache import FeatureCache, Wanted
from gaitbench.flops import count_parameters
from gaitbench.model import GaitBatch, GaitModel
from gaitbench.recipe import Recipe, Stage
from gaitbench.train import BatchSource, TrainingData, TrainResult, Watch, train

__all__ = ["TRAINING_MODULES", "OpenTraining", "feature_cache", "make_fabric"]

_log = logging.getLogger("gaitbench")

TRAINING_MODULES = (
    "gaitbench.augment",
    "gaitbench.clips",
    "gaitbench.dataset",
    "gaitbench.distributed",
    "gaitbench.frozen",
    "gaitbench.layers",
    "gaitbench.losses",
    "gaitbench.model",
    "gaitbench.optim",
    "gaitbench.projection",
    "gaitbench.recipe",
    "gaitbench.seeding",
    "gaitbench.start_weights",
    "gaitbench.storage.bank",
    "gaitbench.storage.codec",
    "gaitbench.towers",
    "gaitbench.train",
    "gaitbench.with_attributes",
)
"""Modules of core whose source determines trained weights; a change to one of them makes a training a different one.
Which sequences are trained on is covered by their fingerprint."""


class OpenTraining:
    """What a cell is trained on, and the folder that its hash names.

    Args:
        resolved: The cell.
        data: The training sequences, and no others.
        out: Root of the run folders.
    """

    def __init__(self, resolved: ResolvedCell, data: GaitDataset, out: Path) -> None:
        self.resolved = resolved
        self.cell = resolved.cell.training
        self.data = data
        self.classes, labels = np.unique(data.table.subject_id, return_inverse=True)
        self.labels = torch.from_numpy(labels.astype(np.int64))
        config = resolved.config_for(max(1, len(self.classes)), data.card.attributes)
        # What a model is told of training sequences besides, such as texts, comes with its batches.
        self.config, self._told = describe(config, data)
        self.determines = self._determines()
        self.training_id = json_digest(self.determines)
        self.out = out
        spec = resolved.model_spec
        name = f"{spec.name}-{self.cell.preset}-s{self.cell.seed}-{self.training_id[:12]}"
        self.folder = TrainingFolder(out / "trainings" / resolved.trained_on.spec.name / name)

    def _determines(self) -> dict[str, Any]:
        """Everything that the weights depend on, as JSON values."""
        resolved, card = self.resolved, self.data.card
        return {
            "dataset": [card.name, card.version, self.data.fingerprint(resolved.modalities), card.options],
            "model": [resolved.model_spec.name, self.config.model_dump(mode="json")],
            "recipe": resolved.recipe.model_dump(mode="json"),
            "seed": self.cell.seed,
            "precision": resolved.recipe.precision,
            "device": self.cell.device_type,
            "is_compiled": self.cell.is_compiled,
            "gaitbench": gaitbench.__version__,
            "plugin": [resolved.plugin.distribution, resolved.plugin.version],
            "source": source_digest([*TRAINING_MODULES, *({resolved.package} - {"gaitbench"})]),
            **resolved.rounding,
        }

    def info(self) -> dict[str, Any] | None:
        """What was saved beside the weights; None while there are none."""
        info = self.folder.read_json(self.folder.model_info)
        return info if info is not None and info.get("training_id") == self.training_id else None

    def is_done(self) -> bool:
        """Tell whether whole weights are there."""
        return self._load(self.resolved.build(self.config)) is not None

    def bring(self, model: GaitModel, run: RunFolder, watch: Watch, *, again: bool = False) -> dict[str, Any]:
        """Load the trained weights into a model, or train it.

        Args:
            model: Freshly built; afterwards it has the weights.
            run: The folder of the run that wants them. It gets them too, and gives them back where the training's
                folder was removed.
            watch: Told of every step.
            again: Train also where weights are there.

        Returns:
            What was saved beside the weights.

        Raises:
            GaitbenchError: The training cannot be done.
        """
        with self.folder.lock():
            if again:
                self.folder.clear()
            elif not self.folder.model_info.exists() and self._is_own(run):
                self.folder.adopt(run)
            if not self.folder.about.exists():
                about = {"training_id": self.training_id, "determines": self.determines}
                atomic.write_json(self.folder.about, about)
            info = self._load(model)
            if info is None:
                info = self._train(model, watch)
            run.adopt(self.folder)
            return info

    def _is_own(self, run: RunFolder) -> bool:
        info = run.read_json(run.model_info)
        return info is not None and info.get("training_id") == self.training_id

    def _load(self, model: GaitModel) -> dict[str, Any] | None:
        if (info := self.info()) is None:
            return None
        try:
            load_model(self.folder.path, model)
        except RecordError as error:
            _log.warning("%s; the model is trained again", error)
            return None
        return info

    def _train(self, model: GaitModel, watch: Watch) -> dict[str, Any]:
        weight_bytes = 4 * sum(x.numel() for x in model.state_dict().values())
        # Two checkpoints of weights with two moments each, one being written, and the model itself.
        check_output(self.folder.path, 10 * weight_bytes)
        if self.cell.devices * self.cell.nodes > 1:
            from gaitbench.cells.launch import train_on_many

            train_on_many(self.resolved.cell, self.out)
            if (info := self._load(model)) is None:
                raise TrainingError(
                    f"{self.folder.path} has no weights although every worker has ended: the code was changed after "
                    "this process had begun, so that they trained under another hash; run the same command again"
                )
            return info
        return self.train_here(model, make_fabric(self.cell, self.resolved.recipe), watch)

    def train_here(self, model: GaitModel, fabric: Fabric, watch: Watch) -> dict[str, Any]:
        """Train on the devices of a fabric and save the model; gives what was saved beside its weights."""
        result = train(
            model,
            self._training_data(model, fabric),
            self.resolved.recipe,
            seed=self.cell.seed,
            fabric=fabric,
            checkpoint_dir=self.folder.checkpoints,
            log_path=self.folder.train_log,
            identity=self.training_id,
            watch=watch,
            description=f"{self.resolved.model_spec.name} s{self.cell.seed}",
            is_compiled=self.cell.is_compiled,
        )
        info = self._model_info(model, result)
        model.seal()
        if fabric.is_global_zero:
            save_model(self.folder.path, model, info)
        return info

    def _model_info(self, model: GaitModel, result: TrainResult) -> dict[str, Any]:
        return {
            "training_id": self.training_id,
            "model": self.resolved.model_spec.name,
            "target": self.resolved.model_spec.target,
            "config_target": self.resolved.model_spec.config,
            "config": self.config.model_dump(mode="json"),
            "subjects": self.classes.tolist(),
            "num_parameters": count_parameters(model),
            "towers": [tower.model_dump(mode="json") for tower in model.towers],
            "num_steps": result.num_steps,
            "final_losses": result.final_losses,
            "train_seconds": result.seconds,
            "feature_cache": self.cell.feature_cache,
        }

    def _training_data(self, model: GaitModel, fabric: Fabric) -> TrainingData:
        cache, device = feature_cache(self.resolved, model, fabric), fabric.device

        def kept(*, is_mirrored: bool) -> FeatureBank | None:
            return None if cache is None else cache.bank(Wanted(self.data, is_mirrored))

        def sampler(stage: Stage, seed: int) -> BatchSource:
            return ClipSampler(
                self._told,
                self.labels,
                stage.clips,
                model.inputs,
                stage.augment,
                seed,
                device,
                cache=self.cell.cache,
                features=kept(is_mirrored=stage.augment.flip > 0),
            )

        def sequences() -> Iterator[tuple[Tensor, GaitBatch]]:
            return test_batches(
                self.data,
                model.inputs,
                max_frames=self.resolved.recipe.max_test_frames,
                frames_per_batch=self.resolved.recipe.test_frames_per_batch,
                padding=model.padding,
                device=device,
                features=kept(is_mirrored=False),
            )

        return TrainingData(sampler=sampler, sequences=sequences, labels=self.labels)


def feature_cache(resolved: ResolvedCell, model: GaitModel, fabric: Fabric) -> FeatureCache | None:
    """The kept features of a model on the fabric's device; None for a cell that computes them in every step."""
    if not resolved.cell.feature_cache:
        return None
    return FeatureCache(model, device=fabric.device, autocast=fabric.autocast, precision=resolved.recipe.precision)


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
