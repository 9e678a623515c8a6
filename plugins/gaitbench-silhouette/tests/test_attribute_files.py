"""RA-GAR and MA-Gait: nothing is made up, attributes come from two files that the user has."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gaitbench_silhouette.attribute_files import AttributeOptions, AttributeTree
from gaitbench_silhouette.ma_gait import MaGait
from gaitbench_silhouette.ra_gar import RaGar

from gaitbench.dataset import GaitDataset
from gaitbench.errors import DatasetError
from gaitbench.prepare import prepare
from gaitbench.testing import check_dataset

SCHEMA = {
    "attributes": [
        {"name": "bag", "title": "Carries a bag", "classes": ["no", "yes"]},
        {"name": "hair", "title": "Hair", "classes": ["short", "shoulder", "long"]},
    ]
}
LABELS = "subject,hair,bag\n001,long,yes\n002,,no\n"
WITH_LABELS = {"schema_file": "schema.json", "labels_file": "labels.csv"}


@pytest.fixture
def source(tmp_path: Path, aligned: Callable, write_pickle: Callable) -> Path:
    for subject in ("001", "002", "533"):
        write_pickle(tmp_path / "s" / subject / "day-1" / "cam03" / "cam03.pkl", aligned(int(subject) % 9))
    (tmp_path / "s" / "schema.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "s" / "labels.csv").write_text(LABELS)
    return tmp_path / "s"


def build(source: Path, cls: type[AttributeTree] = RaGar, **options: object) -> AttributeTree:
    return cls(AttributeOptions(**options), source)


@pytest.mark.parametrize("cls", [RaGar, MaGait])
def test_without_files_there_are_no_attributes(source: Path, aligned: Callable, cls: type[AttributeTree]) -> None:
    builder = build(source, cls)
    assert builder.card().attributes == ()
    infos = builder.sequences()
    assert [info.attributes for info in infos] == [(), (), ()]
    assert infos[0].sequence_id == "001-day-1-cam03"
    (got,) = builder.frames(infos[:1], "silhouette")
    np.testing.assert_array_equal(got[:, 0], aligned(1))
    check_dataset(builder)


@pytest.mark.parametrize("cls", [RaGar, MaGait])
def test_labels_of_subjects(source: Path, cls: type[AttributeTree]) -> None:
    builder = build(source, cls, **WITH_LABELS)
    assert [attribute.name for attribute in builder.card().attributes] == ["bag", "hair"]
    assert [info.attributes for info in builder.sequences()] == [(1, 2), (0, -1), (-1, -1)]
    check_dataset(builder)


def test_labels_of_sequences(source: Path) -> None:
    (source / "labels.csv").write_text("sequence,bag,hair\n002-day-1-cam03,yes,short\n")
    assert [info.attributes for info in build(source, **WITH_LABELS).sequences()] == [(-1, -1), (1, 0), (-1, -1)]


def test_what_the_files_say_is_recorded_and_not_where_they_lie(source: Path, tmp_path: Path) -> None:
    def made(out: str, **options: object) -> GaitDataset:
        return prepare(
            RaGar, AttributeOptions(**options), source, tmp_path / out, ["silhouette"], workers=1, progress=False
        )

    elsewhere = tmp_path / "elsewhere.csv"
    elsewhere.write_text(LABELS)
    here = made("a", **WITH_LABELS)
    there = made("b", **{**WITH_LABELS, "labels_file": str(elsewhere)})
    assert here.fingerprint(["silhouette"]) == there.fingerprint(["silhouette"])
    assert not {"schema_file", "labels_file"} & here.card.options.keys()
    elsewhere.write_text(LABELS.replace("long", "short"))
    changed = made("c", **{**WITH_LABELS, "labels_file": str(elsewhere)})
    assert changed.fingerprint(["silhouette"]) != here.fingerprint(["silhouette"])


@pytest.mark.parametrize(
    ("options", "schema", "labels", "message"),
    [
        pytest.param({"schema_file": "schema.json"}, SCHEMA, LABELS, "give both options", id="one-file"),
        pytest.param({}, {"names": []}, LABELS, "must read", id="no-attributes"),
        pytest.param({}, {"attributes": []}, LABELS, "one attribute or more", id="empty-schema"),
        pytest.param({}, {"attributes": SCHEMA["attributes"][:1] * 2}, LABELS, "each once", id="twice-in-schema"),
        pytest.param({}, SCHEMA, "", "labels.csv is empty", id="empty-labels"),
        pytest.param({}, SCHEMA, "\n", "the first column must be subject or sequence", id="blank-labels"),
        pytest.param({}, SCHEMA, "id,bag,hair\n", "the first column must be subject or sequence", id="first-column"),
        pytest.param({}, SCHEMA, "subject,bag\n", "has the columns bag, the schema has bag, hair", id="column-missing"),
        pytest.param({}, SCHEMA, LABELS + "001,,\n", "line 4: subject '001' is there twice", id="twice"),
        pytest.param({}, SCHEMA, LABELS + "003,short\n", "line 4 has 2 values where the first line has 3", id="short"),
        pytest.param({}, SCHEMA, LABELS + "003,lon,no\n", "hair is 'lon'; did you mean 'long'?", id="no-such-class"),
        pytest.param({"labels_file": "gone.csv"}, SCHEMA, LABELS, "gone.csv cannot be read", id="missing-file"),
    ],
)
def test_files_that_contradict_each_other_are_refused(
    source: Path, options: dict[str, str], schema: object, labels: str, message: str
) -> None:
    (source / "schema.json").write_text(json.dumps(schema))
    (source / "labels.csv").write_text(labels)
    chosen = options if "schema_file" in options else {**WITH_LABELS, **options}
    with pytest.raises(DatasetError) as caught:
        build(source, **chosen).card()
    assert message in str(caught.value)


def test_poses_of_ra_gar(tmp_path: Path, write_pickle: Callable) -> None:
    write_pickle(tmp_path / "001" / "a" / "b" / "b.pkl", np.ones((4, 17, 3)))
    assert list(build(tmp_path).card().streams) == ["skeleton2d"]
