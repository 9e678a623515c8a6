"""Agreement with published code: weights by rule, outputs to 1e-4 relative."""

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gaitbench_skeleton import gaitgraph, gaitgraph2, gaittr

from gaitbench.layers import rename_published
from gaitbench.model import GaitModel

FOLDER = Path(os.environ.get("GAITBENCH_SHARED", Path(__file__).parents[4] / "shared")) / "parity" / "models"
pytestmark = [
    pytest.mark.needs_data,
    pytest.mark.skipif(not FOLDER.exists(), reason="needs the parity vectors under GAITBENCH_SHARED"),
]

CASES = {
    "gaitgraph1": (gaitgraph.GaitGraph, gaitgraph.GaitGraphConfig, gaitgraph.PUBLISHED_KEYS),
    "gaitgraph2": (gaitgraph2.GaitGraph2, gaitgraph2.GaitGraph2Config, gaitgraph2.PUBLISHED_KEYS),
    "gaittr": (gaittr.GaitTR, gaittr.GaitTRConfig, gaittr.PUBLISHED_KEYS),
}


def draw(key: str, shape: list[int], rule: str) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    match rule:
        case "normal/sqrt(prod(shape[1:]))":
            return rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        case "uniform(0.5,1.5)":
            return rng.uniform(0.5, 1.5, shape)
        case "0.1*normal":
            return 0.1 * rng.standard_normal(shape)
    raise AssertionError(rule)


def fill(model: GaitModel, state: list[list[Any]], keys: Mapping[str, str]) -> None:
    names = rename_published([key for key, _, _ in state], keys)
    own = model.state_dict()
    weights = {
        names[key]: own[names[key]] if rule == "keep" else torch.tensor(draw(key, shape, rule).astype(np.float32))
        for key, shape, rule in state
    }
    model.load_state_dict(weights, strict=True)


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", CASES)
def test_outputs_agree(name: str) -> None:
    model_class, config_class, keys = CASES[name]
    vector = json.loads((FOLDER / f"{name}.json").read_text())
    expected = np.load(FOLDER / f"{name}.npz")["embeddings"]
    model = model_class(config_class()).eval()
    assert sum(weight.numel() for weight in model.parameters()) == vector["parameters"]
    fill(model, vector["state"], keys)

    (given,) = vector["input"]
    joints = np.random.default_rng(given["seed"]).standard_normal(given["shape"]).astype(np.float32)
    with torch.no_grad():
        found = model.embed_raw(torch.tensor(joints)).numpy()
    assert found.shape == expected.shape
    assert relative(found, expected) < 1e-4
    # The embeddings of the graph networks hardly depend on the input, so what differs between inputs counts by itself.
    assert relative(found[0] - found[1], expected[0] - expected[1]) < 1e-2
