"""Who trains and who is asked about in data that nobody divided."""

import numpy as np
import pytest

from gaitbench.errors import ProtocolError
from gaitbench.folder.options import FolderOptions
from gaitbench.folder.protocol import FOLDER, folder_protocol
from gaitbench.protocol import Protocol, protocol_text
from gaitbench.sequence import SequenceInfo
from gaitbench.table import SequenceTable


def table(subjects: list[str], conditions: tuple[str, ...] = ("nm", "bg"), views: tuple[str, ...] = ("000", "090")):
    return SequenceTable.from_infos(
        [
            SequenceInfo(sequence_id=f"{s}/{c}/{v}", subject_id=s, condition=c, view=v)
            for s in subjects
            for c in conditions
            for v in views
        ]
    )


PEOPLE = [f"{number:03d}" for number in range(1, 11)]


def people(rows: np.ndarray, of: SequenceTable) -> set[str]:
    return set(of.subject_id[rows].tolist())


def test_a_hash_divides_and_the_record_names_the_words() -> None:
    rows = table(PEOPLE)
    protocol = FOLDER.for_table(rows)
    assert type(protocol) is Protocol
    division = protocol.divide(rows)
    assert len(people(division.train, rows)) == 5
    assert people(division.train, rows) | people(division.test, rows) == set(PEOPLE)
    assert protocol.gallery.conditions == ("bg",)
    assert list(protocol.probes) == ["nm"]
    again = table(PEOPLE[::-1])
    assert FOLDER.for_table(again) == protocol, "order does not matter"
    assert Protocol.model_validate_json(protocol.model_dump_json()) == protocol
    assert protocol_text(FOLDER)


@pytest.mark.parametrize(
    ("options", "train", "test"),
    [
        ({"train_subjects": "001..004"}, PEOPLE[:4], PEOPLE[4:]),
        ({"test_subjects": "009, 010"}, PEOPLE[:8], PEOPLE[8:]),
        ({"train_subjects": ["001"], "test_subjects": ["002", "003"]}, PEOPLE[:1], PEOPLE[1:3]),
        ({"train_subjects": "00?"}, PEOPLE[:9], PEOPLE[9:]),
    ],
)
def test_named_subjects(options: dict[str, object], train: list[str], test: list[str]) -> None:
    rows = table(PEOPLE)
    division = folder_protocol(FolderOptions(**options)).for_table(rows).divide(rows)
    assert (people(division.train, rows), people(division.test, rows)) == (set(train), set(test))


@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.99])
def test_fraction_leaves_nobody_without_a_side(fraction: float) -> None:
    rows = table(PEOPLE)
    division = folder_protocol(FolderOptions(train_fraction=fraction)).for_table(rows).divide(rows)
    assert len(people(division.train, rows)) == {0.01: 1, 0.3: 3, 0.99: 9}[fraction]


def test_gallery_and_the_rest() -> None:
    rows = table(PEOPLE, ("nm-01", "nm-02", "bg-01", "cl-01"))
    protocol = folder_protocol(FolderOptions(gallery="nm-*", exclude_identical_view=True)).for_table(rows)
    assert list(protocol.probes) == ["bg-01", "cl-01"]
    assert protocol.exclude == ("identical_view", "same_sequence")
    division = protocol.divide(rows)
    assert set(rows.condition[division.gallery].tolist()) == {"nm-01", "nm-02"}


def test_one_condition_is_compared_with_itself() -> None:
    rows = table(PEOPLE, ("walk",))
    division = FOLDER.for_table(rows).divide(rows)
    assert division.probes["walk"].tolist() == division.gallery.tolist()


def test_subjects_named_like_patterns() -> None:
    names = ["a[1..2]", "1..5", "*", "b"]
    rows = table(names)
    division = FOLDER.for_table(rows).divide(rows)
    train, test = people(division.train, rows), people(division.test, rows)
    assert train | test == set(names)
    assert not train & test


def test_partition_lists_are_taken_as_they_are() -> None:
    rows = table(PEOPLE)
    protocol = FOLDER.with_partition({"TRAIN_SET": PEOPLE[:2], "TEST_SET": PEOPLE[2:5]}).for_table(rows)
    division = protocol.divide(rows)
    assert not division.is_partial, "nobody published another list"
    assert (people(division.train, rows), people(division.test, rows)) == (set(PEOPLE[:2]), set(PEOPLE[2:5]))


def test_embeddings_are_scored_without_training() -> None:
    rows = table(PEOPLE)
    division = FOLDER.for_embeddings().divide(rows, needs_train=False)
    assert people(division.test, rows) == set(PEOPLE)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (table(["001"]), {}, "has 1 subject"),
        (table(PEOPLE), {"train_subjects": "*"}, "none is left to test"),
        (table(PEOPLE), {"gallery": ["nm", "bg"]}, "compares each condition with others"),
        (table(PEOPLE, ("walk",), ("any",)), {}, "not compared with itself"),
        (table(PEOPLE), {"train_subjects": "001..004", "test_subjects": "004..006"}, "in training and test"),
    ],
)
def test_what_cannot_be_divided(rows: SequenceTable, options: dict[str, object], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        folder_protocol(FolderOptions(**options)).for_table(rows).divide(rows)
