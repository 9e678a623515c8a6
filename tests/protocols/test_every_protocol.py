"""What all registered protocols must be: records of themselves, explained, with the official division."""

import json
from collections.abc import Iterable

import pytest

from gaitbench.builtin import PROTOCOLS
from gaitbench.errors import IncompleteDataError, ProtocolError
from gaitbench.info import find
from gaitbench.partition import LIST_KEYS, list_digest
from gaitbench.protocol import Protocol, protocol_text, select
from gaitbench.protocols.ccgr_mini import CCGR_MINI
from gaitbench.registry import build_registry
from gaitbench.tasks.arrays import table_of_arrays

REGISTRY = build_registry([])
ALL = {spec.name: REGISTRY.load(spec) for spec in PROTOCOLS}
EACH = pytest.mark.parametrize("protocol", ALL.values(), ids=ALL)


def padded(numbers: Iterable[int], width: int) -> list[str]:
    return [f"{number:0{width}d}" for number in numbers]


def people(protocol: Protocol, candidates: list[str]) -> tuple[list[str], list[str]]:
    """Who trains and who is tested among candidates."""
    table = table_of_arrays(candidates, ["x"] * len(candidates), ["x"] * len(candidates))
    anything = protocol.train.model_copy(update={"conditions": ()})
    test = anything.model_copy(update={"subjects": protocol.test_subjects})
    chosen = (select(table, selection, allow_unmatched=True) for selection in (anything, test))
    train, tested = (table.subject_id[rows].tolist() for rows in chosen)
    return train, tested


@EACH
def test_spec_agrees_with_its_protocol(protocol: Protocol) -> None:
    (spec,) = [spec for spec in PROTOCOLS if spec.name == protocol.name]
    assert spec.dataset == protocol.dataset
    assert protocol.version == 1


@EACH
def test_record_holds_all_of_it(protocol: Protocol) -> None:
    assert Protocol.model_validate(json.loads(json.dumps(protocol.model_dump(mode="json")))) == protocol


@EACH
def test_info_without_the_dataset(protocol: Protocol) -> None:
    (component,) = find(REGISTRY, protocol.name)
    shown = {detail.label: "\n".join(detail.lines) for detail in component.details}
    assert "no plugin prepares it here" in shown["dataset"]
    for word in ("gallery", "probes", "averaging", "source", "absent probes", "left out", "required"):
        assert word in shown["rules"], word


@EACH
def test_headline_and_groups_exist(protocol: Protocol) -> None:
    groups = {*protocol.probes, "mean"}
    assert protocol.headline in groups
    assert {ours.partition("/")[2] for ours in protocol.evaluator_keys.values()} <= groups
    metrics = {ours.partition("/")[0] for ours in protocol.evaluator_keys.values()}
    reported = {f"rank_{k}" for k in protocol.ranks} | {"mean_ap", "mean_inp"}
    assert metrics <= reported | {f"{metric}_official" for metric in protocol.rounded_metrics}


