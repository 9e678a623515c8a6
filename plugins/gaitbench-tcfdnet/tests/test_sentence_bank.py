"""The dictionary in the model: which vector is of which sentence, and what saved weights belong to."""

from collections.abc import Callable

import pytest
import torch
from gaitbench_tcfdnet.dictionary import MODALITIES, Dictionary
from gaitbench_tcfdnet.model import TcfdNet

from gaitbench.checkpoint import apply_weights, weights_of
from gaitbench.errors import ModelError
from gaitbench.towers.sentence_bank import SentenceBank
from gaitbench.towers.text import text_encoder

OWN = Dictionary.model_validate({"silhouette": ["a flat shape"], "lidar-depth": ["far points"]})


def test_vectors_are_those_of_the_tower_in_the_order_of_the_dictionary(small: Callable[..., TcfdNet]) -> None:
    model = small()
    assert model.bank is not None
    for number, modality in enumerate(MODALITIES):
        expected = text_encoder(model.config.text).encode(model.config.dictionary.of(modality))
        assert torch.equal(model.bank()[number], expected)
    assert not model.bank().requires_grad


def test_a_clip_tower_encodes_all_of_ours(small: Callable[..., TcfdNet]) -> None:
    reduced = {"width": 8, "heads": 2, "layers": 1, "embed_dim": 6}
    bank = small(text={"architecture": "ViT-B-16", "overrides": reduced}).bank
    assert bank is not None
    assert bank().shape == (2, 64, 6)
    assert bank().isfinite().all()
    assert bank.info.is_frozen
    assert bank.info.is_reduced


def test_saved_vectors_need_no_tower_and_belong_to_their_sentences(
    small: Callable[..., TcfdNet], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = weights_of(small(dictionary=OWN, num_retrieved=1))
    with monkeypatch.context() as patch:
        patch.setattr(SentenceBank, "_build", lambda _: pytest.fail("the tower was built"))
        loaded = small(dictionary=OWN, num_retrieved=1)
        apply_weights(loaded, saved, "a test")
        assert loaded.bank is not None
        assert torch.equal(loaded.bank(), saved["bank.vectors"])
    other = Dictionary.model_validate({"silhouette": ["a flat form"], "lidar-depth": ["far points"]})
    with pytest.raises(ModelError, match="other sentences, or with another text tower than hashing"):
        apply_weights(small(dictionary=other, num_retrieved=1), saved, "a test")
    with pytest.raises(ModelError, match="configure text and dictionary as they were"):
        apply_weights(
            small(
                dictionary=OWN, num_retrieved=1, text={"architecture": "hashing", "seed": 1, "overrides": {"width": 8}}
            ),
            saved,
            "a test",
        )
