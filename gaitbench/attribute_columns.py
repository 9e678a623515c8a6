"""What a board shows of attribute records: both encodings side by side, then by probe group and by attribute."""

import re

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gaitbench.board import Column, Denominator, LabelSpace
from gaitbench.results import RunRecord
from gaitbench.tasks.attribute_evidence import EVERYBODY
from gaitbench.tasks.attribute_scores import BY_ATTRIBUTE, attribute_samples

__all__ = ["attribute_columns", "attribute_denominators", "attribute_resamples", "label_space"]

_OF_LABELS = {
    "mA": "ma",
    "F1": "f1",
    "precision": "precision",
    "recall": "recall",
    "ACC": "acc_elementwise",
    "Jaccard": "acc_jaccard",
}
_OF_CLASSES = {"mA of classes": "ma_classes", "accuracy of classes": "class_accuracy"}


def label_space(record: RunRecord) -> LabelSpace:
    """What is told of each sequence."""
    everybody = [score for score in record.scores if score.group == EVERYBODY]
    attributes = [score.group.partition(BY_ATTRIBUTE)[2] for score in record.scores if BY_ATTRIBUTE in score.group]
    return LabelSpace(
        attributes=tuple(dict.fromkeys(attributes)),
        encodings=tuple(_encodings(record)),
        num_sequences=everybody[0].num_probes,
        num_unknown=everybody[0].num_excluded,
    )


def attribute_columns(record: RunRecord, groups: tuple[str, ...]) -> tuple[Column, ...]:
    """Columns of a section, the one that ranks first.

    Args:
        record: One of the section's.
        groups: Probe groups at hand.
    """
    encodings = _encodings(record)
    columns = [
        _column(f"{title} {encoding}", f"{metric}_{encoding}", EVERYBODY)
        for encoding in encodings
        for title, metric in _OF_LABELS.items()
    ]
    columns += [_column(title, metric, EVERYBODY) for title, metric in _OF_CLASSES.items()]
    headline = columns[0].metric
    columns += [_column(group, headline, group, table="groups") for group in groups if group != EVERYBODY]
    for name in label_space(record).attributes:
        columns.append(_column(name, "ma_classes", f"{EVERYBODY}{BY_ATTRIBUTE}{name}", table="attributes"))
    return tuple(columns)


def attribute_resamples(tables: dict[str, pa.Table], columns: tuple[Column, ...]) -> dict[str, NDArray[np.float64]]:
    """Key of each column of the headline's metric to ``[1 + B]``: the value, then resamples that other runs share."""
    chosen = [column for column in columns if column.metric == columns[0].metric]
    by_group = attribute_samples(tables, columns[0].metric, [column.group for column in chosen])
    return {column.key: by_group[column.group] for column in chosen}


def attribute_denominators(record: RunRecord, columns: tuple[Column, ...]) -> tuple[Denominator, ...]:
    """What the numbers of each group are shares of."""
    groups = {column.group for column in columns if column.table in ("main", "groups")}
    return tuple(
        Denominator(
            group=score.group,
            direction="",
            num_probes=score.num_probes,
            num_counted=score.num_counted,
            num_absent=score.num_absent,
            num_excluded=score.num_excluded,
        )
        for score in record.scores
        if score.metric == columns[0].metric and score.group in groups
    )


def _encodings(record: RunRecord) -> list[str]:
    found = (re.fullmatch(r"f1_((?:onehot|binary)\d+)", score.metric) for score in record.scores)
    return list(dict.fromkeys(match[1] for match in found if match))


def _column(title: str, metric: str, group: str, table: str = "main") -> Column:
    return Column(key=f"{metric}|{group}|", title=title, metric=metric, group=group, directions=("",), table=table)
