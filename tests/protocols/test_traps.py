"""Each peculiarity of an official evaluator, against its slow, obvious version."""

from collections.abc import Callable

import numpy as np
import pytest
from evaluators import (
    Walk,
    cross_view,
    evaluate,
    is_hit,
    made_up,
    nobody,
    per_view,
    per_view_map,
    pooled,
    precision,
)

from gaitbench.errors import IncompleteDataError, ProtocolError
from gaitbench.protocol import Protocol, Selection
from gaitbench.protocols.casia_b import CASIA_B, CASIA_B_CROSS_VIEW
from gaitbench.protocols.casia_e import CASIA_E
from gaitbench.protocols.ccgr import CCGR_EASY, CCGR_HARD
from gaitbench.protocols.ccgr_mini import CCGR_MINI
from gaitbench.protocols.ccpg import CCPG, CCPG_REID, CCPG_WITH_IDENTICAL_VIEWS
from gaitbench.protocols.freegait import FREEGAIT, FREEGAIT_LISTED
from gaitbench.protocols.gait3d import GAIT3D
from gaitbench.protocols.grew import GREW, GREW_VALIDATION
from gaitbench.protocols.hid import HID, HID_2023
from gaitbench.protocols.mmgait import MMGAIT, MMGAIT_V1, MMGAIT_V2
from gaitbench.protocols.ou_mvlp import OU_MVLP, OU_MVLP_CROSS_VIEW, OU_MVLP_PRESENT
from gaitbench.protocols.sustech1k import SUSTECH1K, SUSTECH1K_WITH_IDENTICAL_VIEWS
from gaitbench.tasks import Evaluation, cell_matrix
from gaitbench.tasks.arrays import table_of_arrays

PEOPLE = ["075", "076", "077", "078", "079"]


def having(*conditions: str) -> Callable[[Walk], bool]:
    return lambda walk: walk.condition in conditions


def percent(evaluation: Evaluation, metric: str, group: str) -> float:
    return 100 * evaluation.score(metric, group).value


def open_to_all(protocol: Protocol) -> Protocol:
    return protocol.for_embeddings()


CASIA_B_PROBES = {"NM": ("nm-05", "nm-06"), "BG": ("bg-01", "bg-02"), "CL": ("cl-01", "cl-02")}
CASIA_B_CONDITIONS = [f"nm-0{i}" for i in range(1, 7)] + ["bg-01", "bg-02", "cl-01", "cl-02"]


@pytest.mark.parametrize("seed", range(3))
def test_casia_b_with_missing_sequences(seed: int) -> None:
    walks = made_up(PEOPLE, CASIA_B_CONDITIONS, ["000", "018", "090"], drop=0.4, seed=seed)
    evaluation = evaluate(walks, open_to_all(CASIA_B))
    for group, probes in CASIA_B_PROBES.items():
        expected = per_view(walks, having(*(f"nm-0{i}" for i in range(1, 5))), having(*probes))
        assert percent(evaluation, "rank_1_official", group) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_casia_b_cross_view_with_probes_that_have_no_match(seed: int) -> None:
    walks = made_up(PEOPLE, ["nm-01", "nm-02", "bg-01", "bg-02", "cl-01", "cl-02"], ["000", "090"], drop=0.4, seed=seed)
    stranger = Walk("099", "nm-01", "000", np.ones((4, 2)))
    same_view = [Walk("098", c, "090", np.full((4, 2), 0.1)) for c in ("bg-01", "bg-02")]
    walks = [*walks, stranger, *same_view]
    evaluation = evaluate(walks, open_to_all(CASIA_B_CROSS_VIEW))
    for group, probe in {"NM": "nm-01", "BG": "bg-01", "CL": "cl-01"}.items():
        rank, mean_ap = cross_view(walks, having("nm-02", "bg-02", "cl-02"), having(probe))
        assert percent(evaluation, "rank_1_official", group) == pytest.approx(rank, abs=1e-9)
        assert percent(evaluation, "mean_ap_official", group) == pytest.approx(mean_ap, abs=1e-9)
    assert min(evaluation.score("rank_1", group).num_absent for group in ("NM", "BG")) >= 1


