"""From records to boards: the seeds of a model averaged, models ranked, reported numbers put beside."""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gaitbench.attribute_columns import (
    attribute_columns,
    attribute_denominators,
    attribute_resamples,
    label_space,
)
from gaitbench.board import Board, Cell, Column, Denominator, ExtraColumn, Row, Section
from gaitbench.errors import RecordError
from gaitbench.metrics.bootstrap import percentile_interval
from gaitbench.protocol import Protocol
from gaitbench.reported import reported_elsewhere, reported_rows
from gaitbench.results import DataProvenance, RunRecord, Score, TrainedOn
from gaitbench.tasks.attribute_evidence import EVERYBODY, is_about_attributes
from gaitbench.tasks.scores import rank_1_samples

__all__ = ["Finished", "boards_of"]


class Finished(NamedTuple):
    """A record with its evidence."""

    record: RunRecord
    tables: dict[str, pa.Table] | None
    """None where only the record is at hand; then nothing can be told of ties."""


Floats = NDArray[np.float64]
Data = TypeVar("Data", DataProvenance, TrainedOn)


def boards_of(runs: Iterable[Finished], *, columns: Sequence[ExtraColumn] = ()) -> tuple[Board, ...]:
    """Aggregate seeds, rank, and put reported numbers beside.

    Ranks: the difference of two rows' rank-1 in the headline group is resampled over subjects, the same subjects for
    both; a row is ahead of another when the 95 % interval of the difference excludes 0. A row's rank runs from one
    plus the rows surely ahead of it to all but those surely behind it.

    Args:
        runs: Records, audited before.
        columns: Of plugins.

    Returns:
        Boards by task and dataset.

    Raises:
        RecordError: Two runs of one configuration and seed disagree, or a record is read without its protocol.
    """
    ordered = sorted(runs, key=lambda run: (*_section_key(run.record), *_row_key(run.record), run.record.training.seed))
    boards = []
    for (task, dataset), of_board in groupby(ordered, key=lambda run: (run.record.task, run.record.data.name)):
        sections = [
            _section(list(found), columns) for _, found in groupby(of_board, key=lambda run: _section_key(run.record))
        ]
        boards.append(Board(task=task, dataset=dataset, sections=tuple(sections)))
    return tuple(boards)


def _section_key(record: RunRecord) -> tuple[str, ...]:
    data = record.data
    protocol = json.dumps(data.protocol, sort_keys=True)
    options = json.dumps(data.options, sort_keys=True)
    groups = " ".join(_groups(record))
    # Rows that were trained on other data are never ranked among those that were trained on these.
    trained_on = json.dumps(data.trained_on and _compared(data.trained_on).model_dump(mode="json"), sort_keys=True)
    # Nor are rows that were given true attributes of the test sequences ranked among those that were not.
    uses_labels = "true attributes" if record.uses_labels else ""
    return (
        record.task,
        data.name,
        f"{record.task_version:06d}",
        data.version,
        protocol,
        options,
        _compared(data).fingerprint,
        groups,
        trained_on,
        uses_labels,
    )


def _compared(data: Data) -> Data:
    """The data as the test saw them: rows are compared whatever else one of them read in training."""
    if not data.training_only:
        return data
    seen = tuple(name for name in data.modalities if name not in data.training_only)
    return data.model_copy(
        update={
            "modalities": seen,
            "fingerprint": data.test_fingerprint,
            "training_only": (),
            "test_fingerprint": "",
        }
    )


def _row_key(record: RunRecord) -> tuple[str, ...]:
    model = record.model
    appended = model.appended and model.appended.model_dump(mode="json", exclude={"run_id"})
    config = json.dumps([model.config, record.training.recipe, record.training.precision, appended], sort_keys=True)
    return record.status, model.name, model.preset, model.plugin, model.plugin_version, model.fidelity, config


def _groups(record: RunRecord) -> list[str]:
    """Probe groups measured, in the protocol's order; groups missing as a whole make a section of their own."""
    names = {score.group for score in record.scores}
    protocol = Protocol.model_validate(record.data.protocol)
    return [name for name in protocol.probes if name in names] if record.status == "complete" else list(protocol.probes)


