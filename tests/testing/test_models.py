from collections.abc import Mapping

import pytest
import torch
from mean_net import Config, Good
from torch import Tensor, nn

from gaitbench.errors import ModelError
from gaitbench.model import ClosedFormModel, GaitBatch, GaitOutput, InputSpec
from gaitbench.recipe import Stage
from gaitbench.testing import check_model


def test_a_good_model_passes_and_keeps_its_weights() -> None:
    model = Good(Config())
    before = {key: value.clone() for key, value in model.state_dict().items()}
    check_model(model)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not model.training


class WrongShape(Good):
    def forward(self, batch: GaitBatch) -> GaitOutput:
        output = super().forward(batch)
        return GaitOutput(embedding=output.embedding[:, :, 0], logits=output.logits)


class NotFinite(Good):
    def forward(self, batch: GaitBatch) -> GaitOutput:
        output = super().forward(batch)
        return GaitOutput(embedding=output.embedding / 0, logits=output.logits)


class Random(Good):
    def forward(self, batch: GaitBatch) -> GaitOutput:
        output = super().forward(batch)
        return GaitOutput(embedding=nn.functional.dropout(output.embedding, 0.5, training=True), logits=output.logits)


class Constant(Good):
    def forward(self, batch: GaitBatch) -> GaitOutput:
        output = super().forward(batch)
        same = output.embedding.mean() * 0 + torch.ones_like(output.embedding)
        return GaitOutput(embedding=same if not self.training else output.embedding, logits=output.logits)


class OverTheBatch(Good):
    def forward(self, batch: GaitBatch) -> GaitOutput:
        output = super().forward(batch)
        return GaitOutput(embedding=output.embedding - output.embedding.mean(0), logits=output.logits)


class LooksAtPadding(Good):
    def mean(self, batch: GaitBatch) -> Tensor:
        return batch.inputs["silhouette"].mean(dim=(1, 2)).flatten(1)


class Unused(Good):
    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.idle = nn.Linear(2, 2)


class Detached(Good):
    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        return {key: value.detach() for key, value in super().losses(output, batch, stage).items()}


class VectorLoss(Good):
    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        return {"ce": output.embedding.flatten()}


class NoLoss(Good):
    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        return {}


class HiddenSize(Good):
    """Something outside the config shapes it."""

    size = 6

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        HiddenSize.size += 1
        self.layer = nn.Linear(16 * 11, HiddenSize.size)
        self.head = nn.Linear(HiddenSize.size, config.num_classes)


class HiddenState(Good):
    """A number that is no buffer."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.shift = torch.randn(config.width)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        output = super().forward(batch)
        return GaitOutput(embedding=output.embedding + self.shift[:, None], logits=output.logits)


class OtherModality(Good):
    def mean(self, batch: GaitBatch) -> Tensor:
        return batch.inputs["rgb"].flatten(1)


class ListOfInputs(Good):
    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return list(super().inputs)  # type: ignore[return-value]


class Guided(Good):
    """A part that only training needs, and a stream that only losses look at."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.guide: nn.Module | None = nn.Linear(config.width, 1)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return (*super().inputs, InputSpec(modality="depth", height_px=16, width_px=11, is_for_training=True))

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        assert self.guide is not None
        wanted = batch.inputs["depth"].mean(dim=(1, 2, 3, 4))
        found = self.guide(output.embedding[:, :, 0])[:, 0]
        return {**super().losses(output, batch, stage), "guide": (found - wanted).square().mean()}

    def seal(self) -> None:
        self.guide = None

    def take_form_of(self, weights: Mapping[str, Tensor]) -> None:
        if "guide.weight" not in weights:
            self.seal()


class SealsTooMuch(Guided):
    def seal(self) -> None:
        super().seal()
        self.layer.weight.data *= 1.001


class KeepsItsForm(Guided):
    def take_form_of(self, weights: Mapping[str, Tensor]) -> None:
        return


class ReadsWhatIsForTraining(Guided):
    def mean(self, batch: GaitBatch) -> Tensor:
        return super().mean(batch) + batch.inputs["depth"].mean(dim=(1, 2)).flatten(1)


class ForTrainingAlone(Guided):
    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return super().inputs[1:]


def test_what_only_training_needs_may_be_dropped() -> None:
    model = Guided(Config())
    check_model(model)
    assert model.guide is not None


