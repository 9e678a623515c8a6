import pytest

from gaitbench.errors import ModelError
from gaitbench.layers import rename_published
from gaitbench.layers.published_keys import published_name


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


PATTERNS = {
    r"layer(\d)\.(?:block\.)?(\d+)\.conv(\d)(?:\.wrap\.0)?\.weight": r"stages.@\1.\2.conv\3.weight",
    r"layer(\d)\.(?:block\.)?(\d+)\.bn(?P<rest>.+)": r"stages.@\1.\2.norm\g<rest>",
    r"GL[AB](\d)\.(?:x|y)\.p": r"gl.\1",
}


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("layer2.0.conv1.weight", ["layer2.0.bn1.weight"]),
        ("layer2.block.0.conv1.weight", ["layer2.block.0.bn1.weight", "layer3.0.bn1.weight"]),
        ("layer2.0.conv1.wrap.0.weight", ["layer2.0.conv1.wrap.1.bias"]),
        ("layer10.block.3.bn2.running_mean", ["layer10.block.3.bn2.weight"]),
        ("GLB2.y.p", ["GLB2.y.q", "GLA1.x.p"]),
    ],
)
def test_a_missing_key_is_named_like_those_beside_it(key: str, known: list[str]) -> None:
    patterns = PATTERNS if "10" not in key else {name.replace(r"(\d)", r"(\d+)"): new for name, new in PATTERNS.items()}
    (ours,) = rename_published([key], patterns).values()
    assert published_name(ours, patterns, known) == key


def test_a_name_that_no_pattern_gives_stays() -> None:
    assert published_name("elsewhere.weight", PATTERNS, ["layer2.0.bn1.weight"]) == "elsewhere.weight"
    assert published_name("a.b", {r"(?=a)a\.b": "a.b"}, []) == "a.b"
