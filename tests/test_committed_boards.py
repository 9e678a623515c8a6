"""What the committed leaderboards of walkers must show: no leak, and room between methods."""

from pathlib import Path

import pytest

from gaitbench.board import Board, Row

LEADERBOARDS = Path(__file__).parents[1] / "leaderboards"


def all_rows(task: str) -> list[Row]:
    board = Board.model_validate_json((LEADERBOARDS / task / "walkers" / "leaderboard.json").read_text())
    return [row for section in board.sections for row in section.rows]


def presets(task: str) -> list[Row]:
    """Rows of presets as they are; the others are ablations and comparisons."""
    return [row for row in all_rows(task) if not row.changes]


def rows_of(task: str) -> dict[str, Row]:
    return {row.model: row for row in presets(task)}


def rank_1(row: Row, group: str, direction: str = "") -> float:
    value = row.cells[f"rank_1|{group}|{direction}"].value
    assert value is not None
    return value


def test_raw_nearest_neighbour_is_under_a_third_of_the_trained_networks() -> None:
    rows = rows_of("identity")
    for network in ("gaitset", "gaitbase"):
        assert rank_1(rows["nearest-raw"], "NM") < rank_1(rows[network], "NM") / 3
    rows = rows_of("crossmodal")
    for direction in ("silhouette->lidar-depth", "lidar-depth->silhouette", "silhouette->silhouette"):
        assert rank_1(rows["nearest-raw"], "NM", direction) < rank_1(rows["two-stream"], "NM", direction) / 3


@pytest.mark.parametrize("model", ["gaitset", "gaitbase"])
def test_bag_and_coat_are_clearly_harder_than_normal(model: str) -> None:
    row = rows_of("identity")[model]
    assert rank_1(row, "NM") >= 0.7
    assert rank_1(row, "BG") < rank_1(row, "NM") - 0.05
    assert rank_1(row, "CL") < rank_1(row, "NM") - 0.05


@pytest.mark.parametrize("direction", ["silhouette->lidar-depth", "lidar-depth->silhouette"])
def test_training_on_both_sensors_is_what_crosses_them(direction: str) -> None:
    rows = {(row.model, row.preset): rank_1(row, "NM", direction) for row in presets("crossmodal")}
    alone = rows.pop(("shared-encoder", "quick-one-sensor"))
    raw = rows.pop(("nearest-raw", "quick"))
    assert {"two-stream", "tcfdnet", "sgcrossgait", "cl-gait", "unicrossgait", "crossgait", "omnigait"} <= {
        model for model, _ in rows
    }
    assert min(rows.values()) > 3 * max(alone, raw)


@pytest.mark.parametrize("direction", ["silhouette->lidar-depth", "lidar-depth->silhouette"])
def test_crossing_the_sensors_costs_accuracy_and_is_far_above_chance(direction: str) -> None:
    row = rows_of("crossmodal")["two-stream"]
    value = rank_1(row, "NM", direction)
    chance = row.cells[f"rank_1|NM|{direction}"].chance
    assert chance == pytest.approx(1 / 40)
    assert value >= 8 * chance
    assert value < min(rank_1(row, "NM", f"{sensor}->{sensor}") for sensor in ("silhouette", "lidar-depth"))


def test_attributes_are_told_from_the_walk_and_not_from_what_is_common() -> None:
    for row in all_rows("attribute"):
        ma, accuracy = row.cells["ma_onehot45|all|"], row.cells["class_accuracy|all|"]
        assert (ma.chance, ma.majority) == (0.5, 0.5)
        assert ma.ci_low is not None
        assert ma.ci_low > 0.55, row.model
        assert accuracy.majority == pytest.approx(0.4517, abs=1e-4)
        assert accuracy.value is not None
        assert accuracy.value > accuracy.majority + 0.1, row.model


def test_three_seeds_of_every_row() -> None:
    for task in ("identity", "crossmodal", "attribute"):
        assert {tuple(row.seeds) for row in all_rows(task)} == {(0, 1, 2)}, task
