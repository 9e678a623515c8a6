"""Published numbers stand beside the protocol they belong to, each metric and group under our name for it."""

import json
from importlib import resources

import pytest

from gaitbench.builtin import ATTRIBUTE_PROTOCOLS, PROTOCOLS
from gaitbench.protocol import Protocol
from gaitbench.published import printed_metric, published, published_for
from gaitbench.registry import build_registry
from gaitbench.reported import ReportedRow, reported_elsewhere, reported_rows
from gaitbench.reported_text import reported_table
from gaitbench.walkers.protocol import WALKERS

REGISTRY = build_registry([])
ALL: dict[str, Protocol] = {spec.name: REGISTRY.load(spec) for spec in (*PROTOCOLS, *ATTRIBUTE_PROTOCOLS)}
PLACES = json.loads((resources.files("gaitbench") / "data" / "published_places.json").read_text(encoding="utf-8"))
WITHOUT_SCORES = {"parameters (M)"}


def rows_of(name: str, task: str = "identity") -> dict[tuple[str, str, str], ReportedRow]:
    protocol = ALL[name]
    return {
        (row.model, row.modality, row.protocol): row for row in reported_rows(protocol, list(protocol.probes), task)
    }


def row_of(name: str, model: str, of: str = "", task: str = "identity") -> ReportedRow:
    """The first row of a model whose modality, protocol or source holds a word."""
    rows = [row for key, row in rows_of(name, task).items() if key[0] == model and of in f"{key} {row.source}"]
    assert rows, f"{model} is not beside {name}"
    return rows[0]


@pytest.mark.parametrize(
    ("name", "model", "of", "task", "values", "further"),
    [
        ("casia-b", "GaitBase", "", "identity", {"NM": 97.6, "BG": 94.0, "CL": 77.4}, {}),
        ("casia-b", "GaitGraph", "vanilla", "identity", {}, {"rank_1/mean"}),
        ("casia-b-cross-view", "GaitSet", "", "identity", {}, {"mean_ap/NM", "mean_ap/BG", "mean_ap/CL"}),
        ("casia-b-star", "GaitBase", "OpenGait", "identity", {"NM", "BG", "CL"}, {}),
        ("ou-mvlp", "GaitBase", "5153/5154", "identity", {"NM": 90.8}, {}),
        ("ou-mvlp-cross-view", "GaitSet", "", "identity", {}, {"mean_ap/NM"}),
        ("grew", "GaitBase", "", "identity", {"all": 60.1}, {}),
        ("gait3d", "GaitBase", "64x44", "identity", {"all": 64.6}, {}),
        ("gait3d", "GaitSet", "128x88", "identity", {"all": 42.6}, {"rank_5/all", "mean_ap/all", "mean_inp/all"}),
        ("gait3d-parsing", "GaitSet", "64x44", "identity", {"all"}, {"mean_ap/all"}),
        ("ccpg", "GaitBase", "", "identity", {"CL", "UP", "DN", "BG"}, {"rank_1/mean"}),
        ("ccpg-reid", "GPGait", "", "identity", {"CL": 54.75, "UP": 65.6, "DN": 71.06}, {"mean_ap/CL"}),
        ("sustech1k", "LidarGait", "250/800", "identity", {"NM", "UB", "NT", "Overall"}, {"rank_5/Overall"}),
        ("sustech1k", "PointNet", "single", "identity", {"NM": 43.6, "BG": 37.3, "UB": 19.9}, {}),
        ("sustech1k", "CAJ", "silhouette -> LiDAR", "crossmodal", {"NM": 16.4, "NT": 2.4}, {"rank_5/Overall"}),
        ("freegait", "LidarGait", "", "identity", {"all": 74.2}, {"rank_5/all", "mean_ap/all"}),
        ("freegait", "HMRNet", "silhouette -> LiDAR", "crossmodal", {"all": 23.5}, {"rank_5/all"}),
        ("casia-e", "GaitBase", "", "identity", {"NM", "BG", "CL"}, {}),
        ("mmgait", "GaitBase", "RGB silhouette", "identity", {"NM": 98.5, "BG": 96.4, "CL": 61.0}, {}),
        ("mmgait-v1", "GaitBase", "RGB silhouette", "identity", {"BG": 98.0, "CL": 72.3}, {"mean_ap/BG", "mean_ap/CL"}),
        ("mmgait-v2", "GaitBase", "RGB silhouette", "identity", {"BG": 92.0, "CL": 45.0}, {"mean_ap/BG", "mean_ap/CL"}),
        ("mmgait-v2", "OmniGait++", "RGB sil -> LiDAR", "crossmodal", {"BG": 66.1, "CL": 25.3}, {"mean_ap/CL"}),
        ("ra-gar", "GaitBase", "", "attribute", {}, {"f1/all", "ma/all", "precision/all", "recall/all"}),
        ("ma-gait", "CLIP-GAR", "", "attribute", {}, {"f1/all", "ma/all", "acc_elementwise/all"}),
    ],
)
def test_numbers_stand_beside_their_protocol(
    name: str, model: str, of: str, task: str, values: dict[str, float] | set[str], further: set[str]
) -> None:
    row = row_of(name, model, of, task)
    assert set(values) <= set(row.values), row
    if isinstance(values, dict):
        assert {group: row.values[group] for group in values} == values
    assert set(further) <= set(row.further), row
    assert row.source


