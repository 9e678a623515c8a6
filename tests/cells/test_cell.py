"""Overrides and presets: dotted fields, nearest names, values that do not fit."""

import pytest
from pydantic import BaseModel, PositiveInt

from gaitbench.cells.cell import Cell, choose_preset, override
from gaitbench.dated import Dated
from gaitbench.errors import UnknownNameError, UsageError
from gaitbench.recipe import OptimizerConfig, Preset, Recipe, Stage


class Head(BaseModel, extra="forbid"):
    bins: tuple[int, ...] = (16,)


class Config(BaseModel, extra="forbid"):
    width: PositiveInt = 8
    name: str = "a"
    scale: float = 1.0
    head: Head = Head()


PRESET = Preset(config={"width": 4}, recipe=Recipe(stages=(Stage(optimizer=OptimizerConfig(lr_scale={"a.*": 2.0})),)))


def test_overrides_reach_nested_fields_and_lists() -> None:
    config, recipe = override(
        "m",
        Config,
        PRESET,
        {
            "width": "16",
            "config.head.bins": "[1, 2]",
            "config.name": "plain text",
            "recipe.stages.0.iterations": 3,
            "recipe.stages.0.loss_weights": {"a": 2},
            "recipe.stages.0.optimizer.lr_scale.b": 0.5,
            "recipe.precision": "bf16-mixed",
        },
    )
    assert config == Config(width=16, name="plain text", head=Head(bins=(1, 2)))
    assert recipe.stages[0].iterations == 3
    assert recipe.stages[0].loss_weights == {"a": 2.0}
    assert recipe.stages[0].optimizer.lr_scale == {"a.*": 2.0, "b": 0.5}
    assert recipe.precision == "bf16-mixed"


class Grown(Dated, extra="forbid"):
    later_fields = frozenset({"sets"})
    width: PositiveInt = 8
    sets: tuple[tuple[str, ...], ...] | None = None


def test_fields_that_records_leave_out_can_be_set() -> None:
    assert override("m", Grown, Preset(), {})[0].model_dump() == {"width": 8}
    changed, _ = override("m", Grown, Preset(), {"sets": '[["a", "b"]]'})
    assert changed == Grown(sets=(("a", "b"),))
    with pytest.raises(UsageError, match=r"config.sets.0.1 must be text that a file can hold, got 'b.udc80'"):
        override("m", Grown, Preset(), {"sets": [["a", "b\udc80"]]})


def test_without_overrides_the_preset_stands() -> None:
    config, recipe = override("m", Config, PRESET, {})
    assert config == Config(width=4)
    assert recipe == PRESET.recipe


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("widht", 3, "no field 'widht'; did you mean 'width'"),
        ("config.head.bin", 3, "no field 'bin'; did you mean 'bins'"),
        ("recipe.stage", 3, "no field 'stage'; did you mean 'stages'"),
        ("recipe.stages.7.iterations", 3, "'7' must be a number from 0 to 0"),
        ("width.x", 3, "config.width has no fields"),
        ("width", -1, "config.width: Input should be greater than 0, got -1"),
        ("recipe.precision", "fp4", "recipe.precision: Input should be"),
        ("scale", "inf", "config.scale must be a finite number, got inf"),
        ("scale", float("nan"), "config.scale must be a finite number, got nan"),
        ("recipe.stages.0.optimizer.lr", "inf", "recipe.stages.0.optimizer.lr must be a finite number, got inf"),
        ("recipe.stages.0.loss_weights.triplet", "nan", "recipe.stages.0.loss_weights.triplet"),
    ],
)
def test_wrong_overrides_are_refused(key: str, value: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        override("m", Config, PRESET, {key: value})


@pytest.mark.parametrize(
    ("task", "dataset", "expected"),
    [
        ("identity", "ccpg", "dataset"),
        ("crossmodal", "other", "task"),
        ("crossmodal", "ccpg", "both"),
        ("identity", "x", "plain"),
    ],
)
def test_most_particular_preset_wins(task: str, dataset: str, expected: str) -> None:
    presets = {
        "quick": Preset(note="plain"),
        "quick@ccpg": Preset(note="dataset"),
        "quick@crossmodal": Preset(note="task"),
        "quick@crossmodal@ccpg": Preset(note="both"),
    }
    assert choose_preset("m", presets, "quick", task, dataset).note == expected
    with pytest.raises(UnknownNameError, match="no preset 'quik'; did you mean 'quick'"):
        choose_preset("m", presets, "quik", task, dataset)


def test_cell_travels_as_json() -> None:
    cell = Cell(task="identity", dataset="d", model="m", overrides={"width": 3}, options={"seed": 1})
    assert Cell.model_validate_json(cell.model_dump_json()) == cell
