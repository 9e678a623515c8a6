import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.losses import part_cross_entropy

LOSSES = Path(os.environ.get("GAITBENCH_SHARED", Path(__file__).parents[3] / "shared")) / "parity" / "losses.json"


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_agrees_with_the_formula(smoothing: float) -> None:
    logits, labels = torch.randn(5, 7, 3, dtype=torch.float64), torch.tensor([0, 6, 3, 3, 1])
    log_p = (4 * logits).log_softmax(dim=1)
    terms = [
        -(1 - smoothing) * log_p[n, labels[n], p] - smoothing * log_p[n, :, p].mean()
        for n in range(5)
        for p in range(3)
    ]
    got = part_cross_entropy(logits, labels, scale=4, label_smoothing=smoothing)
    torch.testing.assert_close(got, torch.stack(terms).mean())


def test_half_precision_is_not_used() -> None:
    logits = torch.randn(4, 100, 3).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        got = part_cross_entropy(logits, torch.arange(4))
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, part_cross_entropy(logits.float(), torch.arange(4)))


def test_labels_of_any_integer_type() -> None:
    logits, labels = torch.randn(4, 7, 3), torch.tensor([0, 6, 3, 3])
    assert torch.equal(part_cross_entropy(logits, labels.int()), part_cross_entropy(logits, labels))


@pytest.mark.needs_data
@pytest.mark.skipif(not LOSSES.exists(), reason="needs the parity vectors under GAITBENCH_SHARED")
@pytest.mark.parametrize(("smoothing", "key"), [(0.1, "ce_scale16_label_smoothing0.1"), (0.0, "ce_scale16")])
def test_parity(smoothing: float, key: str) -> None:
    rng = np.random.default_rng(5)
    rng.standard_normal((12, 32, 4))  # the embeddings are drawn first
    logits = torch.tensor(rng.standard_normal((12, 20, 4)).astype(np.float32))
    got = part_cross_entropy(logits, torch.arange(4).repeat_interleave(3), scale=16, label_smoothing=smoothing)
    assert got.item() == pytest.approx(json.loads(LOSSES.read_text())[key], rel=1e-5)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"logits \[N, classes, P\] and labels \[N\]"):
        part_cross_entropy(torch.zeros(4, 7), torch.zeros(4, dtype=torch.int64))
