import numpy as np
import pytest

from gaitbench.errors import UsageError
from gaitbench.explaining.choice import choose_rows, rows_of_ids, spread_frames
from gaitbench.sequence import SequenceInfo
from gaitbench.table import SequenceTable

INFOS = [
    SequenceInfo(sequence_id=f"{s}-{c}-{v}", subject_id=s, condition=c, view=v)
    for s in ("001", "002", "003")
    for c in ("nm", "bg", "cl")
    for v in ("000", "090")
]
TABLE = SequenceTable.from_infos(INFOS)


def test_conditions_take_turns_and_people_differ() -> None:
    chosen = [INFOS[i] for i in choose_rows(TABLE, 6)]
    assert [info.condition for info in chosen] == ["bg", "cl", "nm"] * 2
    assert len({info.subject_id for info in chosen[:3]}) == 3
    assert {info.view for info in chosen[:2]} == {"000", "090"}


def test_there_are_no_more_than_there_are() -> None:
    assert sorted(choose_rows(TABLE, 99).tolist()) == list(range(len(INFOS)))
    assert choose_rows(TABLE, 4).tolist() == choose_rows(TABLE, 9).tolist()[:4]


def test_sequences_by_id() -> None:
    assert rows_of_ids(TABLE, ["003-cl-090", "001-nm-000", "003-cl-090"], "the test part").tolist() == [17, 0]
    with pytest.raises(UsageError, match=r"the test part has no sequence '003-cl-09'; did you mean '003-cl-090'\?"):
        rows_of_ids(TABLE, ["001-nm-000", "003-cl-09"], "the test part")
    with pytest.raises(UsageError, match="list of sequences is empty"):
        rows_of_ids(TABLE, [], "the test part")


@pytest.mark.parametrize("num_frames", [1, 2, 7, 8, 9, 300])
def test_frames_are_spread_over_the_whole_sequence(num_frames: int) -> None:
    frames = spread_frames(num_frames, 8)
    assert len(frames) == min(8, num_frames)
    assert (frames[0], frames[-1]) == (0, num_frames - 1)
    if num_frames > 8:
        assert np.ptp(np.diff(frames)) <= 1
    assert spread_frames(num_frames, 1) == (0,)
