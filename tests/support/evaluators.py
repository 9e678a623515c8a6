"""Slow, obvious versions of the official evaluators, written from their description: one loop per rule, percent.

A walk is (subject, condition, view, embedding [D, P]).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gaitbench.protocol import Protocol
from gaitbench.tasks import Evaluation, evaluate_arrays


class Walk(NamedTuple):
    subject: str
    condition: str
    view: str
    embedding: NDArray[np.float64]


Choose = Callable[[Walk], bool]


def distance(a: Walk, b: Walk) -> float:
    return float(np.sqrt(((a.embedding - b.embedding) ** 2).sum(axis=0)).mean())


def ranked(probe: Walk, gallery: Sequence[Walk]) -> list[Walk]:
    return sorted(gallery, key=lambda walk: distance(probe, walk))


def is_hit(probe: Walk, gallery: Sequence[Walk], k: int) -> bool:
    return any(walk.subject == probe.subject for walk in ranked(probe, gallery)[:k])


def precision(probe: Walk, gallery: Sequence[Walk]) -> tuple[float, float] | None:
    """AP and INP; None without a match."""
    places = [i + 1 for i, walk in enumerate(ranked(probe, gallery)) if walk.subject == probe.subject]
    if not places:
        return None
    return float(np.mean([(i + 1) / place for i, place in enumerate(places)])), len(places) / places[-1]


def per_view(
    walks: Sequence[Walk],
    gallery: Choose,
    probe: Choose,
    k: int = 1,
    *,
    diagonal: bool = False,
    skips_absent: bool = False,
) -> float:
    """Rank-k of the indoor evaluators."""
    views = sorted({walk.view for walk in walks})
    cells = np.zeros((len(views), len(views)))
    for i, of_probe in enumerate(views):
        for j, of_gallery in enumerate(views):
            asked = [w for w in walks if probe(w) and w.view == of_probe]
            searched = [w for w in walks if gallery(w) and w.view == of_gallery]
            if skips_absent:
                asked = [w for w in asked if any(w.subject == other.subject for other in searched)]
            hits = sum(is_hit(w, searched, k) for w in asked)
            cells[i, j] = np.round(hits * 100 / len(asked), 2)
    if diagonal:
        return float(cells.mean())
    np.fill_diagonal(cells, 0)
    return float((cells.sum(axis=1) / (len(views) - 1)).mean())


def per_view_map(walks: Sequence[Walk], gallery: Choose, probe: Choose) -> float:
    """mAP per cell against its one gallery view, probes without a match left out, cells rounded."""
    views = sorted({walk.view for walk in walks})
    rows = []
    for of_probe in views:
        row = []
        for of_gallery in set(views) - {of_probe}:
            searched = [w for w in walks if gallery(w) and w.view == of_gallery]
            found = [precision(w, searched) for w in walks if probe(w) and w.view == of_probe]
            row.append(np.round(100 * np.mean([each[0] for each in found if each is not None]), 2))
        rows.append(np.mean(row))
    return float(np.mean(rows))


def cross_view(walks: Sequence[Walk], gallery: Choose, probe: Choose) -> tuple[float, float]:
    """Rank-1 and mAP with one gallery for all views."""
    rank, mean_ap = [], []
    for view in sorted({walk.view for walk in walks}):
        asked = [w for w in walks if probe(w) and w.view == view]
        hits, found = 0, []
        for one in asked:
            searched = [w for w in walks if gallery(w) and not (w.subject == one.subject and w.view == view)]
            hits += is_hit(one, searched, 1)
            if scores := precision(one, searched):
                found.append(scores[0])
        rank.append(np.round(hits * 100 / len(asked), 2))
        mean_ap.append(np.round(100 * np.mean(found), 2))
    return float(np.mean(rank)), float(np.mean(mean_ap))


def pooled(
    walks: Sequence[Walk],
    gallery: Choose,
    probe: Choose,
    *,
    skips_absent: bool,
    leaves_out: Callable[[Walk, Walk], bool],
) -> dict[str, float]:
    """Rank-1, 5, 10, mAP and mINP over all probes."""
    hits: dict[int, list[bool]] = {1: [], 5: [], 10: []}
    scores = []
    for one in filter(probe, walks):
        searched = [w for w in walks if gallery(w) and not leaves_out(one, w)]
        found = precision(one, searched)
        if found is None and skips_absent:
            continue
        if found is not None:
            scores.append(found)
        for k, counted in hits.items():
            counted.append(is_hit(one, searched, k))
    rank = {f"rank_{k}": 100 * float(np.mean(counted)) for k, counted in hits.items()}
    return rank | {name: 100 * float(np.mean([s[i] for s in scores])) for i, name in enumerate(("mean_ap", "mean_inp"))}


def nobody(probe: Walk, gallery: Walk) -> bool:
    return False


def evaluate(walks: Sequence[Walk], protocol: Protocol, **options: bool) -> Evaluation:
    """The same walks through gaitbench, in any order."""
    order = np.random.default_rng(len(walks)).permutation(len(walks))
    shuffled = [walks[i] for i in order]
    embeddings = np.stack([walk.embedding for walk in shuffled])
    words = zip(*((walk.subject, walk.condition, walk.view) for walk in shuffled), strict=True)
    return evaluate_arrays(embeddings, *map(list, words), protocol, bootstrap=0, **options)


def made_up(
    subjects: Sequence[str], conditions: Sequence[str], views: Sequence[str], *, drop: float = 0.0, seed: int = 0
) -> list[Walk]:
    """All combinations less some at random; every condition and view of the first two subjects stays."""
    rng = np.random.default_rng(seed)
    person = {subject: rng.normal(size=(4, 2)) for subject in subjects}
    angle = {view: rng.normal(size=(4, 2)) for view in views}
    walks = []
    for i, subject in enumerate(subjects):
        for condition in conditions:
            for view in views:
                noise = rng.normal(size=(4, 2))
                if i < 2 or rng.random() >= drop:
                    walks.append(Walk(subject, condition, view, person[subject] + 0.8 * angle[view] + noise))
    return walks
