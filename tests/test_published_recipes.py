"""Presets hold the published recipes: what peers' configurations say of each model and dataset, row by row."""

from typing import Any, Literal, NamedTuple

import pytest
from pydantic import BaseModel

from gaitbench.cells.cell import choose_preset
from gaitbench.recipe import AugmentConfig, Preset, ScheduleConfig, Stage
from gaitbench.registry import load_registry

REGISTRY = load_registry()
NOTHING = AugmentConfig()
STRONG = AugmentConfig(perspective=0.2, flip=0.2, rotate=0.2)
"""What the table calls DA."""
ON_CASIA_B = AugmentConfig(rotate=0.3, erase=0.3)
FLIP = AugmentConfig(flip=0.5)


class Row(NamedTuple):
    """One row of the table."""

    model: str
    dataset: str
    batch: tuple[int, int] | int
    """P and K, or the size of a flat batch."""
    frames: tuple[int, int] | int
    """Frames of a clip, or the shortest and longest."""
    skip: int | None
    """Frames dropped from an ordered window; None for unordered frames."""
    augment: AugmentConfig
    optimizer: Literal["sgd", "adam", "adamw"]
    lr: float
    weight_decay: float
    steps: tuple[int, ...] | ScheduleConfig
    """Where the learning rate falls to a tenth, or another schedule."""
    total: int
    losses: dict[str, float]
    config: dict[str, Any]
    """Fields of the model's configuration."""


BOTH = {"triplet": 1.0, "cross_entropy": 1.0}
TRIPLET = {"triplet": 1.0}
TENTH = {"triplet": 1.0, "cross_entropy": 0.1}
PLAIN, SMOOTH = {"logit_scale": 1.0, "label_smoothing": 0.0}, {"logit_scale": 1.0, "label_smoothing": 0.1}
NECK = {"logit_scale": 16.0, "label_smoothing": 0.1, "margin": 0.2}
ONE, FOUR = {**NECK, "num_blocks": (1, 1, 1, 1)}, {**NECK, "num_blocks": (1, 4, 4, 1)}
SHORT, MEDIUM, LONG = (20_000, 40_000, 50_000), (60_000, 80_000, 100_000), (80_000, 120_000, 150_000)
ALMOST, LATE = (20_000, 30_000, 40_000), (150_000,)
THREE_PHASES = ScheduleConfig(
    name="cosine-cycle",
    rise=0.475,
    has_three_phases=True,
    start_divisor=100,
    final_divisor=1000,
    momentum_range=(0.85, 0.95),
)
ONE_CYCLE = ScheduleConfig(name="cosine-cycle", momentum_range=(0.85, 0.95))


def annealed(steps: int) -> ScheduleConfig:
    return ScheduleConfig(name="cosine", cosine_steps=steps, update_every=1000, min_lr=1e-6)


def sgd(
    model: str,
    dataset: str,
    batch: tuple[int, int],
    frames: tuple[int, int] | int,
    skip: int | None,
    augment: AugmentConfig,
    steps: tuple[int, ...],
    total: int,
    config: dict[str, Any],
    losses: dict[str, float] = BOTH,
) -> Row:
    return Row(model, dataset, batch, frames, skip, augment, "sgd", 0.1, 5e-4, steps, total, losses, config)


def adam(
    model: str,
    dataset: str,
    batch: tuple[int, int] | int,
    frames: int,
    skip: int | None,
    lr: float,
    weight_decay: float,
    steps: tuple[int, ...] | ScheduleConfig,
    total: int,
    losses: dict[str, float],
    config: dict[str, Any],
    name: Literal["adam", "adamw"] = "adam",
) -> Row:
    return Row(model, dataset, batch, frames, skip, NOTHING, name, lr, weight_decay, steps, total, losses, config)


def deepgaitv2(model: str) -> list[Row]:
    return [
        sgd(model, "casia-b", (8, 16), 30, 4, STRONG, SHORT, 60_000, ONE),
        sgd(model, "ccpg", (8, 16), 30, 4, STRONG, SHORT, 60_000, ONE),
        sgd(model, "ou-mvlp", (32, 8), 30, 4, STRONG, MEDIUM, 120_000, ONE),
        sgd(model, "sustech1k", (8, 8), 10, 4, STRONG, ALMOST, 50_000, ONE),
        sgd(model, "gait3d", (32, 4), 30, 4, STRONG, SHORT, 60_000, FOUR),
        sgd(model, "grew", (32, 4), 30, 4, STRONG, LONG, 180_000, FOUR),
    ]


