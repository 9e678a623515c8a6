import pytest
from scored import SUBJECTS, protocol, table

from gaitbench.division import check_ready, check_ready_to_train, training_part
from gaitbench.errors import IncompleteDataError, ProtocolError
from gaitbench.partition import OfficialList, list_digest
from gaitbench.protocol import Selection, Submission


def test_check_ready_says_what_divide_would_say_first() -> None:
    listed = protocol(lists={"test": OfficialList(num=10, sha256=list_digest(SUBJECTS))})
    with pytest.raises(IncompleteDataError, match="small needs TEST_SET of its official partition file"):
        check_ready(listed)
    assert len(check_ready(listed, allow_partial=True)) == 1
    filled = listed.with_partition({"TEST_SET": SUBJECTS})
    assert check_ready(filled) == ()
    other = listed.with_partition({"TEST_SET": SUBJECTS[1:]})
    with pytest.raises(ProtocolError, match=r"TEST_SET \(9 entries.*not the published list"):
        other.divide(table(), needs_train=False)
    with pytest.raises(ProtocolError, match=r"TEST_SET \(9 entries.*not the published list"):
        check_ready(other)


def test_lists_of_training_subjects_do_not_matter_where_nothing_is_trained() -> None:
    listed = protocol(lists={"train": OfficialList(num=1, sha256=list_digest(["001"]))})
    assert check_ready(listed, needs_train=False) == ()
    with pytest.raises(IncompleteDataError, match="TRAIN_SET"):
        check_ready(listed)


def test_withheld_labels_can_be_looked_up_and_not_scored() -> None:
    withheld = protocol(submission=Submission(header=("videoID", "label")))
    assert check_ready(withheld, needs_matches=False) == ()
    with pytest.raises(ProtocolError, match="labels are withheld"):
        check_ready(withheld, allow_partial=True)
    assert withheld.divide(table(), needs_train=False, needs_matches=False).test.size > 0


def test_the_training_part_does_not_ask_for_a_test() -> None:
    rows = table()
    learnt = {"train": Selection(subjects=("011..013",), conditions=("nm-*",)), "num_train_subjects": 3}
    broken = protocol(**learnt, submission=Submission(header=("videoID", "label")), test_subjects=("901..910",))
    part = training_part(broken, rows)
    assert part.problems == ()
    expected = [
        i
        for i, (subject, condition) in enumerate(zip(rows.subject_id, rows.condition, strict=True))
        if subject in {"011", "012", "013"} and condition.startswith("nm")
    ]
    assert part.rows.tolist() == expected
    with pytest.raises(IncompleteDataError, match="training subjects"):
        training_part(protocol(**learnt | {"num_train_subjects": 4}), rows)
    assert len(training_part(protocol(**learnt | {"num_train_subjects": 4}), rows, allow_partial=True).problems) == 1


def test_nothing_to_train_on_is_an_error_whatever_is_allowed() -> None:
    with pytest.raises(ProtocolError, match="trains on no sequence of this dataset"):
        training_part(protocol(train=Selection(subjects=("9*",))), table(), allow_partial=True)
    listed = protocol(train=Selection(), lists={"train": OfficialList(num=1, sha256=list_digest(["011"]))})
    for allow_partial in (False, True):
        with pytest.raises(IncompleteDataError, match="small needs TRAIN_SET of its official partition file"):
            check_ready_to_train(listed, allow_partial=allow_partial)
    assert check_ready_to_train(listed.with_partition({"TRAIN_SET": ["011"]})) == ()
    other = listed.with_partition({"TRAIN_SET": ["012"]})
    with pytest.raises(ProtocolError, match=r"TRAIN_SET .* is not the published list"):
        training_part(other, table())
    assert len(training_part(other, table(), allow_partial=True).problems) == 1
