"""What is told of training sequences: by an annotation file, by labels, by views; and files that cannot be used."""

import dataclasses
import logging
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gaitbench_sgcrossgait.config import SgCrossGaitConfig
from gaitbench_sgcrossgait.texts import told_by_attributes
from pydantic import ValidationError

from gaitbench.annotating import GDF_FIELDS, Annotation, AnnotationHeader, Annotations, write_annotations
from gaitbench.card import Attribute
from gaitbench.described import describe
from gaitbench.errors import DatasetError, UsageError
from gaitbench.table import SequenceTable
from gaitbench.testing.synthetic import synthetic_table

TOE = Attribute(name="toe", title="Toe", classes=("straight", "inward"))
BAG = Attribute(name="bag", title="Bag", classes=("none", "small"))


class Data:
    """As much of a dataset as a description reads; it is a class, so that it can be copied."""

    def __init__(self, card: Any, table: SequenceTable) -> None:
        self.card, self.table = card, table

    def __len__(self) -> int:
        return len(self.table)


def training(*, attributes: tuple[Attribute, ...] = (), name: str = "walkers") -> Any:
    """Four training sequences: two subjects from the front and the right."""
    table = synthetic_table(num_subjects=2, conditions=("nm-01",), views=("000", "270"))
    table = dataclasses.replace(table, attributes=np.zeros((4, len(attributes)), np.int16))
    return Data(SimpleNamespace(name=name, attributes=attributes), table)


def annotated(path: Path, ids: list[str], *, dataset: str = "walkers", schema: str = "gdf") -> Path:
    """A file of annotations; every walk is told alike but for its humpback, one grade more than the walk before."""
    header = AnnotationHeader(
        schema_name=schema,  # type: ignore[arg-type]
        schema_version=1,
        prompt_sha256="0" * 64,
        fields=GDF_FIELDS if schema == "gdf" else (),
        dataset=dataset,
        dataset_version="1",
        model="a-model",
        endpoint_host="localhost:1",
        answer_format="json_schema",
        written_by="0",
    )
    records = []
    for number, name in enumerate(ids):
        values: dict[str, Any] = dict.fromkeys((field.name for field in GDF_FIELDS), None)
        values |= {"summary": f"Walk {number}.", "humpback": number % 6, "viewpoint": 2}
        if schema != "gdf":
            values = {"arms": "The arms swing."}
        records.append(Annotation(sequence_id=name, status="ok", values=values))
    write_annotations(path, Annotations(header=header, records=tuple(records)))
    return path


def test_views_are_told_where_nothing_is_known() -> None:
    config, told = describe(SgCrossGaitConfig(), training())
    assert config.sentences == ("A person walking, seen from the front.", "A person walking, seen from the right.")
    assert config.source == "views"
    assert [each.name for each in config.attributes] == ["viewpoint"]
    assert told.table.attributes.tolist() == [[0, 0], [6, 1], [0, 0], [6, 1]]


def test_an_unknown_view_is_no_view() -> None:
    data = training()
    data.table.view_deg[1] = np.nan
    config, told = describe(SgCrossGaitConfig(), data)
    assert "A person walking." in config.sentences
    assert told.table.attributes[1].tolist() == [-1, config.sentences.index("A person walking.")]


def test_attributes_are_told_in_a_sentence() -> None:
    data = training(attributes=(TOE, BAG))
    data.table.attributes[:] = [[1, 0], [0, -1], [-1, -1], [1, 1]]
    told = told_by_attributes(data, ())
    first = told.sentences[told.sentence[0]]
    assert first == "A person walking, seen from the front; toe inward, bag none."
    assert told.sentences[told.sentence[2]] == "A person walking, seen from the front."
    assert told.classes.tolist() == [[0, 1, 0], [6, 0, -1], [0, -1, -1], [6, 1, 1]]
    picked = told_by_attributes(data, ["bag"])
    assert [each.name for each in picked.schema] == ["viewpoint", "bag"]
    with pytest.raises(UsageError, match="has no attribute 'shoe'; it has toe, bag"):
        told_by_attributes(data, ["shoe"])
    with pytest.raises(DatasetError, match="declares no attributes to make texts of"):
        describe(SgCrossGaitConfig(source="attributes"), training())


