"""A model that does not tell attributes, wearing the head that does: its configuration, and how it is trained."""

import dataclasses
import fnmatch
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel

from gaitbench.errors import UsageError
from gaitbench.model import ClosedFormModel, GaitModel
from gaitbench.recipe import ClipConfig, OptimizerConfig, Preset, ScheduleConfig, Stage
from gaitbench.specs import ModelSpec
from gaitbench.with_attributes import HeadConfig, WithAttributes, WithAttributesConfig

__all__ = ["OPEN_POINTS", "Worn", "as_worn", "head_overrides", "is_native", "preset_for_head"]

OPEN_POINTS = (
    "attribute head: RA-GAR (AAAI 2025) says of its baselines only that head and loss were replaced",
    "here: the model up to its part features, flattened, batch norm, one linear layer, unweighted loss",
)
"""Why a model that wears the head is ``proposed``, whatever it is by itself."""

PAPER = Stage(
    name="attributes",
    iterations=120_000,
    clips=ClipConfig(batch_size=32, num_frames=30, order="ordered"),
    optimizer=OptimizerConfig(name="adam", lr=1e-4, weight_decay=2e-5, eps=1e-6),
    schedule=ScheduleConfig(name="constant"),
)
"""RA-GAR's training, the same for all models. Not printed, and ours: consecutive frames, a constant rate, no flips."""

_HEAD = "head."


class Worn(NamedTuple):
    """What a cell runs in place of the model."""

    spec: ModelSpec
    model_class: type[GaitModel]
    config: BaseModel


def is_native(config_class: type[BaseModel]) -> bool:
    """Tell whether a model tells attributes by itself: its configuration has a field for the schema."""
    return "attributes" in config_class.model_fields


def head_overrides(overrides: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part overrides of the head, ``head.FIELD``, from those of the model.

    Example:
        >>> head_overrides({"head.loss": "softmax", "width": 4})
        ({'loss': 'softmax'}, {'width': 4})
    """
    head = {key.removeprefix(_HEAD): value for key, value in overrides.items() if key.startswith(_HEAD)}
    return head, {key: value for key, value in overrides.items() if not key.startswith(_HEAD)}


def preset_for_head(
    spec: ModelSpec, model_class: type[GaitModel], config_class: type[BaseModel], preset: Preset, name: str
) -> Preset:
    """How a model is trained with the head, where it has no preset of its own for the task.

    Presets called ``paper...`` take RA-GAR's training. Others keep the model's own stages, in flat batches of the same
    size, without flips and with the losses of the head.

    Args:
        spec: Of the model.
        model_class: The model.
        config_class: Its configuration.
        preset: Of the identity task.
        name: Of the preset, as it was asked for.

    Raises:
        UsageError: The model is fitted instead of trained, or needs its own losses.
    """
    if issubclass(model_class, ClosedFormModel):
        raise UsageError(
            f"model {spec.name!r} is fitted in closed form and learns nothing by gradients, so it cannot wear the head "
            "that tells attributes; 'gaitbench list models --task attribute' shows models that can"
        )
    if model_class.needs_own_losses:
        raise UsageError(
            f"parts of model {spec.name!r} learn from losses of its own, which the head that tells attributes puts "
            "aside, so it cannot wear it; 'gaitbench list models --task attribute' shows models that can"
        )
    config = config_class.model_validate(preset.config)
    calm = model_class.without_mirroring(config)
    changed = {
        key: value
        for key, value in calm.model_dump(mode="json").items()
        if value != config.model_dump(mode="json").get(key)
    }
    if name.startswith("paper"):
        recipe = preset.recipe.model_copy(update={"stages": (PAPER,)})
        said = "with the attribute head, trained as RA-GAR's baselines"
    else:
        stages = tuple(stage for stage in preset.recipe.stages if stage.kind == "gradient")
        recipe = preset.recipe.model_copy(update={"stages": _stages(stages, model_class, calm)})
        said = "with the attribute head: flat batches, nothing mirrored"
    note = "; ".join(filter(None, (preset.note, said)))
    return Preset(config={**preset.config, **changed}, recipe=recipe, note=note)


def as_worn(spec: ModelSpec, task: str, config: BaseModel, head: HeadConfig) -> Worn:
    """Put the head on.

    Args:
        spec: Of the model.
        task: Name of the task that it then does.
        config: The model's configuration.
        head: What was chosen of the head.
    """
    worn = dataclasses.replace(
        spec,
        target="gaitbench.with_attributes:WithAttributes",
        config="gaitbench.with_attributes:WithAttributesConfig",
        tasks=(task,),
        fidelity="proposed",
        open_points=OPEN_POINTS,
        published_keys="",
        explains=False,
    )
    whole = WithAttributesConfig(
        **dict(head), target=spec.target, config_target=spec.config, config=config.model_dump(mode="json")
    )
    return Worn(worn, WithAttributes, whole)


def _stages(stages: tuple[Stage, ...], model_class: type[GaitModel], config: BaseModel) -> tuple[Stage, ...]:
    names: list[str] = []
    if any(stage.freeze or stage.optimizer.lr_scale or stage.optimizer.no_decay for stage in stages):
        with torch.random.fork_rng(devices=[]):
            model = model_class(config)
        names = [n for n, _ in model.named_parameters() if n.split(".")[0] not in model.beyond_features]
    return tuple(_stage(stage, names) for stage in stages)


def _stage(stage: Stage, names: list[str]) -> Stage:
    """A stage of the model for the model inside; patterns of what the head replaces are left out."""

    def inside(pattern: str) -> list[str]:
        return [f"backbone.{pattern}"] if fnmatch.filter(names, pattern) else []

    clips, optimizer = stage.clips, stage.optimizer
    size = clips.batch_size or clips.subjects_per_batch * clips.sequences_per_subject
    return stage.model_copy(
        update={
            "clips": clips.model_copy(update={"batch_size": size}),
            "augment": stage.augment.model_copy(update={"flip": 0.0}),
            "optimizer": optimizer.model_copy(
                update={
                    "lr_scale": {new: x for pattern, x in optimizer.lr_scale.items() for new in inside(pattern)},
                    "no_decay": tuple(new for pattern in optimizer.no_decay for new in inside(pattern)),
                }
            ),
            "loss_weights": {},
            "freeze": tuple(new for pattern in stage.freeze for new in inside(pattern)),
        }
    )
