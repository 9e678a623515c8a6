"""The whole path from embeddings to scores, against a slow and obvious version."""

import math
from collections import defaultdict

import numpy as np
import pytest
import torch
from scored import embed, evaluate, protocol, selection, table

from gaitbench.errors import IncompleteDataError, ModelError, PluginError, UsageError
from gaitbench.metrics import eer, part_distance, rank_k, set_distance, tar_at_far
from gaitbench.protocol import Protocol, Selection
from gaitbench.results import table_bytes
from gaitbench.table import SequenceTable
from gaitbench.tasks import EmbeddingSet, Evaluation, IdentityTask, cmc_curve
from gaitbench.tasks import evidence as evidence_module


def run(embedded: EmbeddingSet, proto: Protocol, **options: object) -> Evaluation:
    division = proto.divide(embedded.table, needs_train=False)
    options.setdefault("bootstrap", 50)
    return IdentityTask().evaluate({"silhouette": embedded}, proto, division, **options)  # type: ignore[arg-type]


def slow_scores(embedded: EmbeddingSet, proto: Protocol, group: str) -> dict[str, float]:
    """One probe, one gallery view at a time, in plain Python."""
    rows = embedded.table
    division = proto.divide(rows, needs_train=False)
    distance = part_distance(embedded.embeddings, embedded.embeddings, kind=proto.distance).numpy()
    cells: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    genuine, impostor = [], []
    for p in division.probes[group]:
        by_view: dict[str, list[tuple[float, bool]]] = defaultdict(list)
        for g in division.galleries[group]:
            name = rows.view[g] if proto.averaging == "view_pairs" else ""
            by_view[name]  # an empty cell is a cell
            same_view, same = rows.view[p] == rows.view[g], rows.subject_id[p] == rows.subject_id[g]
            if "identical_view" in proto.exclude and same_view:
                continue
            if "same_subject_and_view" in proto.exclude and same_view and same:
                continue
            if proto.impostors is not None and not same:
                continue
            by_view[name].append((float(distance[p, g]), bool(same)))
            (genuine if same else impostor).append(float(distance[p, g]))
        for view, pairs in by_view.items():
            if proto.averaging == "view_pairs" and "identical_view" in proto.exclude and view == rows.view[p]:
                continue
            others = [float(distance[p, g]) for g in division.impostors if rows.subject_id[p] != rows.subject_id[g]]
            pairs += [(far, False) for far in others]
            impostor += others
            order = sorted(pairs)  # impostors first among equals
            places = [i + 1 for i, (_, same) in enumerate(order) if same]
            miss = 0.0 if proto.absent_probes == "miss" else math.nan
            hit = float(places[0] <= 1) if places else miss
            ap = float(np.mean([(i + 1) / place for i, place in enumerate(places)])) if places else math.nan
            key = {"view_pairs": (rows.view[p], view), "probe_views": (rows.view[p], ""), "probes": ("", "")}
            cells[key[proto.averaging]].append((hit, ap))

    def average(which: int) -> float:
        by_row: dict[str, list[float]] = defaultdict(list)
        for (row, _), values in cells.items():
            known = [value[which] for value in values if not math.isnan(value[which])]
            if known:
                by_row[row].append(float(np.mean(known)))
        return float(np.mean([np.mean(values) for values in by_row.values()]))

    pair = torch.tensor(genuine), torch.tensor(impostor)
    return {
        "rank_1": average(0),
        "mean_ap": average(1),
        "eer": eer(*pair),
        "tar_at_far_0.01": tar_at_far(*pair, far=0.01),
    }


@pytest.mark.parametrize("averaging", ["view_pairs", "probe_views", "probes"])
@pytest.mark.parametrize("exclude", [("identical_view",), ("same_subject_and_view",), ("same_sequence",)])
@pytest.mark.parametrize("absent", ["miss", "skip"])
@pytest.mark.parametrize("impostors", [None, selection(), selection("bg-*")], ids=["own", "everybody", "bags"])
def test_agrees_with_the_slow_version(
    averaging: str, exclude: tuple[str, ...], absent: str, impostors: Selection | None
) -> None:
    proto = protocol(averaging=averaging, exclude=exclude, absent_probes=absent, distance="cosine", impostors=impostors)
    embedded = embed(table(drop=60), noise=1.2)
    evaluation = run(embedded, proto)
    for group in proto.probes:
        for metric, expected in slow_scores(embedded, proto, group).items():
            assert evaluation.score(metric, group).value == pytest.approx(expected, abs=1e-6), (metric, group)
    for metric in ("rank_1", "mean_ap", "mean_inp", "eer"):
        mean = np.mean([evaluation.score(metric, group).value for group in proto.probes])
        assert evaluation.score(metric, "mean").value == pytest.approx(mean, abs=1e-12)


