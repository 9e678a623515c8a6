"""Training in stages on one or several devices, resumable to the bit.

Every step seeds the generators from (seed, stage, step), and batches depend on (seed, stage, step) alone. A run that
was stopped and resumed from a checkpoint therefore ends with the same weights as one that was not, on the same device
with the same number of threads.
"""

import contextlib
import json
import logging
import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NamedTuple, Protocol

import torch
from lightning_fabric import Fabric
from pydantic import BaseModel
from torch import Tensor, nn

from gaitbench import atomic
from gaitbench.checkpoint import (
    TrainingState,
    apply_weights,
    latest_checkpoint,
    optimizer_state,
    restore_optimizer,
    save_checkpoint,
    weights_of,
)
from gaitbench.digest import json_digest
from gaitbench.distributed import gather_output, map_output, slice_batch, slice_sizes
from gaitbench.errors import ModelError, NotFiniteError, OutputError, TrainingError
from gaitbench.layers import channels_last
from gaitbench.model import ClosedFormModel, GaitBatch, GaitModel
from gaitbench.optim import build_optimizer, freeze, set_rates
from gaitbench.progress import track
from gaitbench.recipe import Recipe, Stage
from gaitbench.seeding import derive_seed, deterministic
from gaitbench.start_weights import start_weights

__all__ = ["BatchSource", "TrainResult", "TrainingData", "train", "training_identity"]

_log = logging.getLogger("gaitbench")

NUM_RECENT = 50
"""Steps that the final losses are averaged over."""
MAX_SKIPPED = 24
"""Steps in a row that float16 training may skip for overflowing gradients; its scale has then fallen to nothing."""

Watch = Callable[[str, int, Mapping[str, float]], None]
"""Called with ``step`` or ``checkpoint``, the number of steps done in all stages, and the numbers of the moment."""


class BatchSource(Protocol):
    """Training batches by number, such as :class:`gaitbench.clips.ClipSampler`."""

    def batch(self, step: int) -> GaitBatch:
        """Assemble the batch of a step; depends on nothing but the source's own arguments and ``step``."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a model is trained on."""

    sampler: Callable[[Stage, int], BatchSource]
    """Makes the batches of a stage from its clips, augmentation and a seed."""
    sequences: Callable[[], Iterator[tuple[Tensor, GaitBatch]]]
    """All training sequences, whole, in batches with their indices ``[n]``; for closed-form stages."""
    labels: Tensor
    """``[N]`` int64 labels of the training sequences."""


class TrainResult(NamedTuple):
    """How training went."""

    num_steps: int
    """Optimizer steps in all stages."""
    final_losses: dict[str, float]
    """Mean over the last 50 steps of each loss."""
    seconds: float
    """Wall time spent, over all attempts, up to their last checkpoints."""


def training_identity(model: GaitModel, recipe: Recipe, seed: int) -> str:
    """Hash what a checkpoint must agree on to be resumed: model, recipe and seed."""
    config = model.config.model_dump(mode="json") if isinstance(model.config, BaseModel) else {}
    name = f"{type(model).__module__}.{type(model).__qualname__}"
    return json_digest([name, config, recipe.model_dump(mode="json", exclude={"checkpoint_every"}), seed])


def train(
    model: GaitModel,
    data: TrainingData,
    recipe: Recipe,
    *,
    seed: int,
    fabric: Fabric | None = None,
    checkpoint_dir: Path | None = None,
    log_path: Path | None = None,
    identity: str | None = None,
    watch: Watch | None = None,
    description: str = "train",
    is_compiled: bool = False,
) -> TrainResult:
    """Train a model by a recipe, going on from the checkpoints of an earlier attempt.

    The model is trained in place and left in evaluation mode on the fabric's device.

    Args:
        model: Freshly built; its initial weights are the caller's business.
        data: Batches and whole sequences.
        recipe: Stages, precision, checkpoint interval.
        seed: Seeds batches and everything random in the model.
        fabric: Launched Lightning Fabric with the recipe's precision; None makes one for the CPU.
        checkpoint_dir: Folder of checkpoints; None keeps none.
        log_path: File that gets one JSON line per step: stage, step, learning rate, losses, gradient norm.
        identity: Hash that checkpoints must carry; None takes :func:`training_identity`.
        watch: Called after every step and checkpoint, on rank 0 only.
        description: Shown at the progress bar.
        is_compiled: Compile the model with ``torch.compile``. Faster on a GPU; results differ in the last bits.

    Raises:
        NotFiniteError: A loss or gradient became NaN or infinite. The checkpoints are from before it.
        TrainingError: The recipe does not fit the model, or a checkpoint belongs to another training.
        ModelError: The model's losses are not scalars.
        OutputError: A checkpoint or the log cannot be written.
        KeyboardInterrupt: Ctrl-C; the step was finished and a checkpoint written.
    """
    if fabric is None:
        fabric = Fabric(accelerator="cpu", devices=1, precision=recipe.precision)
    trainer = _Trainer(model, data, recipe, seed, fabric, checkpoint_dir, log_path, identity, watch, description)
    with deterministic(), _deferred_interrupt() as interrupt:
        return trainer.run(interrupt, is_compiled=is_compiled)


