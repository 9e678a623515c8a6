"""Recompute every score of a record from its evidence, by another way than the one that made it.

Values and denominators come from Arrow's group-by and from stepping through the sorted thresholds; the intervals of
rank-1 are drawn one cell at a time. On top of that the whole list of scores is computed again as it was at first, which
covers chance and the other intervals. Evidence of attributes is recounted by :mod:`gaitbench.tasks.attribute_audit`.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import ValidationError

from gaitbench.errors import RecordError
from gaitbench.metrics.bootstrap import subject_weights
from gaitbench.protocol import Protocol
from gaitbench.results import RunRecord, Score, read_record, read_tables, record_text
from gaitbench.tasks.attribute_audit import check_answers, recount_answers
from gaitbench.tasks.attribute_evidence import is_about_attributes
from gaitbench.tasks.attribute_scores import scores_of_answers
from gaitbench.tasks.evidence import EXTRA, STATUSES
from gaitbench.tasks.scores import bootstrap_of, scores_of

__all__ = ["audit", "read_audited"]

TOLERANCE = 1e-9
"""Largest difference between a score and its recomputation."""

_COLUMNS = {
    "probes": {"direction", "group", "probe", "subject", "view", "gallery_view", "gap_deg", "status", "rank"}
    | {"num_matches", "num_valid", "num_excluded", "ap", "inp"},
    "verification": {"direction", "group", "genuine", "impostors_below", "impostors_tied"},
    "roc_subjects": {"direction", "group", "subject", "knot", "genuine", "impostors"},
}


def audit(record: RunRecord, tables: dict[str, pa.Table]) -> None:
    """Stop when a record says anything that its evidence does not.

    Args:
        record: Of a run.
        tables: Its evidence: ``probes``, ``verification`` and ``roc_subjects``, or those of attributes.

    Raises:
        RecordError: A table is missing or contradicts itself or another one; a score differs from what the tables
            give, is missing, or stands in the record without evidence.
    """
    try:
        protocol = Protocol.model_validate(record.data.protocol)
    except ValidationError as error:
        raise RecordError(f"{record.run_id}: the protocol in the record cannot be read: {error}") from error
    if is_labels := is_about_attributes(tables):
        check_answers(record, tables, protocol)
    else:
        _check_tables(record, tables, protocol)
    where = f"run {record.run_id}, {record.model.name} on {record.data.name}"
    computed = scores_of_answers(tables) if is_labels else scores_of(tables, protocol)
    again = {_key(score): score for score in computed}
    told: dict[tuple[str, str, str], Score] = {}
    for score in record.scores:
        if _key(score) in told:
            raise RecordError(f"{where}: {_say(score)} stands twice in the record")
        told[_key(score)] = score
    if unfounded := [score for key, score in told.items() if key not in again]:
        raise RecordError(f"{where}: no evidence for {_say(unfounded[0])} and {len(unfounded) - 1} more")
    if missing := [score for key, score in again.items() if key not in told]:
        raise RecordError(f"{where}: the record lacks {_say(missing[0])} and {len(missing) - 1} more")
    for key, score in told.items():
        _compare(where, score, {field: getattr(again[key], field) for field in Score.model_fields})
    recounted = recount_answers(tables, list(told.values())) if is_labels else _recount(tables, protocol, told)
    for score, counted in recounted:
        _compare(where, score, counted)


_sound: set[str] = set()
"""Hashes of records that this process found to agree with the tables whose hashes they hold."""


def read_audited(folder: Path) -> tuple[RunRecord, dict[str, pa.Table]]:
    """Read a finished run and audit it, once per process for the same record and tables.

    Args:
        folder: With ``record.json`` and the tables.

    Returns:
        Record and tables.

    Raises:
        RecordError: The run is not finished, a file was changed, or the record does not agree with its evidence.
    """
    record = read_record(folder)
    tables = read_tables(folder, record)
    digest = hashlib.sha256(record_text(record).encode()).hexdigest()
    if digest not in _sound:
        try:
            audit(record, tables)
        except RecordError as error:
            raise RecordError(f"{folder}: {error}") from error
        _sound.add(digest)
    return record, tables


def _check_tables(record: RunRecord, tables: dict[str, pa.Table], protocol: Protocol) -> None:
    where = f"run {record.run_id}"
    for name, columns in _COLUMNS.items():
        if name not in tables:
            raise RecordError(f"{where}: the evidence table {name} is missing")
        if missing := sorted(columns - set(tables[name].column_names)):
            raise RecordError(f"{where}: the evidence table {name} lacks the columns {', '.join(missing)}")
    probes = tables["probes"]
    if unknown := sorted(set(_words(probes, "group")) - set(protocol.probes)):
        raise RecordError(f"{where}: the probes table has groups that the protocol lacks: {', '.join(unknown)}")
    if unknown := sorted(set(_words(probes, "status")) - set(STATUSES)):
        raise RecordError(f"{where}: the probes table has unknown states: {', '.join(unknown)}")
    rank, matches, valid = (probes[name].to_numpy() for name in ("rank", "num_matches", "num_valid"))
    is_counted = pc.equal(probes["status"], "counted").to_numpy()
    sound = np.where(
        is_counted, (rank >= 1) & (matches >= 1) & (rank <= valid - matches + 1), (rank == 0) & (matches == 0)
    )
    if not sound.all():
        raise RecordError(f"{where}: row {int(np.argmin(sound))} of the probes table contradicts itself")
    pairs = {
        (row["direction"], row["group"]): (row["num_matches_sum"], row["num_valid_sum"] - row["num_matches_sum"])
        for row in probes.group_by(["direction", "group"])
        .aggregate([("num_matches", "sum"), ("num_valid", "sum")])
        .to_pylist()
    }
    for name, genuine, impostors in (
        ("verification", "genuine", "impostors_below"),
        ("roc_subjects", "genuine", "impostors"),
    ):
        how = "max" if name == "verification" else "sum"
        rows = tables[name].group_by(["direction", "group"]).aggregate([(genuine, "sum"), (impostors, how)]).to_pylist()
        found = {(r["direction"], r["group"]): (r[f"{genuine}_sum"], r[f"{impostors}_{how}"]) for r in rows}
        if found != pairs:
            raise RecordError(f"{where}: the tables probes and {name} count different pairs")
    for direction, group in pairs:
        curve, knots = (_only(tables[name], direction, group) for name in ("verification", "roc_subjects"))
        if not _lies_on(curve, knots):
            raise RecordError(f"{where}: roc_subjects of {group} leaves the curve of the table verification")


def _lies_on(curve: pa.Table, knots: pa.Table) -> bool:
    """Tell whether the subjects' counts, summed up to each knot, are points of the exact curve."""
    genuine, below, tied = (curve[name].to_numpy() for name in ("genuine", "impostors_below", "impostors_tied"))
    points = set(zip(np.cumsum(genuine).tolist(), (below + tied).tolist(), strict=True))
    by_knot = knots.group_by("knot").aggregate([("genuine", "sum"), ("impostors", "sum")]).sort_by("knot")
    passed = (np.cumsum(by_knot[name].to_numpy()).tolist() for name in ("genuine_sum", "impostors_sum"))
    return points.issuperset(zip(*passed, strict=True))


