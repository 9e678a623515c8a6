"""ScoNet: GaitBase's size with three classes, and where the classes come from."""

import pytest
import torch
from gaitbench_baselines import gaitbase, sconet
from gaitbench_baselines.sconet import ScoNet, ScoNetConfig
from pydantic import ValidationError

from gaitbench.card import Attribute
from gaitbench.errors import ModelError
from gaitbench.losses import part_cross_entropy
from gaitbench.model import GaitBatch
from gaitbench.recipe import Stage
from gaitbench.testing import check_model

SMALL = {"channels": (4, 6, 8, 10), "embedding_width": 12}


def small(**fields: object) -> ScoNet:
    torch.manual_seed(0)
    return ScoNet(ScoNetConfig(**{**SMALL, **fields})).eval()


def batch_of(classes: list[int] | None = None) -> GaitBatch:
    clips = torch.rand(4, 1, 3, 64, 44, generator=torch.Generator().manual_seed(1)).round()
    attributes = None if classes is None else torch.tensor([[9, value] for value in classes])
    return GaitBatch(
        {"silhouette": clips}, {"silhouette": torch.full((4,), 3)}, labels=torch.arange(4) // 2, attributes=attributes
    )


def test_size_is_the_one_published() -> None:
    with torch.device("meta"):
        model = ScoNet(ScoNetConfig())
    assert sum(weight.numel() for weight in model.parameters()) == 7_014_592


def test_contract() -> None:
    check_model(small())
    check_model(small(embedding="head", classes=("straight", "humped")))


def test_it_is_gaitbase_with_its_own_answer() -> None:
    model = small()
    base = gaitbase.GaitBase(gaitbase.GaitBaseConfig(num_classes=3, **SMALL)).eval()
    base.load_state_dict(model.state_dict())
    with torch.no_grad():
        output, expected = model(batch_of()), base(batch_of())
    torch.testing.assert_close(output.logits, expected.logits)
    torch.testing.assert_close(output.embedding, expected.logits)
    torch.testing.assert_close(output.attributes["scoliosis"], expected.logits.mean(dim=2))
    with torch.no_grad():
        torch.testing.assert_close(small(embedding="head")(batch_of()).embedding, expected.embedding)


def test_unknown_classes_count_for_triplets_only() -> None:
    model, batch = small(column=1), batch_of([2, -1, 0, -1])
    with torch.no_grad():
        output = model(batch)
    losses = model.losses(output, batch, Stage())
    expected = part_cross_entropy(output.logits[[0, 2]], torch.tensor([2, 0]))
    torch.testing.assert_close(losses["cross_entropy"], expected)
    nobody = batch_of([-1, -1, -1, -1])
    losses = model.losses(model(nobody), nobody, Stage())
    assert losses["cross_entropy"] == 0 < losses["triplet"]
    sum(losses.values()).backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


@pytest.mark.parametrize(
    ("column", "classes", "message"),
    [
        (0, None, "the batch has none"),
        (2, [0, 1, 2, 0], "column 2 of the attributes, and the batch has 2"),
        (1, [0, 1, 3, 0], "holds class 3, ScoNet has 3: negative, neutral, positive"),
    ],
)
def test_classes_must_be_there(column: int, classes: list[int] | None, message: str) -> None:
    model, batch = small(column=column), batch_of(classes)
    with pytest.raises(ModelError, match=message):
        model.losses(model(batch), batch, Stage())


@pytest.mark.parametrize("classes", [("one",), ("one", "one")])
def test_a_choice_needs_two_classes(classes: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="two or more different ones"):
        ScoNetConfig(classes=classes)


SCHEMA = (
    Attribute(name="gender", title="Gender", classes=("male", "female")),
    Attribute(name="scoliosis", title="Scoliosis", classes=("negative", "neutral", "positive")),
)


def test_of_a_schema_every_attribute_is_told() -> None:
    model = small(attributes=SCHEMA)
    check_model(model)
    batch = batch_of([2, -1, 0, 1])
    batch.attributes[:, 0] = torch.tensor([0, 1, -1, 1])
    with torch.no_grad():
        output = model(batch)
    assert output.logits.shape == (4, 5, 16)
    torch.testing.assert_close(output.attributes["gender"], output.logits[:, :2].mean(dim=2))
    torch.testing.assert_close(output.attributes["scoliosis"], output.logits[:, 2:].mean(dim=2))
    gender = part_cross_entropy(output.logits[[0, 1, 3], :2], torch.tensor([0, 1, 1]))
    scoliosis = part_cross_entropy(output.logits[[0, 2, 3], 2:], torch.tensor([2, 0, 1]))
    torch.testing.assert_close(model.losses(output, batch, Stage())["cross_entropy"], (gender + scoliosis) / 2)


def test_of_a_schema_one_attribute_may_be_chosen() -> None:
    chosen = small(attributes=SCHEMA, attribute="scoliosis")
    alone = small(column=1)
    assert chosen.state_dict().keys() == alone.state_dict().keys()
    batch = batch_of([2, -1, 0, 1])
    batch.attributes[:, 0] = 1
    with torch.no_grad():
        output, expected = chosen(batch), alone(batch)
    assert list(output.attributes) == ["scoliosis"]
    torch.testing.assert_close(output.logits, expected.logits)
    losses = [model.losses(model(batch), batch, Stage())["cross_entropy"] for model in (chosen, alone)]
    torch.testing.assert_close(*losses)
    with pytest.raises(ModelError, match="screen for 'posture', and the data have gender, scoliosis"):
        small(attributes=SCHEMA, attribute="posture")


def test_quick_screens_for_an_attribute_of_the_walkers() -> None:
    from gaitbench.walkers.attributes import ATTRIBUTES

    config = ScoNetConfig(**sconet.PRESETS["quick"].config)
    assert ATTRIBUTES[config.column].name == config.attribute
    assert ATTRIBUTES[config.column].classes == config.classes
    (stage,) = sconet.PRESETS["quick"].recipe.stages
    assert stage.augment.flip == 0  # a flip would exchange two of the classes
