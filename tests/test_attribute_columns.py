"""Boards of attributes: both encodings, ranks that are shared where nothing tells rows apart."""

import dataclasses
from pathlib import Path

import pytest
from scored import protocol
from told import NUM_TRAIN, SCHEMA, labelled, logits_for, record_told, tell

from gaitbench.attribute_columns import attribute_columns, label_space
from gaitbench.board import Cell
from gaitbench.errors import RecordError
from gaitbench.leaderboard import add, check, from_folders, from_records, show
from gaitbench.results import Score, read_record, write_record
from gaitbench.tasks import AttributeTask, EmbeddingSet, Evaluation
from gaitbench.tasks.attribute_scores import attribute_samples

MODELS = {"good": (0.3, (0, 1)), "fair": (1.2, (0,)), "same": (1.2, (0,)), "poor": (6.0, (0,))}


def write(folder: Path, evaluation: Evaluation, **about: object) -> Path:
    record = record_told(evaluation, **about)
    write_record(folder / record.run_id, record, evaluation.tables)
    return folder / record.run_id


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    out = tmp_path_factory.mktemp("runs")
    return [
        write(out, tell(noise=noise, seed=seed), model=model, seed=seed)
        for model, (noise, seeds) in MODELS.items()
        for seed in seeds
    ]


def test_rows_are_ranked_by_ma_and_ties_are_shared(runs: list[Path]) -> None:
    (section,) = from_folders(runs).boards[0].sections
    assert [row.model for row in section.rows] == ["good", "fair", "same", "poor"]
    ranks = {row.model: (row.rank_low, row.rank_high) for row in section.rows}
    assert ranks == {"good": (1, 1), "fair": (2, 3), "same": (2, 3), "poor": (4, 4)}
    assert section.headline == "ma_onehot8|all|"
    assert section.labels is not None
    assert section.labels.attributes == ("tall", "pace", "hat")


def test_columns_show_both_encodings(runs: list[Path]) -> None:
    record = record_told(tell())
    columns = attribute_columns(record, ("NM", "BG", "CL"))
    main = [column.title for column in columns if column.table == "main"]
    assert main[:2] == ["mA onehot8", "F1 onehot8"]
    assert "F1 binary6" in main
    assert "accuracy of classes" in main
    assert [column.title for column in columns if column.table == "groups"] == ["NM", "BG", "CL"]
    assert [column.title for column in columns if column.table == "attributes"] == ["tall", "pace", "hat"]
    (section,) = from_folders(runs).boards[0].sections
    row = section.rows[0]
    assert all(row.cells[column.key].value is not None for column in section.columns)


def test_of_a_single_attribute_every_class_is_shown(tmp_path: Path) -> None:
    rows = dataclasses.replace(labelled(), attributes=labelled().attributes[:, 1:2])
    division = protocol().divide(rows, needs_train=False, needs_matches=False)
    alone = AttributeTask(SCHEMA[1:2], num_train=NUM_TRAIN[2:6])
    told = alone.evaluate({"x": EmbeddingSet(logits_for(labelled())[:, 2:6], rows)}, protocol(), division, bootstrap=20)
    (section,) = from_folders([write(tmp_path, told)]).boards[0].sections
    assert section.labels is not None
    # No attribute has two classes, so that both label vectors are one.
    assert (section.labels.attributes, section.labels.encodings) == (("pace",), ("onehot4",))
    titles = [column.title for column in section.columns if column.table == "classes"]
    assert titles[:2] == ["sensitivity slow", "specificity slow"]
    assert titles[-1] == "specificity running"
    main = [column.title for column in section.columns if column.table == "main"]
    assert main[-3:] == ["macro precision", "macro recall", "macro F1"]
    assert not [title for title in main if "binary" in title]
    text = str(from_folders([tmp_path / section.rows[0].run_ids[0]]))
    assert "Sensitivity and specificity by class" in text


def test_published_tables_of_other_data_stand_below_those_of_walkers(tmp_path: Path) -> None:
    proto = protocol(name="walkers")
    told = tell(proto=proto, bootstrap=20)
    folder = write(tmp_path, told, proto=proto)
    (section,) = from_folders([folder]).boards[0].sections
    assert section.reported == ()
    assert [other.protocol for other in section.reported_elsewhere] == ["ra-gar", "ma-gait"]
    add([folder], tmp_path / "board")
    assert check(tmp_path / "board") == []
    for text in (str(from_folders([folder])), (tmp_path / "board/attribute/small/README.md").read_text()):
        for words in ("Reported of other data: RA-GAR", "MA-Gait", "CLIP-GAR", "65.57", "74.69", "Not comparable with"):
            assert words in text, words
        assert "may not have been scored on the same number of labels" in text


