"""Which models have features to keep, and which recipes can be trained on kept ones."""

from gaitbench.errors import ModelError, UsageError
from gaitbench.frozen import FrozenFeatures
from gaitbench.model import GaitModel, InputSpec
from gaitbench.recipe import Recipe

__all__ = ["check_recipe", "is_mirrored", "kept_features", "source_specs"]

_CHANGES = ("perspective", "rotate", "shift", "rescale", "erase")
"""Augmentations that change frames in more ways than could be kept."""


def kept_features(model: GaitModel, name: str) -> FrozenFeatures:
    """The features of a model that can be kept.

    Args:
        model: Any.
        name: Of the model, for the message.

    Raises:
        UsageError: The model computes nothing of frames without trainable parameters, as it is configured.
    """
    if (features := model.frozen_features) is None:
        raise UsageError(
            f"model {name!r} has no frozen features to keep, as it is configured: leave the feature cache out "
            "(--feature-cache, feature_cache=True), or configure a frozen tower where the model has one"
        )
    source_specs(model, features)
    return features


def source_specs(model: GaitModel, features: FrozenFeatures) -> tuple[InputSpec, ...]:
    """How the model reads the stream that its features are computed from, and those beside it.

    Raises:
        ModelError: It does not read one of them, or reads it in training only, or one is a point cloud.
    """
    specs = {spec.modality: spec for spec in model.inputs if spec.num_points is None and not spec.is_for_training}
    wanted = (features.modality, *features.beside)
    if missing := [name for name in wanted if name not in specs]:
        raise ModelError(
            f"{type(model).__name__} has frozen features {features.name!r} of {', '.join(wanted)}, which it must read "
            f"of every sequence, and which must be no points; {', '.join(missing)} is not so among its inputs "
            f"{', '.join(spec.modality for spec in model.inputs)}"
        )
    return tuple(specs[name] for name in wanted)


def is_mirrored(recipe: Recipe) -> bool:
    """Tell whether a stage flips clips, so that features of mirror images are needed.

    Example:
        >>> is_mirrored(Recipe())
        False
    """
    return any(stage.augment.flip > 0 for stage in recipe.stages if stage.kind == "gradient" and stage.iterations)


def check_recipe(recipe: Recipe) -> None:
    """Stop where a stage changes frames in more ways than can be kept.

    Raises:
        UsageError: A stage has another augmentation than flips; the message names it.

    Example:
        >>> from gaitbench.recipe import AugmentConfig, Stage
        >>> check_recipe(Recipe(stages=(Stage(augment=AugmentConfig(flip=0.5)),)))
    """
    for number, stage in enumerate(recipe.stages):
        if stage.kind != "gradient" or not stage.iterations:
            continue
        found = [f"{name} {chance:g}" for name in _CHANGES if (chance := getattr(stage.augment, name)) > 0]
        if found:
            raise UsageError(
                f"stage {stage.name!r} changes frames at random ({', '.join(found)}), and only flips can be kept: "
                "leave the feature cache out (--feature-cache, feature_cache=True), or switch that off, such as "
                f"--set recipe.stages.{number}.augment.{found[0].split()[0]}=0"
            )
