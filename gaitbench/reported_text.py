"""Reported numbers as a table and its notes: percent as printed, doubt marked, every row with its source."""

from collections.abc import Sequence

from gaitbench.reported import ReportedRow

__all__ = ["reported_notes", "reported_table"]

_HEADS = {"mean_ap": "mAP", "mean_inp": "mINP", "f1": "F1", "ma": "mA", "acc_elementwise": "ACC"}
_OF_ATTRIBUTES = ("f1", "ma", "precision", "recall", "acc_elementwise")
"""In this order."""


def reported_table(rows: Sequence[ReportedRow], groups: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Lay reported numbers out; numbers that no row has get no column.

    Args:
        rows: At least one.
        groups: Probe groups of the section, in their order.

    Returns:
        Head and rows of text. ``?`` marks doubt; the last column numbers the source in :func:`reported_notes`.

    Example:
        >>> row = ReportedRow(model="m", modality="lidar", protocol="p", source="s", values={"all": 50.0},
        ...     further={"mean_ap/all": 41.25}, doubtful=("all",))
        >>> reported_table([row], ["all"])
        (['model', 'modality', 'rank-1', 'mAP', 'source'], [['m', 'lidar', '50?', '41.25', '[1]']])
    """
    keys = [group for group in groups if any(group in row.values for row in rows)]
    heads = ["rank-1" if len(groups) == 1 else key for key in keys]
    further = sorted({key for row in rows for key in row.further}, key=lambda key: _order(key, groups))
    has_mean = len(groups) > 1 and any(row.mean is not None for row in rows)
    head = ["model", "modality", *heads, *(["mean"] if has_mean else []), *(_head(key, groups) for key in further)]
    places = _places(rows)
    body = [
        [
            row.model,
            row.modality,
            *(_number(row, key, row.values) for key in keys),
            *([] if not has_mean else ["" if row.mean is None else f"{row.mean:.1f}"]),
            *(_number(row, key, row.further) for key in further),
            f"[{places.index((row.source, row.protocol)) + 1}]",
        ]
        for row in rows
    ]
    return [*head, "source"], body


def reported_notes(rows: Sequence[ReportedRow]) -> list[str]:
    """Say where the numbers of a table were read and what is wrong with them, a line each.

    Args:
        rows: Those of the table.

    Returns:
        Numbered sources, then notes on models.
    """
    notes = [f"[{i}] {source}. Protocol: {protocol}" for i, (source, protocol) in enumerate(_places(rows), start=1)]
    notes += list(dict.fromkeys(f"{row.model}: {row.note}" for row in rows if row.note))
    if any(row.doubtful for row in rows):
        notes.append("a number with ? is in doubt: its source contradicts itself or another one, or is second-hand")
    return notes


def _places(rows: Sequence[ReportedRow]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((row.source, row.protocol) for row in rows))


def _number(row: ReportedRow, key: str, values: dict[str, float]) -> str:
    return f"{values[key]:g}" + ("?" if key in row.doubtful else "") if key in values else ""


def _order(key: str, groups: Sequence[str]) -> tuple[bool, str, int]:
    """Ranks first, each metric's groups side by side."""
    metric, _, group = key.partition("/")
    if metric in _OF_ATTRIBUTES:
        return True, str(_OF_ATTRIBUTES.index(metric)), 0
    return not metric.startswith("rank_"), metric, groups.index(group) if group in groups else len(groups)


def _head(key: str, groups: Sequence[str]) -> str:
    """Such as ``mAP CL``, or ``mean, printed`` for a mean of rank-1."""
    metric, _, group = key.partition("/")
    name = _HEADS.get(metric, metric.replace("_", "-"))
    if group == "mean":
        return "mean, printed" if metric == "rank_1" else f"{name} mean, printed"
    return name if len(groups) == 1 else f"{name} {group}"