class _Interrupt:
    """Whether Ctrl-C was pressed since training began."""

    is_pending = False


@contextlib.contextmanager
def _deferred_interrupt() -> Iterator[_Interrupt]:
    """Let the running step finish before Ctrl-C takes effect; a second Ctrl-C takes effect at once."""
    interrupt = _Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return

    def note(_signum: int, _frame: FrameType | None) -> None:
        if interrupt.is_pending:
            raise KeyboardInterrupt
        interrupt.is_pending = True

    previous = signal.signal(signal.SIGINT, note)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, previous)


class _Step(nn.Module):
    """Forward pass and losses as one module, so that data-parallel training sees every parameter in use."""

    def __init__(self, model: GaitModel, stage: Stage, fabric: Fabric) -> None:
        super().__init__()
        self.model = model
        self.stage = stage
        if stage.clips.max_frames is not None and model.padding == "refused":
            raise TrainingError(
                f"stage {stage.name!r} draws the length of every clip by itself, and {type(model).__name__} takes "
                "clips of equal length only; leave max_frames out"
            )
        self.rank = fabric.global_rank
        self.world_size = fabric.world_size

    def forward(self, batch: GaitBatch, seed: int) -> dict[str, Tensor]:
        """Give the unweighted losses of the whole batch; this rank embeds its slice of it only."""
        torch.manual_seed(derive_seed(seed, "forward", self.rank))
        part = slice_batch(batch, self.rank, self.world_size)
        output = map_output(self.model(part), _to_float32)
        if self.world_size > 1:
            num_clips = next(iter(batch.inputs.values())).shape[0]
            output = gather_output(output, self.rank, slice_sizes(num_clips, self.world_size))
        torch.manual_seed(derive_seed(seed, "losses"))
        with torch.autocast(output.embedding.device.type, enabled=False):
            losses = dict(self.model.losses(output, batch, self.stage))
        for name, value in losses.items():
            if not isinstance(value, Tensor) or value.ndim != 0:
                found = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
                raise ModelError(f"{type(self.model).__name__}: loss {name!r} must be a scalar tensor, got {found}")
        if not losses:
            raise ModelError(f"{type(self.model).__name__}.losses gave no loss in stage {self.stage.name!r}")
        return losses


def _to_float32(x: Tensor) -> Tensor:
    return x.float() if x.is_floating_point() else x


