import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from gaitbench.card import Attribute
from gaitbench.checkpoint import save_tensors
from gaitbench.errors import ModelError
from gaitbench.model import GaitBatch, GaitModel
from gaitbench.recipe import Stage, StartWeights
from gaitbench.start_weights import start_weights
from gaitbench.testing import check_model, synthetic_batch
from gaitbench.with_attributes import WithAttributes, WithAttributesConfig

sys.path.insert(0, str(Path(__file__).parent / "support"))

import tiny_plugin

SCHEMA = (
    Attribute(name="tall", title="Tall", classes=("no", "yes")),
    Attribute(name="pace", title="Pace", classes=("slow", "middle", "fast")),
)
PLAIN = {"plain": True, "num_classes": 3}


class Deep(tiny_plugin.TinyModel):
    """The tiny network with its features before its embedding."""

    beyond_features = ("embed", "head", "not-there")

    def part_features(self, batch: GaitBatch) -> Tensor:
        x = batch.inputs["silhouette"]
        maps = torch.relu(self.norm(self.conv(x.transpose(1, 2).flatten(0, 1))))
        return maps.unflatten(0, (len(x), -1)).mean(dim=1).flatten(2)  # [N, 4, 256]


def worn(target: str = "tiny_plugin:TinyModel", **fields: object) -> WithAttributes:
    torch.manual_seed(0)
    known = {"config": PLAIN, "attributes": SCHEMA, **fields}
    return WithAttributes(WithAttributesConfig(target=target, config_target="tiny_plugin:TinyConfig", **known))


@pytest.fixture(autouse=True)
def _deep_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_plugin, "Deep", Deep, raising=False)


@pytest.mark.parametrize("head", [{}, {"loss": "softmax"}, {"labels": "binary"}], ids=str)
def test_contract(head: dict[str, object]) -> None:
    # By default the embedding enters the head, so that the classifier of people learns nothing.
    check_model(worn(**head), untrained=("backbone.head.*",))


def test_features_before_the_embedding() -> None:
    model = worn("tiny_plugin:Deep")
    check_model(model)
    assert model.head.norm.num_features == 4 * 256
    assert {name for name, _ in model.backbone.named_children()} == {"conv", "norm", "drop"}
    batch = synthetic_batch(model.inputs, num_sequences=3, num_frames=5, attribute_classes=(2, 3))
    assert model.eval()(batch).embedding.shape == (3, 4, 256)


def test_losses_are_those_of_known_labels() -> None:
    model = worn().eval()
    batch = synthetic_batch(model.inputs, num_sequences=4, num_frames=5, attribute_classes=(2, 3))
    output = model(batch)
    assert set(model.losses(output, batch, Stage())) == {"bce"}
    assert set(worn(loss="softmax").losses(output, batch, Stage())) == {"cross_entropy"}
    before = model.losses(output, batch, Stage())["bce"]
    batch.attributes = batch.attributes.clone()
    batch.attributes[0] = -1
    assert model.losses(output, batch, Stage())["bce"] != before
    batch.attributes = None
    with pytest.raises(ModelError, match="losses need attributes"):
        model.losses(output, batch, Stage())


def test_sigmoids_decide_at_a_half_and_a_softmax_by_the_largest() -> None:
    assert worn().decides == "threshold"
    assert worn(loss="softmax").decides == "argmax"
    with pytest.raises(ValidationError, match="use labels 'onehot' with it"):
        worn(loss="softmax", labels="binary")


def test_without_a_schema_it_can_only_be_asked_what_it_reads() -> None:
    model = worn(attributes=())
    assert [spec.modality for spec in model.inputs] == ["silhouette"]
    with pytest.raises(ModelError, match="its config names no attributes"):
        model(synthetic_batch(model.inputs))


def test_it_passes_on_what_the_model_says_of_itself() -> None:
    model = worn(config={**PLAIN, "modalities": ("silhouette", "lidar-depth")}, attributes=())
    assert model.inputs == model.backbone.inputs
    assert model.padding == model.backbone.padding
    assert model.model_inside is model.backbone
    assert model.towers == ()
    assert model.frozen_features is None


def test_models_that_cannot_wear_it() -> None:
    mean = {"target": "tiny_plugin:TinyMean", "config_target": "tiny_plugin:TinyMeanConfig", "config": {}}
    with pytest.raises(ModelError, match="no model that learns by gradients"):
        WithAttributes(WithAttributesConfig(**mean, attributes=SCHEMA))


def test_features_must_have_three_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_plugin.TinyModel, "part_features", lambda self, batch: torch.zeros(1, 4))
    with pytest.raises(ModelError, match=r"TinyModel.part_features must give \[N, C, P\], got \[1, 4\]"):
        worn()


def test_asking_for_the_width_draws_nothing() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    model = worn(attributes=())
    torch.random.set_rng_state(before)
    first = worn()
    assert torch.equal(first.backbone.conv.weight, model.backbone.conv.weight)
    assert first.training


def test_it_starts_from_the_weights_of_the_model_alone(tmp_path: Path) -> None:
    torch.manual_seed(7)
    trained = tiny_plugin.TinyModel(tiny_plugin.TinyConfig(**PLAIN))
    path = tmp_path / "w.safetensors"
    save_tensors(path, {name: x.detach() for name, x in trained.state_dict().items()})
    model = worn()
    label = model.head.label.weight.clone()
    assert start_weights(model, StartWeights(path=path)) == len(trained.state_dict())
    assert torch.equal(model.backbone.conv.weight, trained.conv.weight)
    assert torch.equal(model.head.label.weight, label)


def test_by_default_the_embedding_is_what_another_head_goes_on_from() -> None:
    model: GaitModel = tiny_plugin.TinyModel(tiny_plugin.TinyConfig(**PLAIN)).eval()
    batch = synthetic_batch(model.inputs, num_sequences=2, num_frames=4)
    assert torch.equal(model.part_features(batch), model(batch).embedding)
    assert model.without_mirroring(model.config) is model.config
    assert model.decides == "argmax"