def test_every_number_has_one_place_or_a_reason_for_none() -> None:
    placed = [(entry["dataset"], entry["protocol"]) for found in PLACES["beside"].values() for entry in found]
    nowhere = {(entry["dataset"], entry["protocol"]): entry["why"] for entry in PLACES["nowhere"]}
    assert all(nowhere.values())
    assert len(set(placed)) == len(placed)
    assert not set(placed) & set(nowhere)
    assert {*placed, *nowhere} == {(number.dataset, number.protocol) for number in published()}
    assert set(PLACES["beside"]) <= {*ALL, "usf-gait17"}


@pytest.mark.parametrize("name", [name for name in PLACES["beside"] if name in ALL])
def test_every_placed_number_is_understood(name: str) -> None:
    protocol = ALL[name]
    for number in published_for(protocol):
        if number.metric not in WITHOUT_SCORES:
            assert printed_metric(number, protocol, list(protocol.probes)), number


def test_numbers_of_other_data_are_shown_for_the_walkers_attributes_alone() -> None:
    found = reported_elsewhere(WALKERS, "attribute")
    assert [(other.protocol, len(other.rows), other.groups) for other in found] == [
        ("ra-gar", 18, ("all",)),
        ("ma-gait", 6, ("all",)),
    ]
    assert found[0].rows[0].further == {
        "f1/all": 76.0,
        "precision/all": 77.4,
        "recall/all": 74.74,
        "acc_elementwise/all": 84.31,
        "ma/all": 65.57,
    }
    assert reported_elsewhere(WALKERS, "identity") == reported_elsewhere(ALL["ra-gar"], "attribute") == ()
    names = {name for tasks in PLACES["elsewhere"].values() for found in tasks.values() for name in found}
    assert names <= PLACES["beside"].keys()


def test_the_two_averages_of_ccpg_are_apart() -> None:
    gait, reid = rows_of("ccpg"), rows_of("ccpg-reid")
    assert gait
    assert reid
    assert not set(gait) & set(reid)
    assert all("identical views excluded" in protocol for _, _, protocol in gait)
    assert rows_of("ccpg-with-identical-views") == {}


@pytest.mark.parametrize(
    "name",
    ["freegait-listed-gallery", "grew-validation", "ou-mvlp-present", "sustech1k-with-identical-views", "ccgr-mini"],
)
def test_protocols_that_nobody_reports_have_none(name: str) -> None:
    assert published_for(ALL[name]) == ()


def test_numbers_across_sensors_stand_beside_runs_across_sensors_only() -> None:
    across, within = published_for(ALL["sustech1k"], "crossmodal"), published_for(ALL["sustech1k"], "identity")
    assert across
    assert within
    assert all("->" in number.modality for number in across)
    means = {number.modality for number in published_for(ALL["mmgait-v2"], "crossmodal") if "->" not in number.modality}
    assert means == {"cross-modal average"}
    assert not [n for n in published_for(ALL["mmgait-v2"], "identity") if "cross-modal" in n.modality]
    assert not [n for n in published_for(ALL["mmgait"], "identity") if "retrieval" in n.modality]
    # A log of silhouettes against silhouettes is no cross-modal number, whatever its name.
    assert all("->" not in n.modality or "deduced" in n.modality for n in within)
    assert len(across) + len(within) == len(published_for(ALL["sustech1k"]))