class _Trainer:
    """The state of one call of :func:`train`."""

    def __init__(
        self,
        model: GaitModel,
        data: TrainingData,
        recipe: Recipe,
        seed: int,
        fabric: Fabric,
        checkpoint_dir: Path | None,
        log_path: Path | None,
        identity: str | None,
        watch: Watch | None,
        description: str,
    ) -> None:
        self.model = model
        self.data = data
        self.recipe = recipe
        self.seed = seed
        self.fabric = fabric
        self.checkpoint_dir = checkpoint_dir
        self.identity = identity or training_identity(model, recipe, seed)
        self.watch = watch
        self.description = description
        self.log = _Log(log_path if fabric.is_global_zero else None)
        self.recent: deque[dict[str, float]] = deque(maxlen=NUM_RECENT)
        self.num_steps = 0
        self.earlier_seconds = 0.0
        self.started = time.perf_counter()
        self.num_skipped = 0
        self.saved_at = (-1, -1)
        # A CUDA device is asked for its losses once in a while, because every question makes it wait.
        self.drain_every = 1 if fabric.device.type == "cpu" else 10
        self.pending: list[tuple[int, float, list[str], Tensor]] = []

    def run(self, interrupt: _Interrupt, *, is_compiled: bool) -> TrainResult:
        """Run all stages that are not done yet."""
        self.model.to(self.fabric.device)
        # Convolutions pick the layout of their weights; 5-D clips need no conversion of their own.
        channels_last(self.model)
        if self.fabric.world_size > 1 and self.fabric.device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(self.model)  # type: ignore[no-untyped-call]
        if is_compiled:
            self.model.compile()
        first, start, state = 0, 0, None
        tensors: dict[str, Tensor] = {}
        if self.checkpoint_dir is not None and (found := latest_checkpoint(self.checkpoint_dir, self.identity)):
            state, tensors = found
            first, start = state.stage, state.step
            weights = {k.removeprefix("model/"): v for k, v in tensors.items() if k.startswith("model/")}
            apply_weights(self.model, weights, str(self.checkpoint_dir))
            self.num_steps = state.num_steps
            self.recent.extend(state.recent)
            self.earlier_seconds = state.seconds
            self.saved_at = (first, start)
        elif self.recipe.start_from is not None:
            start_weights(self.model, self.recipe.start_from)
        self.log.open(first, start)
        try:
            for index, stage in enumerate(self.recipe.stages):
                if index < first:
                    continue
                if stage.kind == "closed-form":
                    if not (index == first and start > 0):
                        self._fit(index, stage, interrupt)
                else:
                    at = start if index == first else 0
                    self._descend(index, stage, at, tensors if at else {}, state if at else None, interrupt)
        finally:
            self.log.close()
        if interrupt.is_pending:
            raise KeyboardInterrupt
        self.model.eval()
        return TrainResult(self.num_steps, self._final_losses(), self._seconds())

    def _fit(self, index: int, stage: Stage, interrupt: _Interrupt) -> None:
        if not isinstance(self.model, ClosedFormModel):
            raise TrainingError(
                f"stage {stage.name!r} is closed-form, but {type(self.model).__name__} is no ClosedFormModel; "
                "use kind='gradient'"
            )
        torch.manual_seed(derive_seed(self.seed, index, 0))
        self.model.eval()
        features: Tensor | None = None
        num_sequences = len(self.data.labels)
        with torch.inference_mode(), track(num_sequences, f"{self.description} {stage.name}") as bar:
            for at, batch in self.data.sequences():
                part = self.model.features(batch).float()
                if features is None:
                    features = torch.zeros(num_sequences, part.shape[1], device=part.device)
                features[at.to(part.device)] = part
                bar.advance(len(at))
                if interrupt.is_pending:
                    raise KeyboardInterrupt
        if features is None:
            raise TrainingError("there is no training sequence to fit to")
        if not bool(torch.isfinite(features).all()):
            raise NotFiniteError(f"stage {stage.name!r}: the features of the training sequences are not all finite")
        with torch.no_grad():
            self.model.fit(features.clone(), self.data.labels.to(features.device))
        bad = [name for name, x in self.model.state_dict().items() if x.is_floating_point() and not x.isfinite().all()]
        if bad:
            raise NotFiniteError(f"stage {stage.name!r}: fitting gave NaN or infinite numbers in {', '.join(bad[:5])}")
        self._save(index, 1, None)

    def _descend(
        self,
        index: int,
        stage: Stage,
        start: int,
        tensors: Mapping[str, Tensor],
        state: TrainingState | None,
        interrupt: _Interrupt,
    ) -> None:
        was_training = {name: p.requires_grad for name, p in self.model.named_parameters()}
        self.model.train()
        freeze(self.model, stage.freeze)
        modes = {module: module.training for module in self.model.modules()}
        optimizer = build_optimizer(self.model, stage.optimizer)
        if state is not None:
            moments = {k.removeprefix("optimizer/"): v for k, v in tensors.items() if k.startswith("optimizer/")}
            restore_optimizer(optimizer, moments, state.optimizer)
            if (scaler := _scaler_of(self.fabric)) is not None and state.scaler:
                scaler.load_state_dict(dict(state.scaler))
        step_module, wrapped = self.fabric.setup(_Step(self.model, stage, self.fabric), optimizer)
        # Setting up may have switched the frozen modules back to training mode.
        for module, is_training in modes.items():
            module.training = is_training
        is_done = start >= stage.iterations
        sampler = None if is_done else self.data.sampler(stage, derive_seed(self.seed, "batches", index))
        step, is_consistent = start, True
        try:
            with track(stage.iterations, f"{self.description} {stage.name}") as bar:
                bar.advance(start)
                while step < stage.iterations:
                    assert sampler is not None
                    batch = sampler.batch(step)
                    batch.step = step
                    is_consistent = False
                    self._one_step(index, stage, step, step_module, wrapped, batch)
                    step += 1
                    self.num_steps += 1
                    is_consistent = True
                    if step % self.drain_every == 0 or step == stage.iterations:
                        self._drain(index, stage)
                        bar.update(self._text())
                    bar.advance(1)
                    is_stopping = self._is_stopping(interrupt, step)
                    if step % self.recipe.checkpoint_every == 0 or is_stopping:
                        self._save(index, step, optimizer)
                    if is_stopping:
                        raise KeyboardInterrupt
        except KeyboardInterrupt:
            if is_consistent:
                self._drain(index, stage)
                self._save(index, step, optimizer)
            raise
        self._save(index, step, optimizer)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(was_training[name])
            parameter.grad = None

    def _is_stopping(self, interrupt: _Interrupt, step: int) -> bool:
        """Tell whether to stop after this step; all ranks agree, because one alone would leave the others waiting."""
        if self.fabric.world_size == 1:
            return interrupt.is_pending
        if step % self.drain_every:
            return False
        flag = torch.tensor(float(interrupt.is_pending), device=self.fabric.device)
        total = self.fabric.all_reduce(flag, reduce_op="sum")
        assert isinstance(total, Tensor)
        return total.item() > 0

    def _one_step(
        self, index: int, stage: Stage, step: int, module: nn.Module, optimizer: torch.optim.Optimizer, batch: GaitBatch
    ) -> None:
        lr = set_rates(optimizer, stage.optimizer, stage.schedule, step, stage.iterations)
        losses: dict[str, Tensor] = module(batch, derive_seed(self.seed, index, step))
        # Weight 0 says that a stage does without a loss; the model need not compute it then.
        if unknown := sorted(name for name, weight in stage.loss_weights.items() if weight and name not in losses):
            raise TrainingError(
                f"stage {stage.name!r} weighs unknown losses: {', '.join(unknown)}; "
                f"{type(self.model).__name__} has {', '.join(sorted(losses))}"
            )
        total = torch.stack([stage.loss_weights.get(name, 1.0) * value for name, value in losses.items()]).sum()
        if not total.requires_grad:
            raise TrainingError(f"stage {stage.name!r}: no trainable parameter takes part in the losses")
        is_cpu = self.drain_every == 1
        if is_cpu and not math.isfinite(total.detach().item()):
            self._raise_not_finite(index, stage, step, _floats(losses), None)
        optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(total)
        norm = self._clip(stage, module, optimizer)
        names = list(losses)
        values = torch.stack([*(losses[name].detach().float() for name in names), total.detach().float(), norm.float()])
        if is_cpu and not math.isfinite(norm.item()):
            self._raise_not_finite(index, stage, step, _floats(losses), norm.item())
        optimizer.step()
        self.pending.append((step, lr, names, values))

    def _clip(self, stage: Stage, module: nn.Module, optimizer: torch.optim.Optimizer) -> Tensor:
        """Clip the gradient if the stage says so; gives its norm before that."""
        norm = self.fabric.clip_gradients(
            module, optimizer, max_norm=stage.optimizer.grad_clip or math.inf, error_if_nonfinite=False
        )
        assert norm is not None  # it is None only when clipping by value
        return norm

    def _drain(self, index: int, stage: Stage) -> None:
        """Bring losses of the last steps to the host: check, log and report them."""
        if not self.pending:
            return
        rows = torch.stack([values for *_, values in self.pending]).tolist()
        pending, self.pending = self.pending, []
        for (step, lr, names, _), row in zip(pending, rows, strict=True):
            losses = dict(zip(names, row[:-2], strict=True))
            total, norm = row[-2:]
            is_scaled = _scaler_of(self.fabric) is not None
            self.num_skipped = self.num_skipped + 1 if is_scaled and not math.isfinite(norm) else 0
            if not math.isfinite(total) or (not math.isfinite(norm) and not is_scaled):
                self._raise_not_finite(index, stage, step, losses, norm)
            if self.num_skipped > MAX_SKIPPED:
                self._raise_not_finite(index, stage, step, losses, norm)
            self.recent.append(losses)
            finite_norm = norm if math.isfinite(norm) else None
            self.log.write(
                {"stage": index, "step": step, "lr": lr, "loss": total, "losses": losses, "norm": finite_norm}
            )
            if self.watch is not None and self.fabric.is_global_zero:
                done = self.num_steps - (pending[-1][0] - step)
                self.watch("step", done, {"loss": total, "lr": lr, **losses})

    def _raise_not_finite(
        self, index: int, stage: Stage, step: int, losses: Mapping[str, float], norm: float | None
    ) -> None:
        bad = [f"loss {name} is {value}" for name, value in losses.items() if not math.isfinite(value)]
        if norm is not None and not math.isfinite(norm):
            bad.append(f"the norm of the gradient is {norm}")
        kept = f" The last good checkpoint is kept in {self.checkpoint_dir}." if self.checkpoint_dir else ""
        raise NotFiniteError(
            f"stage {stage.name!r} ({index + 1} of {len(self.recipe.stages)}), step {step}: "
            f"{'; '.join(bad) or 'the weighted sum of the losses is not finite'}.{kept} Lower the learning rate, set "
            "grad_clip, add warm-up, or use precision 32-true."
        )

    def _save(self, index: int, step: int, optimizer: torch.optim.Optimizer | None) -> None:
        """Write a checkpoint, unless this very state is on disk already."""
        if self.saved_at == (index, step) or self.checkpoint_dir is None:
            return
        self._drain(index, self.recipe.stages[index])
        self.log.flush()
        if self.fabric.is_global_zero:
            moments, numbers = optimizer_state(optimizer) if optimizer is not None else ({}, {})
            scaler = _scaler_of(self.fabric)
            state = TrainingState(
                identity=self.identity,
                stage=index,
                step=step,
                num_steps=self.num_steps,
                seconds=self._seconds(),
                recent=tuple(self.recent),
                optimizer=numbers,
                scaler=scaler.state_dict() if scaler is not None else {},
            )
            tensors = {f"model/{name}": x for name, x in weights_of(self.model).items()}
            tensors.update({f"optimizer/{name}": x for name, x in moments.items()})
            save_checkpoint(self.checkpoint_dir, state, tensors)
            if self.watch is not None:
                self.watch("checkpoint", self.num_steps, {})
        self.saved_at = (index, step)

    def _seconds(self) -> float:
        return self.earlier_seconds + time.perf_counter() - self.started

    def _text(self) -> str:
        return " ".join(f"{name} {value:.3f}" for name, value in self.recent[-1].items()) if self.recent else ""

    def _final_losses(self) -> dict[str, float]:
        names = self.recent[-1].keys() if self.recent else ()
        rows = {name: [losses[name] for losses in self.recent if name in losses] for name in names}
        return {name: math.fsum(values) / len(values) for name, values in rows.items()}


