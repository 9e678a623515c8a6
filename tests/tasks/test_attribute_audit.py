import numpy as np
import pyarrow as pa
import pytest
from scored import protocol
from told import ATTRIBUTE_PROTOCOL, NUM_TRAIN, record_told, tell

from gaitbench.errors import RecordError
from gaitbench.model import Decision
from gaitbench.results import RunRecord, read_record, read_tables, write_record
from gaitbench.tasks import Evaluation, audit
from gaitbench.tasks.attribute_audit import recount_answers


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return tell()


@pytest.fixture
def record(evaluation: Evaluation) -> RunRecord:
    return record_told(evaluation)


def change(record: RunRecord, metric: str, group: str, **fields: object) -> RunRecord:
    scores = [s.model_copy(update=fields) if (s.metric, s.group) == (metric, group) else s for s in record.scores]
    assert scores != list(record.scores)
    return record.model_copy(update={"scores": tuple(scores)})


@pytest.mark.parametrize("decides", ["threshold", "argmax"])
@pytest.mark.parametrize("noise", [0.3, 3.0])
def test_an_honest_record_passes(decides: Decision, noise: float) -> None:
    told = tell(decides=decides, noise=noise)
    audit(record_told(told), told.tables)


def test_of_a_protocol_for_attributes_alone() -> None:
    told = tell(proto=ATTRIBUTE_PROTOCOL, bootstrap=0)
    audit(record_told(told, proto=ATTRIBUTE_PROTOCOL), told.tables)


def test_through_its_files(evaluation: Evaluation, record: RunRecord, tmp_path: object) -> None:
    written = write_record(tmp_path, record, evaluation.tables)  # type: ignore[arg-type]
    assert set(written.evidence) == {"answers", "sequences", "classes"}
    again = read_record(tmp_path)  # type: ignore[arg-type]
    assert again == written
    audit(again, read_tables(tmp_path, again))  # type: ignore[arg-type]


METRICS = [
    *(f"{metric}_{encoding}" for encoding in ("onehot8", "binary6") for metric in (
        "ma", "ma_zero", "acc_elementwise", "precision", "recall", "f1", "acc_jaccard",
        "precision_skip", "recall_skip", "f1_of_means", "acc_jaccard_skip",
    )),
    "ma_classes",
    "class_accuracy",
    "precision_macro",
    "recall_macro",
    "f1_macro",
]  # fmt: skip


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("group", ["all", "BG"])
def test_a_changed_value_is_found(evaluation: Evaluation, record: RunRecord, metric: str, group: str) -> None:
    value = evaluation.score(metric, group).value
    with pytest.raises(RecordError, match=f"value of {metric} of {group} is"):
        audit(change(record, metric, group, value=value + 1e-6), evaluation.tables)


@pytest.mark.parametrize("metric", ["sensitivity", "specificity"])
@pytest.mark.parametrize("field", ["value", "num_counted", "majority", "chance", "ci_high"])
def test_a_changed_number_of_a_class_is_found(
    evaluation: Evaluation, record: RunRecord, metric: str, field: str
) -> None:
    group = "all/attribute=pace/class=fast"
    value = getattr(evaluation.score(metric, group), field)
    changed = change(record, metric, group, **{field: value + (1 if field == "num_counted" else 1e-6)})
    with pytest.raises(RecordError, match=f"{field} of {metric} of {group} is"):
        audit(changed, evaluation.tables)


@pytest.mark.parametrize("metric", [*METRICS, "sensitivity", "specificity"])
def test_every_number_is_counted_a_second_time(evaluation: Evaluation, metric: str) -> None:
    for score, found in recount_answers(evaluation.tables, evaluation.scores):
        if score.metric == metric:
            assert {"value", "num_probes", "num_counted", "num_absent", "num_excluded"} <= set(found)
            assert found["value"] == pytest.approx(score.value, nan_ok=True)
            assert found.get("majority", score.majority) == pytest.approx(score.majority, nan_ok=True)


@pytest.mark.parametrize(
    "fields",
    [
        {"num_probes": 199},
        {"num_counted": 3},
        {"num_absent": 1},
        {"num_excluded": 0},
        {"num_labels": 8},
        {"num_labels_empty": 0},
        {"chance": 0.4},
        {"majority": 0.9},
        {"ci_low": 0.0},
        {"ci_high": 1.0},
    ],
    ids=str,
)
def test_other_fields_count_too(evaluation: Evaluation, record: RunRecord, fields: dict[str, object]) -> None:
    with pytest.raises(RecordError, match=f"{next(iter(fields))} of ma_onehot8 of all is"):
        audit(change(record, "ma_onehot8", "all", **fields), evaluation.tables)


