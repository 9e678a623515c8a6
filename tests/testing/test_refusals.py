from collections.abc import Mapping

import pytest
import torch
from mean_net import Config, Good
from torch import Tensor

from gaitbench.errors import ModelError
from gaitbench.model import ClosedFormModel, GaitBatch, GaitOutput, InputSpec
from gaitbench.recipe import Stage
from gaitbench.testing import check_labels_needed, check_modality_needed


class Polite(Good):
    def mean(self, batch: GaitBatch) -> Tensor:
        if "silhouette" not in batch.inputs:
            raise ModelError(f"the batch holds {', '.join(batch.inputs)}, but the model reads silhouette")
        return super().mean(batch)


class Vague(Polite):
    def mean(self, batch: GaitBatch) -> Tensor:
        try:
            return super().mean(batch)
        except ModelError as error:
            raise ModelError("wrong input") from error


class Swallows(Polite):
    def mean(self, batch: GaitBatch) -> Tensor:
        return super().mean(batch) if "silhouette" in batch.inputs else torch.zeros(4, 16 * 11)


class NoLabels(Good):
    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        return {"norm": output.embedding.norm()}


class Asserts(Good):
    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        assert batch.labels is not None
        return {}


class SaysNothing(Good):
    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        raise ModelError("no")


class Fitted(ClosedFormModel):
    inputs, forward = Good.inputs, Good.forward

    def features(self, batch: GaitBatch) -> Tensor:
        raise NotImplementedError

    def fit(self, features: Tensor, labels: Tensor) -> None:
        raise NotImplementedError


def test_a_good_model_refuses() -> None:
    check_modality_needed(Polite(Config()))
    check_labels_needed(Polite(Config()))


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Good, "fails on a batch of rgb with KeyError: 'silhouette'; raise a ModelError"),
        (Vague, "'wrong input'; say what it holds"),
        (Swallows, "takes a batch of rgb"),
    ],
)
def test_another_modality_is_not_refused_well(cls: type[Good], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_modality_needed(cls(Config()))


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (NoLabels, "gives losses for a batch without labels"),
        (Asserts, "fails on losses without labels with AssertionError"),
        (SaysNothing, "with 'no'; say so"),
        (Fitted, "is fitted and has no losses"),
    ],
)
def test_losses_without_labels_are_not_refused_well(cls: type[Good], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_labels_needed(cls(Config()))


def test_a_modality_that_the_model_reads_is_no_stranger() -> None:
    with pytest.raises(ModelError, match="reads silhouette; name a modality"):
        check_modality_needed(Polite(Config()), InputSpec(modality="silhouette"))


class ReadsColours(Good):
    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return (InputSpec(modality="rgb", height_px=16, width_px=11, channels=3),)

    def mean(self, batch: GaitBatch) -> Tensor:
        if "rgb" not in batch.inputs:
            raise ModelError(f"the batch holds {', '.join(batch.inputs)}, but the model reads rgb")
        return batch.inputs["rgb"].mean(dim=(1, 2)).flatten(1)


def test_a_model_of_colours_is_shown_something_else() -> None:
    check_modality_needed(ReadsColours(Config()))
