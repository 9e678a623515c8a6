import json
from pathlib import Path

import pytest
from scored import SUBJECTS, protocol, selection, table

from gaitbench.errors import DatasetError, IncompleteDataError, ProtocolError
from gaitbench.partition import OfficialList, check_lists, list_digest, read_partition
from gaitbench.protocol import Protocol, Selection, protocol_text
from gaitbench.tasks.arrays import table_of_arrays

LISTED = ["011-nm-01-000", "012-bg-01-045"]


def listed(**changes: object) -> Protocol:
    """A protocol whose probes and test subjects are published as lists."""
    return protocol(
        test_subjects=("*",),
        gallery=Selection(),
        probes={"all": Selection()},
        complement="gallery",
        exclude=(),
        headline="all",
        averaging="probes",
        lists={
            "test": OfficialList(num=10, sha256=list_digest(SUBJECTS)),
            "probes": OfficialList(num=2, sha256=list_digest(LISTED)),
        },
        **changes,
    )


def test_digest_by_hand() -> None:
    # printf 'a\nb' | sha256sum
    assert list_digest(["b", "a"]) == "7e18f737311b2dc3b2f269dd78396b0351f14fb66efa879f768cb23181883c78"


def test_lists_fill_the_protocol(tmp_path: Path) -> None:
    path = tmp_path / "small.json"
    path.write_text(json.dumps({"TRAIN_SET": ["001"], "TEST_SET": SUBJECTS, "PROBE_SET": LISTED, "note": 3}))
    division = listed().with_partition(path).divide(table(), needs_train=False)
    assert division.table.sequence_id[division.probes["all"]].tolist() == LISTED
    assert division.gallery.size == len(table()) - 2
    assert not division.is_partial


def test_keys_may_be_lower_case() -> None:
    assert read_partition({"probe_set": ["a"], "expected": {}}) == {"probes": ("a",)}


def test_other_lists_are_used_and_reported() -> None:
    filled = listed().with_partition({"TEST_SET": SUBJECTS, "PROBE_SET": LISTED[:1]})
    message = r"PROBE_SET \(1 entries, sha256 .*\) is not the published list \(2 entries"
    with pytest.raises(ProtocolError, match=message):
        filled.divide(table(), needs_train=False)
    division = filled.divide(table(), needs_train=False, allow_partial=True)
    assert division.is_partial
    assert division.probes["all"].size == 1
    assert "deviation       small: PROBE_SET" in protocol_text(filled)
    assert Protocol.model_validate(filled.model_dump(mode="json")) == filled


def test_test_subjects_that_are_missing_stop_a_run() -> None:
    filled = listed().with_partition({"PROBE_SET": LISTED})
    with pytest.raises(IncompleteDataError, match="needs TEST_SET of its official partition file"):
        filled.divide(table(), needs_train=False)
    assert filled.for_embeddings().divide(table(), needs_train=False).probes["all"].size == 2


def test_the_list_that_matters_must_be_there() -> None:
    with pytest.raises(ProtocolError, match="small needs PROBE_SET, and the partition has only TEST_SET"):
        listed().with_partition({"TEST_SET": SUBJECTS})


def test_people_outside_the_test_set_are_left_out() -> None:
    filled = listed().with_partition({"TEST_SET": SUBJECTS[:5], "PROBE_SET": LISTED}).for_embeddings()
    division = filled.divide(table(), needs_train=False, allow_partial=True)
    assert set(table().subject_id[division.test]) == set(SUBJECTS[:5])
    assert len(division.problems) == 1
    whole = listed().with_partition({"TEST_SET": SUBJECTS, "PROBE_SET": LISTED}).for_embeddings()
    assert whole.divide(table(), needs_train=False).problems == ()


def test_a_list_that_agrees_with_the_rule_changes_nothing() -> None:
    ruled = protocol(num_train_subjects=10)
    train = [f"{i:03d}" for i in range(1, 11)]
    assert ruled.with_partition({"TRAIN_SET": train, "TEST_SET": SUBJECTS, "PROBE_SET": ["not asked for"]}) == ruled
    edited = ruled.with_partition({"TRAIN_SET": train, "TEST_SET": SUBJECTS[1:]})
    assert edited.test_subjects == tuple(SUBJECTS[1:])
    assert edited.list_problems() == ("small: TEST_SET (9 entries) is not the published division",)