def test_ou_mvlp_counts_a_missing_gallery_as_an_error() -> None:
    walks = made_up([f"{i:05d}" for i in range(2, 14, 2)], ["00", "01"], ["000", "015", "270"], drop=0.3)
    walks.append(Walk("10307", "00", "015", np.zeros((4, 2))))  # nothing of this subject in the gallery
    protocol = open_to_all(OU_MVLP)
    evaluation = evaluate(walks, protocol)
    expected = per_view(walks, having("01"), having("00"))
    assert percent(evaluation, "rank_1_official", "NM") == pytest.approx(expected, abs=1e-9)
    assert evaluation.score("rank_1", "NM").num_absent > 2
    lenient = evaluate(walks, open_to_all(OU_MVLP_PRESENT))
    assert lenient.score("rank_1", "NM").value > evaluation.score("rank_1", "NM").value
    expected = per_view(walks, having("01"), having("00"), skips_absent=True)
    assert percent(lenient, "rank_1_official", "NM") == pytest.approx(expected, abs=1e-9)


def test_ou_mvlp_cross_view() -> None:
    walks = made_up([f"{i:05d}" for i in range(2, 14, 2)], ["00", "01"], ["000", "015", "270"], drop=0.3, seed=4)
    evaluation = evaluate(walks, open_to_all(OU_MVLP_CROSS_VIEW))
    rank, mean_ap = cross_view(walks, having("01"), having("00"))
    assert percent(evaluation, "rank_1_official", "NM") == pytest.approx(rank, abs=1e-9)
    assert percent(evaluation, "mean_ap_official", "NM") == pytest.approx(mean_ap, abs=1e-9)


def test_grew_validation_counts_a_missing_gallery_as_an_error_and_rounds() -> None:
    walks = made_up([f"{i:05d}" for i in range(1, 30)], ["01", "02"], ["a8f3", "q0z1"], drop=0.5)
    walks.append(Walk("05999", "02", "zzzz", np.zeros((4, 2))))
    evaluation = evaluate(walks, open_to_all(GREW_VALIDATION))
    expected = pooled(walks, having("01"), having("02"), skips_absent=False, leaves_out=nobody)
    for metric in ("rank_1", "rank_5", "rank_10"):
        assert percent(evaluation, f"{metric}_official", "all") == pytest.approx(round(expected[metric], 2), abs=1e-9)
        assert percent(evaluation, metric, "all") == pytest.approx(expected[metric], abs=1e-9)
    assert percent(evaluation, "mean_ap", "all") == pytest.approx(expected["mean_ap"], abs=1e-4)
    assert evaluation.score("rank_20", "all").num_absent >= 1


@pytest.mark.parametrize("protocol", [GAIT3D, FREEGAIT])
def test_listed_probes_against_all_the_rest(protocol: Protocol) -> None:
    walks = made_up([f"{i:04d}" for i in range(8)], ["camid0_videoid2", "camid1_videoid2"], ["seq0", "seq1"], drop=0.2)
    lonely = Walk("0099", "camid0_videoid2", "seq0", np.zeros((4, 2)))  # a probe whose subject has nothing else
    walks.append(lonely)
    listed = {("0000", "camid0_videoid2", "seq0"), ("0001", "camid1_videoid2", "seq1"), lonely[:3]}
    listed |= {walk[:3] for walk in walks if walk.subject in ("0004", "0005") and walk.view == "seq1"}
    filled = protocol.with_partition({"PROBE_SET": ["-".join(words) for words in sorted(listed)]})
    evaluation = evaluate(walks, open_to_all(filled), allow_partial=True)
    expected = pooled(
        walks, lambda w: w[:3] not in listed, lambda w: w[:3] in listed, skips_absent=True, leaves_out=nobody
    )
    for metric, value in expected.items():
        assert percent(evaluation, metric, "all") == pytest.approx(value, abs=1e-4)
    counted = evaluation.score("rank_1", "all")
    assert (counted.num_probes, counted.num_counted, counted.num_absent) == (len(listed), len(listed) - 1, 1)


