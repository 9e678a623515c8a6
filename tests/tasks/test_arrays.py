"""Official protocols on the shared vectors: what the official evaluators give, to 0.01 points."""

import json
import re
from typing import Any

import numpy as np
import pytest
import torch
from scored import SHARED, protocol, selection

from gaitbench.errors import ModelError, ShapeError, UsageError
from gaitbench.protocol import Protocol, Selection
from gaitbench.tasks import Evaluation, evaluate_arrays
from gaitbench.tasks.arrays import table_of_arrays

FOLDER = SHARED / "parity" / "protocols"
needs_data = [
    pytest.mark.needs_data,
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"needs the parity vectors in {FOLDER} (set GAITBENCH_SHARED)"),
]


def official(**changes: object) -> Protocol:
    anybody: dict[str, object] = {"test_subjects": ("*",), "num_test_subjects": None, "train": Selection()}
    return protocol(**(anybody | changes))


def score(name: str, proto: Protocol) -> tuple[Evaluation, dict[str, Any]]:
    with np.load(FOLDER / f"{name}.npz") as data:
        arrays = [data[key] for key in ("embeddings", "labels", "types", "views")]
    expected = json.loads((FOLDER / f"{name}.json").read_text())
    return evaluate_arrays(*arrays, proto, bootstrap=0), expected


def percent(evaluation: Evaluation, metric: str, group: str) -> float:
    return 100 * evaluation.score(metric, group).value


CASIA_B = {"NM": selection("nm-0[56]"), "BG": selection("bg-*"), "CL": selection("cl-*")}


class TestParity:
    pytestmark = needs_data

    @pytest.mark.parametrize("distance", ["euclidean", "cosine"])
    def test_casia_b_single_view(self, distance: str) -> None:
        proto = official(gallery=selection("nm-0[1-4]"), probes=CASIA_B, distance=distance)
        evaluation, expected = score("casia-b", proto)
        for group in CASIA_B:
            told = expected["expected"][f"single_view_gallery/{distance}"][f"scalar/test_accuracy/{group}@R1"]
            assert percent(evaluation, "rank_1_official", group) == pytest.approx(told, abs=1e-9)
            assert percent(evaluation, "rank_1", group) == pytest.approx(told, abs=0.005)

    def test_casia_b_cross_view(self) -> None:
        proto = official(
            gallery=selection("nm-02", "bg-02", "cl-02"),
            probes={"NM": selection("nm-01"), "BG": selection("bg-01"), "CL": selection("cl-01")},
            exclude=("same_subject_and_view",),
            averaging="probe_views",
        )
        evaluation, expected = score("casia-b", proto)
        told = expected["expected"]["cross_view_gallery/euclidean"]
        for group in CASIA_B:
            rank, ap = (percent(evaluation, m, group) for m in ("rank_1_official", "mean_ap_official"))
            assert rank == pytest.approx(told[f"scalar/test_accuracy/{group}-Rank@1"], abs=1e-9)
            assert ap == pytest.approx(told[f"scalar/test_accuracy/{group}-mAP"], abs=1e-9)

    def test_oumvlp(self) -> None:
        proto = official(gallery=selection("01"), probes={"NM": selection("00")})
        evaluation, expected = score("oumvlp", proto)
        told = expected["expected"]["single_view_gallery/euclidean"]["scalar/test_accuracy/NM@R1"]
        assert percent(evaluation, "rank_1_official", "NM") == pytest.approx(told, abs=1e-9)

    def test_sustech1k(self) -> None:
        tags = {"Normal": "01-nm", "Bag": "bg", "Clothing": "cl", "Carrying": "cr", "Umberalla": "ub"}
        tags |= {"Uniform": "uf", "Occlusion": "oc", "Night": "nt"}
        probes = {name: selection(f"*{tag}*") for name, tag in tags.items()}
        probes["Overall"] = selection("*01*", "*02*", "*03*", "*04*")
        proto = official(gallery=selection("*00-nm*"), probes=probes, headline="Overall", mean_groups=tuple(tags))
        evaluation, expected = score("sustech1k", proto)
        for group in probes:
            told = expected["expected"]["single_view_gallery/euclidean"][f"scalar/test_accuracy/{group}@R1"]
            assert percent(evaluation, "rank_1_official", group) == pytest.approx(told, abs=1e-9)

    @pytest.mark.parametrize("distance", ["euclidean", "cosine"])
    def test_gait3d(self, distance: str) -> None:
        listed = json.loads((FOLDER / "gait3d.json").read_text())["probe_set"]
        proto = official(
            gallery=Selection(),
            probes={"all": Selection(sequence_ids=tuple(listed))},
            complement="gallery",
            exclude=("same_sequence",),
            averaging="probes",
            absent_probes="skip",
            distance=distance,
        )
        evaluation, expected = score("gait3d", proto)
        names = {"rank_1": "Rank-1", "rank_5": "Rank-5", "rank_10": "Rank-10", "mean_ap": "mAP", "mean_inp": "mINP"}
        for metric, name in names.items():
            told = expected["expected"][distance][f"scalar/test_accuracy/{name}"]
            assert percent(evaluation, metric, "all") == pytest.approx(told, abs=1e-4)

    def test_grew_validation(self) -> None:
        proto = official(gallery=selection("01"), probes={"all": selection("02")}, exclude=(), averaging="probes")
        evaluation, expected = score("grew-validation", proto)
        for k in (1, 5):
            told = expected["expected"]["euclidean"][f"scalar/test_accuracy/Rank-{k}"]
            assert round(percent(evaluation, f"rank_{k}", "all"), 2) == told

    @pytest.mark.parametrize(
        ("changes", "title", "metric"),
        [
            pytest.param(
                {"exclude": ("same_subject_and_view",), "averaging": "probes", "absent_probes": "skip"},
                f"{name} (Exclude identical-view cases for Person Re-Identification)",
                metric,
                id=f"re-identification-{metric}",
            )
            for name, metric in (("Rank-1", "rank_1"), ("mAP", "mean_ap"), ("mINP", "mean_inp"))
        ]
        + [
            pytest.param({"exclude": ()}, "Rank-1 (Include identical-view cases)", "rank_1_official", id="included"),
            pytest.param({}, "Rank-1 (Exclude identical-view cases)", "rank_1_official", id="gait"),
        ],
    )
    def test_ccpg(self, changes: dict[str, object], title: str, metric: str) -> None:
        states = {
            "CL": (selection("U0_D0_BG", "U0_D0"), selection("U1_D1", "U2_D2", "U3_D3")),
            "UP": (selection("U3_D3"), selection("U0_D3")),
            "DN": (selection("U1_D0"), selection("U1_D1")),
            "BG": (selection("U0_D0_BG"), selection("U0_D0")),
        }
        proto = official(
            gallery=Selection(),
            probes={name: probe for name, (probe, _) in states.items()},
            galleries={name: gallery for name, (_, gallery) in states.items()},
            view_separator="_",
            **changes,
        )
        evaluation, expected = score("ccpg", proto)
        log = expected["expected"]["log"]
        line = log[log.index(f"==={title}===") + 1]
        told = {name: float(value) for name, value in re.findall(r"(\w+): ([\d.]+)", line)}
        for group in states:
            assert percent(evaluation, metric, group) == pytest.approx(told[group], abs=6e-4)


