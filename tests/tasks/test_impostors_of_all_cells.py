"""Galleries with impostors that every cell shares: harder than the cells' own, and otherwise the same."""

import pytest
import torch
from pydantic import ValidationError
from scored import embed, protocol, record_of, selection, table

from gaitbench.errors import ProtocolError
from gaitbench.metrics import rank_k
from gaitbench.protocol import Protocol, protocol_text
from gaitbench.tasks import CrossmodalTask, EmbeddingSet, Evaluation, IdentityTask
from gaitbench.tasks.audit import audit

EVERYBODY = selection()


def run(embedded: EmbeddingSet, proto: Protocol, **options: object) -> Evaluation:
    division = proto.divide(embedded.table, needs_train=False)
    return IdentityTask().evaluate({"silhouette": embedded}, proto, division, bootstrap=20, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("averaging", ["view_pairs", "probe_views", "probes"])
def test_never_above_the_own_gallery(averaging: str, seed: int) -> None:
    embedded = embed(table(drop=40, seed=seed), noise=0.5 + seed / 4, seed=seed)
    own, shared = (run(embedded, protocol(averaging=averaging, impostors=them)) for them in (None, EVERYBODY))
    for score in own.scores:
        if score.metric.startswith("rank_") or score.metric in ("mean_ap", "mean_inp"):
            found = shared.score(score.metric, score.group)
            assert found.value <= score.value, (score.metric, score.group)
            assert found.chance is None or score.chance is None or found.chance <= score.chance
            assert (found.num_probes, found.num_absent) == (score.num_probes, score.num_absent)
    assert shared.score("rank_1", "mean").value < own.score("rank_1", "mean").value
    matches = [found.tables["probes"]["num_matches"].to_pylist() for found in (own, shared)]
    assert matches[0] == matches[1]


def test_denominators() -> None:
    rows = table()
    proto = protocol(impostors=EVERYBODY)
    division = proto.divide(rows, needs_train=False)
    assert len(division.gallery) == 80
    assert len(division.impostors) == len(division.searched) == len(division.test) == len(rows) == 200
    probes = run(embed(rows), proto).tables["probes"].to_pylist()
    # 9 other subjects with 20 walks each, and two of the subject's own in the gallery view.
    assert {(row["num_valid"], row["num_matches"]) for row in probes if row["status"] == "counted"} == {(182, 2)}
    assert {row["num_excluded"] for row in probes if row["status"] == "counted"} == {18}
    assert {(row["num_valid"], row["num_matches"]) for row in probes if row["status"] == "excluded"} == {(0, 0)}


def test_the_gallery_is_always_searched() -> None:
    division = protocol(impostors=selection("bg-*")).divide(table(), needs_train=False)
    assert set(division.table.condition[division.impostors]) == {"nm-01", "nm-02", "bg-01"}
    assert set(division.table.condition[division.test]) == {"nm-01", "nm-02", "nm-03", "bg-01", "cl-01"}


def test_galleries_of_groups_are_impostors_of_each_other() -> None:
    proto = protocol(impostors=selection("nm-03"), galleries={"BG": selection("cl-01")})
    division = proto.divide(table(), needs_train=False)
    assert set(division.table.condition[division.impostors]) == {"nm-01", "nm-02", "nm-03", "cl-01"}
    found = run(embed(table()), proto).tables["probes"].to_pylist()
    valid = {row["group"]: (row["num_valid"], row["num_matches"]) for row in found if row["status"] == "counted"}
    assert valid == {"NM": (9 * 16 + 2, 2), "BG": (9 * 16 + 1, 1), "CL": (9 * 16 + 2, 2)}


def test_across_sensors() -> None:
    rows = table(drop=20)
    sets = {"silhouette": embed(rows), "lidar": embed(rows, seed=7, offset=0.2)}
    found = []
    for impostors in (None, EVERYBODY):
        proto = protocol(impostors=impostors)
        division = proto.divide(rows, needs_train=False)
        found.append(CrossmodalTask().evaluate(sets, proto, division, bootstrap=0))
    for direction in ("silhouette->lidar", "lidar->silhouette", "lidar->lidar"):
        own, shared = (evaluation.score("rank_1", "CL", direction).value for evaluation in found)
        assert shared < own


def test_a_record_is_recounted() -> None:
    proto = protocol(impostors=EVERYBODY)
    evaluation = run(embed(table(drop=25)), proto)
    record = record_of(evaluation, IdentityTask(), proto=proto)
    assert Protocol.model_validate(record.data.protocol) == proto
    audit(record, evaluation.tables)


def test_further_metrics_see_all_impostors() -> None:
    def rank_2(distance: torch.Tensor, match: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        return rank_k(distance, match, valid, k=2)

    proto = protocol(ranks=(1, 2), impostors=EVERYBODY)
    evaluation = run(embed(table(drop=30), noise=1.5), proto, metrics={"found-in-two": rank_2})
    for group in ("NM", "BG", "CL"):
        two, same = (evaluation.score(name, group) for name in ("found-in-two", "rank_2"))
        assert two.num_counted == same.num_counted - same.num_absent
        assert two.value * two.num_counted == pytest.approx(same.value * same.num_counted, rel=0.02)


def test_old_records_do_not_know_of_them() -> None:
    assert "impostors" not in protocol().model_dump(mode="json")
    assert "impostors" not in protocol_text(protocol())
    assert "impostors       conditions bg-*; of all subjects but the probe's" in protocol_text(
        protocol(impostors=selection("bg-*"))
    )


def test_what_they_are_not_defined_for() -> None:
    with pytest.raises(ValidationError, match="impostors differ from probe to probe"):
        protocol(impostors=EVERYBODY, unit="set")
    pooled = protocol(impostors=EVERYBODY, averaging="probes")
    with pytest.raises(ProtocolError, match="with impostors; re-ranking is defined for"):
        pooled.reranked()
    with pytest.raises(ProtocolError, match="impostors: condition 'xx' matches none of"):
        protocol(impostors=selection("xx")).divide(table(), needs_train=False)