def test_the_listed_gallery_of_freegait_is_all_that_is_searched() -> None:
    walks = made_up([f"{i:04d}" for i in range(8)], ["devid_1", "devid_2"], ["seq_00_new", "seq_01_new", "seq_02_new"])
    asked = {walk[:3] for walk in walks if walk.view == "seq_01_new"}
    searched = {walk[:3] for walk in walks if walk[1:3] == ("devid_1", "seq_00_new") and walk.subject != "0007"}
    lists = {"PROBE_SET": asked, "GALLERY_SET": searched}
    filled = FREEGAIT_LISTED.with_partition({key: ["-".join(w) for w in sorted(words)] for key, words in lists.items()})
    evaluation = evaluate(walks, open_to_all(filled), allow_partial=True)
    expected = pooled(
        walks, lambda w: w[:3] in searched, lambda w: w[:3] in asked, skips_absent=True, leaves_out=nobody
    )
    for metric, value in expected.items():
        assert percent(evaluation, metric, "all") == pytest.approx(value, abs=1e-4)
    score = evaluation.score("rank_1", "all")
    assert (score.num_probes, score.num_counted, score.num_absent) == (16, 14, 2)
    assert percent(evaluation, "mean_inp", "all") == pytest.approx(percent(evaluation, "mean_ap", "all"))
    with pytest.raises(ProtocolError, match="freegait-listed-gallery needs GALLERY_SET"):
        FREEGAIT_LISTED.with_partition({"PROBE_SET": ["0001-devid_1-seq_01_new"]})


def test_ccgr_mini_asks_about_everything_that_is_not_listed() -> None:
    walks = made_up([str(i) for i in range(601, 608)], ["NM1", "BG2", "CD1"], ["over.avi", "67_5_2.avi"], drop=0.2)
    listed = {(subject, "NM1", "67_5_2.avi") for subject in ("601", "602")} | {
        walk[:3] for walk in walks if walk.subject in ("603", "604") and walk.condition == "BG2"
    }
    partition = {"GALLERY_SET": ["-".join(words) for words in sorted(listed)], "PROBE_SET": ["not read"]}
    evaluation = evaluate(walks, open_to_all(CCGR_MINI.with_partition(partition)), allow_partial=True)
    expected = pooled(
        walks, lambda w: w[:3] in listed, lambda w: w[:3] not in listed, skips_absent=True, leaves_out=nobody
    )
    for metric, value in expected.items():
        assert percent(evaluation, metric, "all") == pytest.approx(value, abs=1e-4)
    absent = sum(walk.subject in ("605", "606", "607") for walk in walks)
    assert evaluation.score("rank_1", "all").num_absent == absent > 0


def test_renamed_folders_are_noticed() -> None:
    walks = made_up(["601", "602"], ["NM1", "BG2"], ["over"])  # the list says over.avi
    listed = CCGR_MINI.with_partition({"GALLERY_SET": ["601-NM1-over.avi", "602-NM1-over.avi"]})
    with pytest.raises(IncompleteDataError, match=r"2 of 2 listed sequences are missing \(first: 601-NM1-over\.avi"):
        open_to_all(listed).model_copy(update={"lists": {}, "given": {}}).divide(
            table_of_arrays(*zip(*(w[:3] for w in walks), strict=True)), needs_train=False
        )
    with pytest.raises(ProtocolError, match="the gallery selection is empty"):
        evaluate(walks, open_to_all(listed), allow_partial=True)


CCPG_STATES = ["U0_D0_BG", "U0_D0", "U0_D3", "U1_D0", "U1_D1", "U2_D2", "U3_D3"]
CCPG_SETTINGS = {
    "CL": (("U0_D0_BG", "U0_D0"), ("U1_D1", "U2_D2", "U3_D3")),
    "UP": (("U3_D3",), ("U0_D3",)),
    "DN": (("U1_D0",), ("U1_D1",)),
    "BG": (("U0_D0_BG",), ("U0_D0",)),
}


@pytest.mark.parametrize("seed", range(2))
def test_ccpg_knows_cameras_by_the_first_word_of_a_view(seed: int) -> None:
    views = ["01_0", "01_1_x", "02_0", "10_0"]
    walks = made_up([f"{i}" for i in range(100, 105)], CCPG_STATES, views, drop=0.3, seed=seed)
    by_camera = [walk._replace(view=walk.view.partition("_")[0]) for walk in walks]
    gait, whole, reid = (evaluate(walks, open_to_all(p)) for p in (CCPG, CCPG_WITH_IDENTICAL_VIEWS, CCPG_REID))
    for group, (probes, gallery) in CCPG_SETTINGS.items():
        sides = having(*gallery), having(*probes)
        expected = per_view(by_camera, *sides)
        assert percent(gait, "rank_1_official", group) == pytest.approx(expected, abs=1e-9)
        expected = per_view(by_camera, *sides, diagonal=True)
        assert percent(whole, "rank_1_official", group) == pytest.approx(expected, abs=1e-9)
        found = pooled(
            by_camera, *sides, skips_absent=True, leaves_out=lambda p, g: (p.subject, p.view) == (g.subject, g.view)
        )
        for metric, value in found.items():
            assert percent(reid, metric, group) == pytest.approx(value, abs=1e-4)


