from pathlib import Path

import pytest

from gaitbench.cells.scored_on import ScoredOn, scored_on
from gaitbench.commands.run import _are_plain, _of_each, _options_of_each
from gaitbench.errors import UsageError


def test_nothing_asked_is_nothing() -> None:
    assert scored_on() == ()
    assert scored_on([]) == ()
    assert scored_on(None, None, {}, None, None) == ()


def test_what_is_said_of_the_only_one() -> None:
    lists = {"TEST_SET": ["002", "001"]}
    (test,) = scored_on("ccpg", "/data", {"layout": "pickles"}, "ccpg-reid", lists)
    assert test.model_dump(mode="json") == {
        "dataset": "ccpg",
        "data": "/data",
        "options": {"layout": "pickles"},
        "protocol": "ccpg-reid",
        "partition": {"TEST_SET": ["002", "001"]},
    }
    assert scored_on(["ccpg"], {"ccpg": "/data"}, {"ccpg": {"layout": "pickles"}}) == (
        ScoredOn(dataset="ccpg", data="/data", options={"layout": "pickles"}),
    )


def test_what_is_said_of_several() -> None:
    found = scored_on(["a", "b", ScoredOn(dataset="a", options={"seed": 1})], {"b": "/data"}, {"a": {"seed": 2}})
    assert [(test.dataset, str(test.data), test.options) for test in found] == [
        ("a", "None", {"seed": 2}),
        ("b", "/data", {}),
        ("a", "None", {"seed": 1}),
    ]


def test_folders_in_the_order_of_the_names() -> None:
    assert [str(test.data) for test in scored_on(["a", "b"], ["/x", "/y"])] == ["/x", "/y"]
    assert _are_plain(["/x", "/y"], ["a", "b"])
    assert not _are_plain(["/x"], ["a"])
    assert not _are_plain(["/x", "a=/y"], ["a", "b"])
    assert not _are_plain(None, [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a", "b"], ["/data"]), "1 folders of test data for 2 test datasets"),
        ((["a", "a"], ["/data", "/other"]), "give each its own, by its name"),
        ((["a", "b"], "/data"), r"test data '/data' is of no single test dataset \(there are: a, b\)"),
        ((["a", "b"], None, {"seed": 1}), "test options of 'seed', which is no test dataset; there are: a, b"),
        ((None, None, {"seed": 1}), "test options of 'seed', which is no test dataset; there are: none"),
        ((["a", "b"], None, None, "p"), "a test protocol 'p' is of no single test dataset"),
        ((["a"], {"b": "/data"}, None, {"b": "p"}), "of 'b'"),
        (([ScoredOn(dataset="a")], "/data"), "is of no single test dataset"),
        ((None, "/nowhere"), "/nowhere is no prepared dataset, so say which one it is"),
    ],
)
def test_what_is_said_of_nobody(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        scored_on(*arguments)  # type: ignore[arg-type]


def test_on_the_command_line() -> None:
    assert _of_each("--test-data", None, ["a"]) is None
    assert _of_each("--test-data", ["/x=y"], ["a"]) == "/x=y"
    assert _of_each("--test-data", ["/x"], []) == "/x"
    assert _of_each("--test-data", ["b=/x=y", "hf:ORG/N=/z"], ["a", "b", "hf:ORG/N"]) == {"b": "/x=y", "hf:ORG/N": "/z"}
    assert _of_each("--test-data", ["b=~/x", "a=./~"], ["a", "b"]) == {"b": str(Path.home() / "x"), "a": "./~"}
    assert _options_of_each(["seed=7", 'w=["a.b"]'], ["a"]) == {"a": {"seed": 7, "w": ["a.b"]}}
    assert _options_of_each(["a.seed=7", "b.seed=8", "a.x=y"], ["a", "b"]) == {
        "a": {"seed": 7, "x": "y"},
        "b": {"seed": 8},
    }
    assert _options_of_each(None, []) is None
    with pytest.raises(UsageError, match=r"--test-option 'seed=7' .* NAME being one of a, b\."):
        _options_of_each(["seed=7"], ["a", "b"])
    with pytest.raises(UsageError, match="those that --test-dataset names"):
        _options_of_each(["seed=7"], [])
    with pytest.raises(UsageError, match="--test-data '/x' is of no single test dataset"):
        _of_each("--test-data", ["/x"], ["a", "b"])
    with pytest.raises(UsageError, match="seed is given twice"):
        _options_of_each(["seed=7", "seed=8"], ["a"])
