"""Attributes appended to embeddings: the true ones mark a result, the predicted ones come from a run of their own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gaitbench.cells.appending import Appending, predictor_cell, source_of
from gaitbench.cells.cell import Cell, resolve_cell
from gaitbench.cells.open_cell import OpenCell
from gaitbench.errors import DatasetError, UsageError
from gaitbench.leaderboard import add, check, from_folders, show
from gaitbench.registry import Registry
from gaitbench.results import RunRecord, read_record, read_tables
from gaitbench.runner import begins_training, plan, run, run_cell, run_one
from gaitbench.tasks.attribute_evidence import AnswerSheet

NET = Cell(task="identity", dataset="tiny", model="tiny-net", device="cpu")


def appended(what: str, **fields: object) -> Cell:
    return NET.model_copy(update={"append_attributes": what, **fields})


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setenv("GAITBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    patch.setenv("GAITBENCH_QUIET", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    patch.undo()


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def records(out: Path, registry: Registry) -> dict[str, tuple[RunRecord, Path]]:
    found = {}
    for what in ("", "true", "predicted"):
        result = run_one(appended(what), out, force=False, registry=registry)
        found[what] = (result.record, result.folder)
    return found


def rank_1(record: RunRecord) -> float:
    (value,) = [score.value for score in record.scores if (score.metric, score.group) == ("rank_1", "BG")]
    return value


def test_one_training_serves_all(records: dict[str, tuple[RunRecord, Path]], out: Path) -> None:
    assert len({record.run_id for record, _ in records.values()}) == 3
    trainings = [path.name for path in (out / "trainings" / "tiny").iterdir()]
    # One that tells people apart, one that tells attributes.
    assert len(trainings) == 2
    assert begins_training([NET, appended("true"), appended("predicted")]) == [True, False, False]


def test_records_say_what_was_appended(records: dict[str, tuple[RunRecord, Path]]) -> None:
    plain, true, predicted = (records[what][0] for what in ("", "true", "predicted"))
    assert plain.model.appended is None
    assert "appended" not in plain.model.model_dump()
    assert true.model.appended is not None
    assert (true.model.appended.source, true.model.appended.encoding) == ("true", "onehot5")
    assert predicted.model.appended is not None
    assert predicted.model.appended.predictor == "tiny-net"
    assert [record.uses_labels for record in (plain, true, predicted)] == [False, True, False]


def test_predictions_are_those_of_the_attribute_run(
    records: dict[str, tuple[RunRecord, Path]], out: Path, registry: Registry
) -> None:
    record, _ = records["predicted"]
    told = run_one(predictor_cell(appended("predicted")), out, force=False, registry=registry)
    assert told.is_reused
    assert record.model.appended is not None
    assert record.model.appended.run_id == told.record.run_id
    sheet = AnswerSheet.read(read_tables(told.folder, read_record(told.folder)))
    cell = OpenCell(resolve_cell(appended("predicted"), registry), out)
    assert cell.appending is not None
    table = cell.dataset.table.take(cell.division.test)
    joined = cell.appending.append(torch.zeros(len(table), 3, 2), table)
    classes = sheet.prediction[np.searchsorted(sheet.sequence, table.sequence_id)]
    assert joined.shape == (len(table), 3 + 5, 2)
    for part in range(2):
        assert torch.equal(joined[:, 3:5, part].argmax(1), torch.from_numpy(classes[:, 0]))
        assert torch.equal(joined[:, 5:, part].argmax(1), torch.from_numpy(classes[:, 1]))


def test_true_attributes_are_the_labels_and_unknown_ones_nothing(registry: Registry, out: Path) -> None:
    resolved = resolve_cell(appended("true", append_weight=2.5), registry)
    cell = OpenCell(resolved, out)
    table = cell.dataset.table.take(cell.division.test)
    appending = Appending(resolved, cell.dataset.card.attributes, out)
    joined = appending.append(torch.ones(len(table), 1, 1), table)[:, 1:, 0]
    size, speed = table.attributes.T
    assert joined.unique().tolist() == [0.0, 2.5]
    assert joined[:, :2].argmax(1).tolist() == size.tolist()
    is_known = speed >= 0
    assert not is_known.all()
    assert joined[:, 2:][is_known].argmax(1).tolist() == speed[is_known].tolist()
    assert not joined[:, 2:][~is_known].any()
    appending.check(table)
    blank = replace(table, attributes=np.full_like(table.attributes, -1))
    with pytest.raises(DatasetError, match=r"nothing true to append.*--append-attributes predicted"):
        appending.check(blank)
    Appending(resolve_cell(appended("predicted"), registry), cell.dataset.card.attributes, out).check(blank)


def test_heavy_true_attributes_decide(registry: Registry, out: Path) -> None:
    # The three people of the test differ in their attributes, so nothing else is needed to find them.
    record = run_cell(appended("true", append_weight=1000.0), out, registry=registry)
    assert rank_1(record) == 1.0


def test_rows_that_used_labels_are_ranked_apart(records: dict[str, tuple[RunRecord, Path]], tmp_path: Path) -> None:
    add([folder for _, folder in records.values()], tmp_path)
    assert check(tmp_path) == []
    (board,) = show(tmp_path, "identity").boards
    by_use = {section.uses_labels: [row.model for row in section.rows] for section in board.sections}
    assert by_use[True] == ["tiny-net + true attributes"]
    assert sorted(by_use[False]) == ["tiny-net", "tiny-net + predicted attributes by tiny-net"]
    text = (tmp_path / "identity" / "tiny" / "README.md").read_text()
    assert "silhouette with true attributes" in text
    assert "knew labels of the test sequences" in text
    assert "identity on tiny with true attributes" in str(from_folders([folder for _, folder in records.values()]))


@pytest.mark.parametrize("what", ["truth", "true:tiny-net", "TRUE", ":x"])
def test_words_that_mean_nothing(registry: Registry, what: str) -> None:
    with pytest.raises(UsageError, match="must be true, predicted, or predicted:MODEL, got"):
        resolve_cell(appended(what), registry)


def test_what_does_not_go_together(registry: Registry) -> None:
    with pytest.raises(UsageError, match="task 'attribute' compares no embeddings"):
        resolve_cell(appended("true", task="attribute"), registry)
    with pytest.raises(UsageError, match="'tiny-mean' is fitted in closed form"):
        resolve_cell(appended("predicted:tiny-mean"), registry)
    for weight in (0.0, -1.0, float("nan"), float("inf"), 1e30):
        with pytest.raises(UsageError, match="append_weight must be above 0 and at most 1,000,000, got"):
            plan("identity", ["tiny-net"], "tiny", append_attributes="true", append_weight=weight, registry=registry)
    assert source_of(appended("predicted")) == ("predicted", "tiny-net")


def test_another_model_may_tell_them(registry: Registry) -> None:
    told_by = predictor_cell(appended("predicted:tiny-net", model="tiny-mean", overrides={"num_components": 3}))
    assert (told_by.task, told_by.model, told_by.overrides) == ("attribute", "tiny-net", {})
    own = predictor_cell(appended("predicted", overrides={"width": 5}))
    assert own.overrides == {"width": 5}


def test_by_the_function(registry: Registry, tmp_path: Path) -> None:
    result = run(
        "identity", ["tiny-mean"], "tiny", out=tmp_path, device="cpu", append_attributes="true", registry=registry
    )
    assert result.records[0].uses_labels
