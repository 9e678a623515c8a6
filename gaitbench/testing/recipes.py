"""The contract between a model and a recipe: every stage can be trained as it is written.

Training is imported on use: it takes longer to import than everything else here, which others import for its clips.

Axes: N batch, T frames, P subjects of a batch, K sequences per subject.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gaitbench.errors import GaitbenchError, ModelError, NotFiniteError, TrainingError
from gaitbench.model import GaitBatch, GaitModel, InputSpec
from gaitbench.progress import quiet
from gaitbench.quarantine import in_one_line
from gaitbench.recipe import ClipConfig, Recipe, Stage
from gaitbench.testing.attributes import attribute_classes
from gaitbench.testing.batch_parts import shown_together, with_lengths
from gaitbench.testing.models import embed
from gaitbench.testing.synthetic import synthetic_batch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from gaitbench.train import TrainingData

__all__ = ["check_recipe"]

BATCH_SIDE = 2
"""Largest P and largest K of a batch; fewer where the recipe has fewer."""
FITTED = (4, 4)
"""Subjects and sequences of each that a closed-form stage is fitted to."""


def check_recipe(model: GaitModel, recipe: Recipe, *, num_frames: int = 8) -> None:
    """Train a model for one step in every stage of a recipe, on made-up clips.

    Stages follow one another as in a run, on one and the same weights. All that a recipe says holds but its sizes:
    the batch, the frames of a clip and the number of steps are cut down, so that a small model takes milliseconds.
    ``16-mixed``, which a CPU does not have, is tried as ``bf16-mixed``.

    Checked: names of losses; patterns of ``freeze``, ``lr_scale`` and ``no_decay``; that something trains and some
    loss counts; forward, backward and optimizer in the recipe's precision; finite losses, gradients and weights;
    milestones and warm-up within the stage; and, when all stages are done, finite embeddings in the recipe's precision.
    Closed-form stages are fitted.

    Args:
        model: Small is fine. A copy is trained.
        recipe: Such as that of a preset.
        num_frames: Most frames of a clip.

    Raises:
        TrainingError: The recipe does not fit the model; the message names the stage.
        NotFiniteError: A loss, a gradient or a weight is NaN or infinite.
        ModelError: The model fails in training; the message names the stage and the reason.
    """
    from lightning_fabric import Fabric

    if not isinstance(model, GaitModel):
        raise ModelError(f"{type(model).__name__} must derive from gaitbench.model.GaitModel.")
    name = type(model).__name__
    precision = "bf16-mixed" if recipe.precision == "16-mixed" else recipe.precision
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    trained = copy.deepcopy(model)
    with quiet(), torch.random.fork_rng(devices=[]):
        for index, stage in enumerate(recipe.stages):
            where = f"{name}, stage {stage.name!r} ({index + 1} of {len(recipe.stages)})"
            _check_schedule(stage, where)
            # A run starts from other weights once, before its first stage.
            start = {} if index == 0 else {"start_from": None}
            one_step = stage.model_copy(update={"iterations": 1})
            alone = recipe.model_copy(update={"stages": (one_step,), "precision": precision, **start})
            _try_stage(trained, alone, fabric, num_frames, where)
        batch = synthetic_batch(model.inputs, num_frames=num_frames)
        for shown in shown_together(trained, batch):
            with fabric.autocast():
                embed(trained, shown, f"{name}, trained, on {' and '.join(shown.inputs)} in {precision}")


def _check_schedule(stage: Stage, where: str) -> None:
    if stage.kind == "closed-form":
        return
    schedule = stage.schedule
    late = [milestone for milestone in schedule.milestones if milestone >= stage.iterations]
    if schedule.name == "multistep" and late:
        raise TrainingError(f"{where}: milestone {late[0]} is never reached in {stage.iterations} iterations.")
    if schedule.name != "cosine-cycle" and schedule.warmup > stage.iterations:
        raise TrainingError(f"{where}: warm-up takes {schedule.warmup} of {stage.iterations} iterations.")


def _try_stage(model: GaitModel, recipe: Recipe, fabric: "Fabric", num_frames: int, where: str) -> None:
    from gaitbench.train import train

    (stage,) = recipe.stages
    seen: dict[str, float] = {}

    def watch(_what: str, _num_steps: int, numbers: Mapping[str, float]) -> None:
        seen.update(numbers)

    try:
        train(model, _made_up_data(model, stage.clips, num_frames), recipe, seed=0, fabric=fabric, watch=watch)
    except NotFiniteError as error:
        raise NotFiniteError(f"{where}: {error}") from error
    except TrainingError as error:
        raise TrainingError(f"{where}: {error}") from error
    except GaitbenchError as error:
        raise ModelError(f"{where}: {error}") from error
    except Exception as error:  # a plugin's model may raise anything, and its author needs to know where
        raise ModelError(f"{where}: {in_one_line(error)}") from error
    losses = sorted(seen.keys() - {"loss", "lr"})
    if losses and not any(stage.loss_weights.get(name, 1.0) for name in losses):
        raise TrainingError(f"{where}: every loss has weight 0 ({', '.join(losses)}); nothing is learned.")
    bad = [name for name, x in model.state_dict().items() if x.is_floating_point() and not x.isfinite().all()]
    if bad:
        raise NotFiniteError(f"{where}: after one step {len(bad)} tensors are not finite (first: {bad[0]}).")


def _made_up_data(model: GaitModel, clips: ClipConfig, num_frames: int) -> "TrainingData":
    from gaitbench.train import TrainingData

    num_classes = int(getattr(model.config, "num_classes", BATCH_SIDE))
    num_each = min(clips.sequences_per_subject, BATCH_SIDE)
    batch_size = min(clips.subjects_per_batch, BATCH_SIDE) * num_each
    if clips.batch_size is not None:
        num_each, batch_size = BATCH_SIDE, min(clips.batch_size, BATCH_SIDE**2)
    longest = min(clips.max_frames or clips.num_frames, num_frames)
    batch = _Clips(
        inputs=model.inputs,
        labels=torch.arange(batch_size) // num_each % num_classes,
        shortest=min(clips.num_frames, max(1, longest - 1)) if clips.max_frames else longest,
        longest=longest,
        attribute_classes=attribute_classes(model),
    )
    labels = torch.arange(FITTED[0]).repeat_interleave(FITTED[1])
    whole = _Clips(inputs=model.inputs, labels=labels, shortest=num_frames, longest=num_frames, attribute_classes=None)

    def sequences() -> Iterator[tuple[Tensor, GaitBatch]]:
        yield torch.arange(len(labels)), whole.batch(0)

    return TrainingData(sampler=lambda _stage, _seed: batch, sequences=sequences, labels=labels)


@dataclass(frozen=True, kw_only=True)
class _Clips:
    """A batch source of made-up clips."""

    inputs: tuple[InputSpec, ...]
    labels: Tensor
    """``[N]``."""
    shortest: int
    """Frames of every second clip; padding follows."""
    longest: int
    """Frames of the others, T."""
    attribute_classes: tuple[int, ...] | None
    """Of each attribute, where the model names any."""

    def batch(self, step: int) -> GaitBatch:
        """The clips of a step."""
        num_clips = len(self.labels)
        batch = synthetic_batch(
            self.inputs,
            num_sequences=num_clips,
            num_frames=self.longest,
            attribute_classes=self.attribute_classes,
            seed=step,
        )
        if self.shortest < self.longest:
            lengths = [self.longest if row % 2 else self.shortest for row in range(num_clips)]
            padded = with_lengths(batch, self.inputs, lengths)
            batch.inputs, batch.num_frames = padded.inputs, padded.num_frames
        batch.labels = self.labels
        return batch