SLOW = dict.fromkeys(("stem.*", "stages.*", "head.*", "neck.*"), 0.1)
GAITSET, WIDE_SET = {"margin": 0.2, "channels": (32, 64, 128)}, {"margin": 0.2, "channels": (64, 128, 256)}
WIDE_GL = {**SMOOTH, "channels": (32, 64, 128, 256), "num_strips": 2, "convs_per_stage": 2}
SEEN = {"augment": STRONG}
"""Skeleton maps are augmented by the model, which draws them."""
ROWS = [
    sgd("gaitset", "casia-b", (8, 16), 30, None, NOTHING, (10_000, 20_000, 30_000), 40_000, GAITSET, TRIPLET),
    adam("gaitset", "ou-mvlp", (32, 16), 30, None, 1e-4, 0.0, LATE, 250_000, TRIPLET, WIDE_SET),
    adam("gaitset", "grew", (32, 4), 30, None, 1e-4, 0.0, LATE, 250_000, TRIPLET, WIDE_SET),
    sgd("gaitset", "casia-e", (8, 32), 30, None, NOTHING, SHORT, 60_000, GAITSET, TRIPLET),
    adam(
        "gaitset",
        "gait3d-parsing",
        (32, 4),
        30,
        None,
        1e-3,
        5e-4,
        (30_000, 90_000),
        180_000,
        TRIPLET,
        {**GAITSET, "modality": "parsing"},
    ),
    adam("gaitpart", "casia-b", (8, 16), 30, 10, 1e-4, 0.0, (100_000,), 120_000, TRIPLET, {"margin": 0.2}),
    adam("gaitpart", "ou-mvlp", (32, 16), 30, 10, 1e-4, 0.0, LATE, 250_000, TRIPLET, {"num_strips": (1, 1, 8)}),
    adam("gaitpart", "grew", (32, 4), 30, 10, 1e-4, 0.0, LATE, 250_000, TRIPLET, {"num_strips": (1, 1, 8)}),
    adam("gaitpart", "casia-e", (8, 32), 30, 10, 1e-4, 0.0, (100_000,), 120_000, TRIPLET, {"num_strips": (1, 4, 8)}),
    adam("gaitgl", "casia-b", (8, 8), 30, 0, 1e-4, 5e-4, (70_000,), 80_000, BOTH, PLAIN),
    adam("gaitgl", "ou-mvlp", (32, 8), 30, 0, 1e-4, 0.0, (150_000, 200_000), 210_000, BOTH, WIDE_GL),
    adam("gaitgl", "grew", (32, 4), 30, 0, 1e-4, 0.0, (150_000, 200_000), 250_000, BOTH, {**WIDE_GL, "neck": "norm"}),
    sgd("gaitbase", "casia-b", (8, 16), 30, None, ON_CASIA_B, SHORT, 60_000, NECK),
    sgd("gaitbase", "ou-mvlp", (32, 8), 30, None, NOTHING, MEDIUM, 120_000, NECK),
    sgd("gaitbase", "grew", (32, 4), (20, 40), None, STRONG, LONG, 180_000, NECK),
    sgd("gaitbase", "gait3d", (32, 4), (10, 50), None, STRONG, SHORT, 60_000, NECK),
    sgd("gaitbase", "ccpg", (8, 16), 30, None, NOTHING, SHORT, 60_000, NECK),
    sgd("gaitbase", "casia-e", (8, 32), 30, None, NOTHING, SHORT, 60_000, NECK),
    sgd(
        "gaitbase",
        "gait3d-parsing",
        (32, 2),
        30,
        None,
        NOTHING,
        (40_000, 80_000, 100_000),
        120_000,
        {**NECK, "modality": "parsing"},
    ),
    sgd(
        "gaitbase",
        "hid",
        (16, 8),
        30,
        None,
        NOTHING,
        (20_000, 40_000),
        60_000,
        {**NECK, "height_px": 128, "width_px": 88},
        TENTH,
    ),
    *deepgaitv2("deepgaitv2-p3d"),
    *deepgaitv2("deepgaitv2-2d"),
    *deepgaitv2("deepgaitv2-3d"),
    sgd("skeletongait", "ccpg", (8, 16), 30, 4, NOTHING, ALMOST, 60_000, {**ONE, **SEEN, "embedding": "neck"}),
    sgd("skeletongait", "gait3d", (32, 4), 30, 4, NOTHING, ALMOST, 60_000, {**FOUR, **SEEN, "embedding": "head"}),
    sgd("skeletongait", "grew", (32, 4), 30, 4, NOTHING, LONG, 180_000, {**FOUR, **SEEN}),
    sgd("skeletongait", "ou-mvlp", (32, 8), 30, 4, NOTHING, MEDIUM, 120_000, {**ONE, "augment": FLIP}),
    sgd("skeletongait", "sustech1k", (8, 8), 10, None, NOTHING, ALMOST, 50_000, {**ONE, **SEEN}),
    sgd("skeletongait++", "ccpg", (8, 16), 30, 4, NOTHING, ALMOST, 60_000, {**ONE, **SEEN}),
    sgd("skeletongait++", "gait3d", (32, 4), 30, 4, NOTHING, ALMOST, 60_000, {**FOUR, **SEEN}),
    sgd("skeletongait++", "grew", (32, 4), 30, 4, NOTHING, LONG, 180_000, {**FOUR, **SEEN}),
    sgd("skeletongait++", "sustech1k", (8, 8), 10, 4, NOTHING, ALMOST, 50_000, {**ONE, **SEEN}),
    sgd("multigait++", "ccpg", (8, 16), 30, 8, STRONG, SHORT, 60_000, ONE),
    sgd("multigait++", "gait3d", (32, 4), 30, 4, STRONG, SHORT, 60_000, {**NECK, "num_blocks": (1, 2, 2, 1)}),
    sgd("multigait++", "grew", (32, 4), 30, 4, STRONG, LONG, 180_000, {**NECK, "num_blocks": (1, 2, 2, 1)}),
    sgd("multigait++", "sustech1k", (8, 8), 10, 4, STRONG, ALMOST, 50_000, ONE),
    sgd("lidargait", "sustech1k", (8, 8), 10, None, NOTHING, (20_000, 30_000), 40_000, {**NECK, "width_px": 64}),
    Row(
        "lidargait++",
        "sustech1k",
        (32, 4),
        10,
        None,
        NOTHING,
        "sgd",
        0.1,
        5e-4,
        ScheduleConfig(name="cosine", final_factor=1e-3),
        40_000,
        TENTH,
        {"num_points": 1024, "logit_scale": 31.0, "is_size_aware": True},
    ),
    Row(
        "lidargait++",
        "freegait",
        (32, 4),
        10,
        None,
        NOTHING,
        "sgd",
        0.1,
        5e-4,
        ScheduleConfig(name="cosine", final_factor=1e-3),
        80_000,
        TENTH,
        {"num_points": 256, "logit_scale": 31.0, "is_size_aware": True},
    ),
    *(
        Row("swingait", dataset, batch, 30, 4, STRONG, "adamw", 3e-4, 0.02, annealed(steps), total, BOTH, config)
        for dataset, batch, steps, total, config in (
            ("gait3d", (32, 4), 60_000, 80_000, {**NECK, "num_blocks": (1, 4), "depths": (4, 2)}),
            ("grew", (32, 4), 150_000, 200_000, {**NECK, "num_blocks": (1, 4), "depths": (4, 2)}),
            ("ccpg", (8, 16), 60_000, 80_000, {**NECK, "num_blocks": (1, 1), "depths": (2, 2)}),
            ("sustech1k", (8, 8), 50_000, 60_000, {**NECK, "num_blocks": (1, 1), "depths": (2, 2)}),
        )
    ),
    *(
        adam("gaittr", dataset, batch, 60, 0, 1e-3, 2e-5, THREE_PHASES, total, TRIPLET, {"margin": 0.3})
        for dataset, batch, total in (
            ("casia-b", (4, 64), 40_000),
            ("gait3d", (32, 4), 40_000),
            ("grew", (32, 8), 150_000),
            ("ou-mvlp", (32, 16), 150_000),
        )
    ),
    *(
        adam(
            "gaitgraph2",
            dataset,
            768,
            frames,
            0,
            5e-3,
            1e-5,
            ONE_CYCLE if name == "adamw" else ONE_CYCLE.model_copy(update={"has_three_phases": True}),
            total,
            {"contrastive": 1.0},
            {"temperature": 0.01},
            name,
        )
        for dataset, frames, total, name in (
            ("casia-b", 60, 500, "adamw"),
            ("gait3d", 60, 2000, "adamw"),
            ("ou-mvlp", 30, 80_000, "adam"),
            ("grew", 60, 50_000, "adam"),
        )
    ),
    adam("gaitgraph", "casia-b", 128, 100, 0, 0.01, 1e-5, ONE_CYCLE, 6000, {"contrastive": 1.0}, {"temperature": 0.01}),
    sgd("sconet", "scoliosis1k", (8, 8), 30, None, NOTHING, (10_000, 14_000, 18_000), 20_000, NECK),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.model}-{row.dataset}")
