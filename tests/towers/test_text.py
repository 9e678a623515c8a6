import sys
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from small_towers import TEXT_SIZES, clip, of_file, saved
from torch import Tensor, nn

import gaitbench.towers.text
from gaitbench.errors import ModelError, ShapeError, UnknownNameError
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.hashing import HashingEncoder
from gaitbench.towers.left_out import weights_left_out
from gaitbench.towers.text import ClipTextTower, text_encoder

NAME = "ViT-B-32"
SENTENCES = ["A man walks with long strides.", "her arms hardly swing"]


def small(**fields: Any) -> ClipTextTower:
    arguments = {key: fields.pop(key) for key in ("is_frozen", "is_projected") if key in fields}
    return ClipTextTower(TowerConfig(architecture=NAME, overrides=TEXT_SIZES, **fields), **arguments)


@pytest.mark.parametrize(
    ("name", "num_parameters", "width", "token_width"),
    [("ViT-B-32", 63_428_096, 512, 512), ("ViT-B-16", 63_428_096, 512, 512), ("RN50", 63_690_240, 1024, 512)],
)
def test_published_sizes(name: str, num_parameters: int, width: int, token_width: int) -> None:
    with torch.device("meta"):
        tower = ClipTextTower(TowerConfig(architecture=name))
    assert sum(weight.numel() for weight in tower.parameters()) == num_parameters
    assert (tower.width, tower.token_width, tower.num_layers) == (width, token_width, 12)
    assert (tower.context_length, tower.vocabulary) == (77, 49_408)
    assert tower.info.says == f"text tower {name} (untrained, frozen)"


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("is_quick", [False, True])
def test_vectors_are_those_of_open_clip(tmp_path: Path, suffix: str, is_quick: bool) -> None:
    """OpenAI's export tells by the sizes that it holds that its activation is another."""
    model = clip(is_quick=is_quick)
    state: dict[str, Any] = dict(model.state_dict())
    if is_quick:
        state |= {key: torch.tensor(1) for key in ("input_resolution", "context_length", "vocab_size")}
        state = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
        model.load_state_dict(state, strict=False)
    tower = ClipTextTower(of_file(NAME, saved(tmp_path / f"clip{suffix}", state), TEXT_SIZES))
    tokens = open_clip.get_tokenizer(NAME)(SENTENCES)
    assert torch.equal(tower.tokenize(SENTENCES), tokens)
    with torch.no_grad():
        torch.testing.assert_close(tower(tokens), model.encode_text(tokens))
        torch.testing.assert_close(tower.encode(SENTENCES), model.encode_text(tokens))
    assert tower.encode(SENTENCES).dtype == torch.float32


def test_the_activation_is_kept_with_the_weights(tmp_path: Path) -> None:
    state = dict(clip(is_quick=True).state_dict()) | {"vocab_size": torch.tensor(49408)}
    config = of_file(NAME, saved(tmp_path / "clip.safetensors", state), TEXT_SIZES)
    tower = ClipTextTower(config)
    with weights_left_out():
        bare = ClipTextTower(config)
    bare.load_state_dict(tower.state_dict())
    assert torch.equal(bare.encode(SENTENCES), tower.encode(SENTENCES))
    named = ClipTextTower(
        of_file(
            f"{NAME}-quickgelu",
            saved(tmp_path / "b.safetensors", {key: value for key, value in state.items() if key != "vocab_size"}),
            TEXT_SIZES,
        )
    )
    assert torch.equal(named.encode(SENTENCES), tower.encode(SENTENCES))


def test_a_text_part_of_its_own_is_read(tmp_path: Path) -> None:
    state = clip().state_dict()
    kept = {key: value for key, value in state.items() if not key.startswith("visual.") and key != "logit_scale"}
    apart = {f"text.{key}": value for key, value in kept.items()} | {"logit_scale": torch.ones(())}
    whole = ClipTextTower(of_file(NAME, saved(tmp_path / "a.safetensors", state), TEXT_SIZES))
    own = ClipTextTower(of_file(NAME, saved(tmp_path / "b.safetensors", apart), TEXT_SIZES))
    assert own.info.sha256 == whole.info.sha256


