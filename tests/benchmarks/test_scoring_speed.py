"""How fast a test set is scored: core's evaluation, and the straightforward way on the same embeddings.

The straightforward way is what one writes first: for every pair of views (or once, for a pooled gallery) the full
matrix of distances part by part, then a Python loop over probes that sorts the gallery and reads rank-1, AP and INP
off it. Core's evaluation gives the same numbers and, beyond them, rank-5 and 10, EER, TAR@FAR and the evidence tables.

Run with ``pytest tests/benchmarks --benchmark-only``; rows of one table are one comparison.
"""

import numpy as np
import pytest
from numpy.typing import NDArray

from gaitbench.protocol import Protocol, Selection
from gaitbench.tasks.arrays import evaluate_arrays

CONDITIONS = ("nm-01", "nm-02", "nm-03", "nm-04", "nm-05", "nm-06", "bg-01", "bg-02", "cl-01", "cl-02")
GALLERY = CONDITIONS[:4]
GROUPS = {"NM": CONDITIONS[4:6], "BG": CONDITIONS[6:8], "CL": CONDITIONS[8:]}


class TestSet:
    """Embeddings ``[N, 256, 16]`` of people who can be told apart, mostly."""

    __test__ = False

    def __init__(self, subject: NDArray[np.str_], condition: NDArray[np.str_], view: NDArray[np.str_]) -> None:
        self.subject, self.condition, self.view = subject, condition, view
        rng = np.random.default_rng(0)
        people = np.unique(subject, return_inverse=True)[1]
        centre = rng.standard_normal((people.max() + 1, 256, 16)).astype(np.float32)
        self.embeddings = centre[people] + 3 * rng.standard_normal((len(subject), 256, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def casia_b() -> TestSet:
    """As many sequences as CASIA-B's test set has: 50 subjects, 10 walks, 11 views, 15 missing."""
    rows = [(f"{s:03d}", c, f"{v:03d}") for s in range(75, 125) for c in CONDITIONS for v in range(0, 181, 18)]
    return TestSet(*(np.array(column) for column in zip(*rows[:5485], strict=True)))


@pytest.fixture(scope="module")
def gait3d() -> TestSet:
    """6,400 sequences of 1,000 subjects, one each of them a probe."""
    number = np.arange(6400)
    subject = np.array([f"{i % 1000:04d}" for i in number])
    return TestSet(subject, np.where(number < 1000, "probe", "rest"), np.full(6400, "000"))


def distances(probe: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float32]:
    total = np.zeros((len(probe), len(gallery)), np.float32)
    for part in range(probe.shape[2]):
        a, b = probe[:, :, part], gallery[:, :, part]
        square = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
        total += np.sqrt(np.maximum(square, 0))
    return total / probe.shape[2]


def one_probe_at_a_time(
    distance: NDArray[np.float32], probe: NDArray[np.str_], gallery: NDArray[np.str_]
) -> tuple[float, float, float]:
    rank_1, ap, inp = [], [], []
    for row, subject in zip(distance, probe, strict=True):
        is_match = gallery[np.argsort(row)] == subject
        if not is_match.any():
            continue
        precision, num_found = [], 0
        for place, found in enumerate(is_match.tolist(), start=1):
            if found:
                num_found += 1
                precision.append(num_found / place)
                last = place
        rank_1.append(bool(is_match[0]))
        ap.append(sum(precision) / num_found)
        inp.append(num_found / last)
    return float(np.mean(rank_1)), float(np.mean(ap)), float(np.mean(inp))


def score_views_one_by_one(data: TestSet) -> dict[str, tuple[float, float, float]]:
    found = {}
    for group, conditions in GROUPS.items():
        cells = []
        for probe_view in np.unique(data.view):
            for gallery_view in np.unique(data.view):
                if probe_view != gallery_view:
                    probe = np.isin(data.condition, conditions) & (data.view == probe_view)
                    gallery = np.isin(data.condition, GALLERY) & (data.view == gallery_view)
                    distance = distances(data.embeddings[probe], data.embeddings[gallery])
                    cells.append(one_probe_at_a_time(distance, data.subject[probe], data.subject[gallery]))
        found[group] = tuple(np.mean(cells, axis=0))
    return found


def score_pooled(data: TestSet) -> dict[str, tuple[float, float, float]]:
    is_probe = data.condition == "probe"
    distance = distances(data.embeddings[is_probe], data.embeddings[~is_probe])
    return {"all": one_probe_at_a_time(distance, data.subject[is_probe], data.subject[~is_probe])}


def by_core(data: TestSet, protocol: Protocol) -> dict[str, tuple[float, float, float]]:
    evaluation = evaluate_arrays(data.embeddings, data.subject, data.condition, data.view, protocol, bootstrap=0)
    metrics = ("rank_1", "mean_ap", "mean_inp")
    return {g: tuple(evaluation.score(m, g).value for m in metrics) for g in protocol.probes}  # type: ignore[misc]


ANYBODY = {"dataset": "d", "title": "Speed", "source": "us", "train": Selection(), "test_subjects": ("*",)}
CASIA_B = Protocol(
    name="casia-b",
    gallery=Selection(conditions=GALLERY),
    probes={group: Selection(conditions=conditions) for group, conditions in GROUPS.items()},
    exclude=("identical_view",),
    headline="NM",
    **ANYBODY,  # type: ignore[arg-type]
)
GAIT3D = Protocol(
    name="gait3d",
    gallery=Selection(conditions=("rest",)),
    probes={"all": Selection(conditions=("probe",))},
    averaging="probes",
    headline="all",
    **ANYBODY,  # type: ignore[arg-type]
)


@pytest.mark.benchmark(group="CASIA-B's test set, 5,485 x 256 x 16")
class TestCasiaB:
    def test_core(self, benchmark: "object", casia_b: TestSet) -> None:
        benchmark.pedantic(by_core, (casia_b, CASIA_B), rounds=5, warmup_rounds=1)  # type: ignore[attr-defined]

    def test_view_pairs_and_probes_one_by_one(self, benchmark: "object", casia_b: TestSet) -> None:
        found = benchmark.pedantic(score_views_one_by_one, (casia_b,), rounds=2)  # type: ignore[attr-defined]
        if found is not None:
            ours = by_core(casia_b, CASIA_B)
            assert all(ours[group] == pytest.approx(found[group], abs=1e-6) for group in GROUPS)


@pytest.mark.benchmark(group="a test set like Gait3D's, 6,400 x 256 x 16")
class TestGait3d:
    def test_core(self, benchmark: "object", gait3d: TestSet) -> None:
        benchmark.pedantic(by_core, (gait3d, GAIT3D), rounds=5, warmup_rounds=1)  # type: ignore[attr-defined]

    def test_full_matrix_and_probes_one_by_one(self, benchmark: "object", gait3d: TestSet) -> None:
        found = benchmark.pedantic(score_pooled, (gait3d,), rounds=2)  # type: ignore[attr-defined]
        if found is not None:
            assert by_core(gait3d, GAIT3D)["all"] == pytest.approx(found["all"], abs=1e-6)
