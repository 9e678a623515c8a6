"""Agreement with published code: weights by rule, outputs to 1e-4 relative."""

import json
import os
import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gaitbench_baselines import deepgaitv2, gaitbase, gaitgl, gaitpart, gaitset, gln, skeletongait

from gaitbench.layers import rename_published
from gaitbench.model import GaitBatch, GaitModel

FOLDER = Path(os.environ.get("GAITBENCH_SHARED", Path(__file__).parents[4] / "shared")) / "parity" / "models"
pytestmark = [
    pytest.mark.needs_data,
    pytest.mark.skipif(not FOLDER.exists(), reason="needs the parity vectors under GAITBENCH_SHARED"),
]

CASES = {
    "gaitset": (gaitset.GaitSet, gaitset.GaitSetConfig, gaitset.PUBLISHED_KEYS),
    "gaitpart": (gaitpart.GaitPart, gaitpart.GaitPartConfig, gaitpart.PUBLISHED_KEYS),
    "gaitgl": (gaitgl.GaitGL, gaitgl.GaitGLConfig, gaitgl.PUBLISHED_KEYS),
    "gln": (gln.Gln, gln.GlnConfig, gln.PUBLISHED_KEYS),
    "gaitbase": (gaitbase.GaitBase, gaitbase.GaitBaseConfig, gaitbase.PUBLISHED_KEYS),
    "deepgaitv2-p3d": (deepgaitv2.DeepGaitV2, deepgaitv2.DeepGaitV2Config, deepgaitv2.PUBLISHED_KEYS),
    "deepgaitv2-3d": (deepgaitv2.DeepGaitV2, deepgaitv2.DeepGaitV23dConfig, deepgaitv2.PUBLISHED_KEYS),
    "skeletongait++": (
        skeletongait.SkeletonGaitPlusPlus,
        partial(skeletongait.SkeletonGaitPlusPlusConfig, modality="skeleton-map"),
        skeletongait.PLUS_PLUS_KEYS,
    ),
    "lidargait": (gaitbase.GaitBase, gaitbase.LidarGaitConfig, gaitbase.PUBLISHED_KEYS),
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


def fill(model: GaitModel, state: list[list[Any]], keys: Mapping[str, str], arrays: Mapping[str, np.ndarray]) -> None:
    names = rename_published([key for key, _, _ in state], keys)
    own = model.state_dict()
    weights = {}
    for key, shape, rule in state:
        match rule:
            case "keep":
                weights[names[key]] = own[names[key]]
            case "stored":
                weights[names[key]] = torch.tensor(arrays[f"stored:{key}"])
            case _:
                weights[names[key]] = torch.tensor(draw(key, shape, rule).astype(np.float32))
    model.load_state_dict(weights, strict=True)


@pytest.mark.parametrize("name", CASES)
def test_outputs_agree(name: str) -> None:
    model_class, config_class, keys = CASES[name]
    vector = json.loads((FOLDER / f"{name}.json").read_text())
    expected = np.load(FOLDER / f"{name}.npz")
    model = model_class(config_class()).eval()
    assert sum(weight.numel() for weight in model.parameters()) == vector["parameters"]
    fill(model, vector["state"], keys, expected)

    (given,) = vector["input"]
    rng = np.random.default_rng(given["seed"])
    x = rng.random(given["shape"]) < 0.4 if "random" in given["rule"] else rng.standard_normal(given["shape"])
    clip = torch.tensor(x.astype(np.float32))
    clip = clip[:, None] if clip.dim() == 4 else clip.transpose(1, 2)  # [N, C, T, H, W]
    streams = clip.split([spec.channels for spec in model.inputs], dim=1)
    inputs = {spec.modality: stream for spec, stream in zip(model.inputs, streams, strict=True)}
    with torch.no_grad():
        output = model(GaitBatch(inputs, dict.fromkeys(inputs, torch.full((len(clip),), clip.shape[2]))))
    found = {"embeddings": output.embedding, "logits": output.logits}
    for array in set(expected.files) & set(found):
        error = np.abs(found[array].numpy() - expected[array]).max() / np.abs(expected[array]).max()
        assert error < 1e-4, array