def test_ccpg_reid_skips_and_ccpg_counts_probes_without_a_match() -> None:
    walks = made_up(["100", "101", "102"], CCPG_STATES, ["01_0", "02_0"])
    walks.append(Walk("150", "U3_D3", "01_0", np.zeros((4, 2))))
    assert evaluate(walks, open_to_all(CCPG_REID)).score("rank_1", "UP").num_counted == 6
    gait = evaluate(walks, open_to_all(CCPG))
    assert gait.score("rank_1", "UP").num_counted == 7
    expected = per_view([walk._replace(view=walk.view[:2]) for walk in walks], having("U0_D3"), having("U3_D3"))
    assert percent(gait, "rank_1_official", "UP") == pytest.approx(expected, abs=1e-9)


SUSTECH1K_CONDITIONS = ["01-nm", "01-bg", "01-cl", "03-cr", "01-ub", "01-uf", "01-oc", "02-nt"]
SUSTECH1K_TAGS = {"BG": "bg", "CL": "cl", "CR": "cr", "UB": "ub", "UF": "uf", "OC": "oc", "NT": "nt", "NM": "01-nm"}


def test_sustech1k_groups_by_parts_of_the_name_and_keeps_far_views_apart() -> None:
    conditions = ["00-nm", "01-nm", "02-nm-nt", "01-bg", "01-cl-ub", "03-cr", "04-uf-oc"]
    walks = made_up(["0001", "0003", "0004", "0006"], conditions, ["000", "000-far", "090-near"], drop=0.3)
    evaluation = evaluate(walks, open_to_all(SUSTECH1K))
    searched = having("00-nm")
    for group, tag in SUSTECH1K_TAGS.items():
        expected = per_view(walks, searched, lambda w, tag=tag: tag in w.condition)
        assert percent(evaluation, "rank_1_official", group) == pytest.approx(expected, abs=1e-9)
    for k in (1, 2, 5):
        expected = per_view(walks, searched, lambda w: any(n in w.condition for n in ("01", "02", "03", "04")), k)
        assert percent(evaluation, f"rank_{k}_official", "Overall") == pytest.approx(expected, abs=1e-9)
    mean = np.mean([evaluation.score("rank_1_official", group).value for group in SUSTECH1K_TAGS])
    assert evaluation.score("rank_1_official", "mean").value == pytest.approx(mean, abs=1e-12)


def test_casia_e_drops_view_270() -> None:
    conditions = [f"{h}-scene1-nm-{n}" for h in "HL" for n in (1, 2)]
    conditions += [f"{h}-{s}-{c}-1" for h in "HL" for s in ("scene2", "scene3", "scene3_s") for c in ("nm", "bg", "cl")]
    walks = made_up(["201", "202", "1000"], conditions, ["000", "090", "270"], drop=0.2)
    evaluation = evaluate(walks, open_to_all(CASIA_E))
    kept = [walk for walk in walks if walk.view != "270"]
    for group in ("NM", "BG", "CL"):
        tag = f"-{group.lower()}-"
        expected = per_view(
            kept,
            lambda w: w.condition[2:] in ("scene1-nm-1", "scene1-nm-2"),
            lambda w, tag=tag: "scene1" not in w.condition and tag in w.condition,
        )
        assert percent(evaluation, "rank_1_official", group) == pytest.approx(expected, abs=1e-9)
        assert cell_matrix(evaluation.tables["probes"], CASIA_E, group).probe_views == ("000", "090")