def test_committed_tables_are_checked(runs: list[Path], tmp_path: Path) -> None:
    add(runs, tmp_path)
    assert check(tmp_path) == []
    text = (tmp_path / "attribute" / "small" / "README.md").read_text()
    for words in ("| 2-3 | fair |", "*chance*", "*majority*", "`onehotN` has a label", "| group |  | sequences |"):
        assert words in text, words
    assert "A tie between distances" not in text
    assert "rank-1 or mA, %" in (tmp_path / "README.md").read_text()
    (board,) = show(tmp_path, "attribute").boards
    assert board.sections[0].rows[0].cells["ma_onehot8|all|"].majority == 0.5
    path = tmp_path / "attribute" / "small" / "leaderboard.json"
    path.write_text(path.read_text().replace('"majority": 0.5', '"majority": 0.6', 1))
    assert "is not what its records give" in check(tmp_path)[0]


def test_from_records_alone_ranks_by_value(runs: list[Path]) -> None:
    (section,) = from_records([read_record(run) for run in runs]).boards[0].sections
    assert [row.model for row in section.rows] == ["good", "fair", "same", "poor"]


def test_a_partial_run_stands_aside(tmp_path: Path) -> None:
    folder = write(tmp_path, tell(), status="partial")
    (section,) = from_folders([folder]).boards[0].sections
    assert section.rows == ()
    assert len(section.partial_rows) == 1
    text = str(from_folders([folder]))
    assert "Partial, off the ranking" in text
    # Of data whose division nobody published all rows are partial: they have the simple answers and breakdowns too.
    for words in ("chance", "majority", "mA by probe group", "mA of classes by attribute"):
        assert words in text, words
    add([folder], tmp_path / "board")
    assert "#### mA of classes by attribute" in (tmp_path / "board/attribute/small/README.md").read_text()


def test_groups_without_a_label_are_shown_as_empty(tmp_path: Path) -> None:
    rows = labelled(unknown=0.0)
    labels = rows.attributes.copy()
    labels[rows.condition == "bg-01"] = -1
    told = tell(dataclasses.replace(rows, attributes=labels), logits_for(rows))
    (section,) = from_folders([write(tmp_path, told)]).boards[0].sections
    assert section.rows[0].cells["ma_onehot8|BG|"] == Cell(value=None)


def test_samples_are_of_groups_that_are_there() -> None:
    tables = tell().tables
    found = attribute_samples(tables, "ma_onehot8", ["all", "BG"], resamples=20)
    assert {group: len(samples) for group, samples in found.items()} == {"all": 21, "BG": 21}
    with pytest.raises(RecordError, match="no group 'XX'"):
        attribute_samples(tables, "ma_onehot8", ["XX"])
    with pytest.raises(RecordError, match="no metric 'ma_onehot9'"):
        attribute_samples(tables, "ma_onehot9", ["all"])


def test_what_is_told_of_how_many() -> None:
    space = label_space(record_told(tell()))
    assert (space.num_sequences, space.encodings) == (200, ("onehot8", "binary6"))
    assert space.num_unknown > 0


def test_other_records_and_boards_stay_as_they_were() -> None:
    plain = {"metric": "rank_1", "group": "NM", "value": 0.5, "num_probes": 1, "num_counted": 1, "num_absent": 0}
    assert not Score.later_fields & Score.model_validate(plain).model_dump().keys()
    assert "majority" not in Cell(value=0.5).model_dump()


def test_sure_and_right_is_the_best_there_is() -> None:
    rows = labelled(unknown=0.0)
    best = tell(rows, 9.0 * logits_for(rows, noise=0.0))
    # Nobody runs: by the rule "zero" a label that nobody has counts for a half at most.
    assert {score.value for score in best.scores if not score.metric.startswith("ma_zero")} == {1.0}
    assert best.score("ma_zero_onehot8", "all").value == (7 + 0.5) / 8
