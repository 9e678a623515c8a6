"""Agreement with published code: weights by rule, outputs to 1e-4 relative."""

import os
from pathlib import Path

import pytest

from gaitbench.testing import check_parity, load_published

FOLDER = Path(os.environ.get("GAITBENCH_SHARED", Path(__file__).parents[4] / "shared")) / "parity" / "models"
pytestmark = [
    pytest.mark.needs_data,
    pytest.mark.skipif(not FOLDER.exists(), reason="needs the parity vectors under GAITBENCH_SHARED"),
]

VECTORS = {"gaitgraph1": "gaitgraph", "gaitgraph2": "gaitgraph2", "gaittr": "gaittr"}
"""Vector to model."""


@pytest.mark.parametrize("name", VECTORS)
def test_outputs_agree(name: str) -> None:
    assert set(check_parity(*load_published(VECTORS[name]), FOLDER / f"{name}.json")) == {"embeddings"}
