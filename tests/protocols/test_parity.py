"""Every number of the shared vectors, by the registered protocols and under the evaluator's own names."""

import json
import re
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from scored import SHARED

from gaitbench.protocol import Protocol
from gaitbench.registry import build_registry
from gaitbench.tasks import Evaluation, cell_matrix, evaluate_arrays, official_scores

FOLDER = SHARED / "parity" / "protocols"
pytestmark = [
    pytest.mark.needs_data,
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"needs the parity vectors in {FOLDER} (set GAITBENCH_SHARED)"),
]

FILES = [
    ("casia-b", "single_view_gallery/euclidean", "casia-b", {}),
    ("casia-b", "single_view_gallery/cosine", "casia-b", {"distance": "cosine"}),
    ("casia-b", "cross_view_gallery/euclidean", "casia-b-cross-view", {}),
    ("oumvlp", "single_view_gallery/euclidean", "ou-mvlp", {}),
    ("sustech1k", "single_view_gallery/euclidean", "sustech1k", {}),
    ("gait3d", "euclidean", "gait3d", {}),
    ("gait3d", "cosine", "gait3d", {"distance": "cosine"}),
    ("grew-validation", "euclidean", "grew-validation", {}),
]
"""File, block of ``expected``, protocol, and what is changed in it."""


def told(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text())


@lru_cache(maxsize=16)
def score(file: str, name: str, **changes: object) -> tuple[Evaluation, Protocol]:
    registry = build_registry([])
    protocol = registry.load(registry.get("protocol", name))
    assert isinstance(protocol, Protocol)
    if {"probes", "gallery"} & set(protocol.lists):
        protocol = protocol.with_partition(told(file))
    protocol = protocol.for_embeddings().model_copy(update=changes)
    with np.load(FOLDER / f"{file}.npz") as data:
        arrays = [data[key] for key in ("embeddings", "labels", "types", "views")]
    return evaluate_arrays(*arrays, protocol, bootstrap=0, allow_partial=True), protocol


@pytest.mark.parametrize(("file", "block", "name", "changes"), FILES, ids=lambda value: str(value)[:40])
def test_every_number(file: str, block: str, name: str, changes: dict[str, object]) -> None:
    evaluation, protocol = score(file, name, **changes)
    found = official_scores(evaluation, protocol)
    expected = told(file)["expected"][block]
    assert {key: found[key] for key in expected} == pytest.approx(expected, abs=1e-4)


def test_every_block_is_tested() -> None:
    blocks = {(path.stem, block) for path in FOLDER.glob("*.json") for block in told(path.stem)["expected"]}
    assert blocks == {(file, block) for file, block, *_ in FILES} | {("ccpg", "log"), ("ccpg", "per_view_matrix")}


def test_full_precision_stays_within_the_rounding() -> None:
    evaluation, _ = score("casia-b", "casia-b")
    for group in ("NM", "BG", "CL"):
        exact, rounded = (evaluation.score(metric, group).value for metric in ("rank_1", "rank_1_official"))
        assert exact == pytest.approx(rounded, abs=5e-5)
        assert exact != rounded


CCPG_LOG = re.compile(r"(\w+): ([\d.]+)")


@pytest.mark.parametrize("name", ["ccpg", "ccpg-with-identical-views", "ccpg-reid"])
def test_ccpg_tables(name: str) -> None:
    evaluation, protocol = score("ccpg", name)
    log = told("ccpg")["expected"]["log"]
    expected = {}
    for title in dict.fromkeys(key.rpartition("/")[0] for key in protocol.evaluator_keys):
        line = log[log.index(f"==={title}===") + 1]
        expected |= {f"{title}/{group}": float(value) for group, value in CCPG_LOG.findall(line)}
    assert len(expected) == (12 if name == "ccpg-reid" else 4)
    assert official_scores(evaluation, protocol) == pytest.approx(expected, abs=6e-4)


def test_every_line_of_the_ccpg_log_has_its_protocol() -> None:
    registry = build_registry([])
    ours = {
        key.rpartition("/")[0]
        for name in ("ccpg", "ccpg-with-identical-views", "ccpg-reid")
        for key in registry.load(registry.get("protocol", name)).evaluator_keys
    }
    titles = {line.strip("=") for line in told("ccpg")["expected"]["log"] if line.startswith("===")}
    assert titles - ours == {"Rank-1 of each angle (Exclude identical-view cases)"}


def test_ccpg_of_each_angle() -> None:
    evaluation, protocol = score("ccpg", "ccpg")
    log = told("ccpg")["expected"]["log"]
    lines = log[log.index("===Rank-1 of each angle (Exclude identical-view cases)===") + 1 :]
    for line, group in zip(lines, protocol.probes, strict=True):
        expected = [float(word) for word in re.findall(r"\d+\.\d+", line)]
        cells = cell_matrix(evaluation.tables["probes"], protocol, group)
        assert line.startswith(f"{group}:")
        np.testing.assert_allclose(100 * cells.by_probe_view, expected, atol=0.0051)
        assert np.isnan(np.diagonal(cells.values)).all()
        assert evaluation.score("rank_1_official", group).value == pytest.approx(cells.by_probe_view.mean(), abs=1e-12)


def test_ccpg_per_view_matrix() -> None:
    evaluation, protocol = score("ccpg", "ccpg-with-identical-views")
    matrices = told("ccpg")["expected"]["per_view_matrix"]
    assert {key.rpartition("/")[2] for key in matrices} == set(protocol.probes)
    for key, expected in matrices.items():
        cells = cell_matrix(evaluation.tables["probes"], protocol, key.rpartition("/")[2])
        np.testing.assert_allclose(100 * cells.values, np.array(expected), atol=1e-9)
        assert cells.probe_views == cells.gallery_views == tuple(f"{camera:02d}" for camera in range(1, 11))


def test_ccpg_counts_of_clips() -> None:
    evaluation, protocol = score("ccpg", "ccpg")
    for line, group in zip(told("ccpg")["expected"]["log"][:4], protocol.probes, strict=True):
        gallery, probes = (int(word) for word in re.findall(r"length', (\d+)", line))
        rows = [row for row in evaluation.tables["probes"].to_pylist() if row["group"] == group]
        assert len({row["probe"] for row in rows}) == probes
        of_one = [row for row in rows if row["probe"] == rows[0]["probe"]]
        assert sum(row["num_valid"] + row["num_excluded"] for row in of_one) == gallery


def test_sustech1k_has_ranks_up_to_five() -> None:
    evaluation, protocol = score("sustech1k", "sustech1k")
    found = official_scores(evaluation, protocol)
    assert set(found) == set(protocol.evaluator_keys)
    rising = [found[f"scalar/test_accuracy/Overall@R{k}"] for k in range(1, 6)]
    assert rising == sorted(rising)
    assert rising[0] < rising[4]
