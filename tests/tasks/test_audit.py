import numpy as np
import pyarrow as pa
import pytest
from scored import embed, evaluate, protocol, record_of, table

from gaitbench.errors import RecordError
from gaitbench.protocol import Protocol
from gaitbench.results import RunRecord
from gaitbench.tasks import CrossmodalTask, Evaluation, IdentityTask, audit


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(IdentityTask())


@pytest.fixture
def record(evaluation: Evaluation) -> RunRecord:
    return record_of(evaluation, IdentityTask())


def change(record: RunRecord, metric: str, group: str, **fields: object) -> RunRecord:
    scores = [s.model_copy(update=fields) if (s.metric, s.group) == (metric, group) else s for s in record.scores]
    assert scores != list(record.scores)
    return record.model_copy(update={"scores": tuple(scores)})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"averaging": "probes", "absent_probes": "skip"},
        {"averaging": "probe_views", "exclude": ("same_subject_and_view",)},
        {"mean_groups": ("NM", "CL"), "ranks": (3,)},
        {"unit": "set", "averaging": "probes", "exclude": ()},
    ],
)
def test_an_honest_record_passes(changes: dict[str, object]) -> None:
    proto = protocol(**changes)
    rows = embed(table(drop=50), noise=1.3)
    division = proto.divide(rows.table, needs_train=False)
    metrics = {"first": lambda distance, match, valid: (match & valid).sum(1) / 2.0}
    evaluation = IdentityTask().evaluate({"x": rows}, proto, division, bootstrap=50, metrics=metrics)
    audit(record_of(evaluation, IdentityTask(), proto=proto), evaluation.tables)


def test_crossmodal_passes() -> None:
    evaluation = evaluate(CrossmodalTask())
    audit(record_of(evaluation, CrossmodalTask()), evaluation.tables)


@pytest.mark.parametrize("metric", ["rank_1", "rank_1_official", "rank_5", "mean_ap", "mean_inp", "eer"])
@pytest.mark.parametrize("group", ["NM", "mean"])
def test_a_changed_value_is_found(evaluation: Evaluation, record: RunRecord, metric: str, group: str) -> None:
    value = evaluation.score(metric, group).value
    with pytest.raises(RecordError, match=f"value of {metric} of {group} is"):
        audit(change(record, metric, group, value=value + 1e-6), evaluation.tables)


@pytest.mark.parametrize(
    ("field", "value"), [("ci_low", 0.0), ("ci_high", None), ("chance", 0.5), ("num_counted", 1), ("num_absent", 1)]
)
def test_every_field_is_covered(evaluation: Evaluation, record: RunRecord, field: str, value: float | None) -> None:
    with pytest.raises(RecordError, match=f"{field} of rank_1 of BG is"):
        audit(change(record, "rank_1", "BG", **{field: value}), evaluation.tables)


def test_scores_without_evidence_missing_or_twice(evaluation: Evaluation, record: RunRecord) -> None:
    extra = record.scores[0].model_copy(update={"metric": "rank_2"})
    with pytest.raises(RecordError, match="no evidence for rank_2 of NM"):
        audit(record.model_copy(update={"scores": (*record.scores, extra)}), evaluation.tables)
    with pytest.raises(RecordError, match="the record lacks rank_1 of NM"):
        audit(record.model_copy(update={"scores": record.scores[1:]}), evaluation.tables)
    with pytest.raises(RecordError, match="stands twice"):
        audit(record.model_copy(update={"scores": (*record.scores, record.scores[0])}), evaluation.tables)


def with_column(table: pa.Table, name: str, values: np.ndarray) -> pa.Table:
    at = table.column_names.index(name)
    return table.set_column(at, name, pa.array(values, table.schema.field(name).type))


@pytest.mark.parametrize(
    ("name", "column", "message"),
    [
        ("probes", "rank", "rank_1|contradicts itself"),
        ("probes", "ap", "mean_ap"),
        ("probes", "num_valid", "count different pairs|contradicts itself"),
        ("verification", "impostors_below", "count different pairs|leaves the curve"),
        ("verification", "genuine", "count different pairs"),
        ("roc_subjects", "impostors", "count different pairs"),
    ],
)
def test_a_changed_table_is_found(
    evaluation: Evaluation, record: RunRecord, name: str, column: str, message: str
) -> None:
    table = evaluation.tables[name]
    values = table[column].to_numpy().copy()
    at = np.flatnonzero(values > 0)[:40]
    values[at] = values[at] + 1 if values.dtype.kind == "i" else values[at] / 2
    with pytest.raises(RecordError, match=message):
        audit(record, evaluation.tables | {name: with_column(table, column, values)})


def test_pairs_moved_along_the_curve_are_found(evaluation: Evaluation, record: RunRecord) -> None:
    table = evaluation.tables["roc_subjects"]
    impostors = table["impostors"].to_numpy().copy()
    first = np.flatnonzero(impostors > 0)[0]
    impostors[first + 1] += impostors[first]  # the next knot of the same subject: no sum changes
    impostors[first] = 0
    with pytest.raises(RecordError, match="leaves the curve"):
        audit(record, evaluation.tables | {"roc_subjects": with_column(table, "impostors", impostors)})


def test_dropped_rows_and_tables_are_found(evaluation: Evaluation, record: RunRecord) -> None:
    probes = evaluation.tables["probes"]
    with pytest.raises(RecordError):
        audit(record, evaluation.tables | {"probes": probes.slice(1)})
    with pytest.raises(RecordError, match="the evidence table verification is missing"):
        audit(record, {name: t for name, t in evaluation.tables.items() if name != "verification"})
    with pytest.raises(RecordError, match="lacks the columns ap"):
        audit(record, evaluation.tables | {"probes": probes.drop_columns(["ap"])})
    with pytest.raises(RecordError, match="does not say how it was resampled"):
        audit(record, evaluation.tables | {"probes": probes.replace_schema_metadata(None)})


def test_another_protocol_is_found(evaluation: Evaluation, record: RunRecord) -> None:
    def under(proto: Protocol | dict[str, object]) -> RunRecord:
        told = proto.model_dump(mode="json") if isinstance(proto, Protocol) else proto
        return record.model_copy(update={"data": record.data.model_copy(update={"protocol": told})})

    with pytest.raises(RecordError, match="rank_1"):
        audit(under(protocol(averaging="probes")), evaluation.tables)
    with pytest.raises(RecordError, match="groups that the protocol lacks: BG, CL"):
        audit(under(protocol(probes={"NM": protocol().gallery})), evaluation.tables)
    with pytest.raises(RecordError, match="protocol in the record cannot be read"):
        audit(under({"name": "x"}), evaluation.tables)