def test_views_are_words() -> None:
    views = ["over.avi", "9", "10", "000-far"]
    walks = made_up(PEOPLE, CASIA_B_CONDITIONS, views, drop=0.2)
    protocol = open_to_all(CASIA_B)
    evaluation = evaluate(walks, protocol)
    expected = per_view(walks, having(*(f"nm-0{i}" for i in range(1, 5))), having("bg-01", "bg-02"))
    assert percent(evaluation, "rank_1_official", "BG") == pytest.approx(expected, abs=1e-9)
    assert cell_matrix(evaluation.tables["probes"], protocol, "BG").gallery_views == ("000-far", "10", "9", "over.avi")


def test_a_view_without_probes_or_gallery_is_no_official_result() -> None:
    walks = made_up(PEOPLE, CASIA_B_CONDITIONS, ["000", "018", "090"])
    rest = [walk for walk in walks if (walk.condition[:2], walk.view) != ("cl", "090")]
    with pytest.raises(IncompleteDataError, match=r"group CL has no probe in 1 of 3 views \(first: 090\)"):
        evaluate(rest, open_to_all(CASIA_B))
    partial = evaluate(rest, open_to_all(CASIA_B), allow_partial=True)
    np.testing.assert_equal(
        cell_matrix(partial.tables["probes"], CASIA_B, "CL").by_probe_view.mean(),
        partial.score("rank_1_official", "CL").value,
    )
    rest = [walk for walk in walks if walk.condition not in ("nm-01", "nm-02", "nm-03", "nm-04") or walk.view != "018"]
    with pytest.raises(IncompleteDataError, match="group NM has no gallery sequence in 1 of 3 views"):
        evaluate(rest, open_to_all(CASIA_B))
    # One more view, of sequences that are neither probe nor gallery, would be a row without probes to the evaluator.
    cross = made_up(PEOPLE, ["nm-01", "nm-02", "bg-01", "bg-02", "cl-01", "cl-02"], ["000", "018"])
    with pytest.raises(IncompleteDataError, match=r"group NM has no probe in 1 of 3 views \(first: 200\)"):
        evaluate([*cross, Walk("075", "nm-06", "200", np.zeros((4, 2)))], open_to_all(CASIA_B_CROSS_VIEW))


def test_cells_are_rounded_as_evaluators_divide() -> None:
    hits, probes = 23, 160  # 14.375 percent in binary, 14.374999999999998 when the fraction is taken first
    people = [f"{i:03d}" for i in range(probes)]
    far = {person: np.full((1, 1), 10.0 * i) for i, person in enumerate(people)}
    found = {person: far[person] if i < hits else far[person] - 10 for i, person in enumerate(people)}
    walks = [Walk(p, "nm-01", v, far[p]) for p in people for v in ("000", "090")]
    walks += [Walk(p, "nm-05", v, found[p]) for p in people for v in ("000", "090")]
    groups = {"probes": {"NM": CASIA_B.probes["NM"]}, "headline": "NM", "evaluator_keys": {}}
    protocol = open_to_all(CASIA_B).model_copy(update=groups | {"gallery": Selection(conditions=("nm-01",))})
    evaluation = evaluate(walks, protocol)
    assert percent(evaluation, "rank_1_official", "NM") == pytest.approx(14.38, abs=1e-9)
    assert percent(evaluation, "rank_1", "NM") == pytest.approx(14.375, abs=1e-9)


def test_ties_count_against_the_probe_whatever_the_order() -> None:
    same = np.zeros((4, 2))
    walks = [Walk(s, c, v, same) for s in ("075", "076") for c in CASIA_B_CONDITIONS for v in ("000", "090")]
    for each in (walks, walks[::-1]):
        evaluation = evaluate(each, open_to_all(CASIA_B))
        assert {evaluation.score("rank_1_official", group).value for group in CASIA_B_PROBES} == {0.0}


CCGR_COVARIATES = ["NM1", "BG1", "UB-CL2", "CD1"]
CCGR_VIEWS = ["0_1.avi", "67_5_2.avi", "over.avi"]