def test_denominators_of_view_pairs() -> None:
    score = evaluate(IdentityTask()).score("rank_1", "NM")
    # 10 subjects x 4 views x 3 other gallery views; 2 takes x 10 subjects in each left-out cell.
    assert (score.num_probes, score.num_counted, score.num_absent, score.num_excluded) == (120, 120, 0, 40 * 20)
    assert score.chance == pytest.approx(0.1)
    assert score.ci_low is not None
    assert score.ci_high is not None
    assert score.ci_low <= score.value <= score.ci_high


def test_a_missing_gallery_clip_is_a_miss_or_left_out() -> None:
    rows = table()
    keep = ~(np.isin(rows.condition, ["nm-01", "nm-02"]) & (rows.view == "090") & (rows.subject_id == "013"))
    embedded = embed(rows.take(keep), noise=0.01)
    counted = run(embedded, protocol()).score("rank_1", "NM")
    left_out = run(embedded, protocol(absent_probes="skip")).score("rank_1", "NM")
    assert (counted.num_probes, counted.num_counted, counted.num_absent) == (120, 120, 3)
    assert (left_out.num_probes, left_out.num_counted, left_out.num_absent) == (120, 117, 3)
    assert counted.value < left_out.value
    assert run(embedded, protocol()).score("mean_ap", "NM").num_counted == 117


def test_one_point_for_everybody_is_no_better_than_chance() -> None:
    rows = table()
    evaluation = run(EmbeddingSet(torch.ones(len(rows), 5, 2), rows), protocol())
    for group in ("NM", "BG", "CL", "mean"):
        assert evaluation.score("rank_1", group).value == 0
        assert evaluation.score("eer", group).value == 0.5
        assert evaluation.score("tar_at_far_0.1", group).value == 0


def test_perfect_embeddings() -> None:
    rows = table()
    number = torch.from_numpy(np.unique(rows.subject_id, return_inverse=True)[1]).float()
    evaluation = run(EmbeddingSet(number[:, None, None], rows), protocol())
    for metric, best in (("rank_1", 1), ("mean_ap", 1), ("mean_inp", 1), ("eer", 0), ("tar_at_far_0.001", 1)):
        score = evaluation.score(metric, "mean")
        assert (score.value, score.ci_low, score.ci_high) == (best, best, best)


def test_chance_is_what_random_embeddings_score() -> None:
    rows = table()
    values = defaultdict(list)
    for seed in range(12):
        noise = torch.randn(len(rows), 4, 2, generator=torch.Generator().manual_seed(seed))
        evaluation = run(EmbeddingSet(noise, rows), protocol(), bootstrap=0)
        for metric in ("rank_1", "rank_5", "mean_ap", "mean_inp", "eer", "tar_at_far_0.1"):
            values[metric].append(evaluation.score(metric, "mean"))
    for metric, scores in values.items():
        assert np.mean([s.value for s in scores]) == pytest.approx(scores[0].chance, rel=0.15), metric
        assert scores[0].ci_low is None


def test_order_of_rows_names_and_scale_do_not_matter() -> None:
    proto = protocol()
    embedded = embed(table(drop=30))
    expected = run(embedded, proto)
    perm = torch.randperm(len(embedded.table), generator=torch.Generator().manual_seed(1))
    shuffled = EmbeddingSet(embedded.embeddings[perm], embedded.table.take(perm.numpy()))
    assert run(shuffled, proto).scores == expected.scores
    assert run(EmbeddingSet(2 * embedded.embeddings, embedded.table), proto).scores == expected.scores
    moved = EmbeddingSet(embedded.embeddings + 0.0, embedded.table)
    division = proto.divide(shuffled.table, needs_train=False)  # rows are found by id, not by place
    again = IdentityTask().evaluate({"silhouette": moved}, proto, division, bootstrap=50)
    assert again.scores == expected.scores