def _section(runs: list[Finished], extra: Sequence[ExtraColumn]) -> Section:
    first = runs[0].record
    data = first.data
    protocol = Protocol.model_validate(data.protocol)
    groups = tuple(_groups(first))
    labels = label_space(first) if is_about_attributes(first.evidence) else None
    records = [run.record for run in runs]
    columns = _columns(records, protocol, groups) if labels is None else attribute_columns(first, groups)
    complete = [run for run in runs if run.record.status == "complete"]
    partial = [run for run in runs if run.record.status == "partial"]
    rows = _ranked([_measured(of_row, protocol, columns, extra) for of_row in _rows(complete)])
    aside = [_measured(of_row, protocol, columns, extra).row for of_row in _rows(partial)]
    return Section(
        task=first.task,
        task_version=first.task_version,
        dataset=data.name,
        dataset_version=data.version,
        fingerprint=_compared(data).fingerprint,
        options=data.options,
        modalities=_compared(data).modalities,
        protocol=protocol.name,
        protocol_version=protocol.version,
        protocol_title=protocol.title,
        protocol_source=protocol.source,
        headline=columns[0].key,
        groups=groups,
        num_test_subjects=data.num_test_subjects,
        num_gallery=data.num_gallery,
        num_probes=data.num_probes,
        columns=columns,
        denominators=_denominators(records, groups) if labels is None else attribute_denominators(first, columns),
        rows=rows,
        partial_rows=tuple(sorted(aside, key=lambda row: (row.model, row.configured))),
        reported=reported_rows(
            protocol,
            groups if labels is None else (EVERYBODY,),
            first.task,
            trained_on=data.trained_on.name if data.trained_on is not None else "",
        ),
        reported_elsewhere=reported_elsewhere(protocol, first.task) if data.trained_on is None else (),
        trained_on=data.trained_on and _compared(data.trained_on),
        labels=labels,
        uses_labels=first.uses_labels,
    )


def _columns(records: Sequence[RunRecord], protocol: Protocol, groups: tuple[str, ...]) -> tuple[Column, ...]:
    """Headline first. Cross-modal directions come apart from single-modal and fused ones, which are context."""
    scores = [score for record in records for score in record.scores]
    known = {(score.metric, score.group) for score in scores}
    # Only some of the models may fuse.
    directions = list(dict.fromkeys(score.direction for score in scores))
    asked = [d for d in directions if len(set(d.split("->"))) == 2 and "+" not in d] or directions
    main, columns = protocol.headline, []
    if len(asked) > 1:
        columns.append(_column("mean of directions", "rank_1", main, asked))
    columns += [_column(direction or "rank-1", "rank_1", main, [direction]) for direction in directions]
    more = [("rank-5", "rank_5"), ("mAP", "mean_ap"), ("mINP", "mean_inp"), ("EER", "eer")]
    more.append(("TAR@FAR 1 %", "tar_at_far_0.01"))
    columns += [_column(title, metric, main, asked) for title, metric in more if (metric, main) in known]
    for direction in asked:
        for group in groups:
            title = f"{group} {direction}".strip()
            columns.append(_column(title, "rank_1", group, [direction], table="groups"))
    at_gaps = (s.group for s in scores if s.group.startswith("mean/gap=") and s.direction == asked[0])
    gaps = list(dict.fromkeys(at_gaps))
    for direction in asked:
        for group in gaps:
            title = f"{group.removeprefix('mean/gap=')}° {direction}".strip()
            columns.append(_column(title, "rank_1", group, [direction], table="gaps"))
    return tuple(columns)


def _column(title: str, metric: str, group: str, directions: list[str], table: str = "main") -> Column:
    key = "|".join([metric, group, *directions])
    higher = metric != "eer"
    return Column(
        key=key,
        title=title,
        metric=metric,
        group=group,
        directions=tuple(directions),
        higher_is_better=higher,
        table=table,
    )


class _Measured(NamedTuple):
    row: Row
    samples: Floats | None
    """``[1 + B]`` headline rank-1, mean over seeds."""


def _rows(runs: list[Finished]) -> list[list[Finished]]:
    return [list(found) for _, found in groupby(runs, key=lambda run: _row_key(run.record))]


def _measured(
    runs: list[Finished], protocol: Protocol, columns: tuple[Column, ...], extra: Sequence[ExtraColumn]
) -> _Measured:
    runs = _one_per_seed(runs)
    records = [run.record for run in runs]
    first = records[0]
    model = first.model
    samples = _resamples(runs, protocol, columns)
    row = Row(
        model=model.name if model.appended is None else f"{model.name} + {model.appended.says}",
        preset=model.preset,
        plugin=f"{model.plugin} {model.plugin_version}",
        fidelity=model.fidelity,
        open_points=model.open_points,
        note=model.says,
        is_trivial=model.is_trivial,
        num_parameters=model.num_parameters,
        flops_per_sequence=model.flops_per_sequence,
        train_seconds=float(np.mean([record.environment.train_seconds for record in records])),
        hardware=first.environment.hardware,
        seeds=tuple(record.training.seed for record in records),
        run_ids=tuple(record.run_id for record in records),
        cells={column.key: _cell(records, column, samples.get(column.key)) for column in columns},
        extra={column.title: column.value(first) for column in extra},
        towers=model.towers,
        decides=model.decides,
        # Of equal configurations, what only some runs name is what the preset has anyway.
        changes=tuple(text for text in model.changes if all(text in record.model.changes for record in records)),
        training_only=(first.data.trained_on or first.data).training_only,
    )
    return _Measured(row, samples[columns[0].key])


