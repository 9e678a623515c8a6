"""A published checkpoint, three commands, the numbers of the published code: convert, embed, score.

The checkpoints are made here: weights by the rule of the parity vectors, under the keys of the published code.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from gaitbench.cli import main
from gaitbench.embedding_file import read_embeddings
from gaitbench.registry import load_registry
from gaitbench.testing import ParityVector

FOLDER = Path(os.environ.get("GAITBENCH_SHARED", Path(__file__).parents[2] / "shared")) / "parity" / "models"
VECTORS = sorted(path.stem for path in FOLDER.glob("*.json")) or ["none"]
MODELS = {"gaitgraph1": "gaitgraph"}
"""Where a vector is not called what the model is called here."""


@pytest.mark.needs_data
@pytest.mark.skipif(not FOLDER.is_dir(), reason="needs the parity vectors under GAITBENCH_SHARED")
@pytest.mark.parametrize("name", VECTORS)
def test_convert_and_embed(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = MODELS.get(name, name)
    if model not in load_registry().names("model"):
        pytest.skip(f"{model} is not installed here")
    vector = ParityVector.read(FOLDER / f"{name}.json")
    (given,) = vector.inputs.values()
    torch.save({"model": dict(vector.weights), "iteration": 1}, tmp_path / "c.pt")
    np.savez(tmp_path / "x.npz", x=given.numpy())
    converted, embedded = str(tmp_path / "w.safetensors"), str(tmp_path / "e.npz")
    assert main(["convert", "opengait", str(tmp_path / "c.pt"), "--model", model, "--out", converted, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_parameters"] == vector.num_parameters
    assert main(["embed", str(tmp_path / "x.npz"), "--weights", converted, "--model", model, "--out", embedded]) == 0
    found = read_embeddings(embedded).embeddings.numpy()
    wanted = vector.expected["embeddings"].reshape(found.shape)
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()
    if len(found) == 1:
        return
    # Two models hardly look at their input with such weights: what they see of it must agree as well.
    difference, wanted_difference = found[0] - found[1], wanted[0] - wanted[1]
    assert np.abs(difference - wanted_difference).max() < 1e-2 * np.abs(wanted_difference).max()
