from pathlib import Path

import pytest
from pydantic import ValidationError

from gaitbench.digest import file_digest
from gaitbench.towers.config import TowerConfig, TowerInfo

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        pytest.param({"architecture": "hf-hub:somebody/model"}, "no name of an architecture", id="repository"),
        pytest.param({"architecture": "local-dir:/tmp/x"}, "no name of an architecture", id="folder"),
        pytest.param({"architecture": "../ViT-B-32"}, "no name of an architecture", id="path"),
        pytest.param({"weights": "pretrained", "tag": "openai"}, "need the commit", id="no-revision"),
        pytest.param({"weights": "pretrained", "revision": "main"}, "need the commit.*'main'", id="branch"),
        pytest.param(
            {"weights": "pretrained", "revision": COMMIT, "overrides": {"width": 8}}, "without.*width", id="reduced"
        ),
        pytest.param({"weights": "file"}, "a path go together", id="no-path"),
        pytest.param({"path": "/nowhere/x.pt", "weights": "file"}, "cannot read.*x.pt: No such file", id="no-file"),
        pytest.param({"sha256": "ab"}, "no path is given", id="hash-of-nothing"),
        pytest.param({"tag": "openai"}, "belong to weights='pretrained'", id="tag-of-nothing"),
        pytest.param({"revision": COMMIT}, "belong to weights='pretrained'", id="revision-of-nothing"),
        pytest.param(
            {"architecture": "hashing", "weights": "pretrained", "revision": COMMIT}, "no weights to load", id="hashing"
        ),
        pytest.param({"seed": -1}, "greater than or equal to 0", id="seed"),
        pytest.param({"sead": 1}, "Extra inputs", id="misspelt"),
    ],
)
def test_contradictions_are_refused(fields: dict[str, object], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        TowerConfig.model_validate({"architecture": "ViT-B-32", **fields})


def test_a_file_is_hashed_and_the_hash_kept(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"some weights")
    config = TowerConfig(architecture="ViT-B-32", weights="file", path=path)
    assert config.sha256 == file_digest(path)
    record = config.model_dump(mode="json")
    path.unlink()
    assert TowerConfig.model_validate(record) == config


def test_a_record_rebuilds_the_configuration() -> None:
    config = TowerConfig(architecture="open_clip:RN50", overrides={"layers": (1, 1, 1, 1), "width": 8, "x": None})
    assert TowerConfig.model_validate_json(config.model_dump_json()) == config


def info(**fields: object) -> TowerInfo:
    base = {
        "role": "image",
        "architecture": "vit",
        "weights": "untrained",
        "source": "seed 0",
        "sha256": "",
        "num_parameters": 1234567,
        "is_frozen": True,
    }
    return TowerInfo.model_validate(base | fields)


@pytest.mark.parametrize(
    ("fields", "says", "is_stand_in"),
    [
        ({}, "image tower vit (untrained, frozen)", True),
        ({"weights": "pretrained"}, "image tower vit (pretrained, frozen)", False),
        ({"weights": "file", "is_frozen": False}, "image tower vit (file, fine-tuned)", False),
        ({"weights": "trained-along", "is_frozen": False}, "image tower vit (trained-along)", True),
        (
            {"weights": "file", "is_reduced": True},
            "image tower vit (file, reduced to 1,234,567 parameters, frozen)",
            True,
        ),
        (
            {"role": "text", "architecture": "hashing", "weights": "hashing"},
            "text tower hashing (hashed words, nothing learned)",
            True,
        ),
    ],
)
def test_one_line_says_what_it_is(fields: dict[str, object], says: str, is_stand_in: bool) -> None:
    assert info(**fields).says == says
    assert info(**fields).is_stand_in is is_stand_in