def _one_per_seed(runs: list[Finished]) -> list[Finished]:
    """The same run may have been added twice; two different results for one seed are an error."""
    by_seed: dict[int, Finished] = {}
    for run in runs:
        seed = run.record.training.seed
        if seed in by_seed and by_seed[seed].record.scores != run.record.scores:
            raise RecordError(
                f"runs {by_seed[seed].record.run_id} and {run.record.run_id} are both {run.record.model.name} with "
                f"seed {seed} and differ in their scores; remove the one that is out of date"
            )
        by_seed.setdefault(seed, run)
    return list(by_seed.values())


def _resamples(runs: list[Finished], protocol: Protocol, columns: tuple[Column, ...]) -> dict[str, Floats | None]:
    """Column key to ``[1 + B]``, mean over seeds; None where the evidence is not at hand."""
    if not is_about_attributes(runs[0].record.evidence):
        chosen = [column for column in columns if column.metric == "rank_1" and column.table != "gaps"]
        return {column.key: _samples(runs, protocol, column) for column in chosen}
    if any(run.tables is None or run.record.status != "complete" for run in runs):
        return dict.fromkeys(column.key for column in columns)
    drawn = [attribute_resamples(run.tables, columns) for run in runs if run.tables is not None]
    return {key: np.asarray(np.mean([each[key] for each in drawn], axis=0)) for key in drawn[0]}


def _samples(runs: list[Finished], protocol: Protocol, column: Column) -> Floats | None:
    drawn = []
    for run in runs:
        if run.tables is None or run.record.status != "complete":
            return None
        if any(_find(run.record, column, direction) is None for direction in column.directions):
            return None
        drawn.append(rank_1_samples(run.tables["probes"], protocol, column.group, column.directions))
    return np.asarray(np.mean(drawn, axis=0))


def _cell(records: list[RunRecord], column: Column, samples: Floats | None) -> Cell:
    found = [[_find(record, column, direction) for direction in column.directions] for record in records]
    if any(score is None for scores in found for score in scores):
        return Cell(value=None)
    known = [[score for score in scores if score is not None] for scores in found]
    values = [float(np.mean([score.value for score in scores])) for scores in known]
    chances = [score.chance for score in known[0] if score.chance is not None]
    majorities = [score.majority for scores in known for score in scores if score.majority is not None]
    low = high = None
    if samples is not None:
        low, high = percentile_interval(samples[1:])
    elif len(records) == 1 and len(column.directions) == 1:
        low, high = known[0][0].ci_low, known[0][0].ci_high
    return Cell(
        value=_finite(float(np.mean(values))),
        seed_sd=_finite(float(np.std(values, ddof=1))) if len(values) > 1 else None,
        ci_low=_finite(low),
        ci_high=_finite(high),
        chance=_finite(float(np.mean(chances))) if len(chances) == len(column.directions) else None,
        majority=_finite(float(np.mean(majorities))) if len(majorities) == len(known) else None,
    )


def _find(record: RunRecord, column: Column, direction: str) -> Score | None:
    for score in record.scores:
        if (score.metric, score.group, score.direction) == (column.metric, column.group, direction):
            return score
    return None


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else value


def _ranked(measured: list[_Measured]) -> tuple[Row, ...]:
    def value(found: _Measured) -> float:
        cell = next(iter(found.row.cells.values()))
        return -1.0 if cell.value is None else cell.value

    measured = sorted(measured, key=lambda found: (-value(found), found.row.model, found.row.configured))
    rows = []
    for found in measured:
        ahead = sum(_is_ahead(other, found) for other in measured)
        behind = sum(_is_ahead(found, other) for other in measured)
        rows.append(found.row.model_copy(update={"rank_low": 1 + ahead, "rank_high": len(measured) - behind}))
    return tuple(rows)


def _is_ahead(one: _Measured, other: _Measured) -> bool:
    if one.samples is None or other.samples is None:
        values = [next(iter(found.row.cells.values())).value or 0.0 for found in (one, other)]
        return values[0] > values[1]
    return percentile_interval(one.samples[1:] - other.samples[1:]).low > 0


def _denominators(records: Sequence[RunRecord], groups: tuple[str, ...]) -> tuple[Denominator, ...]:
    """Of each direction those of the first record that has it."""
    first: dict[tuple[str, str], Score] = {}
    for score in (score for record in records for score in record.scores):
        if score.metric == "rank_1" and score.group in groups:
            first.setdefault((score.direction, score.group), score)
    return tuple(
        Denominator(
            group=score.group,
            direction=score.direction,
            num_probes=score.num_probes,
            num_counted=score.num_counted,
            num_absent=score.num_absent,
            num_excluded=score.num_excluded,
        )
        for score in first.values()
    )