@pytest.mark.parametrize(
    ("name", "trained_on", "model", "values"),
    [
        ("casia-b-star", "ccpg", "LMGait", {"NM": 81.6, "BG": 75.4, "CL": 35.4}),
        ("sustech1k", "ccpg", "BigGait", {"CL": 43.7, "NT": 44.8, "Overall": 56.4}),
        ("gait3d", "casia-b", "GPGait", {"all": 8.9}),
        ("ou-mvlp", "grew", "GPGait", {"NM": 4.25}),
    ],
)
def test_numbers_of_other_training_data_stand_beside_theirs_alone(
    name: str, trained_on: str, model: str, values: dict[str, float]
) -> None:
    protocol = ALL[name]
    rows = reported_rows(protocol, list(protocol.probes), "identity", trained_on=trained_on)
    assert next(row for row in rows if row.model == model).values == values
    assert all(row.protocol.startswith("cross-dataset: train ") for row in rows)
    assert not [row for row in rows_of(name).values() if "cross-dataset" in row.protocol]
    assert reported_rows(protocol, list(protocol.probes), "identity", trained_on="walkers") == ()


def test_every_transfer_is_understood() -> None:
    for name, entries in PLACES["beside"].items():
        for trained_on in {entry["trained_on"] for entry in entries if "trained_on" in entry}:
            protocol = ALL[name]
            for number in published_for(protocol, trained_on=trained_on):
                assert printed_metric(number, protocol, list(protocol.probes)), number
            assert trained_on in {*ALL, "ou-mvlp"} - {name}


def test_doubt_and_notes_are_kept() -> None:
    second_hand = row_of("grew", "GaitGL", "second-hand")
    assert (second_hand.doubtful, second_hand.note) == (("all",), "not read in the paper itself")
    row = row_of("ccpg-reid", "DeepGaitV2", "second-hand")
    assert set(row.doubtful) == {"CL", "UP", "DN"}
    ablation = next(row for row in rows_of("sustech1k", "crossmodal").values() if "rank_5/Overall" in row.doubtful)
    assert "assign" in ablation.note


def test_means_printed_and_ours_are_two_numbers() -> None:
    row = row_of("ccpg", "GaitGraph2")
    assert row.mean == pytest.approx((5.0 + 5.3 + 5.8 + 6.2) / 4)
    assert row.further["rank_1/mean"] == 5.6
    assert row_of("ccpg", "GaitGraph2").values.keys() == {"CL", "UP", "DN", "BG"}


def test_groups_that_were_not_measured_are_left_out() -> None:
    rows = reported_rows(ALL["casia-b"], ["NM", "BG"], "identity")
    assert all(set(row.values) <= {"NM", "BG"} for row in rows)
    assert rows[0].mean is not None


def test_best_comes_first() -> None:
    rows = reported_rows(ALL["gait3d"], ["all"], "identity")
    found = [row.values["all"] for row in rows]
    assert found == sorted(found, reverse=True)


def test_numbers_of_attributes_stand_beside_attributes_alone() -> None:
    assert rows_of("ra-gar", "identity") == {}
    row = row_of("ra-gar", "CLIP-GAR", "Table 3", "attribute")
    assert (row.further["f1/all"], row.further["ma/all"]) == (76.0, 65.57)
    assert row.doubtful == ("acc_elementwise/all",)
    assert "45-label one-hot encoding" in row.note
    best = reported_rows(ALL["ma-gait"], ["all"], "attribute")
    assert [found.further["f1/all"] for found in best] == sorted((f.further["f1/all"] for f in best), reverse=True)


def test_attributes_are_headed_as_papers_do() -> None:
    head, body = reported_table(reported_rows(ALL["ra-gar"], ["all"], "attribute"), ["all"])
    assert head == ["model", "modality", "F1", "mA", "precision", "recall", "ACC", "source"]
    assert body[0][:4] == ["CLIP-GAR", "silhouette + text", "76", "65.57"]
