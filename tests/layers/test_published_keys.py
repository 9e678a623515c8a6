import pytest

from gaitbench.errors import ModelError
from gaitbench.layers import rename_published


def test_all_unknown_keys_are_listed() -> None:
    with pytest.raises(ModelError, match=r"2 published keys have no place in this model: b\.weight, c\.weight"):
        rename_published(["a.weight", "b.weight", "c.weight"], {r"a\.(.+)": r"a.\1"})


def test_a_pattern_must_fit_the_whole_key() -> None:
    with pytest.raises(ModelError, match=r"a\.weight\.more"):
        rename_published(["a.weight.more"], {r"a\.weight": "a"})


def test_two_keys_must_not_become_one() -> None:
    with pytest.raises(ModelError, match="several published keys would become a"):
        rename_published(["b", "c"], {"b": "a", "c": "a"})


def test_the_first_fitting_pattern_counts_and_numbers_shift() -> None:
    assert rename_published(["layer10.x"], {r"layer(\d+)\.x": r"s.@\1", r"layer.*": "never"}) == {"layer10.x": "s.9"}
