import os
import subprocess
import sys
from typing import Any

import pytest
import torch

from gaitbench.errors import ModelError
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.hashing import HashingEncoder

GOLDEN = [-21, -11, 0, 0, 11, -11, 0, 53, 21, 0, 0, 0, 11, 21, 0, 74]


def encoder(**fields: Any) -> HashingEncoder:
    return HashingEncoder(TowerConfig(architecture="hashing", **fields))


def test_every_process_gives_the_same_vectors() -> None:
    code = (
        "from gaitbench.towers.hashing import HashingEncoder; from gaitbench.towers.config import TowerConfig;"
        "print(HashingEncoder(TowerConfig(architecture='hashing', overrides={'width': 16}))"
        ".encode(['the left arm swings']).tolist())"
    )
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    there = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    here = encoder(overrides={"width": 16}).encode(["the left arm swings"])
    assert there == f"{here.tolist()}\n"
    # No other version may give other vectors under the same name.
    assert (here[0] * 100).round().int().tolist() == GOLDEN


def test_vectors_have_unit_length_and_the_width_asked_for() -> None:
    vectors = encoder(overrides={"width": 100}).encode(["one", "two words", "three words here"])
    assert vectors.shape == (3, 100)
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))


@pytest.mark.parametrize(
    "same", ["THE MAN DOESN'T RUN", "the man, doesn't run!", "The man doesn\N{RIGHT SINGLE QUOTATION MARK}t  run"]
)
def test_case_and_punctuation_do_not_matter(same: str) -> None:
    a, b = encoder().encode(["The man doesn't run.", same])
    assert torch.equal(a, b)


def test_likeness_follows_the_words() -> None:
    base, swapped, half, none = encoder().encode(
        ["the man wears a long coat", "the man wears a short coat", "the woman has a short bag", "she strides quickly"]
    )
    likeness = [float(base @ other) for other in (base, swapped, half, none)]
    assert likeness == sorted(likeness, reverse=True)
    assert likeness[1] > 0.6
    assert abs(likeness[3]) < 0.2


def test_the_order_of_words_counts_a_little() -> None:
    a, b = encoder().encode(["left arm right leg", "right arm left leg"])
    assert 0.7 < float(a @ b) < 0.99


def test_the_seed_chooses_the_buckets_and_the_name() -> None:
    assert not torch.equal(encoder(seed=1).encode(["a man"]), encoder().encode(["a man"]))
    assert encoder(seed=1).identity != encoder().identity != encoder(overrides={"width": 8}).identity
    assert encoder().info.says == "text tower hashing (hashed words, nothing learned)"


@pytest.mark.parametrize("width", [0, 2.5, True, "8"])
def test_impossible_widths_are_refused(width: Any) -> None:
    with pytest.raises(ModelError, match="must be a whole number from 1"):
        encoder(overrides={"width": width})


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ModelError, match="no setting depth; it has width"):
        encoder(overrides={"depth": 2})
    with pytest.raises(ModelError, match="ViT-B-32 is no hashing encoder"):
        HashingEncoder(TowerConfig(architecture="ViT-B-32"))
