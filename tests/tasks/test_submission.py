"""Submission files, worked by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gaitbench.errors import IncompleteDataError, ModelError, ProtocolError
from gaitbench.metrics import k_reciprocal
from gaitbench.protocol import Submission
from gaitbench.protocols.casia_b import CASIA_B
from gaitbench.protocols.grew import GREW
from gaitbench.protocols.hid import HID, HID_2023
from gaitbench.tasks import evaluate_arrays, write_submission
from gaitbench.tasks.submission import submission_rows

GREW_WALKS = [
    # position, subject, condition, view
    (0.0, "00001", "01", "aaaaaaaa"),
    (1.0, "00001", "02", "bbbbbbbb"),
    (5.0, "00020", "01", "cccccccc"),
    (6.0, "00020", "02", "dddddddd"),
    (100.0, "00300", "01", "eeeeeeee"),
    (5.4, "probe", "03", "zzzzzzzz"),
    (0.4, "probe", "03", "yyyyyyyy"),
]
SMALL_GREW = GREW.model_copy(
    update={"submission": Submission(header=("videoId", "rank1", "rank2", "rank3"), num_ranks=3, labels="integers")}
)


def arrays(walks: list[tuple[float, str, str, str]]) -> tuple[np.ndarray, list[str], list[str], list[str]]:
    position, subjects, conditions, views = zip(*walks, strict=True)
    return np.array(position).reshape(-1, 1, 1), list(subjects), list(conditions), list(views)


def test_grew_by_hand(tmp_path: Path) -> None:
    path = write_submission(tmp_path / "grew.csv", *arrays(GREW_WALKS), SMALL_GREW, allow_partial=True)
    assert path.read_bytes() == b"videoId,rank1,rank2,rank3\nyyyyyyyy,1,1,20\nzzzzzzzz,20,20,1\n"


def test_order_of_arrays_does_not_matter() -> None:
    walks = [*GREW_WALKS, (3.0, "00007", "01", "x"), (3.0, "00006", "01", "x"), (3.0, "probe", "03", "tie")]
    rows = submission_rows(*arrays(walks), SMALL_GREW, allow_partial=True)
    assert rows == submission_rows(*arrays(walks[::-1]), SMALL_GREW, allow_partial=True)
    assert rows[1] == ("tie", "6", "7", "1")


def test_grew_asks_for_twenty_of_everybody(tmp_path: Path) -> None:
    walks = arrays(GREW_WALKS)
    with pytest.raises(IncompleteDataError, match="5997 of 6001 test subjects"):
        write_submission(tmp_path / "x.csv", *walks, GREW)
    with pytest.raises(ProtocolError, match="20 ranks per probe need as many gallery sequences, got 5"):
        write_submission(tmp_path / "x.csv", *walks, GREW, allow_partial=True)
    assert not list(tmp_path.iterdir())
    rng = np.random.default_rng(0)
    many = [(float(x), f"{i % 12 + 1:05d}", f"0{i // 12 + 1}", f"s{i}") for i, x in enumerate(rng.random(24))]
    header, row = submission_rows(*arrays([*many, (0.5, "probe", "03", "q")]), GREW, allow_partial=True)
    assert header == ("videoId", *(f"rank{k}" for k in range(1, 21)))
    expected = [int(w[1]) for w in sorted(many, key=lambda w: abs(w[0] - 0.5))[:20]]
    assert row == ("q", *map(str, expected))


def test_anybody_may_be_gallery_for_embeddings() -> None:
    walks = [(0.0, "person a", "00", "a"), (5.0, "b", "01", "b"), (4.0, "probe", "x", "v2"), (1.0, "probe", "y", "v1")]
    rows = submission_rows(*arrays(walks), HID.for_embeddings())
    assert rows == [("videoID", "label"), ("v1", "person a"), ("v2", "b")]
    strangers = [(x, subject.replace("00001", "70001"), *rest) for x, subject, *rest in GREW_WALKS]
    rows = submission_rows(*arrays(strangers), SMALL_GREW.for_embeddings())
    assert rows[1:] == [("yyyyyyyy", "70001", "70001", "20"), ("zzzzzzzz", "20", "20", "70001")]


def test_hid_by_hand() -> None:
    walks = [(0.0, "00000", "00", "a"), (5.0, "00858", "00", "b"), (4.0, "probe", "x", "v2"), (1.0, "probe", "y", "v1")]
    rows = submission_rows(*arrays(walks), HID_2023, allow_partial=True)
    assert rows == [("videoID", "label"), ("v1", "00000"), ("v2", "00858")]


def test_reranking_changes_answers() -> None:
    rng = np.random.default_rng(1)
    walks = [(float(x), f"{500 + i // 3:04d}", "00", f"g{i}") for i, x in enumerate(rng.normal(size=30))]
    walks += [(float(x), "probe", "00", f"{i:02d}") for i, x in enumerate(rng.normal(size=12))]
    position = torch.tensor([walk[0] for walk in [*walks[30:], *walks[:30]]])
    distance = k_reciprocal((position[:, None] - position).abs(), 12)
    expected = [(f"{i:02d}", walks[int(at)][1]) for i, at in enumerate(distance.argmin(dim=1))]
    ranked = submission_rows(*arrays(walks), HID.reranked(), allow_partial=True)
    assert ranked[1:] == expected
    assert ranked != submission_rows(*arrays(walks), HID, allow_partial=True)


def test_labels_stay_with_the_server() -> None:
    with pytest.raises(ProtocolError, match="probes' labels are withheld"):
        evaluate_arrays(*arrays(GREW_WALKS), SMALL_GREW)
    with pytest.raises(ProtocolError, match="casia-b has its labels, so score it"):
        submission_rows(*arrays(GREW_WALKS), CASIA_B)


@pytest.mark.parametrize(
    ("walk", "error", "message"),
    [
        ((9.0, "probe", "03", "yyyyyyyy"), ProtocolError, "two probes have the name yyyyyyyy"),
        ((np.nan, "probe", "03", "q"), ModelError, "NaN or infinity"),
    ],
)
def test_what_is_refused(walk: tuple[float, str, str, str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        submission_rows(*arrays([*GREW_WALKS, walk]), SMALL_GREW, allow_partial=True)


def test_labels_that_are_no_integers() -> None:
    anybody = SMALL_GREW.for_embeddings()
    with pytest.raises(ProtocolError, match="the server wants integers, and subject 'x1' is none"):
        submission_rows(*arrays([*GREW_WALKS, (1.0, "x1", "01", "q")]), anybody)
