"""The modality gap, by hand and against a slow version."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from gaitbench.errors import ModelError, ShapeError, UsageError
from gaitbench.explaining.gap import chosen_rows, modality_gap
from gaitbench.metrics.distance import part_distance
from gaitbench.sequence import SequenceInfo
from gaitbench.table import SequenceTable


def table_of(num_subjects: int, num_each: int) -> SequenceTable:
    rows = [
        SequenceInfo(sequence_id=f"{s:03d}-{i}", subject_id=f"{s:03d}", condition="nm-01", view=str(i))
        for s, i in product(range(num_subjects), range(num_each))
    ]
    return SequenceTable.from_infos(rows)


def cloud(num_subjects: int, num_each: int, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    person = 3 * torch.randn(num_subjects, 1, 6, 2, generator=rng)
    return (person + torch.randn(num_subjects, num_each, 6, 2, generator=rng)).flatten(0, 1)


def test_sensors_apart_by_hand() -> None:
    place = torch.tensor([0.0, 2.0, 10.0, 12.0])[:, None, None]
    found = modality_gap({"rgb": place, "lidar": place + 3}, table_of(2, 2))
    (gap,) = found.gaps
    assert (gap.first, gap.second, gap.centre_distance) == ("rgb", "lidar", 3)
    assert gap.gap == pytest.approx(3 / math.sqrt(2)), "two sequences 2 apart have the variance 2"
    within, other, across = found.pairs
    assert (within.first, within.second) == ("rgb", "rgb")
    assert (within.genuine.num, within.impostor.num, within.genuine.mean) == (2, 4, 2)
    assert within.impostor.mean == 10
    assert other.genuine == within.genuine
    # 0 to 5 and 2 to 3, 10 to 15 and 12 to 13; never a sequence to itself.
    assert (across.genuine.num, across.genuine.mean) == (4, 3)
    assert across.impostor.num == 8
    assert across.separation == 31 / 32, "of 4 times 8 couples two are tied: 0 to 5 and 10 to 15 with 10 to 5"


def test_the_same_embeddings_have_no_gap() -> None:
    same = cloud(5, 4)
    found = modality_gap({"rgb": same, "lidar": same.clone()}, table_of(5, 4))
    assert found.gaps[0].gap == 0
    assert found.pairs[2].genuine.mean == pytest.approx(found.pairs[0].genuine.mean)


@pytest.mark.parametrize("kind", ["euclidean", "cosine"])
def test_distances_are_those_of_the_scores(kind: str) -> None:
    embeddings, table = {"rgb": cloud(4, 3), "lidar": cloud(4, 3, seed=1)}, table_of(4, 3)
    found = modality_gap(embeddings, table, distance=kind)
    slow = part_distance(embeddings["rgb"].double(), embeddings["lidar"].double(), kind=kind).numpy()
    person = np.arange(12) // 3
    genuine = [slow[i, j] for i in range(12) for j in range(12) if i != j and person[i] == person[j]]
    impostor = [slow[i, j] for i in range(12) for j in range(12) if person[i] != person[j]]
    across = found.pairs[2]
    assert (across.genuine.num, across.impostor.num) == (len(genuine), len(impostor))
    assert across.genuine.mean == pytest.approx(np.mean(genuine), rel=1e-5)
    assert across.impostor.quantiles[2] == pytest.approx(np.median(impostor), rel=1e-5)
    assert sum(across.impostor.counts) == len(impostor)
    nearer = np.mean([(g < i) + (g == i) / 2 for g in genuine for i in impostor])
    assert across.separation == pytest.approx(nearer)


def test_scale_and_names_change_nothing() -> None:
    one, other, table = cloud(4, 3), cloud(4, 3, seed=1) + 2, table_of(4, 3)
    plain = modality_gap({"a": one, "b": other}, table).gaps[0].gap
    assert modality_gap({"a": 7 * one, "b": 7 * other}, table).gaps[0].gap == pytest.approx(plain)
    assert modality_gap({"b": other, "a": one}, table).gaps[0].gap == pytest.approx(plain)
    assert modality_gap({"a": one, "b": other}, table, distance="cosine").gaps[0].gap == pytest.approx(
        modality_gap({"a": 5 * one, "b": 2 * other}, table, distance="cosine").gaps[0].gap
    )


def test_three_modalities_have_three_gaps() -> None:
    found = modality_gap({name: cloud(3, 2, seed=i) for i, name in enumerate("abc")}, table_of(3, 2))
    assert [(gap.first, gap.second) for gap in found.gaps] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [pair.first == pair.second for pair in found.pairs] == [True] * 3 + [False] * 3


def test_what_cannot_be_measured_is_none() -> None:
    point = torch.zeros(4, 3, 1)
    found = modality_gap({"a": point, "b": point}, table_of(2, 2))
    assert found.gaps[0].gap is None
    assert found.pairs[0].separation == 0.5
    alone = modality_gap({"a": cloud(1, 4), "b": cloud(1, 4, seed=1)}, table_of(1, 4))
    assert alone.pairs[0].impostor.num == 0
    assert alone.pairs[0].separation is None
    singles = modality_gap({"a": cloud(4, 1), "b": cloud(4, 1, seed=1)}, table_of(4, 1))
    assert (singles.gaps[0].gap, singles.pairs[2].genuine.num) == (None, 0)


def test_large_tests_are_compared_by_whole_people() -> None:
    table = table_of(20, 6)
    rows = chosen_rows(table, 40)
    assert len(rows) == 36
    assert len(set(table.subject_id[rows].tolist())) == 6
    assert len(chosen_rows(table_of(2, 50), 10)) == 10
    assert chosen_rows(table, 120).tolist() == list(range(120))
    found = modality_gap({"a": cloud(20, 6), "b": cloud(20, 6, seed=1)}, table, limit=40)
    assert (found.num_sequences, found.num_compared, found.num_subjects) == (120, 36, 6)


@pytest.mark.parametrize("place", [0, 5])
def test_somebody_with_most_sequences_does_not_take_the_others_places(place: int) -> None:
    counts = [4] * 50
    counts.insert(place, 160)
    rows = [
        SequenceInfo(sequence_id=f"{s:03d}-{i}", subject_id=f"{s:03d}", condition="nm-01", view=str(i))
        for s, count in enumerate(counts)
        for i in range(count)
    ]
    table = SequenceTable.from_infos(rows)
    chosen = table.subject_id[chosen_rows(table, 150)]
    assert len(chosen) == 148
    assert len(set(chosen.tolist())) == 37
    assert f"{place:03d}" not in chosen
    assert len(set(table.subject_id[chosen_rows(table, 320)].tolist())) >= 41, "half of 320 is not too many"


def test_bad_embeddings_are_refused() -> None:
    table, good = table_of(2, 2), cloud(2, 2)
    with pytest.raises(UsageError, match="two modalities, and these embeddings are of a"):
        modality_gap({"a": good}, table)
    with pytest.raises(ShapeError, match=r"embeddings of b must be \[N, D, P\] like those of a \[4, 6, 2\]"):
        modality_gap({"a": good, "b": good[:3]}, table)
    bad = good.clone()
    bad[1, 0, 0] = torch.nan
    with pytest.raises(ModelError, match="embeddings of b hold NaN or infinity in 1 of 4"):
        modality_gap({"a": good, "b": bad}, table)
    with pytest.raises(UsageError, match="limit must be 2 or more"):
        chosen_rows(table, 1)
    with pytest.raises(UsageError, match="two sequences or more, got 1"):
        modality_gap({"a": good[:1], "b": good[:1]}, table_of(1, 1))
