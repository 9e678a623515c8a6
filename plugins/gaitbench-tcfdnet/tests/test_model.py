"""The whole network: what each sequence depends on, its losses, what is frozen, what it shows of itself."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from gaitbench_tcfdnet import model as model_module
from gaitbench_tcfdnet.dictionary import MODALITIES
from gaitbench_tcfdnet.image_tokens import ImageTokens
from gaitbench_tcfdnet.model import TcfdNet
from gaitbench_tcfdnet.part_losses import alignment, hsic
from gaitbench_tcfdnet.patch_exchange import exchange_patches
from pydantic import ValidationError
from torch import Tensor

from gaitbench.checkpoint import apply_weights, weights_of
from gaitbench.errors import ModelError, ShapeError
from gaitbench.explaining.asking import explain_batch
from gaitbench.explaining.interface import Finding, Heatmap
from gaitbench.layers import RealFrames
from gaitbench.losses import cross_modal_triplet, part_cross_entropy
from gaitbench.model import GaitBatch, logits_of
from gaitbench.recipe import Stage
from gaitbench.testing.batch_parts import only

Small = Callable[..., TcfdNet]
Pairs = Callable[..., GaitBatch]


def test_shapes_and_both_modalities(small: Small, pairs: Pairs) -> None:
    model = small().eval()
    batch = pairs(model)
    both = model(batch)
    assert both.embedding.shape == (4, 6, 4)
    assert set(both.by_modality) == set(MODALITIES)
    for modality in MODALITIES:
        alone = model(only(batch, [modality]))
        torch.testing.assert_close(alone.embedding, both.by_modality[modality].embedding)
        assert logits_of(alone).shape == (4, 2, 4)
    mean = sum(both.by_modality[modality].embedding for modality in MODALITIES) / 2
    torch.testing.assert_close(both.embedding, mean)


def test_the_image_tower_gives_a_class_token_and_its_patches_in_one_space(small: Small) -> None:
    model = small().eval()
    tokens = model.tokens
    assert isinstance(tokens, ImageTokens)
    pixels = torch.rand(3, 3, 16, 16)
    frames = RealFrames.of(torch.tensor([2, 1]), 2)
    found = tokens(pixels, frames)
    assert found.tokens is not None
    assert found.tokens.shape == (2, 1 + 4, 8)
    seen = tokens.tower(pixels)
    torch.testing.assert_close(found.clip, torch.stack([seen.pooled[:2].amax(dim=0), seen.pooled[2]]))
    assert tokens.adapter is not None
    adapted = tokens.adapter(tokens.tower.tower.project(seen.last).flatten(2).transpose(1, 2))  # type: ignore[union-attr]
    torch.testing.assert_close(found.tokens[0, 1:], adapted[:2].amax(dim=0))


def test_published_sizes(sizes: dict[str, Any]) -> None:
    from gaitbench_tcfdnet.config import TcfdNetConfig

    with torch.device("meta"):
        model = TcfdNet(TcfdNetConfig(num_classes=250))
    assert isinstance(model.tokens, ImageTokens)
    assert model.tokens.map_size == (4, 4)
    assert model.tokens.width == 512
    assert model.bank is not None
    assert model.bank.vectors.shape == (2, 64, 512)
    assert model.head.weight.shape == (16, 512, 256)
    assert model.config.map_px == (16, 16)
    assert model.bypass is not None
    assert sum(weight.numel() for weight in model.bypass.parameters()) == pytest.approx(4.9e6, rel=0.02)


@pytest.mark.parametrize("has_within", [False, True])
def test_losses_by_definition(has_within: bool, small: Small, pairs: Pairs) -> None:
    from gaitbench.losses import batch_all_triplet

    model = small(has_within_triplet=has_within).train()
    batch = pairs(model)
    output = model(batch)
    found = model.losses(output, batch, Stage())
    first, second = (output.by_modality[modality] for modality in MODALITIES)
    labels = batch.labels
    assert labels is not None
    across = cross_modal_triplet(first.embedding, second.embedding, labels, margin=0.2)
    triplet = across.a_to_b + across.b_to_a
    if has_within:
        triplet = triplet + sum(batch_all_triplet(one.embedding, labels, margin=0.2) for one in (first, second))
    torch.testing.assert_close(found["triplet"], triplet)
    entropy = sum(part_cross_entropy(logits_of(one), labels) for one in (first, second))
    torch.testing.assert_close(found["cross_entropy"], entropy)
    each = [(one.extras["modality"], one.extras["shared"], one.extras["text"]) for one in (first, second)]
    torch.testing.assert_close(found["alignment"], sum(alignment(own, text) for own, _, text in each))
    torch.testing.assert_close(found["hsic"], sum(hsic(own, shared) for own, shared, _ in each))
    absolute = sum(one.extras["overlap"].abs().mean() for one in (first, second))
    torch.testing.assert_close(found["orthogonality"], absolute)


def test_swapping_the_sensors_swaps_the_terms() -> None:
    a, b, labels = torch.randn(4, 3, 2), torch.randn(4, 3, 2), torch.tensor([0, 0, 1, 1])
    one, other = cross_modal_triplet(a, b, labels), cross_modal_triplet(b, a, labels)
    torch.testing.assert_close(one.a_to_b, other.b_to_a)
    torch.testing.assert_close(one.b_to_a, other.a_to_b)


def test_options_of_the_losses(small: Small, pairs: Pairs) -> None:
    plain = small()
    batch = pairs(plain)
    output = plain(batch)
    literal = small(orthogonality="literal").losses(output, batch, Stage())["orthogonality"]
    cosines = [one.extras["overlap"].mean() for one in output.by_modality.values()]
    torch.testing.assert_close(literal, cosines[0] + cosines[1])
    unit = small(hsic_features="unit").losses(output, batch, Stage())["hsic"]
    assert 0 <= unit <= 2
    assert unit != plain.losses(output, batch, Stage())["hsic"]


def test_losses_read_what_is_shared_and_what_is_not(small: Small, pairs: Pairs, monkeypatch: Any) -> None:
    model = small(exchange=0.0).eval()
    batch = pairs(model)
    seen: list[Any] = []
    whole = model._see
    monkeypatch.setattr(model, "_see", lambda given: seen.append(whole(given)) or seen[-1])
    output = model(batch)
    (found,) = seen
    extras = output.by_modality["lidar-depth"].extras
    torch.testing.assert_close(extras["modality"], found.parts.modality[4:].mean(dim=(2, 3)))
    torch.testing.assert_close(extras["shared"], found.shared[4:].mean(dim=(2, 3)))
    torch.testing.assert_close(extras["text"], found.prototypes.vectors[4:].mean(dim=1))
    expected = torch.nn.functional.cosine_similarity(found.shared[4:].flatten(1), found.parts.modality[4:].flatten(1))
    torch.testing.assert_close(extras["overlap"], expected)
    beta = model.stability(found.parts.shared)  # type: ignore[misc]
    torch.testing.assert_close(found.shared, beta[:, :, None, None] * (found.features - found.parts.modality))


def test_each_modality_retrieves_its_own_sentences(small: Small, pairs: Pairs) -> None:
    model = small().eval()
    batch = pairs(model)
    assert model.bank is not None
    before = {modality: model(only(batch, [modality])).embedding for modality in MODALITIES}
    model.bank()
    model.bank.vectors[1].normal_()  # other sentences about range images
    silhouettes, depth = (model(only(batch, [modality])).embedding for modality in MODALITIES)
    assert torch.equal(silhouettes, before["silhouette"])
    assert not torch.allclose(depth, before["lidar-depth"])


def test_patches_are_exchanged_in_training_alone(small: Small, pairs: Pairs, monkeypatch: Any) -> None:
    model = small(exchange=1.0)
    batch = pairs(model)
    drawn: list[Tensor] = []

    def spy(a: Tensor, b: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        drawn.append(cells)
        return exchange_patches(a, b, cells)

    monkeypatch.setattr(model_module, "exchange_patches", spy)
    model.eval()(batch)
    assert not drawn
    for _ in range(2):
        torch.manual_seed(7)
        model.train()(batch)
    assert torch.equal(drawn[0], drawn[1])
    assert drawn[0].sum(dim=(1, 2)).tolist() == [1] * 4
    assert small(exchange=0.0).train()(batch).embedding.shape == (4, 6, 4)
    assert len(drawn) == 2


def test_what_is_exchanged_reaches_the_network_and_nothing_else_changes(
    small: Small, pairs: Pairs, monkeypatch: Any
) -> None:
    model = small(exchange=1.0).train()
    batch = pairs(model)
    seen: list[Tensor] = []
    whole = model._see
    monkeypatch.setattr(model, "_see", lambda given: seen.append(given.clips) or whole(given))
    torch.manual_seed(3)
    model(batch)
    silhouettes, depth = seen[0].chunk(2)
    before = [batch.inputs[name].expand(-1, 3, -1, -1, -1) for name in MODALITIES]
    is_swapped = (silhouettes == before[1]).all(dim=(1, 2)) & (depth == before[0]).all(dim=(1, 2))  # [N, H, W]
    is_kept = (silhouettes == before[0]).all(dim=(1, 2)) & (depth == before[1]).all(dim=(1, 2))
    assert (is_swapped | is_kept).all()
    # One of 2x2 cells of 8x8 pixels, in all frames and channels alike.
    assert is_swapped.sum(dim=(1, 2)).tolist() == [64] * 4
    assert batch.inputs["silhouette"].shape[1] == 1


def test_pairs_of_unequal_length_do_not_exchange_patches(small: Small, pairs: Pairs) -> None:
    model = small().train()
    batch = pairs(model)
    batch.num_frames["lidar-depth"] = torch.tensor([3, 3, 2, 3])
    with pytest.raises(ShapeError, match=r"exchanged between the same moments.*\[3, 3, 3, 3\] and \[3, 3, 2, 3\]"):
        model(batch)
    assert small(exchange=0.0).train()(batch).embedding.shape == (4, 6, 4)
    assert model.eval()(batch).embedding.shape == (4, 6, 4)


@pytest.mark.parametrize(
    ("fields", "gone"),
    [
        pytest.param({"prototypes": "learned"}, {"bank", "text_adapter"}, id="no-gmtd"),
        pytest.param({"prototypes": "none"}, {"bank", "text_adapter"}, id="no-prototypes"),
        pytest.param({"has_bypass": False}, {"bypass"}, id="no-bypass"),
        pytest.param({"has_tfd": False}, {"bank", "text_adapter", "disentangling"}, id="no-tfd"),
        pytest.param({"has_fse": False}, {"stability"}, id="no-fse"),
        pytest.param({"has_mf": False}, set(), id="no-mf"),
        pytest.param({"has_sw": False}, {"weighting"}, id="no-sw"),
        pytest.param({"num_retrieved": 8}, set(), id="k-8"),
        pytest.param({"num_retrieved": 32}, set(), id="k-32"),
    ],
)
def test_an_ablation_takes_away_what_it_names_and_changes_the_embedding(
    fields: dict[str, Any], gone: set[str], small: Small, pairs: Pairs
) -> None:
    whole, ablated = small(gate_bias=0.0).eval(), small(gate_bias=0.0, **fields).eval()
    batch = pairs(whole)
    before = whole(batch)
    # The same weights wherever both have them, so that a difference is that of the ablation.
    known = {key: value for key, value in whole.state_dict().items() if not key.endswith("_extra_state")}
    own = ablated.state_dict()
    ablated.load_state_dict({k: v for k, v in known.items() if k in own and own[k].shape == v.shape}, strict=False)
    parts = [{key.split(".")[0] for key in model.state_dict()} for model in (whole, ablated)]
    assert parts[0] - parts[1] == gone
    after = ablated(batch)
    for modality in MODALITIES:
        one, other = (output.by_modality[modality].embedding for output in (before, after))
        assert (one - other).abs().max() > 1e-4 * one.abs().max()
    losses = ablated.losses(after, batch, Stage())
    assert {name for name, value in losses.items() if not value.requires_grad} == (
        {"alignment", "orthogonality", "hsic"}
        if "has_tfd" in fields
        else {"alignment"}
        if "prototypes" in fields
        else set()
    )


def test_streams_must_show_the_same_moments(small: Small, pairs: Pairs) -> None:
    model = small()
    batch = pairs(model)
    batch.inputs["lidar-depth"] = batch.inputs["lidar-depth"][:, :, :2]
    batch.num_frames["lidar-depth"] = batch.num_frames["lidar-depth"].clamp(max=2)
    with pytest.raises(ShapeError, match="must show the same moments"):
        model(batch)
    with pytest.raises(ShapeError, match=r"silhouette must be \[N, C, T, 16, 16\]"):
        model(GaitBatch({"silhouette": torch.zeros(2, 1, 3, 16, 12)}, {"silhouette": torch.tensor([3, 3])}))


def test_training_on_one_modality_is_refused(small: Small, pairs: Pairs) -> None:
    model = small()
    alone = only(pairs(model), ["silhouette"])
    with pytest.raises(ModelError, match="trains on silhouette and lidar-depth together"):
        model.losses(model(alone), alone, Stage())


def test_towers_are_frozen_and_told(small: Small, pairs: Pairs) -> None:
    model = small()
    assert isinstance(model.tokens, ImageTokens)
    before = {key: value.clone() for key, value in model.tokens.tower.tower.state_dict().items()}  # type: ignore[union-attr]
    assert not any("network" in name for name, _ in model.named_parameters())
    batch = pairs(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    sum(model.losses(model(batch), batch, Stage()).values()).backward()  # type: ignore[union-attr]
    optimizer.step()
    after = model.tokens.tower.tower.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(after[key], value) for key, value in before.items() if isinstance(value, Tensor))
    told = {info.role: info for info in model.towers}
    assert told["image"].says.endswith("frozen)")
    assert told["text"].weights == "hashing"
    assert all(info.is_stand_in for info in told.values())
    along = small(is_image_trained=True)
    assert {info.weights for info in along.towers} == {"trained-along", "hashing"}
    # Of tokens that serve the retrieval alone no gradient comes: such a tower stays as it is.
    assert {info.weights for info in small(is_image_trained=True, has_mf=False).towers} == {"untrained", "hashing"}
    assert not small(has_tfd=False, has_mf=False).towers


def test_shared_batch_norms_see_both_sensors_at_once(small: Small, pairs: Pairs) -> None:
    batch = pairs(small())
    for sharing, own in (("all", 0), ("private-stem", 1), ("private-bypass", 2)):
        model = small(sharing=sharing, exchange=0.0).train()
        before = {key: value.clone() for key, value in model.state_dict().items()}
        model(only(batch, ["silhouette"]))
        moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
        counters = {key for key in moved if key.startswith("bypass") and key.endswith("num_batches_tracked")}
        every = {key for key in before if key.startswith("bypass") and key.endswith("num_batches_tracked")}
        of_depth = {key for key in every if "lidar-depth" in key}
        assert counters == every - of_depth
        assert bool(of_depth) == bool(own)


def test_save_and_load(small: Small, pairs: Pairs) -> None:
    trained = small()
    batch = pairs(trained)
    with torch.no_grad():
        for weight in trained.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    weights = weights_of(trained)
    assert "bank.vectors" in weights
    assert not any("network" in name for name in weights)
    loaded = TcfdNet(trained.config)
    apply_weights(loaded, weights, "a test")
    assert torch.equal(loaded.eval()(batch).embedding, trained.eval()(batch).embedding)
    other = small(image={**trained.config.image.model_dump(), "seed": 5})
    with pytest.raises(ModelError, match="another image tower"):
        apply_weights(other, weights, "a test")


def test_explain_tells_sentences_and_shares(small: Small, pairs: Pairs) -> None:
    model = small().eval()
    batch = pairs(model)
    shown = {found.title: found for found in explain_batch(model, batch)}
    with torch.no_grad():
        parts = model._see(model._clips(batch)).parts
    assert parts is not None
    gates = dict(zip(MODALITIES, parts.gate.mean(dim=1).view(2, 4).tolist(), strict=True))
    for modality in MODALITIES:
        told = shown[f"retrieved, {modality}"]
        assert isinstance(told, Finding)
        for text in told.texts:
            sentences = [part.split(" ", 1) for part in text.split("; ")]
            assert len(sentences) == 4
            assert all(sentence in model.config.dictionary.of(modality) for _, sentence in sentences)
            cosines = [float(cosine) for cosine, _ in sentences]
            assert cosines == sorted(cosines, reverse=True)
        gate = shown[f"gate, {modality}"]
        assert isinstance(gate, Finding)
        assert all(
            text.startswith(f"alpha is {mean:.3f} on average")
            for text, mean in zip(gate.texts, gates[modality], strict=True)
        )
        share = shown[f"called modality-specific, share, {modality}"]
        assert isinstance(share, Heatmap)
        assert share.values.shape == (4, 3, 4, 4)
        assert share.values.min() >= 0
        assert torch.equal(share.values[:, 0], share.values[:, 2])
        assert f"weight of a place, {modality}" in shown
    alone = [found.title for found in explain_batch(model, only(batch, ["lidar-depth"]))]
    assert alone == [title for title in shown if title.endswith("lidar-depth")]


def test_the_share_is_that_of_the_lengths(small: Small, pairs: Pairs) -> None:
    model = small().eval()
    batch = only(pairs(model), ["silhouette"])
    with torch.no_grad():
        seen = model._see(model._clips(batch))
        shown = {found.title: found for found in model.explain(batch)}
    assert seen.parts is not None
    expected = seen.parts.modality[1, :, 2, 3].norm() / seen.features[1, :, 2, 3].norm()
    share = shown["called modality-specific, share, silhouette"]
    assert isinstance(share, Heatmap)
    torch.testing.assert_close(share.values[1, 0, 2, 3], expected)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        pytest.param({"heads": 3}, "heads 3 must divide", id="heads"),
        pytest.param({"exchange_grid": (3, 2)}, "cannot be cut into 3x2 equal cells", id="grid"),
        pytest.param({"bins": (7,)}, "do not cut into equal strips", id="bins"),
        pytest.param({"strides": (1, 2)}, "must name the same stages", id="stages"),
        pytest.param({"prototypes": "learned", "retrieval": "clip"}, "learned prototypes are compared", id="learned"),
        pytest.param({"image": {"architecture": "hashing"}}, "reads sentences", id="hashing"),
        pytest.param({"num_retrieved": 65}, "there are 64 sentences", id="k_t"),
        pytest.param({"has_bypass": False, "has_mf": False}, "leave one of them out", id="nothing-left"),
        pytest.param({"has_bypass": False, "sharing": "private-stem"}, "about the bypass", id="no-bypass"),
        pytest.param({"has_mf": False, "has_mf_residual": False}, "about the fusion", id="no-fusion"),
        pytest.param({"has_sw": False, "sw_activation": "sigmoid"}, "about the spatial weighting", id="no-sw"),
        pytest.param({"has_fse": False, "squash": "softmax"}, "squash=softmax is about FSE", id="no-fse"),
        pytest.param({"has_tfd": False, "prototypes": "learned"}, "prototypes=learned is about TFD", id="no-tfd"),
        pytest.param({"has_tfd": False, "orthogonality": "literal"}, "orthogonality=literal is about", id="no-loss"),
        pytest.param({"prototypes": "none", "retrieval": "clip"}, "retrieval=clip is about", id="no-retrieval"),
    ],
)
def test_what_contradicts_itself_is_refused(fields: dict[str, Any], match: str, small: Small) -> None:
    with pytest.raises(ValidationError, match=match):
        small(**fields)


def test_towers_of_two_spaces_need_adapters(small: Small) -> None:
    text = {"architecture": "hashing", "overrides": {"width": 5}}
    assert small(text=text)
    for fields in ({"retrieval": "clip"}, {"has_mf": False}):
        with pytest.raises(ModelError, match="take both towers of one CLIP"):
            small(text=text, **fields)
    with pytest.raises(ModelError, match="a residual adapter keeps its width"):
        small(text=text, adapter="residual")


@pytest.mark.parametrize("is_image_trained", [True, False])
def test_works_in_float64(
    small: Callable[..., TcfdNet], pairs: Callable[..., GaitBatch], is_image_trained: bool
) -> None:
    model = small(is_image_trained=is_image_trained)
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
