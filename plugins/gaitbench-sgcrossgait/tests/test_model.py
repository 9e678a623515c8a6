"""The whole network: what an embedding depends on, its losses, what is frozen, what it shows of itself."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from gaitbench_sgcrossgait.alignment import positive_pairs, soft_contrastive, symmetric_divergence
from gaitbench_sgcrossgait.config import MODALITIES
from gaitbench_sgcrossgait.model import SgCrossGait
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from gaitbench.checkpoint import apply_weights, weights_of
from gaitbench.errors import ModelError, ShapeError, UsageError
from gaitbench.explaining.asking import explain_batch
from gaitbench.explaining.interface import Finding, Heatmap
from gaitbench.losses import attribute_cross_entropy, batch_all_triplet, cross_modal_triplet, part_cross_entropy
from gaitbench.model import GaitBatch, logits_of
from gaitbench.recipe import AugmentConfig, Stage
from gaitbench.testing.batch_parts import only
from gaitbench.towers.sentence_bank import SentenceBank

Make = Callable[..., SgCrossGait]
Pairs = Callable[..., GaitBatch]


def test_both_modalities_embed_as_each_alone(whole: Make, pairs: Pairs) -> None:
    model = whole().eval()
    batch = pairs(model)
    both = model(batch)
    assert set(both.by_modality) == set(MODALITIES)
    for modality in MODALITIES:
        alone = model(only(batch, [modality]))
        torch.testing.assert_close(alone.embedding, both.by_modality[modality].embedding)
        assert alone.attributes["viewpoint"].shape == (4, 3)


def test_an_embedding_reads_no_text_and_no_attribute(whole: Make, pairs: Pairs, monkeypatch: Any) -> None:
    model = whole().eval()
    batch = only(pairs(model), ["silhouette"])
    assert model.bank is not None
    model.bank()
    before = model(batch).embedding
    monkeypatch.setattr(model.bank, "forward", lambda: pytest.fail("texts were read"))
    monkeypatch.setattr(model.bank, "bring", lambda: pytest.fail("texts were encoded"))
    model.bank.vectors.normal_()
    batch.attributes = torch.full((4, 3), 7)
    batch.labels = None
    assert torch.equal(model(batch).embedding, before)


def test_the_embedding_is_the_same_in_training_whatever_the_texts(whole: Make, pairs: Pairs) -> None:
    model = whole().train()
    batch = pairs(model)
    assert batch.attributes is not None
    assert batch.labels is not None
    # A sequence looks at all texts of its person: each person has one of the two, and then the other.
    batch.attributes[:, -1] = batch.labels
    one = model(batch)
    batch.attributes[:, -1] = 1 - batch.labels
    other = model(batch)
    for modality in MODALITIES:
        assert torch.equal(one.by_modality[modality].embedding, other.by_modality[modality].embedding)
        assert not torch.allclose(
            one.by_modality[modality].extras["guided"], other.by_modality[modality].extras["guided"]
        )


def test_losses_by_definition(whole: Make, pairs: Pairs) -> None:
    model = whole().train()
    batch = pairs(model)
    output = model(batch)
    found = model.losses(output, batch, Stage())
    flat, deep = (output.by_modality[modality] for modality in MODALITIES)
    labels, attributes = batch.labels, batch.attributes
    assert labels is not None
    assert attributes is not None
    across = cross_modal_triplet(flat.embedding, deep.embedding, labels, margin=0.2)
    torch.testing.assert_close((found["triplet_2d_to_3d"], found["triplet_3d_to_2d"]), tuple(across))
    torch.testing.assert_close(found["kl"], symmetric_divergence(logits_of(flat), logits_of(deep)))
    assert model.bank is not None
    text = model.bank()[attributes[:, -1]]
    torch.testing.assert_close(found["text_triplet"], batch_all_triplet(text[:, :, None], labels, margin=0.2))
    torch.testing.assert_close(found["text_cross_entropy"], part_cross_entropy(output.extras["text"], labels))
    positive = positive_pairs(labels, attributes[:, -1])
    overlaps = []
    for number, (one, short) in enumerate(((flat, "2d"), (deep, "3d"))):
        torch.testing.assert_close(found[f"cross_entropy_{short}"], part_cross_entropy(logits_of(one), labels))
        torch.testing.assert_close(found[f"guided_{short}"], part_cross_entropy(one.extras["guided"], labels))
        torch.testing.assert_close(found[f"clip_{short}"], part_cross_entropy(one.extras["clip"], labels))
        sensor = functional.cross_entropy(one.extras["sensor"], torch.full((4,), number), label_smoothing=0.1)
        torch.testing.assert_close(found[f"modality_{short}"], sensor)
        aligned = soft_contrastive(one.extras["aligned"], text, positive, 1 / 0.07)
        torch.testing.assert_close(found[f"contrastive_{short}"], aligned)
        told = attribute_cross_entropy(list(one.attributes.values()), attributes[:, :2])
        torch.testing.assert_close(found[f"attributes_{short}"], told)
        overlaps.append(one.extras["overlap"].abs().mean())
    torch.testing.assert_close(found["orthogonality"], (overlaps[0] + overlaps[1]) / 2)


_OF_TEXTS = {"guided_2d", "guided_3d", "contrastive_2d", "contrastive_3d", "text_triplet", "text_cross_entropy"}


@pytest.mark.parametrize(
    ("fields", "gone", "silent", "is_embedded_otherwise"),
    [
        pytest.param({"has_dcf": False}, {"patches", "dcf", "clip_neck"}, {"clip_2d", "clip_3d"}, True, id="no-dcf"),
        pytest.param(
            {"has_sgfd": False},
            {"decoupling"},
            {"modality_2d", "modality_3d", "orthogonality", "guided_2d", "guided_3d"},
            True,
            id="no-sgfd",
        ),
        pytest.param(
            {"has_mt": False, "attributes": ()}, {"tellers"}, {"attributes_2d", "attributes_3d"}, False, id="no-mt"
        ),
        pytest.param(
            {"has_text": False}, {"bank", "align", "logit_scale", "text_neck"}, _OF_TEXTS, False, id="no-text"
        ),
        pytest.param({"guidance": "none"}, set(), {"guided_2d", "guided_3d"}, False, id="unguided"),
    ],
)
def test_an_ablation_takes_away_what_it_names(
    fields: dict[str, Any], gone: set[str], silent: set[str], is_embedded_otherwise: bool, whole: Make, pairs: Pairs
) -> None:
    full, ablated = whole(), whole(**fields)
    known, own = full.state_dict(), ablated.state_dict()
    assert {key.split(".")[0] for key in known} - {key.split(".")[0] for key in own} == gone
    # The same weights wherever both have them, so that a difference is that of the ablation.
    ablated.load_state_dict({key: value for key, value in known.items() if key in own}, strict=False)
    alone = only(pairs(full), ["silhouette"])
    is_same = torch.allclose(ablated.eval()(alone).embedding, full.eval()(alone).embedding)
    assert is_same != is_embedded_otherwise
    for model, expected in ((full, set[str]()), (ablated, silent)):
        batch = pairs(model)
        losses = model.train().losses(model(batch), batch, Stage())
        # Texts are fixed, and may keep their margin.
        assert {name for name, value in losses.items() if value == 0} - {"text_triplet"} == expected - {"text_triplet"}


def test_swapping_the_sensors_swaps_the_directions(whole: Make, pairs: Pairs) -> None:
    model = whole().train()
    batch = pairs(model)
    output = model(batch)
    found = model.losses(output, batch, Stage())
    output.by_modality = dict(zip(MODALITIES, reversed(output.by_modality.values()), strict=True))
    swapped = model.losses(output, batch, Stage())
    for name in ("triplet_2d_to_3d", "cross_entropy_2d", "contrastive_2d", "guided_2d", "clip_2d", "attributes_2d"):
        mirrored = name.replace("2d_to_3d", "3d_to_2d") if "_to_" in name else name.replace("2d", "3d")
        torch.testing.assert_close(swapped[mirrored], found[name])
        torch.testing.assert_close(swapped[name], found[mirrored])
    torch.testing.assert_close(swapped["kl"], found["kl"])
    # A sensor that is taken for the other is wrongly told.
    assert swapped["modality_2d"] != found["modality_3d"]


def test_each_walk_looks_at_its_subjects_texts(whole: Make, pairs: Pairs) -> None:
    batch = pairs(whole())
    labels = torch.tensor([0, 0, 1, 1])
    assert torch.equal(whole()._may_see(batch), labels[:, None] == labels)
    assert torch.equal(whole(guidance="sequence")._may_see(batch), torch.eye(4).bool())
    assert whole(guidance="batch")._may_see(batch).all()
    model = whole()
    assert model.decoupling is not None
    shared, texts = torch.randn(2, 8, 2, 2), torch.randn(3, 6)
    may_see = torch.tensor([[True, True, False], [False, False, True]])
    found = model.decoupling.guided(shared, texts, may_see)
    changed = torch.cat([texts[:2], torch.randn(1, 6)])
    again = model.decoupling.guided(shared, changed, may_see)
    torch.testing.assert_close(again[0], found[0])
    assert not torch.allclose(again[1], found[1])


def test_attention_that_is_shown_is_the_one_that_is_used(whole: Make) -> None:
    decoupling = whole().decoupling
    assert decoupling is not None
    attention = decoupling.attention
    assert attention is not None
    places, texts = torch.randn(2, 5, 8), torch.randn(2, 3, 6)
    weights = attention.weights(places, texts)
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(2, 5))
    # With one head's values made constant over texts, attention gives that constant.
    alike = texts[:, :1].expand(-1, 3, -1)
    torch.testing.assert_close(attention.weights(places, alike), torch.full((2, 5, 3), 1 / 3))
    torch.testing.assert_close(attention(places, alike), attention(places, texts[:, :1]))


def test_a_temperature_beyond_its_bound_comes_back(whole: Make, pairs: Pairs) -> None:
    model = whole().train()
    with torch.no_grad():
        model.logit_scale.fill_(9.0)
    assert model.scale.item() == pytest.approx(100)
    output = model(batch := pairs(model))
    assert model.logit_scale.item() == pytest.approx(math.log(100))
    found = model.losses(output, batch, Stage())
    (found["contrastive_2d"] + found["contrastive_3d"]).backward()
    assert model.logit_scale.grad is not None
    assert model.logit_scale.grad != 0
    held = model.eval().logit_scale.detach().clone().add_(1)
    with torch.no_grad():
        model.logit_scale.copy_(held)
    model(batch)
    assert model.logit_scale == held


def test_unknown_attributes_take_no_part(whole: Make, pairs: Pairs) -> None:
    model = whole().train()
    batch = pairs(model)
    assert batch.attributes is not None
    batch.attributes[:, :2] = -1
    losses = model.losses(model(batch), batch, Stage())
    assert losses["attributes_2d"] == losses["attributes_3d"] == 0


def test_batches_without_texts_are_refused(whole: Make, pairs: Pairs) -> None:
    model = whole().train()
    batch = pairs(model)
    assert batch.attributes is not None
    batch.attributes = batch.attributes[:, :2]
    with pytest.raises(ModelError, match="column 2 of a batch's attributes, and this batch has 2"):
        model(batch)
    batch.attributes = None
    with pytest.raises(ModelError, match="attributes"):
        model(batch)


def test_training_on_one_modality_and_clips_of_another_size_are_refused(whole: Make, pairs: Pairs) -> None:
    model = whole()
    alone = only(pairs(model), ["silhouette"])
    with pytest.raises(ModelError, match="trains on silhouette and lidar-depth together"):
        model.losses(model.eval()(alone), alone, Stage())
    with pytest.raises(ShapeError, match=r"silhouette must be \[N, 1, T, 16, 16\]"):
        model(GaitBatch({"silhouette": torch.zeros(2, 1, 3, 16, 12)}, {"silhouette": torch.tensor([3, 3])}))


HANDS = ({"name": "bag", "title": "Bag", "classes": ("left_hand", "none")},)
BAG = ({"name": "bagLeft", "title": "Bag", "classes": ("no", "yes")},)
MIRRORED = Stage(name="first", augment=AugmentConfig(flip=0.5))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        pytest.param({}, "'A person walking, seen from the left.'", id="text"),
        pytest.param({"has_text": False}, "'left'", id="class"),
        pytest.param({"has_text": False, "attributes": HANDS}, "'left_hand'", id="underscore"),
        pytest.param({"has_text": False, "attributes": BAG}, "'bagLeft'", id="name"),
    ],
)
def test_mirrored_clips_are_refused_where_left_is_told_from_right(
    fields: dict[str, Any], told: str, whole: Make, pairs: Pairs
) -> None:
    model = whole(**fields).train()
    batch = pairs(model)
    with pytest.raises(
        UsageError, match=rf"'first' mirrors clips \(augment.flip 0.5\), .*: {told}; set augment.flip=0"
    ):
        model.losses(model(batch), batch, MIRRORED)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"has_text": False, "has_mt": False}, id="nothing-told"),
        pytest.param(
            {"sentences": ("An upright person of forthright gait, the bright leftovers in a bag.",), "has_mt": False},
            id="no-sides",
        ),
    ],
)
def test_mirrored_clips_are_taken_where_it_is_not(fields: dict[str, Any], whole: Make, pairs: Pairs) -> None:
    model = whole(**fields).train()
    batch = pairs(model)
    assert batch.attributes is not None
    batch.attributes = torch.zeros_like(batch.attributes)
    assert model.losses(model(batch), batch, MIRRORED)


def test_towers_are_frozen_and_told(whole: Make, pairs: Pairs) -> None:
    model = whole().train()
    assert model.patches is not None
    assert model.bank is not None
    before = {key: value.clone() for key, value in model.patches.tower.tower.state_dict().items()}  # type: ignore[union-attr]
    assert not any(name.startswith("patches.") for name, _ in model.named_parameters())
    batch = pairs(model)
    texts = model.bank().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    sum(model.losses(model(batch), batch, Stage()).values()).backward()  # type: ignore[union-attr]
    optimizer.step()
    after = model.patches.tower.tower.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(after[key], value) for key, value in before.items() if isinstance(value, Tensor))
    assert torch.equal(model.bank(), texts)
    told = {info.role: info for info in model.towers}
    assert told["image"].says.endswith("frozen)")
    assert told["text"].weights == "hashing"
    assert not whole(has_dcf=False, has_text=False).towers


def test_save_and_load_without_a_text_tower(whole: Make, pairs: Pairs, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = whole()
    batch = only(pairs(trained), ["lidar-depth"])
    with torch.no_grad():
        for weight in trained.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    weights = weights_of(trained)
    assert "bank.vectors" in weights
    monkeypatch.setattr(SentenceBank, "_build", lambda _: pytest.fail("the text tower was built"))
    loaded = SgCrossGait(trained.config)
    apply_weights(loaded, weights, "a test")
    assert torch.equal(loaded.eval()(batch).embedding, trained.eval()(batch).embedding)
    other = whole(sentences=("A person.", "A walk."))
    with pytest.raises(ModelError, match="configure text, source and annotations as they were"):
        apply_weights(other, weights, "a test")


def test_explain_shows_energies_and_the_texts_of_training(whole: Make, pairs: Pairs) -> None:
    model = whole().eval()
    batch = pairs(model)
    shown = {found.title: found for found in explain_batch(model, batch)}
    with torch.no_grad():
        parts = model._see(batch, MODALITIES).parts
    assert parts is not None
    shared, own = parts.shared[:4], parts.specific[:4]
    share = shown["specific, share of the energy, silhouette"]
    assert isinstance(share, Heatmap)
    expected = own[1, :, 2, 3].square().sum() / (own[1, :, 2, 3].square().sum() + shared[1, :, 2, 3].square().sum())
    torch.testing.assert_close(share.values[1, 0, 2, 3], expected)
    assert torch.equal(share.values[:, 0], share.values[:, 2])
    for modality in MODALITIES:
        told = shown[f"looks at, {modality}"]
        assert isinstance(told, Finding)
        for text in told.texts:
            pairs_of = [part.split(" ", 1) for part in text.split("; ")]
            assert {sentence for _, sentence in pairs_of} == set(model.config.sentences)
            assert sum(float(share.rstrip("%")) for share, _ in pairs_of) == pytest.approx(100, abs=0.2)
        assert f"shared against specific, {modality}" in shown
    alone = [found.title for found in explain_batch(whole(has_text=False), only(batch, ["lidar-depth"]))]
    assert not any("looks at" in title for title in alone)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        pytest.param({"heads": 3}, "heads 3 must divide", id="heads"),
        pytest.param({"bins": (7,)}, "do not cut into equal strips", id="bins"),
        pytest.param({"strides": (1, 2)}, "must name the same stages", id="stages"),
        pytest.param({"image": {"architecture": "hashing"}}, "reads sentences", id="hashing"),
        pytest.param({"has_text": False, "guidance": "batch"}, "guidance is about texts that guide", id="no-text"),
        pytest.param({"has_sgfd": False, "guidance": "sequence"}, "guidance is about texts that guide", id="no-sgfd"),
        pytest.param(
            {"has_text": False, "has_mt": False, "annotations": {"path": "gdf.json", "sha256": "0" * 64}},
            "annotations is about texts and MT",
            id="nothing-told",
        ),
        pytest.param({"annotations": "nowhere.parquet"}, "cannot read the annotations nowhere", id="annotations"),
    ],
)
def test_what_contradicts_itself_is_refused(fields: dict[str, Any], match: str, small: Make) -> None:
    with pytest.raises(ValidationError, match=match):
        small(**fields)


@pytest.mark.parametrize("is_image_trained", [True, False])
def test_works_in_float64(
    whole: Callable[..., SgCrossGait], pairs: Callable[..., GaitBatch], is_image_trained: bool
) -> None:
    model = whole(is_image_trained=is_image_trained)
    batch = pairs(model)
    expected = model.eval()(batch).embedding
    model.double()
    batch.inputs = {name: frames.double() for name, frames in batch.inputs.items()}
    found = model(batch).embedding
    assert found.dtype == torch.float64
    torch.testing.assert_close(found.float(), expected, rtol=1e-3, atol=1e-5)
    assert len(model.explain(batch)) > 4
    losses = model.train().losses(model(batch), batch, Stage())
    sum(losses.values()).backward()  # type: ignore[union-attr]
    assert all(loss.isfinite() for loss in losses.values())