def test_preset_is_the_published_recipe(row: Row) -> None:
    if row.model not in REGISTRY.names("model"):
        pytest.skip(f"{row.model} is not installed here")
    spec = REGISTRY.get("model", row.model)
    presets: dict[str, Preset] = REGISTRY.load(spec, "presets")
    preset = choose_preset(row.model, presets, "paper", "identity", row.dataset)
    (stage,) = preset.recipe.stages
    assert isinstance(stage, Stage)
    clips, optimizer = stage.clips, stage.optimizer
    assert (clips.batch_size or (clips.subjects_per_batch, clips.sequences_per_subject)) == row.batch
    assert (clips.num_frames if clips.max_frames is None else (clips.num_frames, clips.max_frames)) == row.frames
    assert (clips.skip if clips.order == "ordered" else None) == row.skip
    assert stage.augment == row.augment
    assert (optimizer.name, optimizer.lr, optimizer.weight_decay) == (row.optimizer, row.lr, row.weight_decay)
    assert optimizer.momentum == 0.9
    assert optimizer.lr_scale == (SLOW if row.model == "swingait" else {})
    steps = row.steps
    expected = steps if isinstance(steps, ScheduleConfig) else ScheduleConfig(name="multistep", milestones=steps)
    assert stage.schedule == expected
    assert stage.iterations == row.total
    assert {name: stage.loss_weights.get(name, 1.0) for name in row.losses} == row.losses
    assert set(stage.loss_weights) <= set(row.losses)
    config_class: type[BaseModel] = REGISTRY.load(spec, "config")
    config = config_class.model_validate(preset.config)
    assert {name: getattr(config, name) for name in row.config} == row.config
    assert preset.recipe.max_test_frames == 720


