import numpy as np
import pytest
from scored import table

from gaitbench.errors import IncompleteDataError, ProtocolError
from gaitbench.selection import Selection, select, unmatched


def test_every_field_must_match() -> None:
    rows = table()
    chosen = select(rows, Selection(subjects=("011..013",), conditions=("nm-*",), views=("000", "180")))
    assert set(rows.subject_id[chosen]) == {"011", "012", "013"}
    assert len(chosen) == 3 * 3 * 2
    assert np.array_equal(select(rows, Selection()), np.arange(len(rows)))


def test_keys_and_ids_name_sequences() -> None:
    rows = table()
    key = "011-nm-01-000"
    for selection in (Selection(keys=(key,)), Selection(sequence_ids=(key,))):
        assert rows.sequence_id[select(rows, selection)].tolist() == [key]


def test_missing_listed_subjects_are_one_complaint() -> None:
    listed = Selection(subjects=("011", "908", "909", "910", "911"))
    (problem,) = unmatched(table(), listed, "here")
    assert isinstance(problem, IncompleteDataError)
    assert "here: 4 of 5 listed subjects have no sequence (first: 908, 909, 910)" in str(problem)
    with pytest.raises(IncompleteDataError):
        select(table(), listed)
    assert len(select(table(), listed, allow_unmatched=True)) == 20


def test_a_pattern_without_a_row_is_named() -> None:
    with pytest.raises(ProtocolError, match=r"condition 'xx-\*' matches none of the 5 conditions"):
        select(table(), Selection(conditions=("xx-*",)))
    with pytest.raises(ProtocolError, match="subject '999' matches none"):
        select(table(), Selection(subjects=("011", "999")))