def test_ccgr_easy_has_a_group_for_each_other_covariate() -> None:
    walks = made_up([str(i) for i in range(601, 607)], CCGR_COVARIATES, CCGR_VIEWS, drop=0.3)
    evaluation = evaluate(walks, open_to_all(CCGR_EASY))
    numbers = []
    for covariate in CCGR_COVARIATES[1:]:
        for k in (1, 5):
            expected = per_view(walks, having("NM1"), having(covariate), k)
            assert percent(evaluation, f"rank_{k}_official", covariate) == pytest.approx(expected, abs=1e-9)
        numbers.append(percent(evaluation, "rank_1_official", covariate))
    assert percent(evaluation, "rank_1_official", "mean") == pytest.approx(np.mean(numbers), abs=1e-9)
    assert {score.group for score in evaluation.scores if "/" not in score.group} == {*CCGR_COVARIATES[1:], "mean"}


def test_ccgr_hard_has_a_group_for_each_ordered_pair() -> None:
    walks = made_up([str(i) for i in range(601, 606)], CCGR_COVARIATES, CCGR_VIEWS, drop=0.2, seed=5)
    evaluation = evaluate(walks, open_to_all(CCGR_HARD))
    numbers = []
    for asked in CCGR_COVARIATES:
        for searched in set(CCGR_COVARIATES) - {asked}:
            expected = per_view(walks, having(searched), having(asked))
            assert percent(evaluation, "rank_1_official", f"{asked} in {searched}") == pytest.approx(expected, abs=1e-9)
            numbers.append(expected)
    assert len(numbers) == 12
    assert percent(evaluation, "rank_1_official", "mean") == pytest.approx(np.mean(numbers), abs=1e-9)


def test_groups_written_out_are_what_a_record_holds() -> None:
    walks = made_up(["601", "602"], ["NM1", "BG[1]"], CCGR_VIEWS)
    table = table_of_arrays(*zip(*(w[:3] for w in walks), strict=True))
    written = open_to_all(CCGR_HARD).for_table(table)
    assert list(written.probes) == list(written.galleries) == ["NM1 in BG[1]", "BG[1] in NM1"]
    assert written.for_table(table) == written == Protocol.model_validate(written.model_dump(mode="json"))
    division = written.divide(table, needs_train=False)
    assert set(table.condition[division.galleries["NM1 in BG[1]"]]) == {"BG[1]"}
    one = table.take(table.condition == "NM1")
    for protocol in (CCGR_EASY, CCGR_HARD):
        with pytest.raises(ProtocolError, match="compares each condition with others, and the table has only NM1"):
            open_to_all(protocol).divide(one, needs_train=False)


def test_mmgait_averages_map_over_rounded_cells_of_one_view() -> None:
    conditions = ["NM-01", "NM-02", "BG-01", "CL-01"]
    walks = made_up(["0001", "0002", "0003", "0004", "0005"], conditions, ["000", "045", "090"], drop=0.3, seed=3)
    evaluation = evaluate(walks, open_to_all(MMGAIT), allow_partial=True)
    for group, probe in {"NM": "NM-02", "BG": "BG-01", "CL": "CL-01"}.items():
        expected = per_view(walks, having("NM-01"), having(probe))
        assert percent(evaluation, "rank_1_official", group) == pytest.approx(expected, abs=1e-9)
        expected = per_view_map(walks, having("NM-01"), having(probe))
        assert percent(evaluation, "mean_ap_official", group) == pytest.approx(expected, abs=1e-9)


MMGAIT_CONDITIONS = ["NM-01", "NM-02", "BG-01", "CL-01"]


