"""The contract of the plugin and of its model: every preset, every ablation, every open point."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gaitbench_sgcrossgait import plugin
from gaitbench_sgcrossgait.config import SgCrossGaitConfig
from gaitbench_sgcrossgait.model import LOSSES, SgCrossGait
from gaitbench_sgcrossgait.presets import LOGGED_WEIGHTS, LOSS_WEIGHTS, PRESETS

from gaitbench.cells.cell import override
from gaitbench.info import find
from gaitbench.model import GaitBatch
from gaitbench.recipe import Stage
from gaitbench.registry import load_registry
from gaitbench.testing import (
    check_apart,
    check_labels_needed,
    check_learning,
    check_lengths,
    check_modality_needed,
    check_model,
    check_plugin,
    check_recipe,
    load_preset,
)

README = Path(__file__).parents[1] / "README.md"

ABLATIONS: dict[str, dict[str, Any]] = {
    "whole": {},
    "no-dcf": {"has_dcf": False},
    "no-sgfd": {"has_sgfd": False},
    "no-mt": {"has_mt": False},
    "no-text": {"has_text": False},
    "nothing": {"has_dcf": False, "has_sgfd": False, "has_mt": False, "has_text": False},
}
OPEN_POINTS: dict[str, dict[str, Any]] = {
    "unguided": {"guidance": "none"},
    "own-text": {"guidance": "sequence"},
    "all-texts": {"guidance": "batch", "positives": "subject"},
    "fixed-tau": {"tau": 1.0, "is_tau_learned": False, "positives": "text"},
    "own-fusion": {"fusion_sharing": "own", "num_layers": 2},
    "gray": {"encoding": "gray1"},
    "tower-trained": {"is_image_trained": True},
    "clip-text": {
        "text": {"architecture": "ViT-B-16", "overrides": {"width": 8, "heads": 2, "layers": 1, "embed_dim": 6}}
    },
}
SWITCHES = (
    *("has_dcf=false", "has_sgfd=false", "has_mt=false", "has_text=false", "guidance=none", "source=views"),
    "has_viewpoint=false",
    *(f"recipe.stages.0.loss_weights.{name}=0" for name in ("kl", "modality_2d", "contrastive_2d", "text_triplet")),
)
"""``--set`` of rows in the README."""


def test_plugin() -> None:
    info = check_plugin("gaitbench-sgcrossgait")
    assert info.components == (("model", "sgcrossgait"),)
    fields = SgCrossGaitConfig.model_fields
    for point in plugin.SG_CROSSGAIT.open_points:
        if point.endswith(")"):
            named = point[point.rindex("(") + 1 : -1].split(", ")
            assert set(named) <= {*fields, "recipe"}, point


@pytest.mark.parametrize("name", [*ABLATIONS, *OPEN_POINTS])
def test_contract(name: str, small: Callable[..., SgCrossGait]) -> None:
    check_model(small(**{**ABLATIONS, **OPEN_POINTS}[name]), num_frames=2)


def test_contract_of_heads_that_tell_attributes(whole: Callable[..., SgCrossGait]) -> None:
    check_model(whole(sentences=()), num_frames=2)


@pytest.mark.parametrize("name", [*ABLATIONS, *OPEN_POINTS])
def test_every_ablation_steps_with_texts_and_attributes(
    name: str, whole: Callable[..., SgCrossGait], pairs: Callable[..., GaitBatch]
) -> None:
    fields = {**ABLATIONS, **OPEN_POINTS}[name]
    attributes = {"attributes": ()} if fields.get("has_mt") is False else {}
    model = whole(**fields, **attributes).train()
    losses = model.losses(model(pairs(model)), pairs(model), Stage())
    assert set(losses) == set(LOSSES)
    sum(losses.values()).backward()  # type: ignore[union-attr]
    gone = [name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None]
    assert not gone
    assert all(weight.grad.isfinite().all() for weight in model.parameters() if weight.grad is not None)


@pytest.mark.parametrize("preset", ["paper", "paper-logged"])
def test_published_recipes_train(preset: str, sizes: dict[str, Any]) -> None:
    texts = {"sentences": ("a walk", "another walk")}
    check_recipe(*load_preset("sgcrossgait", preset, config={**sizes, **texts}, num_classes=3), num_frames=2)


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "quick"])
def test_published_presets_are_those_of_the_log(preset: str) -> None:
    found = PRESETS[preset]
    config = SgCrossGaitConfig.model_validate(found.config)
    assert {config.image.weights, config.text.weights} == {"pretrained"}
    assert (config.channels, config.bins, config.embedding_width) == ((64, 128, 256, 512), (16,), 256)
    (stage,) = found.recipe.stages
    assert set(stage.loss_weights) == set(LOSSES)
    assert (stage.iterations, stage.schedule.milestones, stage.optimizer.lr) == (40_000, (15_000, 30_000), 3e-4)
    assert (stage.clips.subjects_per_batch, stage.clips.sequences_per_subject, stage.clips.num_frames) == (8, 8, 10)
    assert (stage.optimizer.name, stage.optimizer.weight_decay, stage.schedule.gamma) == ("adam", 5e-4, 0.1)
    is_logged = preset.startswith("paper-logged")
    weights = dict.fromkeys(LOSSES, 1.0) | {"orthogonality": 0.0, "text_triplet": 0.5, "text_cross_entropy": 0.5}
    for sensor in ("2d", "3d"):
        weights |= {f"contrastive_{sensor}": 0.5, f"guided_{sensor}": 0.5 * (not is_logged)}
        weights |= {f"clip_{sensor}": 0.5 * (not is_logged), f"attributes_{sensor}": 0.1 * (not is_logged)}
    assert stage.loss_weights == (LOGGED_WEIGHTS if is_logged else LOSS_WEIGHTS) == weights
    assert (config.has_mt, config.is_tau_learned) == (not is_logged, not is_logged)


def test_published_sizes() -> None:
    with torch.device("meta"):
        model = SgCrossGait(SgCrossGaitConfig(num_classes=250, sentences=("a walk",)))
    assert model.patches is not None
    assert (model.patches.map_size, model.patches.width) == ((4, 4), 512)
    assert model.bank is not None
    assert model.bank.vectors.shape == (1, 512)
    assert model.head.weight.shape == (16, 512, 256)
    for encoder in model.encoders.values():
        assert sum(weight.numel() for weight in encoder.parameters()) == pytest.approx(4.9e6, rel=0.02)


def test_quick_trains_at_its_own_size() -> None:
    texts = {"sentences": ("a walk", "another walk")}
    model, recipe = load_preset("sgcrossgait", "quick", config=texts, num_classes=3)
    assert all(info.is_stand_in for info in model.towers)
    assert {info.weights for info in model.towers} == {"trained-along", "hashing"}
    check_recipe(model, recipe, num_frames=2)


@pytest.mark.parametrize("preset", ["quick", "paper"])
@pytest.mark.parametrize("switch", SWITCHES)
def test_a_row_of_the_readme_is_one_switch(preset: str, switch: str) -> None:
    given = dict(each.split("=", 1) for each in switch.split())
    config, recipe = override("sgcrossgait", SgCrossGaitConfig, PRESETS[preset], given)
    assert (config, recipe) != override("sgcrossgait", SgCrossGaitConfig, PRESETS[preset], {})
    assert isinstance(config, SgCrossGaitConfig)
    with torch.device("meta"):
        SgCrossGait(config)


@pytest.mark.skipif(not README.is_file(), reason="a wheel's tests come without the README")
def test_the_readme_says_every_switch() -> None:
    text = README.read_text()
    assert [switch for switch in SWITCHES if switch.rpartition(".")[2].partition("=")[0] not in text] == []


def test_padding_and_company_change_nothing(small: Callable[..., SgCrossGait]) -> None:
    for name in ("whole", "no-dcf"):
        check_lengths(small(**ABLATIONS[name]), (5, 2, 1))


@pytest.mark.parametrize("name", [*ABLATIONS, "own-fusion", "tower-trained"])
def test_an_embedding_stands_alone(
    name: str, whole: Callable[..., SgCrossGait], pairs: Callable[..., GaitBatch]
) -> None:
    fields = {**ABLATIONS, **OPEN_POINTS}[name]
    model = whole(**fields, **({"attributes": ()} if fields.get("has_mt") is False else {}))
    check_apart(model, pairs(model))


def test_training_steps_tell_two_subjects_apart(
    whole: Callable[..., SgCrossGait], pairs: Callable[..., GaitBatch]
) -> None:
    check_learning(whole(), batch=pairs(whole()), num_steps=15, share=0.9)


def test_what_is_missing_is_said(small: Callable[..., SgCrossGait]) -> None:
    check_modality_needed(small())
    check_labels_needed(small(), num_frames=2)


def test_info_says_what_data_bring() -> None:
    component = next(found for found in find(load_registry(), "sgcrossgait") if found.kind == "model")
    presets = next("\n".join(each.lines) for each in component.details if each.label == "presets")
    assert "parameters (without what is built of the data's attributes and sentences), " in presets
