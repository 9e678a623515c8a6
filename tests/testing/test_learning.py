from collections.abc import Mapping

import pytest
import torch
from mean_net import Config, Good
from torch import Tensor

from gaitbench.errors import ModelError
from gaitbench.model import GaitBatch, GaitOutput
from gaitbench.recipe import Stage
from gaitbench.testing import check_learning


class Random(Good):
    """Its loss does not depend on what was learned."""

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        return {"ce": super().losses(output, batch, stage)["ce"] * 0 + 1 + batch.step}


class NotFinite(Good):
    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        return {"ce": super().losses(output, batch, stage)["ce"] / 0}


def test_a_model_that_learns_and_stays_as_it_is() -> None:
    torch.manual_seed(0)
    model = Good(Config())
    before = model.layer.weight.clone()
    check_learning(model)
    assert torch.equal(model.layer.weight, before)


@pytest.mark.parametrize("cls", [Random, NotFinite])
def test_a_model_that_does_not(cls: type[Good]) -> None:
    with pytest.raises(ModelError, match="in 15 steps on one batch the loss goes from"):
        check_learning(cls(Config()))


def test_weights_of_losses_count() -> None:
    with pytest.raises(ModelError, match="goes from 0 to 0"):
        check_learning(Good(Config()), stage=Stage(loss_weights={"ce": 0.0}))
