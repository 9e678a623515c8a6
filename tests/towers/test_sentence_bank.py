"""Sentences encoded once, kept with the weights, and known for what they are."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from gaitbench.errors import ModelError
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.left_out import weights_left_out
from gaitbench.towers.sentence_bank import SentenceBank
from gaitbench.towers.text import ClipTextTower, text_encoder

WORDS = ("The hair is long", "The hair is short")
HASHING = TowerConfig(architecture="hashing", overrides={"width": 24})
UNTRAINED = TowerConfig(architecture="RN50", overrides={"width": 16, "heads": 2, "layers": 2, "embed_dim": 24}, seed=3)


@pytest.fixture(autouse=True)
def own_cache(gaitbench_cache: Path) -> Path:
    """Sentences are kept for the test alone."""
    return gaitbench_cache


@pytest.mark.parametrize("config", [HASHING, UNTRAINED])
def test_vectors_are_those_of_the_encoder(config: TowerConfig) -> None:
    vectors = SentenceBank(config, WORDS)
    assert vectors.width == 24
    torch.testing.assert_close(vectors(), text_encoder(config).encode(WORDS))
    assert vectors.info == text_encoder(config).info
    assert not list(vectors.parameters())


def test_published_clip_tower_is_1024_wide_and_needs_no_weights_for_that() -> None:
    config = TowerConfig(architecture="RN50", weights="pretrained", tag="openai", revision="0" * 40)
    vectors = SentenceBank(config, WORDS)
    assert vectors.width == 1024
    with weights_left_out():
        assert vectors.info.weights == "pretrained"
        assert vectors().shape == (2, 1024)
        assert vectors().any()


def test_from_a_file(tmp_path: Path) -> None:
    tower = ClipTextTower(UNTRAINED)
    path = tmp_path / "clip.safetensors"
    save_file({name: weight.contiguous() for name, weight in tower.network.state_dict().items()}, path)
    config = TowerConfig(architecture="RN50", weights="file", path=path, overrides=UNTRAINED.overrides)
    vectors = SentenceBank(config, WORDS)
    torch.testing.assert_close(vectors(), tower.encode(WORDS))
    assert vectors.info.weights == "file"
    # The file may lie elsewhere another time, and weights that hold the vectors need none.
    moved = SentenceBank(config.model_copy(update={"path": tmp_path / "gone.safetensors"}), WORDS)
    state = vectors.state_dict()
    moved.will_be_loaded()
    moved.load_state_dict(state)
    assert torch.equal(moved(), vectors())


def test_drawn_vectors_are_not_kept() -> None:
    vectors = SentenceBank(UNTRAINED, WORDS)
    with weights_left_out():
        vectors()
        vectors.vectors += 1
    torch.testing.assert_close(vectors(), text_encoder(UNTRAINED).encode(WORDS))


def test_they_are_read_from_the_cache(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = SentenceBank(UNTRAINED, WORDS)()
    assert list(own_cache.rglob("sentences/**/*.safetensors"))
    monkeypatch.setattr(ClipTextTower, "encode", lambda *_: pytest.fail("encoded again"))
    assert torch.equal(SentenceBank(UNTRAINED, WORDS)(), first)


def test_a_saved_state_holds_them_and_a_loaded_one_needs_no_tower(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = SentenceBank(HASHING, WORDS).state_dict()
    assert saved["vectors"].any()
    loaded = SentenceBank(HASHING, WORDS)
    loaded.will_be_loaded()
    monkeypatch.setattr(loaded, "_build", lambda: pytest.fail("built"))
    loaded.load_state_dict(saved)
    assert torch.equal(loaded(), saved["vectors"])
    loaded.load_state_dict({name: value.half() for name, value in saved.items()})
    assert torch.equal(loaded(), saved["vectors"].half().float())


@pytest.mark.parametrize(
    ("config", "words"),
    [(TowerConfig(architecture="hashing", overrides={"width": 24}, seed=1), WORDS), (HASHING, WORDS[::-1])],
)
def test_vectors_of_others_are_refused(config: TowerConfig, words: tuple[str, ...]) -> None:
    other = SentenceBank(config, words)
    with pytest.raises(ModelError, match="other sentences, or with another text tower than hashing"):
        SentenceBank(HASHING, WORDS).load_state_dict(other.state_dict())


def test_without_sentences_there_is_nothing_to_encode(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = SentenceBank(UNTRAINED, ())
    monkeypatch.setattr(vectors, "_build", lambda: pytest.fail("built"))
    assert vectors().shape == (0, 24)


def test_what_is_encoded_in_inference_mode_takes_part_in_training() -> None:
    vectors = SentenceBank(HASHING, WORDS)
    with torch.inference_mode():
        vectors()
    weight = torch.randn(24, requires_grad=True)
    (vectors() @ weight).sum().backward()
    torch.testing.assert_close(weight.grad, vectors().sum(dim=0))


def test_an_unknown_tower_is_refused_at_once() -> None:
    fields: dict[str, Any] = {"architecture": "RN-fifty"}
    with pytest.raises(Exception, match="RN-fifty"):
        SentenceBank(TowerConfig(**fields), WORDS)


def test_sentences_divide_into_groups_in_their_order() -> None:
    words = ("a flat shape", "a white shape", "far points", "near points", "few points", "many points")
    grouped = SentenceBank(HASHING, words, shape=(3, 2))
    assert grouped().shape == (3, 2, 24)
    assert torch.equal(grouped()[2, 1], text_encoder(HASHING).encode(words[5:])[0])
    # The same vectors in other groups are others.
    with pytest.raises(ModelError, match="other sentences"):
        SentenceBank(HASHING, words, shape=(1, 6)).set_extra_state(grouped.get_extra_state())
    with pytest.raises(ValueError, match=r"6 sentences do not divide into \(2, 2\)"):
        SentenceBank(HASHING, words, shape=(2, 2))


def test_what_is_to_be_configured_is_said() -> None:
    saved = SentenceBank(HASHING, WORDS).state_dict()
    other = SentenceBank(HASHING, WORDS[:1] * 2, fields="text and dictionary")
    with pytest.raises(ModelError, match="configure text and dictionary as they were"):
        other.load_state_dict(saved)


def test_models_that_are_only_laid_out_have_no_vectors() -> None:
    with torch.device("meta"):
        bank = SentenceBank(HASHING, WORDS)
    assert bank().is_meta
    assert bank.get_extra_state().is_meta
