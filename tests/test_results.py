import json
import math
from pathlib import Path

import pyarrow as pa
import pytest
from scored import evaluate, record_of

from gaitbench.errors import OutputError, RecordError
from gaitbench.results import RunRecord, read_record, read_tables, same_result, table_bytes, write_record
from gaitbench.tasks import Evaluation, IdentityTask, audit


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(IdentityTask())


@pytest.fixture
def written(evaluation: Evaluation, tmp_path: Path) -> RunRecord:
    return write_record(tmp_path, record_of(evaluation, IdentityTask()), evaluation.tables)


def test_round_trip(evaluation: Evaluation, written: RunRecord, tmp_path: Path) -> None:
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "probes.parquet",
        "record.json",
        "roc_subjects.parquet",
        "verification.parquet",
    ]
    record = read_record(tmp_path)
    assert record == written
    tables = read_tables(tmp_path, record)
    for name, table in evaluation.tables.items():
        assert table_bytes(tables[name]) == table_bytes(table)  # NaN equals NaN
    audit(record, tables)


def test_nan_and_infinity_survive(written: RunRecord, tmp_path: Path) -> None:
    score = written.scores[0].model_copy(update={"value": math.nan, "chance": math.inf})
    write_record(tmp_path, written.model_copy(update={"scores": (score,)}), {})
    again = read_record(tmp_path).scores[0]
    assert math.isnan(again.value)
    assert again.chance == math.inf


def test_same_tables_same_bytes(evaluation: Evaluation) -> None:
    for name, table in evaluate(IdentityTask()).tables.items():
        assert table_bytes(table) == table_bytes(evaluation.tables[name])


def test_same_result_looks_past_the_environment_only(written: RunRecord) -> None:
    later = written.environment.model_copy(update={"train_seconds": 1e6, "hardware": "another machine"})
    assert same_result(written, written.model_copy(update={"environment": later}))
    assert not same_result(written, written.model_copy(update={"run_id": "x"}))
    unknown = written.scores[0].model_copy(update={"value": math.nan})
    twin = written.model_copy(update={"scores": (unknown,)})
    assert same_result(twin, twin.model_copy())


def test_altered_missing_or_foreign_tables(written: RunRecord, tmp_path: Path) -> None:
    path = tmp_path / "probes.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"?")
    with pytest.raises(RecordError, match=r"probes.parquet was changed after the run: its sha256 is"):
        read_tables(tmp_path, written)
    path.unlink()
    with pytest.raises(RecordError, match="evidence of run identity-gei-0, cannot be read"):
        read_tables(tmp_path, written)
    outside = written.model_copy(update={"evidence": {"../probes": "0"}})
    with pytest.raises(RecordError, match="outside its folder"):
        read_tables(tmp_path, outside)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "schema version None"),
        ('{"schema_version": 99}', "schema version 99, this gaitbench reads 1"),
        ('{"schema_version": 1}', "does not fit the schema at run_id"),
    ],
)
def test_damaged_records(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(RecordError, match=message):
        read_record(tmp_path)


def test_no_record(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"has no record.json: the run is not finished"):
        read_record(tmp_path)


def test_unknown_fields_are_refused(written: RunRecord, tmp_path: Path) -> None:
    content = json.loads((tmp_path / "record.json").read_text())
    content["model"]["colour"] = "red"
    (tmp_path / "record.json").write_text(json.dumps(content))
    with pytest.raises(RecordError, match=r"does not fit the schema at model.colour"):
        read_record(tmp_path)


def test_a_file_in_place_of_the_folder(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_record(tmp_path / "file", record_of(evaluation, IdentityTask()), {"t": pa.table({"a": [1]})})
