"""Weights of another training: what fits by name is taken, what does not is refused, and what was taken is recorded."""

import logging
from pathlib import Path

import pytest
import tiny_plugin
import torch
from safetensors.torch import save_file
from torch import nn

from gaitbench.errors import RecordError, TrainingError
from gaitbench.recipe import Recipe, Stage, StartWeights
from gaitbench.start_weights import start_weights
from gaitbench.train import TrainingData, train


def network(head: int = 3) -> nn.ModuleDict:
    return nn.ModuleDict({"stem": nn.Linear(2, 4), "norm": nn.BatchNorm1d(4), "head": nn.Linear(4, head)})


def saved(path: Path, model: nn.Module) -> Path:
    save_file(dict(model.state_dict()), path)
    return path


def test_tensors_of_the_same_name_are_taken_and_others_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    trained = nn.ModuleDict({"stem": nn.Linear(2, 4), "norm": nn.BatchNorm1d(4), "other": nn.Linear(1, 1)})
    trained["norm"].running_mean.fill_(7)
    model = network()
    head = model["head"].weight.clone()
    caplog.set_level(logging.INFO, logger="gaitbench")
    assert start_weights(model, StartWeights(path=saved(tmp_path / "w.safetensors", trained))) == 7
    assert torch.equal(model["stem"].weight, trained["stem"].weight)
    assert model["norm"].running_mean.tolist() == [7.0] * 4
    assert torch.equal(model["head"].weight, head)
    assert "7 of its 9 tensors are taken, 2 in the file have no place" in caplog.text


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", network(head=5))
    with pytest.raises(TrainingError, match=r"2 of 9 tensors.*head.weight is \[5, 4\], not \[3, 4\]"):
        start_weights(network(), StartWeights(path=path))
    with pytest.raises(TrainingError, match=r"none of the 9 tensors.* its names start with bias, weight"):
        start_weights(nn.Linear(2, 2), StartWeights(path=path))
    start = StartWeights(path=path)
    saved(path, network())
    with pytest.raises(RecordError, match="damaged or altered"):
        start_weights(network(), start)


def test_a_recipe_holds_path_and_hash(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", network())
    recipe = Recipe.model_validate({"start_from": str(path)})
    assert recipe.start_from is not None
    assert recipe.start_from.path == path
    assert len(recipe.start_from.sha256) == 64
    # A record is read where the file may be gone.
    text = recipe.model_dump_json()
    path.unlink()
    assert Recipe.model_validate_json(text) == recipe
    with pytest.raises(ValueError, match=r"cannot read the weights to start from.*gone.safetensors"):
        Recipe.model_validate({"start_from": str(tmp_path / "gone.safetensors")})
    assert Recipe().start_from is None


def test_training_starts_from_them(tmp_path: Path) -> None:
    """Also where no step follows; a training that goes on from a checkpoint does not start again."""
    config = tiny_plugin.TinyConfig(width=5, num_classes=3)
    torch.manual_seed(0)
    trained = tiny_plugin.TinyModel(config)
    path = saved(tmp_path / "w.safetensors", trained)
    recipe = Recipe(stages=(Stage(iterations=0),), start_from=StartWeights(path=path))
    torch.manual_seed(1)
    model = tiny_plugin.TinyModel(config)
    data = TrainingData(
        sampler=lambda *_: pytest.fail("no batch is needed"), sequences=lambda: iter(()), labels=torch.zeros(1)
    )
    train(model, data, recipe, seed=0, checkpoint_dir=tmp_path / "checkpoints")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), trained.parameters(), strict=True))
    path.unlink()
    torch.manual_seed(2)
    again = tiny_plugin.TinyModel(config)
    train(again, data, recipe, seed=0, checkpoint_dir=tmp_path / "checkpoints")
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), trained.parameters(), strict=True))
