import pytest
import torch
from gaitbench_tcfdnet.dictionary import MODALITIES, Dictionary
from gaitbench_tcfdnet.sentence_bank import SentenceBank

from gaitbench.errors import ModelError
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.left_out import weights_left_out
from gaitbench.towers.text import text_encoder

HASHED = TowerConfig(architecture="hashing", overrides={"width": 16})
OURS = Dictionary.model_validate("shipped")
OWN = Dictionary.model_validate({"silhouette": ["a flat shape"], "lidar-depth": ["far points"]})


def test_vectors_are_those_of_the_tower_in_the_order_of_the_dictionary() -> None:
    bank = SentenceBank(HASHED, OURS)
    for number, modality in enumerate(MODALITIES):
        assert torch.equal(bank()[number], text_encoder(HASHED).encode(OURS.of(modality)))
    assert not bank().requires_grad


def test_a_clip_tower_encodes_all_of_ours() -> None:
    small = {"width": 8, "heads": 2, "layers": 1, "embed_dim": 6}
    bank = SentenceBank(TowerConfig(architecture="ViT-B-16", overrides=small), OURS)
    assert bank().shape == (2, 64, 6)
    assert bank().isfinite().all()
    assert bank.info.is_frozen
    assert bank.info.is_reduced


def test_saved_vectors_need_no_tower_and_belong_to_their_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = SentenceBank(HASHED, OWN).state_dict()
    loaded = SentenceBank(HASHED, OWN)
    loaded.will_be_loaded()
    with monkeypatch.context() as patch:
        patch.setattr(SentenceBank, "_build", lambda _: pytest.fail("the tower was built"))
        loaded.load_state_dict(saved)
        assert torch.equal(loaded(), saved["vectors"])
    other = Dictionary.model_validate({"silhouette": ["a flat form"], "lidar-depth": ["far points"]})
    with pytest.raises(ModelError, match="another dictionary, or with another text tower than hashing"):
        SentenceBank(HASHED, other).load_state_dict(saved)
    with pytest.raises(ModelError, match="configure text and dictionary as they were"):
        SentenceBank(HASHED.model_copy(update={"seed": 1}), OWN).load_state_dict(saved)


def test_models_that_are_only_counted_keep_no_vectors() -> None:
    bank = SentenceBank(HASHED, OWN)
    with weights_left_out():
        assert bank().shape == (2, 1, 16)
    with torch.device("meta"):
        assert SentenceBank(HASHED, OWN)().is_meta
