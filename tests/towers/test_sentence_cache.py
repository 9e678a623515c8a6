import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from small_towers import TEXT_SIZES
from torch import Tensor

from gaitbench.errors import ModelError
from gaitbench.towers.config import TowerConfig, TowerInfo
from gaitbench.towers.sentence_cache import encode_cached, sentence_folder
from gaitbench.towers.text import ClipTextTower, TextEncoder


class Counting(TextEncoder):
    """Says how often it was asked."""

    width = 4

    def __init__(self, sha256: str = "a" * 64, *, is_frozen: bool = True, fill: float = 0.0) -> None:
        self.asked: list[str] = []
        self.fill = fill
        self.info = TowerInfo(
            role="text",
            architecture="counting",
            weights="untrained",
            source="",
            sha256=sha256,
            num_parameters=0,
            is_frozen=is_frozen,
        )

    def encode(self, sentences: Sequence[str]) -> Tensor:
        self.asked += sentences
        return torch.tensor([[len(sentence), ord(sentence[0]), 0.5, self.fill] for sentence in sentences])


def test_a_sentence_is_encoded_once(tmp_path: Path) -> None:
    encoder = Counting()
    first = encode_cached(encoder, ["b", "aa", "b"], root=tmp_path)
    assert encoder.asked == ["b", "aa"]
    assert torch.equal(first, encoder.encode(["b", "aa", "b"]))
    later = Counting()
    again = encode_cached(later, ["ccc", "aa"], root=tmp_path)
    assert later.asked == ["ccc"]
    assert torch.equal(again, encoder.encode(["ccc", "aa"]))
    assert torch.equal(encode_cached(later, ["aa", "ccc", "b"], root=tmp_path), encoder.encode(["aa", "ccc", "b"]))
    assert later.asked == ["ccc"]
    assert [path for path in tmp_path.rglob("*") if path.suffix == ".tmp"] == []


def test_case_counts_in_the_cache(tmp_path: Path) -> None:
    encoder = Counting()
    encode_cached(encoder, ["a"], root=tmp_path)
    encode_cached(encoder, ["A"], root=tmp_path)
    assert encoder.asked == ["a", "A"]


def test_other_weights_are_another_encoder(tmp_path: Path) -> None:
    one, other = Counting(), Counting("b" * 64, fill=1.0)
    encode_cached(one, ["a"], root=tmp_path)
    assert float(encode_cached(other, ["a"], root=tmp_path)[0, 3]) == 1.0
    assert sentence_folder(one, tmp_path) != sentence_folder(other, tmp_path)


def test_the_projection_is_part_of_the_encoder(tmp_path: Path) -> None:
    config = TowerConfig(architecture="ViT-B-32", overrides={**TEXT_SIZES, "embed_dim": 32})
    projected, plain = ClipTextTower(config), ClipTextTower(config, is_projected=False)
    for tower in (projected, plain):
        torch.testing.assert_close(encode_cached(tower, ["a man"], root=tmp_path), tower.encode(["a man"]))


@pytest.mark.parametrize("damage", [b"", b"\0" * 100, None])
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture) -> None:
    encoder = Counting()
    good = encode_cached(encoder, ["a", "b"], root=tmp_path)
    (path,) = sentence_folder(encoder, tmp_path).iterdir()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content) if damage is None else damage)
    with caplog.at_level(logging.WARNING, "gaitbench"):
        assert torch.equal(encode_cached(encoder, ["a", "b"], root=tmp_path), good)
    assert "is damaged; its sentences are encoded again" in caplog.text
    assert len(encoder.asked) == 4
    encode_cached(encoder, ["a", "b"], root=tmp_path)
    assert len(encoder.asked) == 4


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    encoder = Counting()
    folder = sentence_folder(encoder, tmp_path)
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    encode_cached(encoder, ["a"], root=tmp_path)
    assert (folder / "notes.txt").read_text() == "mine"


def test_what_cannot_be_read_is_encoded_again(tmp_path: Path) -> None:
    encoder = Counting()
    good = encode_cached(encoder, ["a"], root=tmp_path)
    (path,) = sentence_folder(encoder, tmp_path).iterdir()
    path.rename(path.with_suffix(".old"))
    path.with_name(f"{'0' * 64}.safetensors").mkdir()
    assert torch.equal(encode_cached(encoder, ["a"], root=tmp_path), good)
    assert encoder.asked == ["a", "a"]


def test_what_changes_is_not_kept(tmp_path: Path) -> None:
    for encoder in (Counting(is_frozen=False), Counting("")):
        with pytest.raises(ModelError, match="change with its training and cannot be kept"):
            encode_cached(encoder, ["a"], root=tmp_path)
    with pytest.raises(ModelError, match="gave NaN or infinity"):
        encode_cached(Counting(fill=float("nan")), ["a"], root=tmp_path)
    with pytest.raises(ModelError, match="has no word"):
        encode_cached(Counting(), [" "], root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_sentences_are_no_rows(tmp_path: Path) -> None:
    assert encode_cached(Counting(), [], root=tmp_path).shape == (0, 4)


def test_the_cache_is_gaitbenchs_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path / "cache"))
    encode_cached(Counting(), ["a"])
    assert len(list((tmp_path / "cache" / "sentences").rglob("*.safetensors"))) == 1
