import numpy as np
import pytest

from gaitbench.errors import ProtocolError
from gaitbench.patterns import matcher, matches, words_of


@pytest.mark.parametrize(
    ("pattern", "word", "expected"),
    [
        ("nm-0[12]", "nm-02", True),
        ("nm-0[12]", "nm-03", False),
        ("nm-*", "NM-01", False),
        ("*", "", True),
        ("0001..0060", "0060", True),
        ("0001..0060", "0061", False),
        ("1..60", "007", True),
        ("s01..s09", "s05", True),
        ("s01..s09", "05", False),
        ("s01..s09", "s05x", False),
        ("a.b", "axb", False),
    ],
)
def test_matcher(pattern: str, word: str, expected: bool) -> None:
    assert matcher(pattern)(word) is expected


def test_matches_keeps_the_order_of_words() -> None:
    words = np.array(["b", "a", "b", "c"])
    assert matches(words, ["a", "c"]).tolist() == [False, True, False, True]
    assert matches(words, []).tolist() == [False] * 4
    assert matches(words[:0], ["a"]).tolist() == []


def test_words_of() -> None:
    assert words_of(["008..010", "x*", "y"]) == ["008", "009", "010", "y"]


@pytest.mark.parametrize("pattern", ["5..1", "a1..b2", "1..", "1..2..3", "a..b"])
def test_unreadable_range(pattern: str) -> None:
    with pytest.raises(ProtocolError, match="cannot be read"):
        matcher(pattern)
