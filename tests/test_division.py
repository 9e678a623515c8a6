import pytest
from scored import SUBJECTS, protocol, table

from gaitbench.division import check_ready
from gaitbench.errors import IncompleteDataError, ProtocolError
from gaitbench.partition import OfficialList, list_digest
from gaitbench.protocol import Submission


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