def _floats(losses: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: value.detach().item() for name, value in losses.items()}


def _scaler_of(fabric: Fabric) -> "torch.amp.GradScaler | None":
    return getattr(fabric._strategy.precision, "scaler", None)


class _Log:
    """One JSON line per step. What lies beyond the checkpoint that training goes on from is cut off."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.lines: list[str] = []

    def open(self, stage: int, step: int) -> None:
        """Keep the lines of steps before this one."""
        if self.path is None:
            return
        kept = []
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    entry = json.loads(line)
                    if (entry["stage"], entry["step"]) < (stage, step):
                        kept.append(line + "\n")
        atomic.write_text(self.path, "".join(kept))

    def write(self, entry: Mapping[str, object]) -> None:
        """Add a line; it reaches the disk with the next flush."""
        if self.path is not None:
            self.lines.append(json.dumps(entry) + "\n")
            if len(self.lines) >= 100:
                self.flush()

    def flush(self) -> None:
        """Append what was added."""
        if self.path is None or not self.lines:
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.writelines(self.lines)
        except OSError as error:
            raise OutputError(
                f"cannot write {self.path}: {error.strerror}. Free some space or choose another folder, then run the "
                "same command again; training goes on from its last checkpoint."
            ) from error
        self.lines = []

    def close(self) -> None:
        """Flush; an error here must not hide the one that ended training."""
        with contextlib.suppress(OutputError):
            self.flush()