def test_renaming_subjects_keeps_every_value() -> None:
    rows = table(drop=20)
    embedded = embed(rows)
    renamed = SequenceTable(
        rows.sequence_id,
        np.array([f"{31 - int(s):03d}" for s in rows.subject_id]),
        *(getattr(rows, name) for name in ("condition", "view", "view_deg", "num_frames", "attributes")),
    )
    before, after = run(embedded, protocol()), run(EmbeddingSet(embedded.embeddings, renamed), protocol())
    for old, new in zip(before.scores, after.scores, strict=True):
        assert new.value == pytest.approx(old.value, abs=1e-12)


def test_nothing_depends_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    embedded, proto = embed(table(drop=30)), protocol()
    as_sets = protocol(unit="set", averaging="probes", exclude=())
    expected, expected_sets = run(embedded, proto), run(embedded, as_sets)
    monkeypatch.setattr(evidence_module, "KEPT_PAIRS", 0)
    monkeypatch.setattr(evidence_module, "BLOCK_ELEMENTS", 50)
    monkeypatch.setattr("gaitbench.metrics.distance.GALLERY_BLOCK", 3)
    for found, before in ((run(embedded, proto), expected), (run(embedded, as_sets), expected_sets)):
        assert found.scores == before.scores
        for name in before.tables:
            assert table_bytes(found.tables[name]) == table_bytes(before.tables[name])


