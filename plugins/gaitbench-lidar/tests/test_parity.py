"""Agreement with published code: weights by rule, outputs to 1e-4 relative."""

import os
from pathlib import Path

import pytest
from gaitbench_lidar.lidargaitpp import LidarGaitPP

from gaitbench.testing import check_parity, load_published

FOLDER = Path(os.environ.get("GAITBENCH_SHARED", Path(__file__).parents[4] / "shared")) / "parity" / "models"
pytestmark = [
    pytest.mark.needs_data,
    pytest.mark.skipif(not FOLDER.exists(), reason="needs the parity vectors under GAITBENCH_SHARED"),
]


def test_outputs_agree() -> None:
    model, keys = load_published("lidargait++")
    assert isinstance(model, LidarGaitPP)
    compared = check_parity(model, keys, FOLDER / "lidargait++.json", run=model.embed_prepared)
    assert set(compared) == {"embeddings", "logits"}