@pytest.mark.parametrize(
    ("name", "candidates", "train", "test"),
    [
        ("casia-b", padded(range(1, 125), 3), padded(range(1, 75), 3), padded(range(75, 125), 3)),
        ("casia-b-star", padded(range(1, 125), 3), padded(range(1, 75), 3), padded(range(75, 125), 3)),
        (
            "ou-mvlp",
            padded(range(1, 10308), 5),
            padded(range(1, 10306, 2), 5),
            [*padded(range(2, 10307, 2), 5), "10307"],
        ),
        ("ccpg", padded(range(200), 3), padded(range(100), 3), padded(range(100, 200), 3)),
        ("casia-e", padded(range(1, 1015), 3), padded(range(1, 201), 3), padded(range(201, 1015), 3)),
        ("ccgr-mini", [str(i) for i in range(1, 1001)], [str(i) for i in (*range(1, 135), *range(164, 601))], None),
        (
            "grew",
            [f"{i:05d}train" for i in range(1, 20001)] + padded(range(1, 6001), 5) + ["probe"],
            [f"{i:05d}train" for i in range(1, 20001)],
            [*padded(range(1, 6001), 5), "probe"],
        ),
        ("hid", [*padded(range(1005), 4), "probe"], padded(range(500), 4), [*padded(range(500, 1005), 4), "probe"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_division_by_rule(name: str, candidates: list[str], train: list[str], test: list[str] | None) -> None:
    protocol = ALL[name]
    found_train, found_test = people(protocol, candidates)
    assert found_train == train
    assert protocol.num_train_subjects == len(train)
    if test is not None:
        assert found_test == test
        assert protocol.num_test_subjects == len(test)


def test_ccgr_mini_has_400_test_subjects_of_whom_one_is_in_no_copy() -> None:
    _, test = people(CCGR_MINI, [str(i) for i in range(1, 1001)])
    assert test == [str(i) for i in range(601, 1001)]
    assert CCGR_MINI.num_test_subjects is None


def test_sustech1k_has_the_published_division() -> None:
    unused = {352, 1047, 1048, *range(1050, 1055)}
    train, test = people(ALL["sustech1k"], padded(sorted(set(range(1058)) - unused), 4))
    assert (len(train), len(test)) == (250, 800)
    assert list_digest(train) == "300dd428442e2c7ec906e558a5678b562be933db19df5249cf91a0de9a43826c"
    assert list_digest(test) == "d14feea37218b31dde8d1f6630547e8c6da4f64d6ff105727598a87cfe0f7e7e"


def test_the_official_file_of_ccgr_mini_agrees_with_its_rule() -> None:
    lists = {
        "TRAIN_SET": [str(i) for i in (*range(1, 135), *range(164, 601))],
        "TEST_SET": [str(i) for i in range(601, 1001)],
        "GALLERY_SET": ["601-NM1-over.avi"],
    }
    filled = CCGR_MINI.with_partition(lists)
    assert list(filled.given) == ["gallery"]
    (problem,) = filled.list_problems()
    assert "GALLERY_SET (1 entries" in problem
    assert "the published list (795 entries, sha256 d57b74fcd9bbc891...)" in problem
    others = {"TEST_SET": lists["TEST_SET"][1:], "GALLERY_SET": ["602-NM1-over.avi"]}
    edited = CCGR_MINI.with_partition(lists | others)
    assert "TEST_SET (399 entries) is not the published division" in edited.list_problems()[0]


def test_mmgait_takes_its_people_from_the_partition() -> None:
    assert {role: known.num for role, known in ALL["mmgait"].lists.items()} == {"train": 200, "test": 525}
    table = table_of_arrays(["0001"] * 4, ["NM-01", "NM-02", "BG-01", "CL-01"], ["a"] * 4)
    with pytest.raises(IncompleteDataError, match="mmgait needs TRAIN_SET and TEST_SET of its official partition file"):
        ALL["mmgait"].divide(table)


@pytest.mark.parametrize("name", ["mmgait-v1", "mmgait-v2"])
def test_of_the_extended_mmgait_only_the_numbers_of_people_are_known(name: str) -> None:
    everybody = padded(range(1, 1016), 4)
    columns = zip(
        *((s, c, v) for s in everybody for c in ("NM-01", "NM-02", "BG-01", "CL-01") for v in "ab"), strict=True
    )
    table = table_of_arrays(*columns)
    with pytest.raises(IncompleteDataError, match=f"{name} needs TRAIN_SET and TEST_SET of its official partition"):
        ALL[name].divide(table)
    assert "the 300 subjects of TRAIN_SET in the partition file, to be handed in; which ones" in protocol_text(
        ALL[name]
    )
    filled = ALL[name].with_partition({"TRAIN_SET": everybody[:300], "TEST_SET": everybody[300:]})
    assert filled.list_problems() == ()
    division = filled.divide(table)
    assert (len(division.train), division.num_test_subjects) == (300 * 8, 715)
    assert len(division.searched) == 715 * (8 if name == "mmgait-v2" else 4)
    other = ALL[name].with_partition({"TRAIN_SET": everybody[:301], "TEST_SET": everybody[301:]})
    first, _ = other.list_problems()
    assert "is not the published list (300 entries, of which no more is known)" in first
    assert ALL[name].population(table) == (f"1015 subjects, not the 715 test subjects of {name}",)


@pytest.mark.parametrize("name", ["gait3d", "gait3d-parsing", "freegait", "freegait-listed-gallery", "ccgr-mini"])
def test_protocols_of_lists_wait_for_them(name: str) -> None:
    table = table_of_arrays(["0001"] * 2, ["a", "b"], ["x", "y"])
    key = LIST_KEYS["gallery" if name == "ccgr-mini" else "probes"]
    with pytest.raises(ProtocolError, match=rf"{name} needs .*{key}.* partition file"):
        ALL[name].for_embeddings().divide(table, needs_train=False, allow_partial=True)
    assert f"{key} in the partition file" in protocol_text(ALL[name])


def test_names() -> None:
    expected = ["casia-b", "casia-b-cross-view", "casia-b-star", "casia-e", "ccgr-easy", "ccgr-hard", "ccgr-mini"]
    expected += [
        "ccpg",
        "ccpg-reid",
        "ccpg-with-identical-views",
        "freegait",
        "freegait-listed-gallery",
        "gait3d",
        "gait3d-parsing",
        "grew",
    ]
    expected += [
        "grew-validation",
        "hid",
        "hid-2023",
        "mmgait",
        "mmgait-v1",
        "mmgait-v2",
        "ou-mvlp",
        "ou-mvlp-cross-view",
        "ou-mvlp-present",
    ]
    expected += ["sustech1k", "sustech1k-with-identical-views"]
    assert sorted(ALL) == expected


def test_the_averages_of_ccpg_are_told_apart() -> None:
    three = [ALL[name] for name in ("ccpg", "ccpg-with-identical-views", "ccpg-reid")]
    assert len({protocol.title for protocol in three}) == 3
    assert len({key for protocol in three for key in protocol.evaluator_keys}) == 4 + 4 + 12
    assert [(protocol.averaging, protocol.exclude, protocol.absent_probes) for protocol in three] == [
        ("view_pairs", ("identical_view",), "miss"),
        ("view_pairs", (), "miss"),
        ("probes", ("same_subject_and_view",), "skip"),
    ]
