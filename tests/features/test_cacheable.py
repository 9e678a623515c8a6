"""Which recipes and models can do with kept features."""

import pytest
from frozen_plugin import ConvFeatures, FrozenConfig, FrozenNet

from gaitbench.errors import ModelError, UsageError
from gaitbench.features.cacheable import check_recipe, is_mirrored, kept_features
from gaitbench.model import InputSpec
from gaitbench.recipe import AugmentConfig, Recipe, Stage

ERASING = AugmentConfig(flip=0.5, erase=0.3)


@pytest.mark.parametrize("name", ["perspective", "rotate", "shift", "rescale", "erase"])
def test_changes_other_than_flips_are_refused(name: str) -> None:
    recipe = Recipe(
        stages=(Stage(), Stage(name="later", augment=AugmentConfig.model_validate({name: 0.1, "flip": 0.5})))
    )
    with pytest.raises(UsageError, match=rf"stage 'later' .*\({name} 0.1\).*--set recipe.stages.1.augment.{name}=0"):
        check_recipe(recipe)


@pytest.mark.parametrize(
    "stage",
    [
        Stage(augment=AugmentConfig(flip=0.5)),
        Stage(iterations=0, augment=ERASING),
        Stage(kind="closed-form", augment=ERASING),
    ],
    ids=["flips", "no-steps", "closed-form"],
)
def test_stages_that_change_nothing_else_will_do(stage: Stage) -> None:
    check_recipe(Recipe(stages=(stage,)))


def test_mirror_images_are_kept_where_a_stage_flips() -> None:
    flips = Stage(augment=AugmentConfig(flip=0.1))
    assert is_mirrored(Recipe(stages=(Stage(), flips)))
    assert not is_mirrored(Recipe(stages=(Stage(), flips.model_copy(update={"iterations": 0}))))


@pytest.mark.parametrize(
    "inputs",
    [
        (InputSpec(modality="silhouette", height_px=64),),
        (InputSpec(modality="rgb", num_points=8),),
        (InputSpec(modality="rgb", height_px=64, is_for_training=True), InputSpec(modality="silhouette")),
    ],
    ids=["absent", "points", "training-only"],
)
def test_features_must_be_of_an_input(monkeypatch: pytest.MonkeyPatch, inputs: tuple[InputSpec, ...]) -> None:
    model = FrozenNet(FrozenConfig())
    assert isinstance(kept_features(model, "frozen-net"), ConvFeatures)
    monkeypatch.setattr(FrozenNet, "inputs", inputs)
    with pytest.raises(ModelError, match=r"of rgb, which it must read of every sequence, .* rgb is not so among"):
        kept_features(model, "frozen-net")