def test_gaitgl_with_a_bnneck_is_trained_as_without() -> None:
    if "gaitgl" not in REGISTRY.names("model"):
        pytest.skip("gaitgl is not installed here")
    presets: dict[str, Preset] = REGISTRY.load(REGISTRY.get("model", "gaitgl"), "presets")
    assert presets["paper-bnneck"].recipe == presets["paper@grew"].recipe
    assert presets["paper-bnneck"].config == {**presets["paper@grew"].config, "neck": "bnneck"}


def test_gln_is_trained_in_two_phases() -> None:
    if "gln" not in REGISTRY.names("model"):
        pytest.skip("gln is not installed here")
    presets: dict[str, Preset] = REGISTRY.load(REGISTRY.get("model", "gln"), "presets")
    first, second = presets["paper"].recipe.stages
    for stage, lr, weight in ((first, 0.1, 0.0), (second, 0.01, 0.1)):
        clips = stage.clips
        assert (clips.subjects_per_batch, clips.sequences_per_subject, clips.num_frames) == (8, 16, 30)
        assert (clips.order, clips.skip, stage.iterations) == ("ordered", 0, 40_000)
        assert (stage.optimizer.name, stage.optimizer.lr, stage.optimizer.weight_decay) == ("sgd", lr, 5e-4)
        assert stage.schedule == ScheduleConfig(name="multistep", milestones=(10_000, 20_000, 30_000))
        assert stage.loss_weights.get("cross_entropy") == weight
