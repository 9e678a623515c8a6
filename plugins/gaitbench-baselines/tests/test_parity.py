"""Agreement with published code: weights by rule, outputs to 1e-4 relative."""

import os
from functools import partial
from pathlib import Path

import pytest

from gaitbench.model import GaitModel
from gaitbench.testing import check_parity, load_published

FOLDER = Path(os.environ.get("GAITBENCH_SHARED", Path(__file__).parents[4] / "shared")) / "parity" / "models"
pytestmark = [
    pytest.mark.needs_data,
    pytest.mark.skipif(not FOLDER.exists(), reason="needs the parity vectors under GAITBENCH_SHARED"),
]

WITHOUT_LOGITS = ("gaitset", "gaitpart", "gln")
WITH_LOGITS = ("gaitgl", "gaitbase", "deepgaitv2-p3d", "deepgaitv2-3d", "skeletongait++", "lidargait")
STORED_MAPS = {"skeletongait++": {"modality": "skeleton-map"}}
"""Configurations with which a model's ``forward`` reads what the vector holds."""


@pytest.mark.parametrize("name", [*WITHOUT_LOGITS, *WITH_LOGITS])
def test_outputs_agree(name: str) -> None:
    model, keys = load_published(name, config=STORED_MAPS.get(name))
    # Stored maps and silhouettes go through forward, which gives the logits as well.
    compared = check_parity(model, keys, FOLDER / f"{name}.json", run=partial(GaitModel.embed_raw, model))
    assert set(compared) == ({"embeddings", "logits"} if name in WITH_LOGITS else {"embeddings"})