def _recount(
    tables: dict[str, pa.Table], protocol: Protocol, told: dict[tuple[str, str, str], Score]
) -> Iterator[tuple[Score, dict[str, object]]]:
    """Each score with the fields that were found again the other way."""
    subjects = {name: i for i, name in enumerate(sorted(_words(tables["probes"], "subject")))}
    resampling = bootstrap_of(tables["probes"])
    drawn = subject_weights(len(subjects), resampling.resamples, seed=resampling.seed) if resampling.resamples else None
    for (direction, name), of_group in _by_place(told.values(), lambda s: (s.direction, s.group.partition("/gap=")[0])):
        if name == "mean":
            yield from _recount_means(protocol, told, direction, of_group)
            continue
        everything, curve = (_only(tables[table], direction, name) for table in ("probes", "verification"))
        for (_, gap), scores in _by_place(of_group, lambda s: ("", s.group.partition("/gap=")[2])):
            rows = everything
            if gap:
                rows = rows.filter(pc.equal(pc.cast(rows["gap_deg"], pa.float64()), float(gap)))
            asked = rows.filter(pc.not_equal(rows["status"], "excluded"))
            for score in scores:
                if score.metric == "eer" or score.metric.startswith("tar_at_far_"):
                    value = _verification(curve, score.metric)
                    yield score, {"value": value, "num_counted": _count(asked, "counted")}
                    continue
                table = asked.append_column("value", _values(asked, score.metric, protocol))
                found: dict[str, object] = {
                    "value": _cell_average(table, protocol, is_rounded=score.metric.endswith("_official")),
                    "num_probes": asked.num_rows,
                    "num_counted": len(asked) - table["value"].null_count,
                    "num_absent": _count(asked, "absent"),
                    "num_excluded": pc.sum(rows["num_excluded"]).as_py(),
                }
                if score.metric == "rank_1" and not gap and drawn is not None:
                    found |= _interval(table, protocol, subjects, drawn)
                yield score, found


