"""Agreement with published code: weights by rule, outputs to 1e-4 relative."""

import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from gaitbench_lidar.lidargaitpp import PUBLISHED_KEYS, LidarGaitPP, LidarGaitPPConfig

from gaitbench.layers import rename_published

FOLDER = Path(os.environ.get("GAITBENCH_SHARED", Path(__file__).parents[4] / "shared")) / "parity" / "models"
pytestmark = [
    pytest.mark.needs_data,
    pytest.mark.skipif(not FOLDER.exists(), reason="needs the parity vectors under GAITBENCH_SHARED"),
]


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


def test_outputs_agree() -> None:
    vector = json.loads((FOLDER / "lidargait++.json").read_text())
    expected = np.load(FOLDER / "lidargait++.npz")
    model = LidarGaitPP(LidarGaitPPConfig()).eval()
    assert sum(weight.numel() for weight in model.parameters()) == vector["parameters"]
    names = rename_published([key for key, _, _ in vector["state"]], PUBLISHED_KEYS)
    own = model.state_dict()
    weights = {
        names[key]: own[names[key]] if rule == "keep" else torch.tensor(draw(key, shape, rule).astype(np.float32))
        for key, shape, rule in vector["state"]
    }
    model.load_state_dict(weights, strict=True)

    (given,) = vector["input"]
    points = np.random.default_rng(given["seed"]).standard_normal(given["shape"]).astype(np.float32)
    with torch.no_grad():
        output = model.embed_prepared(torch.tensor(points))
    for name, found in (("embeddings", output.embedding), ("logits", output.logits)):
        assert found is not None
        error = np.abs(found.numpy() - expected[name]).max() / np.abs(expected[name]).max()
        assert error < 1e-4, name