class TwoStreams(Good):
    """Each of two streams by itself, and both as their mean."""

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return (*super().inputs, InputSpec(modality="depth", height_px=16, width_px=11))

    @property
    def fusions(self) -> tuple[tuple[str, ...], ...]:
        return (("silhouette", "depth"),)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        def alone(name: str) -> GaitOutput:
            one = {"silhouette": batch.inputs[name]}
            return super(TwoStreams, self).forward(GaitBatch(one, {"silhouette": batch.num_frames[name]}))

        outputs = {name: alone(name) for name in batch.inputs}
        embedding = torch.stack([output.embedding for output in outputs.values()]).mean(dim=0)
        logits = self.head(embedding[:, :, 0])[:, :, None]
        return GaitOutput(embedding=embedding, logits=logits, by_modality=outputs if len(outputs) > 1 else {})


class FusesAnUnknownStream(TwoStreams):
    @property
    def fusions(self) -> tuple[tuple[str, ...], ...]:
        return (("silhouette", "rgb"),)


class FusesOne(TwoStreams):
    @property
    def fusions(self) -> tuple[tuple[str, ...], ...]:
        return (("depth", "depth"),)


class FusesIntoAnotherSpace(TwoStreams):
    def forward(self, batch: GaitBatch) -> GaitOutput:
        output = super().forward(batch)
        if len(batch.inputs) > 1:
            output.embedding = torch.cat([output.embedding, output.embedding], dim=1)
        return output


class FusesItsOnlyEmbedding(Good):
    @property
    def fusions(self) -> tuple[tuple[str, ...], ...]:
        return (("silhouette", "depth"),)


def test_a_model_that_fuses_passes() -> None:
    check_model(TwoStreams(Config()))


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (FusesAnUnknownStream, "fusions names silhouette and rgb; .* different ones of silhouette, depth"),
        (FusesOne, "fusions names depth and depth; each must be two or more different ones"),
        (FusesIntoAnotherSpace, r"must not depend on the modality; got \[6, 1\] of silhouette.*\[12, 1\] of silhou"),
        (FusesItsOnlyEmbedding, "output has no by_modality"),
        (WrongShape, r"float \[N, D, P\]"),
        (NotFinite, "NaN or infinity"),
        (Random, "differently the second time"),
        (Constant, "the same embedding"),
        (OverTheBatch, "alone and in a batch"),
        (LooksAtPadding, "padded frames change the embedding"),
        (Unused, "no gradient reaches 2 of 6.*idle"),
        (Detached, "no loss depends on a parameter"),
        (VectorLoss, "must be a scalar"),
        (NoLoss, "at least one named loss"),
        (HiddenSize, "config does not rebuild the model"),
        (HiddenState, "rebuilt from config and state_dict embeds differently"),
        (OtherModality, "'rgb', which is not there"),
        (ListOfInputs, "tuple of InputSpec"),
        (SealsTooMuch, r"seal\(\) changes the embedding"),
        (KeepsItsForm, "missing: guide.bias, guide.weight"),
        (ReadsWhatIsForTraining, "'depth', which is not there"),
        (ForTrainingAlone, "nothing to embed a test sequence from"),
    ],
)
def test_a_broken_model_is_told_what_is_wrong(cls: type[Good], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_model(cls(Config()))


def test_parameters_of_another_stage_can_be_named() -> None:
    check_model(Unused(Config()), untrained=("idle.*",))
    check_model(Unused(Config()), stage=Stage(freeze=("idle.*",)))


def test_no_model_at_all() -> None:
    with pytest.raises(ModelError, match="must derive from"):
        check_model(nn.Linear(1, 1))  # type: ignore[arg-type]


class Fitted(ClosedFormModel):
    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.register_buffer("centre", torch.zeros(16 * 11))

    inputs = Good.inputs
    mean = Good.mean

    def features(self, batch: GaitBatch) -> Tensor:
        return self.mean(batch)

    def fit(self, features: Tensor, labels: Tensor) -> None:
        self.centre = features.mean(0)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        return GaitOutput(embedding=(self.features(batch) - self.centre)[:, :, None])


def test_a_closed_form_model_is_fitted() -> None:
    model = Fitted(Config())
    check_model(model)
    assert model.centre.any()