@pytest.mark.parametrize("seed", range(3))
def test_mmgait_v1_searches_both_normal_walks_of_one_view(seed: int) -> None:
    walks = made_up([f"{i:04d}" for i in range(6)], MMGAIT_CONDITIONS, ["000", "036", "072"], drop=0.3, seed=seed)
    evaluation = evaluate(walks, open_to_all(MMGAIT_V1), allow_partial=True)
    for group, probe in {"BG": "BG-01", "CL": "CL-01"}.items():
        of_cells = per_view(walks, having("NM-01", "NM-02"), having(probe))
        assert percent(evaluation, "rank_1_official", group) == pytest.approx(of_cells, abs=1e-9)
        of_cells = per_view_map(walks, having("NM-01", "NM-02"), having(probe))
        assert percent(evaluation, "mean_ap_official", group) == pytest.approx(of_cells, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_mmgait_v2_adds_all_walks_of_all_others(seed: int) -> None:
    views = ["000", "036", "072"]
    walks = made_up([f"{i:04d}" for i in range(6)], MMGAIT_CONDITIONS, views, drop=0.3, seed=seed)
    v1, v2 = (evaluate(walks, open_to_all(protocol), allow_partial=True) for protocol in (MMGAIT_V1, MMGAIT_V2))
    for group, condition in {"BG": "BG-01", "CL": "CL-01"}.items():
        rank, mean_ap = [], []
        for view in views:
            cells = []
            for template in set(views) - {view}:
                hits, scores = [], []
                for one in (walk for walk in walks if walk[1:3] == (condition, view)):
                    own = [
                        w for w in walks if w.condition[:2] == "NM" and (w.subject, w.view) == (one.subject, template)
                    ]
                    searched = [*own, *(w for w in walks if w.subject != one.subject)]
                    hits.append(is_hit(one, searched, 1))
                    if found := precision(one, searched):
                        scores.append(found[0])
                cells.append([np.round(100 * np.mean(values), 2) for values in (hits, scores)])
            rank.append(np.mean(cells, axis=0)[0])
            mean_ap.append(np.mean(cells, axis=0)[1])
        assert percent(v2, "rank_1_official", group) == pytest.approx(np.mean(rank), abs=1e-9)
        assert percent(v2, "mean_ap_official", group) == pytest.approx(np.mean(mean_ap), abs=1e-9)
        for metric in ("rank_1", "mean_ap", "mean_inp"):
            assert percent(v2, metric, group) < percent(v1, metric, group)


def test_sustech1k_with_identical_views_keeps_the_diagonal() -> None:
    walks = made_up(["0001", "0003", "0004"], ["00-nm", *SUSTECH1K_CONDITIONS], ["000", "000-far", "090"], drop=0.2)
    evaluation = evaluate(walks, open_to_all(SUSTECH1K_WITH_IDENTICAL_VIEWS))
    expected = per_view(walks, having("00-nm"), lambda w: "bg" in w.condition, diagonal=True)
    assert percent(evaluation, "rank_1_official", "BG") == pytest.approx(expected, abs=1e-9)


def test_grew_keeps_both_walks_of_everybody_and_the_surrogate_one() -> None:
    walks = made_up(["00001", "00002"], ["01", "02"], ["a8f3"])
    table = table_of_arrays(*zip(*(w[:3] for w in [*walks, Walk("probe", "03", "q0z1", walks[0][3])]), strict=True))
    official = GREW.for_embeddings().divide(table, needs_train=False, needs_matches=False)
    assert table.condition[official.gallery].tolist() == ["01", "02", "01", "02"]
    assert table.subject_id[official.probes["all"]].tolist() == ["probe"]
    surrogate = GREW_VALIDATION.for_embeddings().divide(table, needs_train=False)
    assert set(table.condition[surrogate.gallery]) == {"01"}
    assert set(table.condition[surrogate.probes["all"]]) == {"02"}


def test_hid_is_not_reranked_unless_asked() -> None:
    for protocol in (HID, HID_2023):
        assert protocol.reranking is None
        asked = protocol.reranked().reranking
        assert asked is not None
        assert (asked.k1, asked.k2, asked.weight) == (6, 6, 0.3)


def test_protocols_of_other_datasets_can_be_written_down() -> None:
    """A per-view protocol with mAP per cell, as for gait with many sensors: rounded cells, absent probes skipped."""
    protocol = Protocol(
        name="elsewhere",
        dataset="elsewhere",
        title="Rank-1 and mAP per cell",
        source="made up",
        train=Selection(),
        test_subjects=("*",),
        gallery=Selection(conditions=("NM-01",)),
        probes={"NM": Selection(conditions=("NM-02",))},
        exclude=("identical_view",),
        rounded=("rank_1", "mean_ap"),
        headline="NM",
    )
    walks = made_up(["0001", "0002", "0003", "0004"], ["NM-01", "NM-02"], ["a", "b", "c"], drop=0.3, seed=2)
    evaluation = evaluate(walks, protocol)
    expected = per_view_map(walks, having("NM-01"), having("NM-02"))
    assert percent(evaluation, "mean_ap_official", "NM") == pytest.approx(expected, abs=1e-9)
    expected = per_view(walks, having("NM-01"), having("NM-02"))
    assert percent(evaluation, "rank_1_official", "NM") == pytest.approx(expected, abs=1e-9)