def test_a_key_means_every_sequence_of_it() -> None:
    rows = table_of_arrays(["a", "a", "a"], ["x", "x", "y"], ["0", "0", "0"])
    proto = protocol(
        test_subjects=("*",),
        num_test_subjects=None,
        gallery=Selection(),
        complement="gallery",
        exclude=(),
        probes={"all": Selection(keys=("a-x-0",))},
        headline="all",
        averaging="probes",
    )
    division = proto.divide(rows, needs_train=False)
    assert rows.sequence_id[division.probes["all"]].tolist() == ["a-x-0", "a-x-0#2"]
    assert rows.sequence_id[division.gallery].tolist() == ["a-y-0"]


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"train": ["a", "b"], "test": ["b", "c"]}, r"1 subjects are in TRAIN_SET and in TEST_SET \(first: b\)"),
        ({"probes": ["a-x-0"], "gallery": ["a-x-0"]}, "1 sequences are in PROBE_SET and in GALLERY_SET"),
        ({"test": ["a-b"], "probes": ["a-b-x-0", "a-x-0"]}, r"1 of 2 sequences in PROBE_SET are of no .*first: a-x-0"),
        ({"train": ["001..010"]}, "TRAIN_SET must name subjects one by one"),
        ({"test": ["00?"]}, "TEST_SET must name subjects one by one"),
    ],
)
def test_lists_that_contradict_each_other(lists: dict, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        check_lists(lists)


def test_a_closed_set_trains_on_whom_it_tests() -> None:
    check_lists({"train": ["a"], "test": ["a"]}, is_closed_set=True)


def test_lists_that_a_protocol_does_not_read_are_not_looked_at() -> None:
    lists = {"TEST_SET": SUBJECTS, "PROBE_SET": LISTED, "GALLERY_SET": LISTED}
    assert listed().with_partition(lists).given.keys() == {"test", "probes"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as a partition file"),
        ("[1]", "must be a JSON object"),
        ('{"a": []}', "has none of TRAIN_SET, TEST_SET, PROBE_SET, GALLERY_SET; it has a"),
        ('{"TEST_SET": [1, 2]}', "TEST_SET must be a list of words"),
        ('{"TEST_SET": "001"}', "TEST_SET must be a list of words"),
        ('{"TEST_SET": ["b", "a", "b"]}', "TEST_SET names b twice"),
    ],
)
def test_files_that_are_no_partition(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(DatasetError, match=message):
        read_partition(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none\.json cannot be read as a partition file"):
        read_partition(tmp_path / "none.json")


def test_population() -> None:
    rows = table()
    assert protocol().population(rows) == ()
    few = rows.take(rows.subject_id < "015")
    assert protocol().population(few) == ("4 of the 10 test subjects of small",)
    others = protocol(test_subjects=("011..018", "050", "051"))
    assert others.population(rows) == (
        "8 of the 10 test subjects of small",
        "2 subjects are no test subject of small (first: 019, 020)",
    )
    assert protocol(test_subjects=("011..019",), num_test_subjects=9).population(rows) == (
        "1 subject is no test subject of small (first: 020)",
    )
    assert listed().population(rows) == ()
    assert listed().population(few) == ("4 subjects, not the 10 test subjects of small",)


def test_for_embeddings_takes_everybody() -> None:
    proto = protocol(test_subjects=("050..060",))
    division = proto.for_embeddings().divide(table(), needs_train=False)
    assert division.num_test_subjects == 10
    assert proto.for_embeddings().probes == proto.probes
    assert selection("nm-0[12]") == proto.for_embeddings().gallery


@pytest.mark.parametrize("key", ["TEST_SET", "PROBE_SET", "TRAIN_SET"])
def test_an_empty_list_is_not_everybody(key: str) -> None:
    lists: dict[str, list[str]] = {"TEST_SET": SUBJECTS, "PROBE_SET": LISTED, key: []}
    with pytest.raises(DatasetError, match=f"{key} of the partition names nobody"):
        listed().with_partition(lists)
    assert listed().with_partition({"TEST_SET": SUBJECTS, "PROBE_SET": LISTED, "GALLERY_SET": []}).given


def test_half_a_letter_is_no_name(tmp_path: Path) -> None:
    path = tmp_path / "half.json"
    path.write_text(r'{"TEST_SET": ["011", "\ud800"]}')
    with pytest.raises(DatasetError, match=r"half\.json: TEST_SET names '.ud800', which is no text"):
        read_partition(path)
