import pytest
from scored import evaluate, record_of

from gaitbench.board import Board, Cell
from gaitbench.board_text import board_markdown, board_text, index_markdown
from gaitbench.leaderboard import from_records
from gaitbench.tasks import IdentityTask


@pytest.fixture(scope="module")
def board() -> Board:
    return from_records([record_of(evaluate(IdentityTask()), IdentityTask())]).boards[0]


def with_headline(board: Board, cell: Cell) -> Board:
    section = board.sections[0]
    row = section.rows[0].model_copy(update={"cells": section.rows[0].cells | {section.headline: cell}})
    return board.model_copy(update={"sections": (section.model_copy(update={"rows": (row,)}),)})


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell(value=0.12345, seed_sd=0.0125, ci_low=0.1, ci_high=0.15), "12.3 ±1.2 [10.0, 15.0]"),
        (Cell(value=0.5, ci_low=0.4, ci_high=0.6), "50.0 [40.0, 60.0]"),
        (Cell(value=1.0), "| 100.0 |"),
        (Cell(value=None), "| - |"),
    ],
)
def test_percent_is_rounded_once(board: Board, cell: Cell, text: str) -> None:
    assert text in board_markdown(with_headline(board, cell))


def test_text_has_no_markup(board: Board) -> None:
    text = board_text(board)
    assert "*" not in text
    assert "|" not in text
    assert "chance" in text


def test_names_cannot_break_a_table(board: Board) -> None:
    section = board.sections[0]
    row = section.rows[0].model_copy(update={"model": "a|b"})
    changed = board.model_copy(update={"sections": (section.model_copy(update={"rows": (row,)}),)})
    assert "a\\|b" in board_markdown(changed)


def test_index_links_every_board(board: Board) -> None:
    text = index_markdown([("identity/small", board)])
    assert "[identity on small](identity/small/README.md)" in text
    assert "gei (quick)" in text


def test_sections_of_one_dataset_are_told_apart_by_what_was_read(board: Board) -> None:
    section = board.sections[0]
    other = section.model_copy(update={"modalities": ("lidar", "rgb")})
    titles = board_text(board.model_copy(update={"sections": (section, other)})).splitlines()
    assert "identity on small, lidar + rgb" in titles
    assert "identity on small" in board_text(board).splitlines()
