"""The published code is a matrix product here, computed with NumPy."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mean_net import PUBLISHED_KEYS, Config, Good
from torch import Tensor

from gaitbench.errors import DatasetError, ModelError
from gaitbench.model import GaitOutput
from gaitbench.testing import ParityVector, check_parity, fill_by_rule

PIXELS = 16 * 11
NORMAL = "normal/sqrt(prod(shape[1:]))"
DESCRIBED: dict[str, Any] = {
    "model": "MeanNet",
    "parameters": PIXELS * 6 + 6 + 6 * 3 + 3,
    "input": [
        {"name": "silhouette", "rule": "(default_rng(seed).random(shape) < 0.4)", "shape": [2, 5, 16, 11], "seed": 1}
    ],
    "state": [
        ["fc.weight", [6, PIXELS], NORMAL],
        ["fc.bias", [6], "0.1*normal"],
        ["classifier.weight", [3, 6], "uniform(0.5,1.5)"],
        ["classifier.bias", [3], "stored"],
    ],
}
BIAS = np.array([1, 2, 3], np.float32)


def drawn(key: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(key.encode()))


def published() -> dict[str, np.ndarray]:
    clips = np.random.default_rng(1).random((2, 5, 16, 11)) < 0.4
    mean = clips.mean(axis=1).reshape(2, PIXELS)
    weight = drawn("fc.weight").standard_normal((6, PIXELS)) / PIXELS**0.5
    embedding = mean @ weight.T + 0.1 * drawn("fc.bias").standard_normal(6)
    logits = embedding @ drawn("classifier.weight").uniform(0.5, 1.5, (3, 6)).T + BIAS
    return {"embeddings": embedding[..., None], "logits": logits[..., None], "stored:classifier.bias": BIAS}


def write(folder: Path, arrays: dict[str, np.ndarray] | None = None, **fields: object) -> Path:
    path = folder / "mean.json"
    path.write_text(json.dumps(DESCRIBED | fields))
    np.savez(folder / "mean.npz", **{k: v.astype(np.float32) for k, v in (arrays or published()).items()})
    return path


def test_a_faithful_model_agrees(tmp_path: Path) -> None:
    errors = check_parity(Good(Config()), PUBLISHED_KEYS, write(tmp_path))
    assert errors.keys() == {"embeddings", "logits"}
    assert all(error < 1e-5 for error in errors.values())


def test_rules_fill_the_state(tmp_path: Path) -> None:
    vector = ParityVector.read(write(tmp_path, state=[*DESCRIBED["state"], ["num_batches_tracked", [], "keep"]]))
    assert list(vector.weights) == [key for key, _, _ in DESCRIBED["state"]] + ["num_batches_tracked"]
    np.testing.assert_allclose(vector.weights["fc.bias"], 0.1 * drawn("fc.bias").standard_normal(6), rtol=1e-6)
    assert vector.weights["fc.weight"].dtype == torch.float32
    assert vector.weights["num_batches_tracked"].dtype == torch.int64
    model = Good(Config())
    fill_by_rule(model, PUBLISHED_KEYS, ParityVector.read(write(tmp_path)))
    assert torch.equal(model.layer.weight, vector.weights["fc.weight"])
    assert model.head.bias.tolist() == [1, 2, 3]


def test_normal_inputs(tmp_path: Path) -> None:
    given = DESCRIBED["input"][0] | {"rule": "default_rng(seed).standard_normal(shape)", "seed": 7}
    (drawn_input,) = ParityVector.read(write(tmp_path, input=[given])).inputs.values()
    expected = np.random.default_rng(7).standard_normal((2, 5, 16, 11)).astype(np.float32)
    np.testing.assert_array_equal(drawn_input, expected)


class Shifted(Good):
    def embed_raw(self, x: Tensor) -> Tensor:
        return super().embed_raw(x) * 1.001


class Blind(Good):
    """What it sees of the input is small beside what it says of every input."""

    def embed_raw(self, x: Tensor) -> Tensor:
        embedding = super().embed_raw(x)
        return embedding + 0.05 * (embedding[0] - embedding[1]) * torch.tensor([1.0, 0.0])[:, None, None]


class OtherShape(Good):
    def embed_raw(self, x: Tensor) -> Tensor:
        return super().embed_raw(x)[..., 0]


class NotFinite(Good):
    def embed_raw(self, x: Tensor) -> Tensor:
        return super().embed_raw(x) * float("nan")


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Shifted, "embeddings differ from the published ones by 1.0e-03"),
        (NotFinite, "embeddings differ from the published ones by nan"),
        (OtherShape, r"embeddings are \[2, 6\], published \[2, 6, 1\]"),
    ],
)
def test_a_model_that_differs(cls: type[Good], message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        check_parity(cls(Config()), PUBLISHED_KEYS, write(tmp_path))


def test_what_two_sequences_differ_in_counts_by_itself(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="what differs between the first two sequences is off by 5"):
        check_parity(Blind(Config()), PUBLISHED_KEYS, write(tmp_path), tolerance=0.1)


def test_logits_must_come_from_somewhere(tmp_path: Path) -> None:
    class Direct(Good):
        def embed_raw(self, x: Tensor) -> Tensor:
            return self.layer(x.mean(dim=1).flatten(1))[..., None]

        def both(self, x: Tensor) -> GaitOutput:
            embedding = self.embed_raw(x)
            return GaitOutput(embedding, self.head(embedding[..., 0])[..., None])

    model, path = Direct(Config()), write(tmp_path)
    with pytest.raises(ModelError, match="gives no logits"):
        check_parity(model, PUBLISHED_KEYS, path)
    assert check_parity(model, PUBLISHED_KEYS, path, run=model.both).keys() == {"embeddings", "logits"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"parameters": 5}, "has 1,083 parameters, the published model 5"),
        ({"state": DESCRIBED["state"][:3]}, "cannot take the published weights.*head.bias"),
        ({"state": [*DESCRIBED["state"], ["stem.weight", [1], NORMAL]]}, "no place in this model: stem.weight"),
        ({"state": [["fc.weight", [5, PIXELS], NORMAL], *DESCRIBED["state"][1:]]}, "cannot take the published weights"),
    ],
)
def test_weights_that_do_not_fit(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"(?s){message}"):
        check_parity(Good(Config()), PUBLISHED_KEYS, write(tmp_path, **fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"state": [["fc.weight", [6, PIXELS], "zeros"]]}, "fc.weight has the rule 'zeros'"),
        ({"state": [["fc.bias", [6], "stored"]]}, "no 'stored:fc.bias'"),
        ({"input": [DESCRIBED["input"][0] | {"rule": "ones(shape)"}]}, "has the rule 'ones"),
        ({"parameters": "many"}, "is no parity vector"),
    ],
)
def test_a_vector_that_cannot_be_read(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=message):
        ParityVector.read(write(tmp_path, **fields))


def test_files_that_are_missing_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none\.json.*no parity vector"):
        ParityVector.read(tmp_path / "none.json")
    path = write(tmp_path)
    (tmp_path / "mean.npz").write_bytes((tmp_path / "mean.npz").read_bytes()[:200])
    with pytest.raises(DatasetError, match="no parity vector"):
        ParityVector.read(path)
    with pytest.raises(DatasetError, match="but no embeddings"):
        ParityVector.read(write(tmp_path, {"logits": BIAS}))