def test_arrays_of_other_kinds() -> None:
    rng = np.random.default_rng(0)
    walks = rng.normal(size=(8, 4, 2))
    words = [["a", "a", "b", "b"] * 2, ["nm"] * 4 + ["bg"] * 4, [0, 90] * 4]
    proto = official(gallery=selection("nm"), probes={"BG": selection("bg")}, exclude=())
    first = evaluate_arrays(walks, *words, proto, bootstrap=10)
    again = evaluate_arrays(torch.from_numpy(walks), *map(np.array, words), proto, bootstrap=10)
    assert first.scores == again.scores
    named = evaluate_arrays(walks, *words, proto, bootstrap=10, device=torch.device("cpu"))
    assert first.scores == named.scores
    assert {s.group for s in first.scores} == {"BG", "BG/gap=0", "BG/gap=90", "mean", "mean/gap=0", "mean/gap=90"}


def test_bad_arrays() -> None:
    proto = official(gallery=selection("nm"), probes={"BG": selection("bg")})
    good: list[Any] = [["a", "a"], ["nm", "bg"], ["000", "090"]]
    with pytest.raises(ShapeError, match=r"one length \[N\]"):
        evaluate_arrays(np.zeros((2, 3, 1)), ["a"], *good[1:], proto)
    with pytest.raises(ShapeError, match=r"one row per sequence \(2\), got \[3, 3, 1\]"):
        evaluate_arrays(np.zeros((3, 3, 1)), *good, proto)
    with pytest.raises(ShapeError, match="floating point"):
        evaluate_arrays(np.zeros((2, 3, 1), dtype=np.int64), *good, proto)
    with pytest.raises(ModelError, match=r"1 of 2 sequences hold NaN or infinity \(first: a-bg-090\)"):
        evaluate_arrays(np.array([0, np.nan]).reshape(2, 1, 1), *good, proto)
    with pytest.raises(ShapeError, match="distinct words"):
        table_of_arrays(*good, sequence_ids=["x", "x"])
    with pytest.raises(UsageError, match="device must be auto, cpu or cuda, got 'gpu'"):
        evaluate_arrays(np.zeros((2, 3, 1)), *good, proto, device="gpu")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="view_deg must have 2 entries"):
        table_of_arrays(*good, view_deg=[1.0])