@pytest.mark.parametrize("averaging", ["view_pairs", "probes"])
@pytest.mark.parametrize("kind", ["euclidean", "cosine"])
@pytest.mark.parametrize("impostors", [None, selection()], ids=["own", "everybody"])
def test_a_gallery_too_large_to_keep_is_scored_alike(
    averaging: str, kind: str, impostors: Selection | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Distances of matches first, then everything in pieces, must give the tables of the whole matrix."""
    monkeypatch.setattr("gaitbench.metrics.distance.EXACT_WORK", 0)
    # Products of other sizes may be rounded otherwise, so tiles are as large in both ways.
    monkeypatch.setattr("gaitbench.metrics.distance_tiles.GALLERY_TILE", 16)
    monkeypatch.setattr("gaitbench.metrics.distance_tiles.PROBE_TILE", 16)
    embedded = embed(table(drop=30))
    proto = protocol(averaging=averaging, distance=kind, impostors=impostors)
    twins = embedded.embeddings.clone()
    twins[1::7] = twins[0]  # so that there are ties
    embedded = EmbeddingSet(twins, embedded.table)
    expected = run(embedded, proto)
    monkeypatch.setattr(evidence_module, "KEPT_PAIRS", 0)
    monkeypatch.setattr("gaitbench.metrics.distance_tiles.PIECE_COLUMNS", 32)
    monkeypatch.setattr("gaitbench.metrics.distance_tiles.KEPT_ELEMENTS", 16 * 24)
    found = run(embedded, proto, device=torch.device("cpu"))
    assert found.scores == expected.scores
    for name in expected.tables:
        assert table_bytes(found.tables[name]) == table_bytes(expected.tables[name])


def test_half_precision_embeddings() -> None:
    embedded = embed(table())
    half = EmbeddingSet(embedded.embeddings.half(), embedded.table)
    full = EmbeddingSet(half.embeddings.float(), embedded.table)
    assert run(half, protocol()).scores == run(full, protocol()).scores


def test_sets_of_samples() -> None:
    """Subject, condition and view make one unit; compare with distances made by hand."""
    rows = table()
    word = np.array([c.split("-")[0] for c in rows.condition])
    samples = SequenceTable(
        rows.sequence_id, rows.subject_id, word, np.full(len(rows), "R"), rows.view_deg * np.nan, rows.num_frames,
        rows.attributes,
    )  # fmt: skip
    embedded = EmbeddingSet(embed(rows, noise=2.0).embeddings, samples)
    proto = protocol(
        gallery=selection("nm"), probes={"BG": selection("bg"), "CL": selection("cl")}, unit="set",
        averaging="probes", exclude=(), headline="BG",
    )  # fmt: skip
    evaluation = run(embedded, proto)
    subjects = np.unique(rows.subject_id)
    for group, name in (("BG", "bg"), ("CL", "cl")):
        parts = []
        for condition in (name, "nm"):
            keep = np.flatnonzero(word == condition)
            parts.append((keep, torch.from_numpy(np.searchsorted(subjects, rows.subject_id[keep]))))
        (p, probe_set), (g, gallery_set) = parts
        distance = part_distance(embedded.embeddings[p], embedded.embeddings[g])
        sets = set_distance(distance, probe_set, gallery_set)
        hit = rank_k(sets, torch.eye(10).bool(), torch.ones(10, 10).bool())
        score = evaluation.score("rank_1", group)
        assert score.value == pytest.approx(hit.mean().item())
        assert score.num_probes == 10
    assert 0 < evaluation.score("rank_1", "mean").value < 1


def test_breakdown_by_gap_covers_all_cells() -> None:
    evaluation = evaluate(IdentityTask())
    gaps = {s.group: s for s in evaluation.scores if s.group.startswith("NM/gap=")}
    assert set(gaps) == {"NM/gap=45", "NM/gap=90", "NM/gap=135", "NM/gap=180"}
    assert sum(s.num_probes for s in gaps.values()) == evaluation.score("rank_1", "NM").num_probes
    mean = np.mean([evaluation.score("rank_1", f"{g}/gap=90").value for g in ("NM", "BG", "CL")])
    assert evaluation.score("rank_1", "mean/gap=90").value == pytest.approx(mean)


def test_cmc_curve_passes_through_the_ranks() -> None:
    evaluation = evaluate(IdentityTask(), noise=2.0)
    curve = cmc_curve(evaluation.tables["probes"], protocol(), "BG")
    assert len(curve) == 20
    assert (np.diff(curve) >= 0).all()
    for k in (1, 5, 10):
        assert curve[k - 1] == evaluation.score(f"rank_{k}", "BG").value


def test_official_rounding_stands_beside_the_full_value() -> None:
    rows = table(drop=40)
    evaluation = run(embed(rows, noise=1.5), protocol())
    full, official = (evaluation.score(m, "NM").value for m in ("rank_1", "rank_1_official"))
    assert full == pytest.approx(official, abs=5e-5)
    with pytest.raises(UsageError, match="no score rank_1_official of NM"):
        run(embed(rows), protocol(averaging="probes")).score("rank_1_official", "NM")


def test_further_metrics() -> None:
    def rank_2(distance: torch.Tensor, match: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        return rank_k(distance, match, valid, k=2)

    def never(*_: torch.Tensor) -> torch.Tensor:
        raise AssertionError("a built-in name is passed over")

    embedded = embed(table(), noise=1.5)
    evaluation = run(embedded, protocol(ranks=(1, 2)), metrics={"found-in-two": rank_2, "mean_ap": never})
    two, same = (evaluation.score(name, "BG") for name in ("found-in-two", "rank_2"))
    assert (two.value, two.ci_low, two.ci_high) == (same.value, same.ci_low, same.ci_high)
    assert two.chance is None
    with pytest.raises(PluginError, match=r"metric odd failed .*: boom"):
        run(embedded, protocol(), metrics={"odd": lambda *_: (_ for _ in ()).throw(ValueError("boom"))})
    with pytest.raises(PluginError, match="metric odd must return a tensor"):
        run(embedded, protocol(), metrics={"odd": lambda d, *_: d})


def test_bad_embeddings() -> None:
    rows, proto = table(), protocol()
    embedded = embed(rows)
    division = proto.divide(rows, needs_train=False)
    few = EmbeddingSet(embedded.embeddings[5:], rows.take(np.arange(5, len(rows))))
    with pytest.raises(
        IncompleteDataError, match=r"5 of 80 sequences .* no silhouette embedding \(first: 011-nm-01-000"
    ):
        IdentityTask().evaluate({"silhouette": few}, proto, division)
    twice = EmbeddingSet(embedded.embeddings.repeat(2, 1, 1), rows.take(np.arange(2 * len(rows)) % len(rows)))
    with pytest.raises(IncompleteDataError, match="occurs twice"):
        IdentityTask().evaluate({"silhouette": twice}, proto, division)
    embedded.embeddings[7] = math.nan
    with pytest.raises(ModelError, match=r"silhouette embeddings of 1 of 200 sequences hold NaN .*011-nm-02-180"):
        IdentityTask().evaluate({"silhouette": embedded}, proto, division)
    with pytest.raises(UsageError, match="at least one modality"):
        IdentityTask().directions(())


def test_same_seed_same_intervals() -> None:
    assert evaluate(IdentityTask(), seed=1).scores == evaluate(IdentityTask(), seed=1).scores
