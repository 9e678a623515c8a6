import json

import numpy as np
import pytest
from places import REPOSITORY
from pydantic import ValidationError
from scored import protocol, selection, table

from gaitbench.errors import IncompleteDataError, ProtocolError
from gaitbench.partition import GivenList, ListRole, OfficialList
from gaitbench.protocol import Protocol, Reranking, Selection, Submission, protocol_text, select
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
    with pytest.raises(ProtocolError, match=r"small, training subjects: subject '001..010' matches none"):
        protocol().divide(table())
    rows = table_of_arrays(["001", *table().subject_id], ["nm-01", *table().condition], ["000", *table().view])
    with pytest.raises(IncompleteDataError, match=r"2 of 3 training subjects have no sequence \(first: 002, 003\)"):
        protocol(train=Selection(subjects=("001..003",)), num_train_subjects=3).divide(rows)


def test_how_many_are_missing_is_said_before_which_pattern_has_nobody() -> None:
    half = table().take(table().subject_id < "016")
    patterns = ("01[0-5]", "01[6-9]", "020")
    with pytest.raises(IncompleteDataError, match=r"5 of 10 test subjects have no sequence.*--allow-partial"):
        protocol(test_subjects=patterns).divide(half, needs_train=False)


def test_without_the_lists_that_divide_people_the_lists_are_asked_for() -> None:
    lists: dict[ListRole, OfficialList] = {role: OfficialList(num=1, sha256="0") for role in ("train", "test")}
    waiting = protocol(train=Selection(), lists=lists)
    with pytest.raises(ProtocolError, match="small needs TRAIN_SET and TEST_SET of its official partition file"):
        waiting.divide(table(), allow_partial=True)


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


def test_protocol_text_says_every_rule() -> None:
    text = protocol_text(protocol(notes=("Beware.",), optional_groups=("CL",), view_separator="_"))
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


def test_records_from_before_keep_their_protocol() -> None:
    paths = sorted((REPOSITORY / "leaderboards").glob("**/record.json"))
    assert paths
    for path in paths:
        recorded = json.loads(path.read_text())["data"]["protocol"]
        assert Protocol.model_validate(recorded).model_dump(mode="json") == recorded, path


def test_later_fields_are_recorded_where_they_say_something() -> None:
    changes: dict[str, object] = {
        "averaging": "probes",
        "exclude": (),
        "ranks": (1, 20),
        "rounded": ("rank_20",),
        "left_out_views": ("180",),
        "is_grid_complete": True,
        "evaluator_keys": {"R20": "rank_20_official/NM"},
        "reranking": Reranking(k1=3),
        "submission": Submission(header=("id", "label")),
        "lists": {"test": OfficialList(num=10, sha256="0" * 64)},
        "given": {"test": GivenList(num=9, sha256="1" * 64)},
        "probes": {"NM": Selection(keys=("011-nm-03-000",))},
        "headline": "NM",
    }
    proto = protocol(**changes)
    dumped = proto.model_dump(mode="json")
    assert {"rounded", "left_out_views", "is_grid_complete", "reranking", "submission", "lists", "given"} <= set(dumped)
    assert dumped["probes"]["NM"]["keys"] == ["011-nm-03-000"]
    assert dumped["submission"] == {"header": ["id", "label"], "num_ranks": 1, "labels": "words"}
    assert Protocol.model_validate_json(proto.model_dump_json()) == proto
    assert "keys" not in protocol().model_dump(mode="json")["gallery"]


def test_views_that_are_left_out() -> None:
    division = protocol(left_out_views=("180", "not there")).divide(table(), needs_train=False)
    assert set(table().view[division.test]) == {"000", "045", "090"}


