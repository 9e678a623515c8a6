"""From the evidence tables to scores: averaging, chance and confidence intervals.

Axes: B resamples, S subjects, C cells (probe view, gallery view). Row 0 of a ``[1 + B, ...]`` array is the value
itself, the rows after it are the resamples.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gaitbench.errors import RecordError, UsageError
from gaitbench.metrics.bootstrap import percentile_interval, subject_weights
from gaitbench.metrics.chance import chance_average_precision, chance_inverse_negative_penalty, chance_rank_k
from gaitbench.metrics.verification import RocCounts, eer_of, tar_at_far_of
from gaitbench.protocol import Protocol
from gaitbench.results import Score
from gaitbench.tasks.evidence import EXTRA

__all__ = [
    "BREAKDOWNS",
    "FARS",
    "Bootstrap",
    "CellMatrix",
    "bootstrap_of",
    "cell_matrix",
    "cmc_curve",
    "rank_1_samples",
    "scores_of",
]

FARS = (0.1, 0.01, 0.001)
"""False acceptance rates at which the true acceptance rate is reported."""

BREAKDOWNS = ("gap",)
"""What a group is broken down by where the protocol counts view pairs: ``NM/gap=45``, in degrees, rank-1 only."""

Floats = NDArray[np.float64]


class Bootstrap(NamedTuple):
    """How the intervals were drawn, as kept with the tables."""

    seed: int
    """Of the resamples."""
    resamples: int
    """B; 0 for no interval."""


def bootstrap_of(table: pa.Table) -> Bootstrap:
    """Read how the intervals of a table were drawn.

    Args:
        table: The probes table.

    Returns:
        Seed and number of resamples.

    Raises:
        RecordError: The table does not say.
    """
    try:
        note = json.loads((table.schema.metadata or {})[b"gaitbench"])["bootstrap"]
        return Bootstrap(int(note["seed"]), int(note["resamples"]))
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(
            "the probes table does not say how it was resampled; it was not written by gaitbench"
        ) from error


def scores_of(tables: dict[str, pa.Table], protocol: Protocol) -> tuple[Score, ...]:
    """Compute every score of a record from its evidence.

    Args:
        tables: ``probes``, ``verification`` and ``roc_subjects``.
        protocol: How to average.

    Returns:
        Scores by direction, group and metric. Verification metrics pool the pairs of all cells of a group.

    Raises:
        RecordError: A table does not say how it was resampled.
    """
    probes = tables["probes"]
    bootstrap = bootstrap_of(probes)
    subjects = np.array(sorted(pc.unique(probes["subject"].cast(pa.string())).to_pylist()))
    weights = np.ones((1, len(subjects)))
    if bootstrap.resamples:
        drawn = subject_weights(len(subjects), bootstrap.resamples, seed=bootstrap.seed)
        weights = np.concatenate([weights, drawn])
    scores: list[Score] = []
    for direction in _ordered(probes["direction"]):
        asked = probes.filter(pc.equal(probes["direction"], direction))
        groups = {name: asked.filter(pc.equal(asked["group"], name)) for name in _ordered(asked["group"])}
        by_group = {}
        gaps: dict[float, dict[str, _Number]] = {}
        for name, rows in groups.items():
            measured = _Rows(rows, protocol, subjects)
            curves = _Curves(tables, direction, name, subjects)
            by_group[name] = [*measured.numbers(weights), *curves.numbers(weights, measured)]
            scores += [number.score(name, direction) for number in by_group[name]]
            for gap, number in measured.by_gap(weights):
                gaps.setdefault(gap, {})[name] = number
                scores.append(number.score(f"{name}/gap={gap:g}", direction))
        averaged = [name for name in (protocol.mean_groups or groups) if name in by_group]
        if averaged:
            kept = [by_group[name] for name in averaged]
            scores += [_mean(numbers).score("mean", direction) for numbers in zip(*kept, strict=True)]
        for gap, found in sorted(gaps.items()):
            if at_gap := tuple(found[name] for name in averaged if name in found):
                scores.append(_mean(at_gap).score(f"mean/gap={gap:g}", direction))
    return tuple(scores)


def cmc_curve(
    probes: pa.Table, protocol: Protocol, group: str, *, direction: str = "", max_rank: int = 20
) -> NDArray[np.float64]:
    """Rank-k for k = 1 to ``max_rank`` of one group, averaged as the protocol says.

    Args:
        probes: The probes table.
        protocol: How to average.
        group: Probe group.
        direction: As in the record.
        max_rank: Last k.

    Returns:
        ``[max_rank]`` float64 fractions.

    Raises:
        RecordError: The table has no such group.
    """
    rows = _rows_of(probes, protocol, group, direction)
    one = np.ones((1, len(rows.subjects)))
    return np.array([rows.average(rows.hits(k), one)[0] for k in range(1, max_rank + 1)])


class CellMatrix(NamedTuple):
    """One metric of one group in every cell."""

    probe_views: tuple[str, ...]
    """Rows, sorted as words; one nameless row where probes are not divided."""
    gallery_views: tuple[str, ...]
    """Columns, sorted as words; one nameless column where the gallery is pooled."""
    values: Floats
    """``[probe views, gallery views]`` fractions; NaN where the protocol leaves a cell out or nothing was counted."""

    @property
    def by_probe_view(self) -> Floats:
        """``[probe views]`` mean over the gallery views that count."""
        return _known_mean(self.values)


def cell_matrix(
    probes: pa.Table,
    protocol: Protocol,
    group: str,
    *,
    metric: str = "rank_1_official",
    direction: str = "",
) -> CellMatrix:
    """The cells that a score is the mean of.

    Args:
        probes: The probes table.
        protocol: How to average.
        group: Probe group.
        metric: ``rank_K``, ``mean_ap`` or ``mean_inp``; with ``_official`` behind it each cell is rounded to two
            decimals of a percent.
        direction: As in the record.

    Returns:
        Values and the views they belong to. With cells excluded by the protocol left out, the mean over columns and
        then rows is the score.

    Raises:
        RecordError: The table has no such group.
        UsageError: There is no such metric of cells.
    """
    name = metric.removesuffix("_official")
    rows = _rows_of(probes, protocol, group, direction)
    if name in ("mean_ap", "mean_inp"):
        values = rows.column(name.removeprefix("mean_"))
    elif name.startswith("rank_") and name.removeprefix("rank_").isdecimal():
        values = rows.hits(int(name.removeprefix("rank_")))
    else:
        raise UsageError(f"cells have no metric {metric!r}; choose rank_1, rank_5 ..., mean_ap or mean_inp")
    decimals = 2 if metric.endswith("_official") else None
    cells = rows.cells(values, np.ones((1, len(rows.subjects))), decimals)[0]
    return CellMatrix(tuple(rows.views.tolist()), tuple(rows.gallery_views.tolist()), cells)


def rank_1_samples(
    probes: pa.Table,
    protocol: Protocol,
    group: str,
    directions: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Floats:
    """Rank-1 of a group, the mean over directions, with resamples that other runs share.

    Two runs on the same test subjects get the same resamples, so their differences are paired.

    Args:
        probes: The probes table.
        protocol: How to average.
        group: A probe group, or ``mean``.
        directions: Directions to average.
        resamples: B.
        seed: Of the resamples.

    Returns:
        ``[1 + B]`` float64: the value, then the resamples.

    Raises:
        RecordError: The table lacks the group or a direction.
    """
    subjects = np.array(sorted(pc.unique(probes["subject"].cast(pa.string())).to_pylist()))
    weights = np.concatenate([np.ones((1, len(subjects))), subject_weights(len(subjects), resamples, seed=seed)])
    present = _ordered(probes["group"])
    groups = [group]
    if group == "mean":
        groups = [name for name in (protocol.mean_groups or present) if name in present]
    drawn = []
    for direction in directions:
        asked = probes.filter(pc.equal(probes["direction"], direction))
        for name in groups:
            table = asked.filter(pc.equal(asked["group"], name))
            if table.num_rows == 0:
                raise RecordError(f"the probes table has no group {name!r} in direction {direction!r}")
            rows = _Rows(table, protocol, subjects)
            drawn.append(rows.average(rows.hits(1), weights))
    return np.asarray(np.mean(drawn, axis=0))


@dataclass(frozen=True, slots=True, eq=False)
class _Number:
    """A metric of one group with its resamples."""

    metric: str
    samples: Floats
    """``[1 + B]``; the value first."""
    chance: float | None
    num_probes: int
    num_counted: int
    num_absent: int
    num_excluded: int
    value: float | None = None
    """Where the value is exact and the resamples are read off a coarser curve."""

    def score(self, group: str, direction: str) -> Score:
        value = float(self.samples[0]) if self.value is None else self.value
        low = high = None
        if self.samples.size > 1:
            interval = percentile_interval(self.samples[1:])
            shift = value - float(self.samples[0]) if self.value is not None else 0.0
            low, high = (min(max(end + shift, 0.0), 1.0) if self.value is not None else end for end in interval)
        return Score(
            metric=self.metric,
            group=group,
            direction=direction,
            value=value,
            ci_low=low,
            ci_high=high,
            chance=self.chance,
            num_probes=self.num_probes,
            num_counted=self.num_counted,
            num_absent=self.num_absent,
            num_excluded=self.num_excluded,
        )


class _Rows:
    """The probes table of one group in one direction as arrays."""

    def __init__(self, table: pa.Table, protocol: Protocol, subjects: NDArray[np.str_]) -> None:
        self.protocol = protocol
        self.subjects = subjects
        self.table = table
        self.status = _words(table["status"])
        self.subject = np.searchsorted(subjects, _words(table["subject"]))
        self.rank, self.num_matches, self.num_valid = (
            table[name].to_numpy() for name in ("rank", "num_matches", "num_valid")
        )
        self.is_asked = self.status != "excluded"
        self.is_absent = self.status == "absent"
        view, gallery = _words(table["view"]), _words(table["gallery_view"])
        if protocol.averaging == "probes":
            view = gallery = np.zeros(len(view), dtype="<U1")
        self.views, row = np.unique(view, return_inverse=True)
        self.gallery_views, column = np.unique(gallery, return_inverse=True)
        self.shape = (len(self.views), len(self.gallery_views))
        self.cell = row * len(self.gallery_views) + column

    def hits(self, k: int) -> Floats:
        """1, 0 or NaN per row; a probe that cannot be found is a miss or left out, as the protocol says."""
        hit = (self.rank <= k).astype(np.float64)
        hit[self.is_absent] = 0.0 if self.protocol.absent_probes == "miss" else np.nan
        return np.where(self.is_asked, hit, np.nan)

    def column(self, name: str) -> Floats:
        """Numbers of a column, NaN where a row has none."""
        return np.asarray(self.table[name].to_numpy(), dtype=np.float64)

    def average(self, values: Floats, weights: Floats, decimals: int | None = None) -> Floats:
        """``[1 + B]`` average over cells of ``[rows]`` values, NaN left out."""
        return _known_mean(_known_mean(self.cells(values, weights, decimals)))

    def cells(self, values: Floats, weights: Floats, decimals: int | None = None) -> Floats:
        """``[1 + B, probe views, gallery views]`` mean of ``[rows]`` values in each cell, NaN where none is known."""
        is_known = ~np.isnan(values)
        num_cells = self.shape[0] * self.shape[1]
        place = (self.subject * num_cells + self.cell)[is_known]
        size = len(self.subjects) * num_cells
        total = np.bincount(place, weights=values[is_known], minlength=size).reshape(-1, num_cells)
        count = np.bincount(place, minlength=size).reshape(-1, num_cells)
        if decimals is None:
            cells = _ratio(weights @ total, weights @ count)
        else:  # percent before the division, as evaluators do: 23 of 160 is 14.375, not 14.374999999999998
            cells = np.round(_ratio(weights @ (100 * total), weights @ count), decimals) / 100
        return cells.reshape(-1, *self.shape)

    def numbers(self, weights: Floats) -> Iterator[_Number]:
        """Every metric of a ranking."""
        ranks = sorted({1, *self.protocol.ranks})
        measured = [(f"rank_{k}", self.hits(k), self._chance_hits(k)) for k in ranks]
        measured += [
            ("mean_ap", self.column("ap"), chance_average_precision(self.num_matches, self.num_valid)),
            ("mean_inp", self.column("inp"), chance_inverse_negative_penalty(self.num_matches, self.num_valid)),
        ]
        for metric, values, chance in measured:
            yield self._number(metric, values, chance, weights)
            if metric in self.protocol.rounded_metrics:
                yield self._number(f"{metric}_official", values, chance, weights, decimals=2)
        for name in self.table.column_names:
            if name.startswith(EXTRA):
                values = np.where(self.is_asked, self.table[name].to_numpy().astype(np.float64), np.nan)
                yield self._number(name.removeprefix(EXTRA), values, None, weights)

    def by_gap(self, weights: Floats) -> Iterator[tuple[float, _Number]]:
        """Rank-1 by the angle between probe and gallery view."""
        if self.protocol.averaging != "view_pairs":
            return
        gap = self.table["gap_deg"].to_numpy().astype(np.float64)
        hits, chance = self.hits(1), self._chance_hits(1)
        for one in np.unique(gap[self.is_asked & ~np.isnan(gap)]):
            here = gap == one
            values = np.where(here, hits, np.nan)
            yield float(one), self._number("rank_1", values, np.where(here, chance, np.nan), weights, here=here)

    def _chance_hits(self, k: int) -> Floats:
        chance = chance_rank_k(self.num_matches, self.num_valid, k=k)
        if self.protocol.absent_probes == "miss":
            chance[self.is_absent] = 0.0
        return np.where(self.is_asked, chance, np.nan)

    def _number(
        self,
        metric: str,
        values: Floats,
        chance: Floats | None,
        weights: Floats,
        *,
        decimals: int | None = None,
        here: NDArray[np.bool_] | None = None,
    ) -> _Number:
        here = np.ones(len(values), dtype=bool) if here is None else here
        return _Number(
            metric=metric,
            samples=self.average(values, weights, decimals),
            chance=None if chance is None else float(self.average(chance, weights[:1])[0]),
            num_probes=int((here & self.is_asked).sum()),
            num_counted=int((~np.isnan(values)).sum()),
            num_absent=int((here & self.is_absent).sum()),
            num_excluded=int(self.table["num_excluded"].to_numpy()[here].sum()),
        )


def _rows_of(probes: pa.Table, protocol: Protocol, group: str, direction: str) -> _Rows:
    table = probes.filter(pc.and_(pc.equal(probes["group"], group), pc.equal(probes["direction"], direction)))
    if table.num_rows == 0:
        raise RecordError(f"the probes table has no group {group!r} in direction {direction!r}")
    return _Rows(table, protocol, np.unique(_words(table["subject"])))


class _Curves:
    """The verification tables of one group in one direction."""

    def __init__(self, tables: dict[str, pa.Table], direction: str, group: str, subjects: NDArray[np.str_]) -> None:
        curve, by_subject = (
            table.filter(pc.and_(pc.equal(table["direction"], direction), pc.equal(table["group"], group)))
            for table in (tables["verification"], tables["roc_subjects"])
        )
        below = curve["impostors_below"].to_numpy()
        self.counts = RocCounts(
            genuine=curve["genuine"].to_numpy().astype(np.int64)[:-1],
            impostors_below=below[:-1],
            impostors_tied=curve["impostors_tied"].to_numpy()[:-1],
            num_impostors=int(below[-1]),
        )
        knot = by_subject["knot"].to_numpy().astype(np.int64)
        num_bins = int(knot.max(initial=0)) + 1
        place = np.searchsorted(subjects, _words(by_subject["subject"])) * num_bins + knot
        self.genuine, self.impostors = (
            np.bincount(place, weights=by_subject[name].to_numpy(), minlength=len(subjects) * num_bins).reshape(
                -1, num_bins
            )
            for name in ("genuine", "impostors")
        )

    def numbers(self, weights: Floats, rows: _Rows) -> Iterator[_Number]:
        """Exact values; intervals from the curve at its knots, moved to the exact value."""
        far = _accumulate(weights @ self.impostors)  # [1 + B, knots + 2]
        tar = _accumulate(weights @ self.genuine)
        denominators = {
            "num_probes": int(rows.is_asked.sum()),
            "num_counted": int((rows.status == "counted").sum()),
            "num_absent": int(rows.is_absent.sum()),
            "num_excluded": int(rows.table["num_excluded"].to_numpy().sum()),
        }
        yield _Number("eer", _crossing(far, 1 - tar), 0.5, value=eer_of(self.counts), **denominators)
        for rate in FARS:
            exact = tar_at_far_of(self.counts, far=rate)
            yield _Number(f"tar_at_far_{rate:g}", _read_off(far, tar, rate), rate, value=exact, **denominators)


def _accumulate(counts: Floats) -> Floats:
    """Shares ``[B, K + 1]`` from counts per bin ``[B, K]``, from none to all."""
    total = np.concatenate([np.zeros((len(counts), 1)), np.cumsum(counts, axis=1)], axis=1)
    return _ratio(total, total[:, -1:])


def _crossing(far: Floats, frr: Floats) -> Floats:
    """Where two curves given at knots cross, linearly between knots."""
    row = np.arange(len(far))
    after = np.maximum(np.argmax(far >= frr, axis=1), 1)
    gap_before, gap_after = (frr[row, at] - far[row, at] for at in (after - 1, after))
    share = _ratio(gap_before, gap_before - gap_after)
    return np.asarray(far[row, after - 1] + share * (far[row, after] - far[row, after - 1]))


def _read_off(far: Floats, tar: Floats, rate: float) -> Floats:
    """True acceptance rate at a false acceptance rate, linearly between knots."""
    row = np.arange(len(far))
    before = np.maximum((far <= rate).sum(axis=1) - 1, 0)
    after = np.minimum(before + 1, far.shape[1] - 1)
    step = far[row, after] - far[row, before]
    share = np.where(step > 0, (rate - far[row, before]) / np.where(step > 0, step, 1), 0.0)
    known = np.isnan(far[:, -1]) | np.isnan(tar[:, -1])
    return np.where(known, np.nan, tar[row, before] + share * (tar[row, after] - tar[row, before]))


def _mean(numbers: tuple[_Number, ...]) -> _Number:
    """Plain mean over groups."""
    chances = [number.chance for number in numbers]
    values = [number.value for number in numbers if number.value is not None]
    return _Number(
        metric=numbers[0].metric,
        samples=np.mean([number.samples for number in numbers], axis=0),
        chance=None if None in chances else float(np.mean([c for c in chances if c is not None])),
        num_probes=sum(number.num_probes for number in numbers),
        num_counted=sum(number.num_counted for number in numbers),
        num_absent=sum(number.num_absent for number in numbers),
        num_excluded=sum(number.num_excluded for number in numbers),
        value=float(np.mean(values)) if len(values) == len(numbers) else None,
    )


def _ratio(total: Floats, count: Floats) -> Floats:
    """Division that gives NaN where nothing was counted."""
    out = np.full(np.broadcast(total, count).shape, np.nan)
    np.divide(total, count, out=out, where=count > 0)
    return out


def _known_mean(values: Floats) -> Floats:
    """Mean over the last axis of what is not NaN; NaN where nothing is left."""
    is_known = ~np.isnan(values)
    return _ratio(np.where(is_known, values, 0).sum(axis=-1), is_known.sum(axis=-1))


def _words(column: pa.ChunkedArray) -> NDArray[np.str_]:
    array = column.combine_chunks()
    words = np.array(array.dictionary.to_pylist(), dtype=np.str_) if len(array) else np.zeros(1, dtype="<U1")
    return words[array.indices.to_numpy()] if len(array) else np.zeros(0, dtype="<U1")


def _ordered(column: pa.ChunkedArray) -> list[str]:
    """Distinct words in order of appearance."""
    return [str(word) for word in pc.unique(column.cast(pa.string())).to_pylist()]
