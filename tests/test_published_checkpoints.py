"""A published checkpoint, three commands, the numbers of the published code: convert, embed, score.

The checkpoints are made here: weights by the rule of the parity vectors, under the keys of the published code.
"""

import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from gaitbench.cli import main
from gaitbench.embedding_file import read_embeddings
from gaitbench.registry import load_registry

FOLDER = Path(os.environ.get("GAITBENCH_SHARED", Path(__file__).parents[2] / "shared")) / "parity" / "models"
VECTORS = sorted(path.stem for path in FOLDER.glob("*.json")) or ["none"]
MODELS = {"gaitgraph1": "gaitgraph"}
"""Where a vector is not called what the model is called here."""


def weights(vector: dict[str, object], stored: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    state = {}
    for key, shape, rule in vector["state"]:  # type: ignore[attr-defined]
        rng = np.random.default_rng(zlib.crc32(key.encode()))
        if rule == "stored":
            value = stored[f"stored:{key}"]
        elif rule == "keep":
            value = np.zeros(shape, np.int64)
        elif rule == "uniform(0.5,1.5)":
            value = rng.uniform(0.5, 1.5, shape)
        else:
            scale = 0.1 if rule == "0.1*normal" else 1 / np.sqrt(np.prod(shape[1:]))
            value = scale * rng.standard_normal(shape)
        state[key] = torch.from_numpy(np.asarray(value))
        if state[key].is_floating_point():
            state[key] = state[key].float()
    return state


def given_input(vector: dict[str, object]) -> np.ndarray:
    (given,) = vector["input"]  # type: ignore[misc]
    rng = np.random.default_rng(given["seed"])
    x = rng.random(given["shape"]) < 0.4 if "random" in given["rule"] else rng.standard_normal(given["shape"])
    return x.astype(np.float32)


@pytest.mark.needs_data
@pytest.mark.skipif(not FOLDER.is_dir(), reason="needs the parity vectors under GAITBENCH_SHARED")
@pytest.mark.parametrize("name", VECTORS)
def test_convert_and_embed(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = MODELS.get(name, name)
    if model not in load_registry().names("model"):
        pytest.skip(f"{model} is not installed here")
    vector = json.loads((FOLDER / f"{name}.json").read_text())
    expected = dict(np.load(FOLDER / f"{name}.npz"))
    torch.save({"model": weights(vector, expected), "iteration": 1}, tmp_path / "c.pt")
    np.savez(tmp_path / "x.npz", x=given_input(vector))
    converted, embedded = str(tmp_path / "w.safetensors"), str(tmp_path / "e.npz")
    assert main(["convert", "opengait", str(tmp_path / "c.pt"), "--model", model, "--out", converted, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_parameters"] == vector["parameters"]
    assert main(["embed", str(tmp_path / "x.npz"), "--weights", converted, "--model", model, "--out", embedded]) == 0
    found = read_embeddings(embedded).embeddings.numpy()
    wanted = expected["embeddings"].reshape(found.shape)
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()
    if len(found) == 1:
        return
    # Two models hardly look at their input with such weights: what they see of it must agree as well.
    difference, wanted_difference = found[0] - found[1], wanted[0] - wanted[1]
    assert np.abs(difference - wanted_difference).max() < 1e-2 * np.abs(wanted_difference).max()
