import copy

import pytest
import torch
from small_towers import VIT, VIT_SIZES
from torch import nn

from gaitbench.checkpoint import apply_weights, weights_of
from gaitbench.errors import ModelError
from gaitbench.flops import count_parameters
from gaitbench.towers.borrowed import Borrowed
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.image import ImageTower
from gaitbench.towers.left_out import weights_left_out


class Holder(nn.Module):
    """A model with a borrowed tower and one weight of its own."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.num_built = 0
        self.own = nn.Linear(2, 2)
        self.tower: Borrowed[ImageTower] = Borrowed(lambda: self.build(seed))

    def build(self, seed: int) -> ImageTower:
        self.num_built += 1
        return ImageTower(TowerConfig(architecture=VIT, overrides=VIT_SIZES, seed=seed), image_size=(56, 56))


def pixels() -> torch.Tensor:
    return torch.rand(2, 3, 56, 56, generator=torch.Generator().manual_seed(0))


def test_it_is_built_once_and_when_needed() -> None:
    holder = Holder()
    assert not holder.tower.is_built
    assert holder.num_built == 0
    first = holder.tower(pixels()).last
    assert torch.equal(holder.tower(pixels()).last, first)
    assert holder.num_built == 1
    assert holder.tower.info.num_parameters > 1000


def test_nothing_of_it_is_the_models() -> None:
    holder = Holder()
    holder.tower(pixels())
    assert count_parameters(holder) == 6
    assert set(holder.state_dict()) == {"own.weight", "own.bias", "tower._extra_state"}
    holder.train()
    assert not holder.tower.tower.training
    assert not any(weight.requires_grad for weight in holder.tower.tower.parameters())
    copied = copy.deepcopy(holder)
    assert torch.equal(copied.tower(pixels()).last, holder.tower(pixels()).last)


def test_it_moves_and_changes_format_with_the_model() -> None:
    before, after = Holder().to(torch.float64), Holder()
    after.tower(pixels())
    after.to(torch.float64)
    for holder in (before, after):
        assert holder.tower(pixels().double()).last.dtype == torch.float64


def test_weights_remember_the_tower_that_they_were_trained_with() -> None:
    weights = weights_of(Holder())
    assert weights["tower._extra_state"].dtype == torch.uint8
    apply_weights(Holder(), weights, "here")
    other = Holder(seed=1)
    with pytest.raises(ModelError, match=r"trained with another image tower.*seed 1\).*same versions"):
        apply_weights(other, weights, "here")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_in_half_precision_remember_it_too(dtype: torch.dtype) -> None:
    weights = {name: value.to(dtype) for name, value in weights_of(Holder()).items()}
    apply_weights(Holder(), weights, "here")
    with pytest.raises(ModelError, match="trained with another image tower"):
        apply_weights(Holder(seed=1), weights, "here")


def test_training_goes_through_a_tower_that_evaluation_built() -> None:
    holder = Holder()
    with torch.inference_mode():
        holder.tower(pixels())
    assert not any(weight.is_inference() for weight in holder.tower.tower.parameters())


def test_a_tower_without_its_weights_is_not_kept() -> None:
    holder = Holder()
    with weights_left_out():
        holder.tower(pixels())
    holder.tower(pixels())
    assert holder.num_built == 2


def test_without_memory_there_is_nothing_to_compare() -> None:
    with torch.device("meta"):
        holder = Holder()
    assert holder.state_dict()["tower._extra_state"].is_meta
    holder.tower.set_extra_state(torch.zeros(32, dtype=torch.uint8))
    assert not holder.tower.is_built