def test_a_grid_with_holes() -> None:
    rows = table()
    rest = rows.take(~((rows.condition == "bg-01") & np.isin(rows.view, ["045", "180"])))
    whole = protocol(is_grid_complete=True)
    assert whole.divide(rows, needs_train=False).problems == ()
    with pytest.raises(IncompleteDataError, match=r"group BG has no probe in 2 of 4 views \(first: 045, 180\)"):
        whole.divide(rest, needs_train=False)
    assert len(whole.divide(rest, needs_train=False, allow_partial=True).problems) == 1
    assert protocol().divide(rest, needs_train=False).problems == ()
    pooled = protocol(is_grid_complete=True, averaging="probe_views", exclude=("same_subject_and_view",))
    without_gallery = rows.take(~(np.isin(rows.condition, ["nm-01", "nm-02"]) & (rows.view == "045")))
    assert pooled.divide(without_gallery, needs_train=False).problems == ()
    with pytest.raises(IncompleteDataError, match="no gallery sequence in 1 of 4 views"):
        whole.divide(without_gallery, needs_train=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rounded": ("rank_7",)}, "rounded names rank_7, which is not reported"),
        ({"reranking": Reranking()}, "re-ranking is defined for sequences and a pooled gallery"),
        ({"reranking": Reranking(), "averaging": "probes", "unit": "set"}, "this protocol has sets"),
        ({"evaluator_keys": {"R1": "rank_1"}}, "must read metric/group, got 'rank_1'"),
    ],
)
def test_fields_that_contradict_each_other(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        protocol(**changes)


def test_reranked() -> None:
    pooled = protocol(averaging="probes", exclude=())
    assert pooled.reranked().reranking == Reranking(k1=6, k2=6, weight=0.3)
    assert pooled.model_copy(update={"reranking": Reranking(k1=20)}).reranked().reranking == Reranking(k1=20)
    with pytest.raises(ProtocolError, match="re-ranking is defined for sequences and a pooled gallery"):
        protocol().reranked()


def test_nobody_scores_what_only_the_server_can() -> None:
    hidden = protocol(submission=Submission(header=("id", "label")))
    with pytest.raises(ProtocolError, match="labels are withheld"):
        hidden.divide(table(), needs_train=False)
    assert hidden.divide(table(), needs_train=False, needs_matches=False).probes["NM"].size == 40


def test_words_and_patterns_select_alike() -> None:
    rows = table()
    words = tuple(np.unique(rows.subject_id).tolist())
    by_words, by_pattern = (select(rows, Selection(subjects=subjects)) for subjects in (words, ("*",)))
    assert by_words.tolist() == by_pattern.tolist()
    with pytest.raises(ProtocolError, match="subject '999' matches none"):
        select(rows, Selection(subjects=("011", "999")))


def test_protocol_text_says_the_later_rules() -> None:
    text = protocol_text(
        protocol(
            averaging="probes",
            exclude=(),
            ranks=(1, 20),
            rounded=("rank_20",),
            left_out_views=("180",),
            is_grid_complete=True,
            evaluator_keys={f"R{i}": "rank_1/NM" for i in range(20)},
            reranking=Reranking(k1=3),
            submission=Submission(header=("id", "label"), labels="integers"),
            lists={"probes": OfficialList(num=7, sha256="ab" * 32)},
            galleries={name: selection("nm-01") for name in ("NM", "BG", "CL")},
        )
    )
    for part in (
        "gallery of BG   conditions nm-01",
        "probes NM       the 7 sequences of PROBE_SET in the partition file, to be handed in (sha256 abababababababab",
        "ranks           1, 20",
        "rounding        to two decimals of a percent: rank_20_official",
        "empty cells     every view must occur",
        "views left out  180",
        "re-ranking      k-reciprocal, k1 3, k2 6, original distance 0.3",
        "submission      probe labels are withheld; per probe the integer labels of its 1 nearest gallery sequences",
        "official name   R0 is rank_1/NM",
        "official name   and 8 more, up to R19 is rank_1/NM",
    ):
        assert part in text
    assert "gallery         " not in text  # no group searches it
    assert "and 20 more" in protocol_text(protocol(test_subjects=tuple(f"{i:03d}" for i in range(26))))
