import pytest
import torch
from mean_net import Config, Good
from torch import Tensor

from gaitbench.errors import ModelError
from gaitbench.model import GaitBatch, GaitOutput, InputSpec
from gaitbench.testing import check_apart


class Apart(Good):
    """Embeds two modalities into one space, whether it is given one of them or both."""

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return tuple(InputSpec(modality=name, height_px=16, width_px=11) for name in ("silhouette", "parsing"))

    def forward(self, batch: GaitBatch) -> GaitOutput:
        outputs = {}
        for name, clip in batch.inputs.items():
            one = super().forward(GaitBatch({"silhouette": clip}, {"silhouette": batch.num_frames[name]}))
            outputs[name] = GaitOutput(self.changed(one.embedding, batch), one.logits)
        embedding = torch.stack([output.embedding for output in outputs.values()]).mean(dim=0)
        return GaitOutput(embedding, by_modality=outputs if len(outputs) > 1 else {})

    def changed(self, embedding: Tensor, batch: GaitBatch) -> Tensor:
        return embedding


class ReadsLabels(Apart):
    def changed(self, embedding: Tensor, batch: GaitBatch) -> Tensor:
        return embedding if batch.labels is None else embedding + batch.labels[:, None, None]


class ReadsAttributes(Apart):
    def changed(self, embedding: Tensor, batch: GaitBatch) -> Tensor:
        return embedding if batch.attributes is None else embedding + batch.attributes[:, :1, None]


class IsNormalisedOverTheBatch(Apart):
    def changed(self, embedding: Tensor, batch: GaitBatch) -> Tensor:
        return embedding - embedding.mean(dim=0)


class KnowsThereIsAnother(Apart):
    def changed(self, embedding: Tensor, batch: GaitBatch) -> Tensor:
        return embedding * len(batch.inputs)


class SeesTheOther(Apart):
    def changed(self, embedding: Tensor, batch: GaitBatch) -> Tensor:
        # Alone it is its own other one: what differs is what the other shows.
        return embedding * list(batch.inputs.values())[-1].mean(dim=(1, 2, 3, 4))[:, None, None]


def test_a_good_model_passes_and_is_left_in_evaluation() -> None:
    model = Apart(Config()).train()
    check_apart(model)
    assert not model.training


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (ReadsLabels, "on silhouette: labels or attributes of the batch change the embedding"),
        (ReadsAttributes, "on silhouette: labels or attributes of the batch change the embedding"),
        (IsNormalisedOverTheBatch, "on silhouette: sequences embed differently in other company"),
        (KnowsThereIsAnother, "on silhouette: it embeds differently alone and beside parsing"),
        (SeesTheOther, "on silhouette: it embeds differently alone and beside parsing"),
    ],
)
def test_a_broken_model_is_told_what_is_wrong(cls: type[Apart], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_apart(cls(Config()))


def test_a_model_of_one_modality_is_not_asked() -> None:
    with pytest.raises(ModelError, match="does not embed several modalities"):
        check_apart(Good(Config()))