def _recount_means(
    protocol: Protocol, told: dict[tuple[str, str, str], Score], direction: str, scores: list[Score]
) -> Iterator[tuple[Score, dict[str, object]]]:
    for score in scores:
        gap = score.group.removeprefix("mean")
        parts = [told.get((score.metric, name + gap, direction)) for name in protocol.mean_groups or protocol.probes]
        known = [part for part in parts if part is not None]
        if not known:
            raise RecordError(f"{_say(score)} is a mean of no group")
        yield (
            score,
            {
                "value": math.fsum(part.value for part in known) / len(known),
                "num_probes": sum(part.num_probes for part in known),
                "num_counted": sum(part.num_counted for part in known),
            },
        )


def _values(asked: pa.Table, metric: str, protocol: Protocol) -> pa.Array:
    """The column that a metric averages, null where a row is left out."""
    metric = metric.removesuffix("_official")
    is_counted = pc.equal(asked["status"], "counted")
    if metric.startswith("rank_"):
        hit = pc.and_(is_counted, pc.less_equal(asked["rank"], int(metric.removeprefix("rank_"))))
        value = pc.cast(hit, pa.float64())
        return value if protocol.absent_probes == "miss" else pc.if_else(is_counted, value, None)
    column = pc.cast(asked[{"mean_ap": "ap", "mean_inp": "inp"}.get(metric, EXTRA + metric)], pa.float64())
    return pc.if_else(pc.is_nan(column), None, column)


def _cell_average(table: pa.Table, protocol: Protocol, *, is_rounded: bool) -> float:
    places = [] if protocol.averaging == "probes" else ["view", "gallery_view"]
    cells = table.group_by(places).aggregate([("value", "mean"), ("value", "sum"), ("value", "count")])
    if is_rounded:
        rounded = [
            round(np.float64(100 * cell["value_sum"]) / cell["value_count"], 2) / 100 if cell["value_count"] else None
            for cell in cells.to_pylist()
        ]
        cells = cells.set_column(cells.column_names.index("value_mean"), "value_mean", pa.array(rounded, pa.float64()))
    if not places:
        return _number(pc.mean(cells["value_mean"]))
    rows = cells.group_by("view").aggregate([("value_mean", "mean")])
    return _number(pc.mean(rows["value_mean_mean"]))


