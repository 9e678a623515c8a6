import io
import sys

import pytest

from gaitbench.listing import block, columns


def test_columns_are_aligned_and_never_cut_in_a_pipe() -> None:
    text = columns(["name", "title"], [["a", "x" * 300], ["longer", "y"]])
    assert text.splitlines() == ["name    title", f"a       {'x' * 300}", "longer  y"]


def test_columns_are_cut_to_the_width_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "20")
    assert max(map(len, columns(["name", "title"], [["a", "x" * 300]]).splitlines())) == 20


def test_columns_without_rows() -> None:
    assert columns(["name", "title"], []) == "name  title"


def test_block_puts_labels_beside_lines_and_wraps() -> None:
    text = block("model x", [("a", ["one", "two"]), ("longer", ["word " * 30])], width=60)
    lines = text.splitlines()
    assert lines[:4] == ["model x", "  a       one", "          two", f"  longer  {'word ' * 9}word"]
    assert all(line.startswith("          ") for line in lines[4:])