def test_a_number_without_evidence_and_one_that_is_left_out(evaluation: Evaluation, record: RunRecord) -> None:
    first = record.scores[0]
    more = record.model_copy(update={"scores": (*record.scores, first.model_copy(update={"metric": "accuracy"}))})
    with pytest.raises(RecordError, match="no evidence for accuracy of all"):
        audit(more, evaluation.tables)
    with pytest.raises(RecordError, match="the record lacks ma_onehot8 of all"):
        audit(record.model_copy(update={"scores": record.scores[1:]}), evaluation.tables)


def with_column(tables: dict[str, pa.Table], table: str, column: str, values: list[object]) -> dict[str, pa.Table]:
    old = tables[table]
    array = pa.array(values, old.schema.field(column).type if not isinstance(values[0], str) else pa.string())
    new = old.set_column(old.column_names.index(column), column, array)
    return {**tables, table: new.replace_schema_metadata(old.schema.metadata)}


def test_one_changed_answer_is_found(evaluation: Evaluation, record: RunRecord) -> None:
    labels = evaluation.tables["answers"]["label"].to_pylist()
    at = next(i for i, label in enumerate(labels) if label == 0)
    labels[at] = 1
    with pytest.raises(RecordError, match="in the record and"):
        audit(record, with_column(evaluation.tables, "answers", "label", labels))


@pytest.mark.parametrize(
    ("table", "column", "value", "message"),
    [
        ("answers", "label", 4, "a label that is no class of its attribute"),
        ("answers", "label", -2, "a label that is no class of its attribute"),
        ("answers", "prediction", -1, "a prediction that is no class of its attribute"),
        ("answers", "positive", "7", "which are none|does not have"),
        ("answers", "positive", "0 x", "which are none"),
        ("answers", "score", 1.5, "a score outside"),
        ("answers", "sequence", "zzz", "a row for each of 3 attributes and 200 sequences"),
        ("sequences", "sequence", "zzz", "not in the order of its ids"),
        ("classes", "index", 3, "does not count the classes of tall from 0"),
        ("classes", "num_train", -1, "fewer than no training sequences"),
    ],
)
def test_tables_that_contradict_themselves(
    evaluation: Evaluation, record: RunRecord, table: str, column: str, value: object, message: str
) -> None:
    values = evaluation.tables[table][column].to_pylist()
    values[0] = value
    with pytest.raises(RecordError, match=message):
        audit(record, with_column(evaluation.tables, table, column, values))


@pytest.mark.parametrize("decides", ["threshold", "argmax"])
def test_a_decision_must_be_that_of_its_rule(decides: Decision) -> None:
    told = tell(decides=decides)
    words, predicted = (told.tables["answers"][name].to_pylist() for name in ("positive", "prediction"))
    at = next(i for i, word in enumerate(words) if word == str(predicted[i]))
    words[at] = str(1 - min(1, predicted[at]))
    with pytest.raises(RecordError, match=f"its decisions are by {decides}"):
        audit(record_told(told), with_column(told.tables, "answers", "positive", words))


def test_tables_and_columns_that_are_missing(evaluation: Evaluation, record: RunRecord) -> None:
    tables = dict(evaluation.tables)
    del tables["classes"]
    with pytest.raises(RecordError, match="the evidence table classes is missing"):
        audit(record, tables)
    poor = evaluation.tables["answers"].drop_columns(["score"])
    with pytest.raises(RecordError, match="answers lacks the columns score"):
        audit(record, {**evaluation.tables, "answers": poor})
    silent = evaluation.tables["answers"].replace_schema_metadata({})
    with pytest.raises(RecordError, match="does not say how it was decided"):
        audit(record, {**evaluation.tables, "answers": silent})


def test_groups_must_be_those_of_the_protocol(evaluation: Evaluation) -> None:
    fewer = protocol(probes={"NM": protocol().probes["NM"]}, headline="NM")
    with pytest.raises(RecordError, match="groups that the protocol lacks: BG, CL"):
        audit(record_told(evaluation, proto=fewer), evaluation.tables)


def test_groups_of_a_protocol_without_any_are_the_conditions() -> None:
    told = tell(proto=ATTRIBUTE_PROTOCOL, bootstrap=0)
    record = record_told(told, proto=ATTRIBUTE_PROTOCOL)
    members = told.tables["sequences"]["in:bg-01"].to_pylist()
    members[members.index(True)] = False
    with pytest.raises(RecordError, match="groups of the table sequences are not its conditions"):
        audit(record, with_column(told.tables, "sequences", "in:bg-01", members))


def test_the_majority_is_counted_again(evaluation: Evaluation, record: RunRecord) -> None:
    counts = NUM_TRAIN.tolist()
    counts[0] = 99  # now most are not tall
    tables = with_column(evaluation.tables, "classes", "num_train", counts)
    with pytest.raises(RecordError, match=r"majority of .* is"):
        audit(record, tables)
    assert np.argmax(NUM_TRAIN[:2]) == 1
