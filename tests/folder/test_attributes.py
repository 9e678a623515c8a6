from collections.abc import Callable
from pathlib import Path

import pytest

from gaitbench.errors import DatasetError
from gaitbench.folder.attributes import read_labels
from gaitbench.testing import check_dataset

from .conftest import camera, save_png


@pytest.fixture
def tree(source: Path) -> Path:
    for leaf in ("001/nm/090", "001/bg/090", "002/nm/090"):
        save_png(source / leaf, camera(1))
    return source


def test_labels_by_subject(tree: Path, build: Callable) -> None:
    (tree / "labels.csv").write_text("\ufeffSubject,Gender,Steps per Second\n001,f,10\n003,m,9\n", encoding="utf-8")
    builder = build(tree, attributes="labels.csv")
    gender, steps = builder.card().attributes
    assert (gender.name, gender.classes) == ("gender", ("f", "m"))
    assert (steps.name, steps.title, steps.classes) == ("steps_per_second", "Steps per Second", ("9", "10"))
    labels = {info.sequence_id: info.attributes for info in builder.sequences()}
    assert labels == {"001/bg/090": (0, 1), "001/nm/090": (0, 1), "002/nm/090": (-1, -1)}
    assert [(item.reason, item.examples) for item in builder.left_out()] == [
        ("a line of labels.csv about nobody who is here", ("003",))
    ]
    check_dataset(builder)


@pytest.mark.parametrize("table", ["sequence,bag\n001/bg/090,yes\n", "condition,subject,bag\nbg,001,yes\n"])
def test_labels_by_walk(tree: Path, build: Callable, table: str) -> None:
    (tree / "labels.csv").write_text(table)
    found = {info.sequence_id: info.attributes for info in build(tree, attributes="labels.csv").sequences()}
    assert found == {"001/bg/090": (0,), "001/nm/090": (-1,), "002/nm/090": (-1,)}


def test_a_table_that_changed_is_another_dataset(tree: Path, build: Callable) -> None:
    path = tree / "labels.csv"
    path.write_text("subject,bag\n001,yes\n")
    chosen = build(tree, attributes="labels.csv").card().options
    path.write_text("subject,bag\n001,no\n")
    assert build(tree, attributes="labels.csv").card().options != chosen
    with pytest.raises(DatasetError, match="was changed"):
        build(tree, **chosen).card()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("person,bag\n1,yes\n", "needs one or several of subject"),
        ("subject\n1\n", "a column for each attribute"),
        ("subject,bag,Bag\n1,yes,no\n", "two columns named 'bag'"),
        ("subject,bag\n1,yes\n1,no\n", "line 3: 1 has a line above"),
        ("subject,bag\n1\n", "line 2: 1 cells"),
        ("subject,bag\n1,\n", "column bag has no word"),
        ("subject,bag\n" + "".join(f"{i},{i}\n" for i in range(1001)), "1001 different words"),
        ('subject,bag\n"1,yes\n', "damaged"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(content)
    with pytest.raises(DatasetError, match=message):
        read_labels(tmp_path / "labels.csv")
