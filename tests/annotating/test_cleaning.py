import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaitbench.annotating.cleaning import clean_text, without_controls


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("plain, 3 steps (short).", "plain, 3 steps (short).", id="plain-stays"),
        pytest.param("\x1b[2J\x1b[1;31mred\x1b[0m", "red", id="colours"),
        pytest.param("\x1b]0;title\x07walk", "walk", id="window-title"),
        pytest.param("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link", id="terminal-link"),
        pytest.param("\x9b31mred", "red", id="eight-bit-escape"),
        pytest.param("\x1bP+q544e\x1b\\walk", "walk", id="device-string"),
        pytest.param("a\x00b\x08c\x7fd", "abcd", id="controls"),
        pytest.param("a\r\nb\tc\u2028d", "a b c d", id="white-space"),
        pytest.param("evil\u202egnp.exe\u2066x\u200b", "evilgnp.exex", id="direction-and-invisible"),
        pytest.param("<script>alert(1)</script> walks", "alert(1) walks", id="html"),
        pytest.param("<scr<b>ipt>", "script", id="nested-html"),
        pytest.param("[bold red]walks[/] [link=http://x]y[/link]", "walks y", id="rich"),
        pytest.param("**arms** `swing` # high", "arms swing high", id="markdown"),
        pytest.param("\ud800lone", "lone", id="surrogate"),
        pytest.param("", "", id="empty"),
    ],
)
def test_what_is_left(text: str, expected: str) -> None:
    assert clean_text(text) == expected


@given(st.text())
def test_it_is_plain_and_cleaning_it_again_changes_nothing(text: str) -> None:
    line = clean_text(text)
    assert line == clean_text(line)
    assert line == "" or line.isprintable()
    assert not set(line) & set("<>[]{}\x1b\x9b")


def test_long_text_is_cut() -> None:
    assert clean_text("x" * 500, 20) == "x" * 17 + "..."
    assert len(clean_text("<" * 10**6 + "y" * 10**6)) <= 1 << 16


def test_text_of_many_lines_keeps_them() -> None:
    assert without_controls("a\x1b[31m\n| b\x07 |\u202e\n") == "a\n| b |\n"
