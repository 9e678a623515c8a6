"""How fast a test set is scored, and in how much memory: core's evaluation, and straightforward ones.

A straightforward evaluation is what one writes first: for every pair of views (or once, for a pooled gallery) the full
matrix of distances part by part, then a Python loop over probes that sorts the gallery and reads rank-1, AP and INP
off it. Core's evaluation gives the same numbers and, beyond them, rank-5 and 10, EER, TAR@FAR and the evidence tables.
There are two rows of it, which differ in the distance:

- ``by definition``: the Euclidean distance of each part in float64 (SciPy's ``cdist``). Against it core is to be 5
  times as fast at CASIA-B's size and 10 times at Gait3D's, and it is more than that.
- ``by products``: ``|a|^2 + |b|^2 - 2ab`` in float32, a BLAS product. Against it core is to be 5 times as fast at
  CASIA-B's size, and it is. At Gait3D's size the products alone are a quarter of this row's time, and core computes the
  same products in the same number format: 4 times is the limit there and about 2 are reached, not 10.

Run with ``pytest tests/benchmarks --benchmark-only``; rows of one table are one comparison. The tests of memory tell
their numbers with ``-s``.
"""

import copy
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy_format
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from gaitbench.protocol import Protocol, Selection
from gaitbench.tasks.arrays import evaluate_arrays
from gaitbench.tasks.evidence import KEPT_PAIRS

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


Distances = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.floating]]


def by_definition(probe: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float64]:
    parts = [cdist(probe[:, :, part], gallery[:, :, part]) for part in range(probe.shape[2])]
    return np.mean(parts, axis=0)


def by_products(probe: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float32]:
    total = np.zeros((len(probe), len(gallery)), np.float32)
    for part in range(probe.shape[2]):
        a, b = probe[:, :, part], gallery[:, :, part]
        square = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
        total += np.sqrt(np.maximum(square, 0))
    return total / probe.shape[2]