def test_weights_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    state = dict(clip().state_dict())
    state.pop("ln_final.bias")
    state["token_embedding.weight"] = torch.zeros(100, 32)
    state["adapter.weight"] = torch.zeros(1)
    path = saved(tmp_path / "clip.safetensors", state)
    with pytest.raises(ModelError) as caught:
        ClipTextTower(of_file(NAME, path, TEXT_SIZES))
    for part in (
        "clip.safetensors",
        "missing: ln_final.bias",
        "unexpected: adapter.weight",
        "token_embedding.weight is [100, 32], the model has [49408, 32]",
    ):
        assert part in str(caught.value)


def test_tokens_of_a_known_sentence() -> None:
    tokens = small().tokenize(["a man walks"])
    assert tokens[0, :6].tolist() == [49406, 320, 786, 8192, 49407, 0]
    assert tokens.shape == (1, 77)


def test_the_sentence_is_read_at_its_end_and_looks_back_only() -> None:
    tower = small()
    short, longer = tower.tokenize(["a man walks", "a man walks slowly"])
    sentences, tokens = tower(torch.stack([short, longer]), return_tokens=True)
    end = int(short.argmax())
    assert torch.equal(sentences[0], tokens[0, end])
    torch.testing.assert_close(tokens[0, :end], tokens[1, :end])  # what comes later changes nothing before
    assert not torch.allclose(tokens[0, end], tokens[1, end])
    assert tokens.shape == (2, 77, 24)


def test_without_the_projection() -> None:
    tower, projected = small(is_projected=False), small()
    assert (tower.width, tower.token_width) == (32, 32)
    x = tower.tokenize(SENTENCES)
    torch.testing.assert_close(tower(x) @ projected.network.text_projection, projected(x))
    assert tower.identity != projected.identity
    assert tower.info.sha256 == projected.info.sha256


def test_a_hook_that_adds_nothing_changes_nothing() -> None:
    tower = small()
    x = tower.tokenize(SENTENCES)
    seen: list[tuple[int, torch.Size]] = []

    def note(layer: int, h: Tensor) -> Tensor:
        seen.append((layer, h.shape))
        return h + 0.0

    assert torch.equal(tower(x, note), tower(x))
    longest = int(x.argmax(dim=1).max()) + 1
    assert longest < 77
    assert seen == [(layer, (2, longest, 32)) for layer in range(3)]


def test_what_is_behind_the_longest_sentence_is_left_out_and_changes_nothing() -> None:
    tower = small()
    x = tower.tokenize(["a man walks", "a man in a long coat walks slowly", " ".join(["walk"] * 75)])
    whole, _ = tower(x, return_tokens=True)
    torch.testing.assert_close(tower(x), whole)  # the last one fills all 77
    for part in (x[:1], x[:2], x[[1, 0]]):
        rows = [int(row) for row in (part[:, None] == x).all(dim=2).int().argmax(dim=1)]
        torch.testing.assert_close(tower(part), whole[rows])
    assert tower(x[:0]).shape == (0, tower.width)


def test_gradients_flow_through_frozen_layers_into_what_is_added() -> None:
    tower = small().train()
    adapters = nn.ModuleList(nn.Linear(32, 32, bias=False) for _ in range(3))
    x = tower.tokenize(SENTENCES)
    tower(x, lambda layer, h: h + adapters[layer](h)).square().sum().backward()
    assert all(adapter.weight.grad is not None and adapter.weight.grad.abs().sum() > 0 for adapter in adapters)
    assert all(weight.grad is None and not weight.requires_grad for weight in tower.parameters())
    assert not tower.training
    assert not tower(x).requires_grad


def test_a_tower_that_is_trained_along_learns_everywhere() -> None:
    tower = small(is_frozen=False)
    assert tower.training
    tower(tower.tokenize(SENTENCES)).square().sum().backward()
    assert [name for name, weight in tower.named_parameters() if weight.grad is None] == []
    assert (tower.info.weights, tower.identity) == ("trained-along", "")