def test_annotations_tell_of_training_sequences_and_of_nobody_else(tmp_path: Path) -> None:
    data = training()
    ids = [*data.table.sequence_id.tolist(), "0099-nm-01-000"]
    path = annotated(tmp_path / "gdf.parquet", ids[::-1])
    config, told = describe(SgCrossGaitConfig(annotations=path), data)  # type: ignore[arg-type]
    assert len(config.sentences) == len(set(told.table.attributes[:, -1])) == 3
    assert any("slightly humpbacked" in sentence for sentence in config.sentences)
    assert [each.name for each in config.attributes] == [field.name for field in GDF_FIELDS if field.choices]
    humpback = [each.name for each in config.attributes].index("humpback")
    assert told.table.attributes[:, humpback].tolist() == [4, 3, 2, 1]
    assert told.table.attributes[:, 1].tolist() == [-1] * 4
    both = SgCrossGaitConfig(annotations=path, wording="both")  # type: ignore[arg-type]
    assert all(sentence.endswith(".") for sentence in describe(both, data)[0].sentences)
    summary = describe(SgCrossGaitConfig(annotations=path, wording="summary"), data)[0].sentences  # type: ignore[arg-type]
    # "Walk 0." is of the test sequence.
    assert summary == ("Walk 1.", "Walk 2.", "Walk 3.", "Walk 4.")


def test_a_configuration_that_was_described_rebuilds_without_the_file(tmp_path: Path) -> None:
    path = annotated(tmp_path / "gdf.json", training().table.sequence_id.tolist())
    config, _ = describe(SgCrossGaitConfig(annotations=path), training())  # type: ignore[arg-type]
    path.unlink()
    assert SgCrossGaitConfig.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(DatasetError, match="cannot read the annotations"):
        describe(config, training())


def test_walks_without_an_answer_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = training()
    path = annotated(tmp_path / "gdf.parquet", data.table.sequence_id.tolist()[:1])
    with caplog.at_level(logging.WARNING, logger="gaitbench"):
        config, told = describe(SgCrossGaitConfig(annotations=path), data)  # type: ignore[arg-type]
    assert "no usable answer for 3 of 4 training sequences" in caplog.text
    assert "A person walking, seen from the right." in config.sentences
    assert (told.table.attributes[1:, :-1] == -1).all()


@pytest.mark.parametrize(
    ("written", "match"),
    [
        pytest.param({"dataset": "sustech1k"}, "are of the dataset sustech1k, and walkers is trained on", id="dataset"),
        pytest.param({"schema": "prompts"}, "annotations of the schema gdf are needed", id="schema"),
        pytest.param({"ids": ["0099-nm-01-000"]}, "tell of none of the 4 training sequences", id="others"),
    ],
)
def test_files_that_cannot_be_used(written: dict[str, Any], match: str, tmp_path: Path) -> None:
    ids = written.pop("ids", training().table.sequence_id.tolist())
    path = annotated(tmp_path / "gdf.json", ids, **written)
    with pytest.raises(DatasetError, match=match):
        describe(SgCrossGaitConfig(annotations=path), training())  # type: ignore[arg-type]


def test_a_file_that_was_changed_or_is_damaged_is_refused(tmp_path: Path) -> None:
    path = annotated(tmp_path / "gdf.json", training().table.sequence_id.tolist())
    config = SgCrossGaitConfig(annotations=path)  # type: ignore[arg-type]
    path.write_text("{}")
    with pytest.raises(DatasetError, match="is not the file that was configured"):
        describe(config, training())
    with pytest.raises(DatasetError, match="holds no annotations of gaitbench"):
        describe(SgCrossGaitConfig(annotations=path), training())  # type: ignore[arg-type]


