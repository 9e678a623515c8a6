import numpy as np
import pytest
from scored import protocol, selection, table

from gaitbench.errors import IncompleteDataError, ProtocolError
from gaitbench.protocol import Selection, explain, select
from gaitbench.tasks.arrays import table_of_arrays


def test_select_needs_every_given_field() -> None:
    rows = table()
    found = select(rows, Selection(subjects=("011..012",), conditions=("nm-*",), views=("090",)))
    assert rows.sequence_id[found].tolist() == [f"{s}-nm-{t}-090" for s in ("011", "012") for t in ("01", "02", "03")]
    assert select(rows, Selection()).tolist() == list(range(len(rows)))


def test_select_takes_a_list_word_for_word() -> None:
    rows = table()
    assert select(rows, Selection(sequence_ids=("011-nm-01-000",))).tolist() == [0]
    with pytest.raises(IncompleteDataError, match=r"2 of 3 listed sequences are missing \(first: \*, x\)"):
        select(rows, Selection(sequence_ids=("011-nm-01-000", "x", "*")))


def test_select_names_a_pattern_that_matches_nothing() -> None:
    with pytest.raises(ProtocolError, match=r"condition 'nm-09' matches none of the 5 conditions \(bg-01, cl-01"):
        select(table(), selection("nm-01", "nm-09"))
    assert select(table(), selection("nm-09"), allow_unmatched=True).size == 0


def test_divide() -> None:
    rows = table_of_arrays(
        ["001", "001", "011", "011", "012", "012"],
        ["nm-01", "nm-03", "nm-01", "nm-03", "nm-01", "nm-03"],
        ["000", "090"] * 3,
    )
    proto = protocol(gallery=selection("nm-01"), probes={"NM": selection("nm-03")}, num_test_subjects=2)
    division = proto.divide(rows)
    assert division.train.tolist() == [0, 1]
    assert division.gallery.tolist() == [2, 4]
    assert division.probes["NM"].tolist() == [3, 5]
    assert division.test.tolist() == [2, 3, 4, 5]
    assert (division.num_test_subjects, division.is_partial) == (2, False)


def test_missing_subjects_are_named_and_can_be_allowed() -> None:
    rows = table()
    rest = rows.take(~np.isin(rows.subject_id, ["012", "015", "017", "018"]))
    with pytest.raises(IncompleteDataError, match=r"4 of 10 test subjects have no sequence \(first: 012, 015, 017\)"):
        protocol().divide(rest, needs_train=False)
    division = protocol().divide(rest, needs_train=False, allow_partial=True)
    assert division.is_partial
    assert "012, 015, 017" in division.problems[0]


def test_too_many_subjects_are_not_the_protocol_either() -> None:
    with pytest.raises(ProtocolError, match="10 test subjects have sequences, the protocol has 9"):
        protocol(num_test_subjects=9).divide(table(), needs_train=False)


def test_missing_training_subjects() -> None:
    with pytest.raises(ProtocolError, match=r"small, train: subject '001..010' matches none"):
        protocol().divide(table())
    rows = table_of_arrays(["001", *table().subject_id], ["nm-01", *table().condition], ["000", *table().view])
    with pytest.raises(IncompleteDataError, match=r"2 of 3 training subjects have no sequence \(first: 002, 003\)"):
        protocol(train=Selection(subjects=("001..003",)), num_train_subjects=3).divide(rows)


def test_training_and_test_subjects_must_differ() -> None:
    shared = Selection(subjects=("011..012",))
    with pytest.raises(ProtocolError, match=r"2 subjects are in training and test \(first: 011, 012\)"):
        protocol(train=shared).divide(table())
    assert protocol(train=shared, is_closed_set=True).divide(table()).train.size == 40


def test_a_group_without_gallery() -> None:
    rows = table()
    with pytest.raises(ProtocolError, match=r"probe group BG .* none of its subjects is in the gallery"):
        protocol(
            probes={"BG": Selection(subjects=("015..020",), conditions=("bg-01",))},
            gallery=Selection(subjects=("011..014",), conditions=("nm-01",)),
        ).divide(rows, needs_train=False)
    with pytest.raises(ProtocolError, match="in the same view only"):
        protocol().divide(rows.take(rows.view == "090"), needs_train=False)
    with pytest.raises(ProtocolError, match="would find themselves"):
        protocol(probes={"NM": selection("nm-0[23]")}, exclude=()).divide(rows, needs_train=False)


def test_a_group_that_is_missing_as_a_whole() -> None:
    rows = table()
    rest = rows.take(rows.condition != "cl-01")
    with pytest.raises(ProtocolError, match="probe group CL: condition 'cl-01' matches none"):
        protocol().divide(rest, needs_train=False)
    division = protocol(optional_groups=("CL",)).divide(rest, needs_train=False)
    assert (list(division.probes), division.absent_groups, division.is_partial) == (["NM", "BG"], ("CL",), False)
    assert protocol().divide(rest, needs_train=False, allow_partial=True).is_partial
    with pytest.raises(ProtocolError, match="no probe group has a sequence"):
        protocol(optional_groups=("NM", "BG", "CL")).divide(
            rows.take(np.isin(rows.condition, ["nm-01", "nm-02"])), needs_train=False
        )


def test_complements() -> None:
    rows = table()
    listed = Selection(sequence_ids=("011-nm-01-000", "012-bg-01-045"))
    rest = protocol(probes={"all": listed}, gallery=Selection(), complement="gallery", headline="all")
    assert rest.divide(rows, needs_train=False).gallery.size == len(rows) - 2
    one_each = Selection(conditions=("nm-01",), views=("000",))
    asked = protocol(probes={"all": Selection()}, gallery=one_each, complement="probes", headline="all")
    division = asked.divide(rows, needs_train=False)
    assert (division.gallery.size, division.probes["all"].size) == (10, len(rows) - 10)


def test_galleries_of_groups() -> None:
    proto = protocol(galleries={"BG": selection("cl-01")})
    division = proto.divide(table(), needs_train=False)
    assert set(division.table.condition[division.galleries["BG"]]) == {"cl-01"}
    assert set(division.table.condition[division.galleries["NM"]]) == {"nm-01", "nm-02"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"headline": "XX"}, "headline 'XX' is no probe group"),
        ({"mean_groups": ("NM", "XX")}, "mean_groups names XX"),
        ({"optional_groups": ("XX",)}, "optional_groups names XX"),
        ({"galleries": {"XX": Selection()}}, "galleries names XX"),
    ],
)
def test_groups_must_exist(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        protocol(**changes).divide(table(), needs_train=False)


def test_explain_says_every_rule() -> None:
    text = explain(protocol(notes=("Beware.",), optional_groups=("CL",), view_separator="_"))
    for part in (
        "small, version 1: A small protocol",
        "subjects 001..010; subjects: any number",
        "011..020; 10 required",
        "gallery         conditions nm-0[12]",
        "probes CL       conditions cl-01 (a copy of the dataset may lack it)",
        "pairs of one view",
        "a cell per probe view and gallery view",
        "is a miss of rank-k",
        "mean is the plain mean over NM, BG, CL",
        "before the first '_'",
        "source          made up",
        "note            Beware.",
    ):
        assert part in text
