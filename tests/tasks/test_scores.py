"""Confidence intervals against resampling done the slow way."""

import numpy as np
import pytest
import torch
from scored import embed, protocol, table

from gaitbench.errors import RecordError
from gaitbench.metrics import eer, part_distance, percentile_interval, subject_weights, tar_at_far
from gaitbench.tasks import Evaluation, IdentityTask, cmc_curve
from gaitbench.tasks.scores import bootstrap_of, rank_1_samples

RESAMPLES = 300


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    rows = embed(table(drop=20), noise=1.5)
    proto = protocol()
    division = proto.divide(rows.table, needs_train=False)
    return IdentityTask().evaluate({"x": rows}, proto, division, seed=5, bootstrap=RESAMPLES)


def test_rank_1_interval_is_that_of_repeated_rows(evaluation: Evaluation) -> None:
    rows = [r for r in evaluation.tables["probes"].to_pylist() if r["group"] == "BG" and r["status"] != "excluded"]
    subjects = sorted({r["subject"] for r in evaluation.tables["probes"].to_pylist()})
    drawn = []
    for weights in subject_weights(len(subjects), RESAMPLES, seed=5):
        times = dict(zip(subjects, weights.astype(int), strict=True))
        by_view: dict[str, dict[str, list[int]]] = {}
        for row in rows:
            cell = by_view.setdefault(row["view"], {}).setdefault(row["gallery_view"], [])
            cell += [int(0 < row["rank"] <= 1)] * times[row["subject"]]
        means = [[np.mean(cell) for cell in cells.values() if cell] for cells in by_view.values()]
        drawn.append(np.mean([np.mean(cells) for cells in means if cells]))
    low, high = percentile_interval(np.array(drawn))
    score = evaluation.score("rank_1", "BG")
    assert (score.ci_low, score.ci_high) == (pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize("metric", ["eer", "tar_at_far_0.1"])
def test_verification_interval_is_near_that_of_repeated_pairs(evaluation: Evaluation, metric: str) -> None:
    rows = embed(table(drop=20), noise=1.5)
    division = protocol().divide(rows.table, needs_train=False)
    p, g = division.probes["BG"], division.gallery
    distance = part_distance(rows.embeddings[p], rows.embeddings[g])
    subject = rows.table.subject_id[p]
    same = torch.from_numpy(subject[:, None] == rows.table.subject_id[g])
    valid = torch.from_numpy(rows.table.view[p][:, None] != rows.table.view[g])
    function = eer if metric == "eer" else lambda a, b: tar_at_far(a, b, far=0.1)
    drawn = []
    for weights in subject_weights(10, RESAMPLES, seed=5):
        times = torch.from_numpy(weights[np.searchsorted(np.unique(rows.table.subject_id), subject)]).long()
        again = [t.repeat_interleave(times, dim=0) for t in (distance, same & valid, ~same & valid)]
        drawn.append(function(again[0][again[1]], again[0][again[2]]))
    low, high = percentile_interval(np.array(drawn))
    score = evaluation.score(metric, "BG")
    assert score.ci_low == pytest.approx(low, abs=0.015)
    assert score.ci_high == pytest.approx(high, abs=0.015)


def test_samples_of_two_runs_are_paired(evaluation: Evaluation) -> None:
    probes = evaluation.tables["probes"]
    one, same = (rank_1_samples(probes, protocol(), "mean", [""], resamples=20) for _ in range(2))
    assert (one == same).all()
    assert one[0] == pytest.approx(evaluation.score("rank_1", "mean").value)
    groups = [rank_1_samples(probes, protocol(), group, [""], resamples=20) for group in ("NM", "BG", "CL")]
    np.testing.assert_allclose(np.mean(groups, axis=0), one)


def test_bad_input(evaluation: Evaluation) -> None:
    probes = evaluation.tables["probes"]
    assert bootstrap_of(probes) == (5, RESAMPLES)
    with pytest.raises(RecordError, match="no group 'XX'"):
        cmc_curve(probes, protocol(), "XX")
    with pytest.raises(RecordError, match="no group 'NM' in direction 'a->b'"):
        rank_1_samples(probes, protocol(), "NM", ["a->b"])