def test_a_hook_must_keep_the_shape() -> None:
    tower = small()
    longest = int(tower.tokenize(SENTENCES).argmax(dim=1).max()) + 1
    told = rf"must return \[2, {longest}, 32\], as layer 1 gave it, got \[2, {longest - 1}, 32\]"
    with pytest.raises(ShapeError, match=told):
        tower(tower.tokenize(SENTENCES), lambda layer, h: h[:, layer:])
    with pytest.raises(ShapeError, match=r"tokens \[S, 77\], got \[2, 5\]"):
        tower(torch.zeros(2, 5, dtype=torch.int64))


def test_a_long_sentence_is_named_and_not_cut() -> None:
    tower = small()
    fits = " ".join(["walks"] * 75)
    assert int(tower.tokenize([fits])[0, 76]) == 49407
    with pytest.raises(ModelError, match=r"sentence 1 of 2 has 78 tokens .* reads 77; shorten or divide it: 'walks w"):
        tower.tokenize(["short", f"{fits} walks"])


@pytest.mark.parametrize(
    ("sentences", "match"),
    [
        (["a", ""], "sentence 1 of 2 has no word"),
        (["  .!"], "has no word in it: '  .!'"),
        ("a man", "come as a list, and 'a man' is one"),
        (["a", None], "sentence 1 of 2 is a NoneType"),
        (["a", "a \ud800 walk"], "sentence 1 of 2 has half a letter in it"),
    ],
)
@pytest.mark.parametrize("name", [NAME, "hashing"])
def test_what_is_no_sentence_is_refused(name: str, sentences: Any, match: str) -> None:
    encoder = text_encoder(TowerConfig(architecture=name, overrides=TEXT_SIZES if name == NAME else {}))
    with pytest.raises(ModelError, match=match):
        encoder.encode(sentences)


@pytest.mark.parametrize("sentence", ["a man <end_of_text> walks", "<start_of_text>a man", "&nbsp;"])
def test_marks_of_start_and_end_are_no_words(sentence: str) -> None:
    with pytest.raises(ModelError, match="sentence 1 of 2 has no word, or a mark of its start or end"):
        small().tokenize(["a man", sentence])


def test_many_sentences_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    tower = small()
    whole = tower.encode(SENTENCES * 2)
    monkeypatch.setattr(gaitbench.towers.text, "_SENTENCES_AT_ONCE", 3)
    torch.testing.assert_close(tower.encode(SENTENCES * 2), whole)
    torch.testing.assert_close(tower.encode(SENTENCES[:1])[0], whole[0])
    assert tower.encode([]).shape == (0, 24)


def test_untrained_weights_follow_the_seed_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = small(seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert small(seed=4).info.sha256 == first.info.sha256
    assert small(seed=5).info.sha256 != first.info.sha256
    assert first.info.is_reduced


@pytest.mark.parametrize(
    ("fields", "error", "match"),
    [
        ({"architecture": "ViT-B-23"}, UnknownNameError, "did you mean 'ViT-B-32'"),
        ({"overrides": {"depth": 3}}, ModelError, "no setting depth; its text settings are embed_dim, context_length"),
        ({"overrides": {"width": 30, "heads": 4}}, ModelError, "open_clip cannot build a text tower"),
        ({"overrides": {"vocab_size": 1000}}, ModelError, "a vocabulary of 1000 is too small"),
        ({"overrides": {"proj_type": "none"}}, ModelError, "no projection; build it with is_projected=False"),
        ({"architecture": "ViT-B-16-SigLIP"}, ModelError, "not of CLIP's kind"),
        ({"architecture": "coca_ViT-B-32"}, ModelError, "not of CLIP's kind .embed_cls"),
        ({"architecture": "roberta-ViT-B-32"}, ModelError, "not of CLIP's kind"),
    ],
)
def test_impossible_towers_are_refused(fields: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match), torch.device("meta"):
        ClipTextTower(TowerConfig.model_validate({"architecture": NAME, **fields}))


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ModelError, match=r"open_clip_torch, which cannot be imported .*'gaitbench\[towers\]'"):
        small()


def test_an_encoder_by_name() -> None:
    assert isinstance(text_encoder(TowerConfig(architecture="hashing")), HashingEncoder)
    assert isinstance(text_encoder(TowerConfig(architecture=NAME, overrides=TEXT_SIZES)), ClipTextTower)