def one_probe_at_a_time(
    distance: NDArray[np.floating], probe: NDArray[np.str_], gallery: NDArray[np.str_]
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


def score_views_one_by_one(data: TestSet, distances: Distances) -> dict[str, tuple[float, float, float]]:
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


def score_pooled(data: TestSet, distances: Distances) -> dict[str, tuple[float, float, float]]:
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


WAYS = pytest.mark.parametrize(
    ("distances", "rounds"), [(by_definition, 1), (by_products, 2)], ids=["by-definition", "by-products"]
)


@pytest.mark.benchmark(group="CASIA-B's test set, 5,485 x 256 x 16")
class TestCasiaB:
    def test_core(self, benchmark: "object", casia_b: TestSet) -> None:
        benchmark.pedantic(by_core, (casia_b, CASIA_B), rounds=5, warmup_rounds=1)  # type: ignore[attr-defined]

    @WAYS
    def test_view_pairs_and_probes_one_by_one(
        self, benchmark: "object", casia_b: TestSet, distances: Distances, rounds: int
    ) -> None:
        found = benchmark.pedantic(score_views_one_by_one, (casia_b, distances), rounds=rounds)  # type: ignore[attr-defined]
        if found is not None:
            ours = by_core(casia_b, CASIA_B)
            assert all(ours[group] == pytest.approx(found[group], abs=1e-6) for group in GROUPS)


@pytest.fixture(scope="module")
def shifted(casia_b: TestSet) -> TestSet:
    """The same with a vector that all embeddings share, as networks often give them: nearly every pair is close."""
    data = copy.copy(casia_b)
    data.embeddings = casia_b.embeddings + np.float32(60)
    return data


@pytest.mark.benchmark(group="CASIA-B's test set with a large common mean")
class TestCommonMean:
    def test_core(self, benchmark: "object", shifted: TestSet) -> None:
        benchmark.pedantic(by_core, (shifted, CASIA_B), rounds=2, warmup_rounds=1)  # type: ignore[attr-defined]

    def test_by_definition(self, benchmark: "object", shifted: TestSet) -> None:
        found = benchmark.pedantic(score_views_one_by_one, (shifted, by_definition), rounds=1)  # type: ignore[attr-defined]
        if found is not None:
            ours = by_core(shifted, CASIA_B)
            assert all(ours[group] == pytest.approx(found[group], abs=1e-6) for group in GROUPS)


@pytest.mark.benchmark(group="a test set like Gait3D's, 6,400 x 256 x 16")
class TestGait3d:
    def test_core(self, benchmark: "object", gait3d: TestSet) -> None:
        benchmark.pedantic(by_core, (gait3d, GAIT3D), rounds=5, warmup_rounds=1)  # type: ignore[attr-defined]

    @WAYS
    def test_full_matrix_and_probes_one_by_one(
        self, benchmark: "object", gait3d: TestSet, distances: Distances, rounds: int
    ) -> None:
        found = benchmark.pedantic(score_pooled, (gait3d, distances), rounds=rounds)  # type: ignore[attr-defined]
        if found is not None:
            assert by_core(gait3d, GAIT3D)["all"] == pytest.approx(found["all"], abs=1e-6)


IN_A_PROCESS_OF_ITS_OWN = """
import json, sys, time
from pathlib import Path
from gaitbench.protocol import Protocol
from gaitbench.scoring import score_file
from gaitbench.tasks import evidence

evidence.KEPT_PAIRS = int(sys.argv[3])
start = time.perf_counter(), time.process_time()
score_file(sys.argv[1], Protocol.model_validate_json(sys.argv[2]), bootstrap=0, device="cpu")
wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
# Not ru_maxrss, which a child process inherits from its parent.
(peak,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps([wall, cpu, int(peak) / 1024]))
"""


def measure(path: Path, protocol: Protocol, *, kept_pairs: int = KEPT_PAIRS, num_threads: int = 2) -> dict[str, float]:
    """Seconds, and the peak of resident memory with everything that Python and torch take."""
    command = [sys.executable, "-c", IN_A_PROCESS_OF_ITS_OWN, str(path), protocol.model_dump_json(), str(kept_pairs)]
    environment = os.environ | {"OMP_NUM_THREADS": str(num_threads)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return dict(zip(("wall_s", "cpu_s", "peak_mib"), json.loads(done.stdout), strict=True))


@pytest.mark.benchmark(group="peak memory")
@pytest.mark.parametrize(("name", "protocol"), [("casia_b", CASIA_B), ("gait3d", GAIT3D)])
def test_peak_memory(
    benchmark: "object", name: str, protocol: Protocol, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    data: TestSet = request.getfixturevalue(name)
    path = tmp_path / "embeddings.npz"
    np.savez(path, embeddings=data.embeddings, labels=data.subject, types=data.condition, views=data.view)
    found = benchmark.pedantic(measure, (path, protocol), rounds=1)  # type: ignore[attr-defined]
    if found is not None:
        print(f"\n{name}: {found}")
        assert found["peak_mib"] < 1.5 * 1024


def write_half_precision(path: Path, num_probes: int, num_gallery: int) -> None:
    """Embeddings ``[N, 256, 16]`` float16, written piece by piece into an archive that can be memory-mapped."""
    person = np.concatenate([np.arange(num_probes), np.arange(num_gallery)]) % (num_gallery // 4)
    kind = np.repeat(["few", "probe", "rest"], [200, num_probes - 200, num_gallery])
    words = {"labels": person.astype(np.str_), "types": kind, "views": np.full(len(kind), "000")}
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, values in words.items():
            with archive.open(f"{name}.npy", "w") as file:
                npy_format.write_array(file, values)
        with archive.open("embeddings.npy", "w", force_zip64=True) as file:
            header = {"descr": "<f2", "fortran_order": False, "shape": (len(kind), 256, 16)}
            npy_format.write_array_header_1_0(file, header)
            for start in range(0, len(kind), 500):
                shape = (min(500, len(kind) - start), 256, 16)
                file.write(rng.standard_normal(shape, dtype=np.float32).astype(np.float16).tobytes())


@pytest.mark.benchmark(group="a gallery in a memory map, twice as large")
def test_memory_stays_when_the_gallery_grows(benchmark: "object", tmp_path: Path) -> None:
    """What a million costs follows from two galleries and two numbers of probes; see docs/metrics.md."""
    sizes = (20_000, 40_000)
    paths = [tmp_path / f"{size}.npz" for size in sizes]
    for path, size in zip(paths, sizes, strict=True):
        write_half_precision(path, 1_000, size)
    few = GAIT3D.model_copy(update={"probes": {"all": Selection(conditions=("few",))}})
    many = GAIT3D.model_copy(update={"probes": {"all": Selection(conditions=("few", "probe"))}})

    def run() -> list[dict[str, float]]:
        # As with more pairs than are kept: matches first, everything else in pieces. On one core, to count its time.
        asked = ((paths[1], few), (paths[0], many), (paths[1], many))
        return [measure(path, protocol, kept_pairs=0, num_threads=1) for path, protocol in asked]

    found = benchmark.pedantic(run, rounds=1)  # type: ignore[attr-defined]
    if found is not None:
        few_probes, small, large = found
        pair_ns = (large["cpu_s"] - few_probes["cpu_s"]) / (800 * 40_000) * 1e9
        row_us = (large["cpu_s"] - small["cpu_s"]) / 20_000 * 1e6 - 1_000 * pair_ns / 1e3
        grown = large["peak_mib"] - small["peak_mib"]
        mapped = (paths[1].stat().st_size - paths[0].stat().st_size) / 2**20
        print(f"\n{found}\n{pair_ns:.0f} ns a pair, {row_us:.0f} us a gallery sequence, one core")
        print(f"twice the gallery: peak +{grown:.0f} MiB, file +{mapped:.0f} MiB")
        # Pages of the file that were read count as resident until somebody else needs the memory.
        assert grown < mapped + 32
