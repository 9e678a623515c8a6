"""What a board shows of attribute records: both encodings side by side, then by probe group and by attribute."""

import re

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gaitbench.board import Column, Denominator, LabelSpace
from gaitbench.results import RunRecord
from gaitbench.tasks.attribute_evidence import EVERYBODY
from gaitbench.tasks.attribute_scores import BY_ATTRIBUTE, BY_CLASS, attribute_samples

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
_OF_ONE = {"macro precision": "precision_macro", "macro recall": "recall_macro", "macro F1": "f1_macro"}
"""What work on a single attribute, such as screening, reports besides."""


def label_space(record: RunRecord) -> LabelSpace:
    """What is told of each sequence."""
    everybody = [score for score in record.scores if score.group == EVERYBODY]
    parts = [score.group.partition(BY_ATTRIBUTE)[2] for score in record.scores if BY_ATTRIBUTE in score.group]
    attributes = [part.partition(BY_CLASS)[0] for part in parts]
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
    names = label_space(record).attributes
    if len(names) == 1:
        columns += [_column(title, metric, EVERYBODY) for title, metric in _OF_ONE.items()]
    headline = columns[0].metric
    # Those of the protocol in its order, then conditions.
    groups = tuple(dict.fromkeys([*groups, *(s.group for s in record.scores if BY_ATTRIBUTE not in s.group)]))
    columns += [_column(group, headline, group, table="groups") for group in groups if group != EVERYBODY]
    for name in names:
        columns.append(_column(name, "ma_classes", f"{EVERYBODY}{BY_ATTRIBUTE}{name}", table="attributes"))
    for score in record.scores if len(names) == 1 else ():
        if cls := score.group.partition(BY_CLASS)[2]:
            columns.append(_column(f"{score.metric} {cls}", score.metric, score.group, table="classes"))
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
    """Label vectors; without an attribute of two classes the second one is the first one again."""
    found = (re.fullmatch(r"f1_((?:onehot|binary)(\d+))", score.metric) for score in record.scores)
    by_size: dict[str, str] = {}
    for match in found:
        if match:
            by_size.setdefault(match[2], match[1])
    return list(by_size.values())


def _column(title: str, metric: str, group: str, table: str = "main") -> Column:
    return Column(key=f"{metric}|{group}|", title=title, metric=metric, group=group, directions=("",), table=table)