def _interval(
    table: pa.Table, protocol: Protocol, subjects: dict[str, int], weights: NDArray[np.float64]
) -> dict[str, object]:
    """Ends of the interval, one cell at a time; ``weights`` is ``[B, S]``."""
    keys = ["view", "gallery_view"] if protocol.averaging != "probes" else []
    sums = table.group_by([*keys, "subject"]).aggregate([("value", "sum"), ("value", "count")])
    by_view: dict[str, list[NDArray[np.float64]]] = {}
    rows = sorted(sums.to_pylist(), key=lambda row: [row[key] for key in keys])
    for place, of_cell in groupby(rows, lambda row: tuple(row[key] for key in keys)):
        members = list(of_cell)
        at = [subjects[row["subject"]] for row in members]
        total = weights[:, at] @ np.array([row["value_sum"] or 0.0 for row in members])
        count = weights[:, at] @ np.array([float(row["value_count"]) for row in members])
        with np.errstate(invalid="ignore"):
            by_view.setdefault(place[0] if place else "", []).append(total / count)
    drawn = _mean_known([_mean_known(cells) for cells in by_view.values()])
    known = drawn[~np.isnan(drawn)]
    if not known.size:
        return {"ci_low": math.nan, "ci_high": math.nan}
    return {"ci_low": float(np.quantile(known, 0.025)), "ci_high": float(np.quantile(known, 0.975))}


def _mean_known(columns: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    stacked = np.ma.masked_invalid(np.stack(columns))
    return np.ma.filled(stacked.mean(axis=0).astype(np.float64), np.nan)


def _verification(curve: pa.Table, metric: str) -> float:
    steps = list(
        zip(*(curve[name].to_pylist() for name in ("genuine", "impostors_below", "impostors_tied")), strict=True)
    )
    num_genuine, num_impostors = sum(step[0] for step in steps), steps[-1][1]
    if not num_genuine or not num_impostors:
        return math.nan
    if metric != "eer":
        far = float(metric.removeprefix("tar_at_far_"))
        passed = sum(g for g, below, tied in steps if (below + tied) / num_impostors <= far)
        return float(passed / num_genuine)
    accepted, last_far, last_frr = 0, 0.0, 1.0
    for genuine, below, tied in steps:
        for passed, impostors in ((accepted, below), (accepted + genuine, below + tied)):
            far, frr = impostors / num_impostors, 1 - passed / num_genuine
            if far >= frr:
                before, after = last_frr - last_far, frr - far
                return float(last_far + before / (before - after) * (far - last_far))
            last_far, last_frr = far, frr
        accepted += genuine
    return math.nan


def _compare(where: str, score: Score, found: dict[str, object]) -> None:
    for field, value in found.items():
        told = getattr(score, field)
        if told == value or (isinstance(told, float) and isinstance(value, float) and _agree(told, value)):
            continue
        raise RecordError(
            f"{where}: {field} of {_say(score)} is {told!r} in the record and {value!r} from its tables; "
            "the record or a table was changed after the run, so run it again"
        )


def _agree(a: float, b: float) -> bool:
    return abs(a - b) <= TOLERANCE or (math.isnan(a) and math.isnan(b))


def _by_place(
    scores: Iterable[Score], place: Callable[[Score], tuple[str, str]]
) -> Iterator[tuple[tuple[str, str], list[Score]]]:
    yield from ((key, list(found)) for key, found in groupby(sorted(scores, key=place), place))


def _only(table: pa.Table, direction: str, group: str) -> pa.Table:
    return table.filter(pc.and_(pc.equal(table["direction"], direction), pc.equal(table["group"], group)))


def _count(table: pa.Table, status: str) -> int:
    return int(pc.sum(pc.equal(table["status"], status)).as_py() or 0)


def _words(table: pa.Table, column: str) -> list[str]:
    return [str(word) for word in pc.unique(table[column].cast(pa.string())).to_pylist()]


def _number(scalar: pa.Scalar) -> float:
    value = scalar.as_py()
    return math.nan if value is None else float(value)


def _key(score: Score) -> tuple[str, str, str]:
    return score.metric, score.group, score.direction


def _say(score: Score) -> str:
    return f"{score.metric} of {score.group}" + (f" ({score.direction})" if score.direction else "")
