"""The published numbers that stand beside a table of measured ones, a row per model, input and source."""

from collections.abc import Sequence
from itertools import groupby

from pydantic import BaseModel, ConfigDict, Field

from gaitbench.protocol import Protocol
from gaitbench.published import PrintedMetric, PublishedNumber, printed_metric, published_elsewhere, published_for
from gaitbench.registry import load_registry
from gaitbench.specs import ProtocolSpec

__all__ = ["ReportedElsewhere", "ReportedRow", "reported_elsewhere", "reported_rows"]


class ReportedRow(BaseModel):
    """Numbers of one model as a source prints them, in percent."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: str
    """As the source calls it."""
    modality: str
    """What it reads, in the source's words; ``A -> B`` across sensors, probe first."""
    protocol: str
    """What the source says of its protocol."""
    source: str
    """Paper with table, or document."""
    values: dict[str, float]
    """Probe group to rank-1."""
    further: dict[str, float] = Field(default_factory=dict)
    """Other numbers by ``metric/group``, such as ``mean_ap/all``; ``rank_1/mean`` is a mean that the source prints."""
    doubtful: tuple[str, ...] = ()
    """Keys of ``values`` and ``further`` whose number is in doubt; the note says why."""
    mean: float | None = None
    """Our arithmetic mean over the section's groups; None unless all are given."""
    note: str = ""
    """What a reader must know."""


class ReportedElsewhere(BaseModel):
    """Numbers of other data, for a reader to see; nothing measured can be compared with them."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    protocol: str
    """Name of the protocol that they stand beside."""
    title: str
    """Its title."""
    groups: tuple[str, ...]
    """Its probe groups."""
    rows: tuple[ReportedRow, ...]
    """Best first."""


def reported_elsewhere(protocol: Protocol, task: str) -> tuple[ReportedElsewhere, ...]:
    """Collect what was published on other data, where nothing can be published on these.

    Args:
        protocol: The one that the table was measured under.
        task: Of the table.

    Example:
        >>> from gaitbench.walkers.protocol import WALKERS
        >>> [(found.protocol, found.rows[0].model) for found in reported_elsewhere(WALKERS, "attribute")]
        [('ra-gar', 'CLIP-GAR'), ('ma-gait', 'CLIP-GAR')]
    """
    found = []
    for name in published_elsewhere(protocol, task):
        spec = load_registry().get("protocol", name)
        assert isinstance(spec, ProtocolSpec)
        other = load_registry().load(spec)
        assert isinstance(other, Protocol)
        groups = tuple(other.probes)
        found.append(
            ReportedElsewhere(protocol=name, title=other.title, groups=groups, rows=reported_rows(other, groups, task))
        )
    return tuple(found)


def reported_rows(
    protocol: Protocol, groups: Sequence[str], task: str, *, trained_on: str = ""
) -> tuple[ReportedRow, ...]:
    """Collect what was published under a protocol, best first.

    Args:
        protocol: The one that the table was measured under.
        groups: Probe groups that were measured; numbers of others are left out.
        task: ``crossmodal`` for numbers across sensors, ``attribute`` for those of attributes.
        trained_on: Name of the dataset that was trained on; empty for the one that was scored.

    Returns:
        Rows, ordered by the headline where it is given, else by the first number that is.

    Example:
        >>> from gaitbench.protocols.freegait import FREEGAIT
        >>> best = reported_rows(FREEGAIT, ["all"], "crossmodal")[0]
        >>> best.modality, sorted(best.further)
        ('LiDAR depth -> camera silhouette', ['rank_5/all'])
    """
    numbers = published_for(protocol, task, trained_on=trained_on)
    read = [(n, named) for n in numbers if (named := printed_metric(n, protocol, groups))]
    averaged = [group for group in protocol.mean_groups or groups if group in groups]
    rows = [
        _row(list(found), averaged)
        for _, found in groupby(sorted(read, key=lambda pair: _place(pair[0])), key=lambda pair: _place(pair[0]))
    ]
    return tuple(sorted(rows, key=lambda row: (-_headline(row, protocol.headline), _words(row))))


def _place(number: PublishedNumber) -> tuple[str, str, str, str]:
    return number.model, number.modality, number.protocol, number.source


def _words(row: ReportedRow) -> tuple[str, str, str, str]:
    return row.model, row.modality, row.protocol, row.source


def _row(found: list[tuple[PublishedNumber, PrintedMetric]], averaged: Sequence[str]) -> ReportedRow:
    numbers = {_key(named): number for number, named in found}
    values = {_key(named): number.value for number, named in found if _is_rank_1_of_group(named)}
    first = found[0][0]
    return ReportedRow(
        model=first.model,
        modality=first.modality,
        protocol=first.protocol,
        source=first.source,
        values=values,
        further={key: number.value for key, number in numbers.items() if key not in values},
        doubtful=tuple(key for key, number in numbers.items() if number.doubtful),
        mean=sum(values[g] for g in averaged) / len(averaged) if averaged and set(averaged) <= set(values) else None,
        note="; ".join(dict.fromkeys(number.note for number, _ in found if number.note)),
    )


def _is_rank_1_of_group(named: PrintedMetric) -> bool:
    return named.metric == "rank_1" and named.group != "mean"


def _key(named: PrintedMetric) -> str:
    return named.group if _is_rank_1_of_group(named) else f"{named.metric}/{named.group}"


def _headline(row: ReportedRow, group: str) -> float:
    headline = row.mean if group == "mean" else row.values.get(group)
    given = (headline, row.mean, row.further.get("rank_1/mean"), *row.values.values(), *row.further.values())
    return next(value for value in given if value is not None)