def test_sources_that_contradict_the_file_are_refused(tmp_path: Path) -> None:
    path = annotated(tmp_path / "gdf.json", training().table.sequence_id.tolist())
    with pytest.raises(UsageError, match="source=views does not read"):
        describe(SgCrossGaitConfig(annotations=path, source="views"), training())  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="source=annotations needs a file"):
        describe(SgCrossGaitConfig(source="annotations"), training())


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        pytest.param({"attributes_told": ("toe",)}, r"source=views does not read attributes_told=\['toe'\]", id="told"),
        pytest.param(
            {"source": "attributes", "wording": "summary"},
            "source=attributes does not read wording=summary",
            id="wording",
        ),
        pytest.param({"source": "attributes", "attributes_told": ("toe", "toe")}, "twice: toe, toe", id="twice"),
        pytest.param({"has_viewpoint": False}, "source=views tells of nothing but the viewpoint", id="viewpoint"),
    ],
)
def test_what_the_source_does_not_have_is_refused(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        describe(SgCrossGaitConfig(**fields), training(attributes=(TOE, BAG)))


def test_switched_off_nothing_is_told() -> None:
    for source in ("views", "attributes"):  # the dataset has none
        config, told = describe(SgCrossGaitConfig(has_text=False, has_mt=False, source=source), training())  # type: ignore[arg-type]
        assert (config.sentences, config.attributes, config.source) == ((), (), source)
        assert told.table.attributes.shape == (4, 0)


def test_the_viewpoint_has_a_switch_of_its_own(tmp_path: Path) -> None:
    data = training(attributes=(TOE, BAG))
    data.table.attributes[:] = [[1, 0], [0, -1], [-1, -1], [1, 1]]
    whole, told = describe(SgCrossGaitConfig(source="attributes"), data)
    without, told_without = describe(SgCrossGaitConfig(source="attributes", has_viewpoint=False), data)
    assert [each.name for each in whole.attributes] == ["viewpoint", "toe", "bag"]
    assert [each.name for each in without.attributes] == ["toe", "bag"]
    assert np.array_equal(told_without.table.attributes, told.table.attributes[:, 1:])
    # Sentences tell of the direction all the same.
    assert without.sentences == whole.sentences
    path = annotated(tmp_path / "gdf.json", data.table.sequence_id.tolist())
    factors, _ = describe(SgCrossGaitConfig(annotations=path, has_viewpoint=False), data)  # type: ignore[arg-type]
    assert [each.name for each in factors.attributes] == [f.name for f in GDF_FIELDS if f.choices][1:]
    assert describe(SgCrossGaitConfig(has_viewpoint=False, has_mt=False), data)[0].attributes == ()


def test_a_viewpoint_that_the_dataset_declares_takes_the_place_of_ours() -> None:
    view = Attribute(name="viewpoint", title="View", classes=("near", "far"))
    data = training(attributes=(TOE, view))
    data.table.attributes[:] = [[1, 0], [0, 1], [1, 1], [0, 0]]
    told = told_by_attributes(data, ())
    assert told.schema == (TOE, view)
    assert told.classes.tolist() == [[1, 0], [0, 1], [1, 1], [0, 0]]
    assert told_by_attributes(data, ["toe"]).classes.tolist() == [[0, 1], [6, 0], [0, 1], [6, 0]]


def test_an_altered_header_is_told_with_its_file(tmp_path: Path) -> None:
    path = annotated(tmp_path / "gdf.json", training().table.sequence_id.tolist())
    path.write_text(path.read_text().replace('"humpback"', '"hunchback"'))
    with pytest.raises(DatasetError, match=r"annotations .*gdf\.json: the header asks for 'hunchback'"):
        describe(SgCrossGaitConfig(annotations=path), training())  # type: ignore[arg-type]


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for name, match in (("pipe.json", "it is no regular file"), ("a\0b.json", "this is no name of a file")):
        with pytest.raises(ValidationError, match=f"cannot read the annotations .*{match}"):
            SgCrossGaitConfig(annotations=tmp_path / name)  # type: ignore[arg-type]
