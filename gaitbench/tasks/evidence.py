"""The tables from which every score is computed, and can be computed again.

Axes: Q probe units, G gallery units, V gallery views, R samples (a unit is one sequence, or a set of samples).

``probes``: a row per (direction, group, probe unit, cell).
    direction, group, probe, subject, view, gallery_view : text; gallery_view is empty where the gallery is pooled
    gap_deg: float32, circular difference of the two views to half a degree, NaN where unknown
    status: ``counted``, ``absent`` (no valid match in the cell) or ``excluded`` (the protocol leaves the cell out)
    rank: int32, of the nearest match, ties against the probe; 0 unless counted
    num_matches, num_valid, num_excluded: int32, gallery units of the cell: valid matches, valid, left out
    ap, inp: float32, NaN unless counted
    extra:NAME: float32, further metrics

``verification``: a row per (direction, group, distinct genuine distance), ascending, pooled over cells.
    genuine: int32, pairs at this distance; 0 in the last row of a group, which stands for infinity
    impostors_below, impostors_tied: int64, impostor pairs nearer than this, and at it; in the last row all, and 0

``roc_subjects``: the same curve by probe subject at up to 33 distances, for the bootstrap.
    subject: text; knot: int16; genuine, impostors: int32, pairs beyond knot - 1 and up to knot
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from gaitbench.errors import ModelError, PluginError
from gaitbench.metrics.average_precision import average_precision_of, inverse_negative_penalty_of
from gaitbench.metrics.distance import (
    BLOCK_ELEMENTS,
    DistanceBlock,
    distance_blocks,
    is_tiled,
    part_distance,
    set_distance,
)
from gaitbench.metrics.distance_tiles import DistancePiece, DistanceTiles
from gaitbench.metrics.impostors import ImpostorsAhead, RocBySubject, RocCounter, sort_rows
from gaitbench.metrics.k_reciprocal import k_reciprocal_blocks
from gaitbench.metrics.ranking import MatchRanks
from gaitbench.metrics.verification import RocCounts
from gaitbench.protocol import Protocol
from gaitbench.table import SequenceTable
from gaitbench.tasks.columns import Columns, Words, table_of
from gaitbench.tasks.pairing import Pairing, Units

__all__ = ["BUILT_IN", "EXTRA", "STATUSES", "Matching", "collect"]

STATUSES = ("counted", "absent", "excluded")
"""Words of the column ``status``."""

EXTRA = "extra:"
"""What the columns of further metrics begin with."""

BUILT_IN = ("mean_ap", "mean_inp", "eer")
"""Names that no further metric can take, besides ``rank_*`` and ``tar_at_far_*``."""

KEPT_PAIRS = 1 << 25
"""Distances up to this number (128 MiB) are computed and kept, and those of the matches are taken from them. Of more,
the matches are computed first; where only whole rows can be computed (sets, re-ranking, further metrics), all twice."""

RUN_ELEMENTS = 1 << 20
"""Distances counted at a time: they and their masks stay in the processor's cache."""

SEGMENTS_AT_ONCE = 1 << 16
"""Probes times cells whose ranks are put side by side; changes no result."""

KNOTS = np.unique(np.concatenate([np.linspace(0, 1, 25)[1:], 1 - 0.5 ** np.arange(4, 11), 1.5 ** np.arange(-12.0, -7)]))
"""Shares of the genuine pairs at which the bootstrap looks at the ROC; denser at both ends."""

ByCell = dict[str, NDArray[np.generic]]
"""What was measured, name to ``[Q, V]``."""

RankingMetric = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """Probes and gallery of one direction."""

    label: str
    """As in the record."""
    probe: Tensor
    """``[N, D, P]``."""
    probe_table: SequenceTable
    """Its rows."""
    gallery: Tensor
    """``[M, D, P]``."""
    gallery_table: SequenceTable
    """Its rows."""
    probes: dict[str, NDArray[np.int64]]
    """Group to rows of ``probe``."""
    galleries: dict[str, NDArray[np.int64]]
    """Group to rows of ``gallery``."""
    impostors: NDArray[np.int64]
    """Rows of ``gallery`` that every cell has besides its own; see :attr:`gaitbench.protocol.Protocol.impostors`."""


def collect(
    matchings: list[Matching],
    protocol: Protocol,
    metrics: Mapping[str, RankingMetric],
    *,
    seed: int,
    bootstrap: int,
    device: torch.device | None = None,
) -> dict[str, pa.Table]:
    """Compare every probe with its gallery and write down what the scores need.

    Args:
        matchings: One per direction.
        protocol: How to count.
        metrics: Further metrics by name; names of built-in scores are passed over.
        seed: Of the bootstrap, kept with the tables.
        bootstrap: Number of resamples, kept with the tables.
        device: Where to compute distances and count; None for where the embeddings are.

    Returns:
        The tables of this module.

    Raises:
        PluginError: A further metric fails or breaks its contract.
    """
    further = {name: metric for name, metric in metrics.items() if not _is_built_in(name)}
    parts: dict[str, list[Columns]] = {"probes": [], "verification": [], "roc_subjects": []}
    for matching in matchings:
        for groups in _by_gallery(matching, alone=protocol.reranking is not None):
            ranking = _Ranking(matching, groups, protocol, further, device or matching.probe.device)
            for name, columns in ranking.columns():
                parts[name].append({"direction": Words.repeated(matching.label, _num_rows(columns)), **columns})
    note = {"bootstrap": {"seed": seed, "resamples": bootstrap}, "protocol": protocol.name, "version": protocol.version}
    metadata = {"gaitbench": json.dumps(note)}
    return {name: table_of(columns).replace_schema_metadata(metadata) for name, columns in parts.items()}


def _by_gallery(matching: Matching, *, alone: bool) -> Iterator[tuple[str, ...]]:
    """Groups that search the same gallery are ranked together, unless probes change each other's distances."""
    if alone:
        yield from ((name,) for name in matching.probes)
        return
    groups: dict[bytes, list[str]] = {}
    for name in matching.probes:
        groups.setdefault(np.sort(matching.galleries[name]).tobytes(), []).append(name)
    yield from (tuple(names) for names in groups.values())


class _Ranking:
    """All comparisons of the groups that share a gallery, in one direction.

    Matches come first, because what is counted in all other pairs is how many of them are nearer than a match. Then
    every distance is looked at once, in pieces.
    """

    def __init__(
        self,
        matching: Matching,
        groups: tuple[str, ...],
        protocol: Protocol,
        metrics: Mapping[str, RankingMetric],
        device: torch.device,
    ) -> None:
        self.matching = matching
        self.protocol = protocol
        self.metrics = metrics
        self.device = device
        asked = np.unique(np.concatenate([matching.probes[name] for name in groups]))
        self.probe = Units.of(matching.probe_table, asked, protocol)
        own = Units.of(matching.gallery_table, matching.galleries[groups[0]], protocol, order_by_view=True)
        extra = np.setdiff1d(matching.impostors, own.rows)
        self.gallery = own.followed_by(Units.of(matching.gallery_table, extra, protocol)) if extra.size else own
        first = self.probe.rows[self.probe.start]
        self.members = {name: np.flatnonzero(np.isin(first, matching.probes[name])) for name in groups}
        self.pairing = Pairing(self.probe, self.gallery, protocol, num_extra=extra.size)
        self.cells = self.pairing.cells

    def columns(self) -> Iterator[tuple[str, Columns]]:
        """Name of a table and columns for it."""
        row, column = self.pairing.matches()
        distances, pieces = self._distances(row, column)
        if num_nan := int(distances.isnan().sum()):
            raise ModelError(f"{num_nan} of {len(row)} distances of matches are NaN; check the embeddings")
        num_cells = len(self.cells)
        segment = row * num_cells + self.pairing.cell_of(column)
        ahead = ImpostorsAhead(segment.to(self.device), distances, num_segments=len(self.probe) * num_cells)
        num_valid = self.pairing.num_valid()
        num_matches = torch.bincount(row, minlength=len(self.probe)).numpy()
        subjects, subject = np.unique(self.probe.subject, return_inverse=True)
        counters = {
            name: self._counter(members, row, distances, subject, num_valid.sum(axis=1) - num_matches)
            for name, members in self.members.items()
        }
        further = self._count(pieces, ahead, counters, torch.from_numpy(subject))
        ranked = {**self._ranked(ahead, num_valid), **further}
        for name, members in self.members.items():
            yield "probes", _in_group(name, self._rows(ranked, members))
        for name, members in self.members.items():
            is_here = np.isin(np.arange(len(subjects)), subject[members])
            curve, by_subject = _roc_columns(*counters[name].finish(), subjects, is_here)
            yield "verification", _in_group(name, curve)
            yield "roc_subjects", _in_group(name, by_subject)

    def _distances(self, row: Tensor, column: Tensor) -> tuple[Tensor, Iterator[DistancePiece]]:
        """``[E]`` distances of the matches, and all distances in pieces."""
        num_pairs = len(self.probe) * len(self.gallery)
        if num_pairs <= KEPT_PAIRS:
            kept = list(self._blocks())
            return _take(kept, row, column), _cut(kept)
        is_plain = self.protocol.unit == "sequence" and self.protocol.reranking is None and not self.metrics
        if is_plain and is_tiled(self.matching.probe, len(self.probe), len(self.gallery)):
            tiles = DistanceTiles(
                self.matching.probe,
                self.matching.gallery,
                is_cosine=self.protocol.distance == "cosine",
                probe_rows=torch.from_numpy(self.probe.rows),
                gallery_rows=torch.from_numpy(self.gallery.rows),
                device=self.device,
            )
            return tiles.pairs(row, column), tiles.pieces()
        return _take(self._blocks(), row, column), _cut(self._blocks())

    def _blocks(self) -> Iterator[DistanceBlock]:
        """Distances of runs of probe units to the whole gallery."""
        kind = self.protocol.distance
        rows = torch.from_numpy(self.probe.rows)
        gallery_rows = torch.from_numpy(self.gallery.rows)
        if self.protocol.reranking is None and self.protocol.unit == "sequence":
            yield from distance_blocks(
                self.matching.probe,
                self.matching.gallery,
                kind=kind,
                block_elements=BLOCK_ELEMENTS,
                probe_rows=rows,
                gallery_rows=gallery_rows,
                device=self.device,
            )
            return
        probe, gallery = self.matching.probe[rows].to(self.device), self.matching.gallery[gallery_rows].to(self.device)
        if (reranking := self.protocol.reranking) is not None:
            yield from k_reciprocal_blocks(
                probe, gallery, kind=kind, k1=reranking.k1, k2=reranking.k2, weight=reranking.weight
            )
            return
        unit, gallery_unit = (torch.from_numpy(units.unit).to(self.device) for units in (self.probe, self.gallery))
        start = np.append(self.probe.start, len(unit))
        budget = max(1, BLOCK_ELEMENTS // max(1, len(gallery_unit)))
        first = 0
        while first < len(self.probe):
            last = max(first + 1, int(np.searchsorted(start, start[first] + budget, side="right")) - 1)
            samples = slice(int(start[first]), int(start[last]))
            distance = part_distance(probe[samples], gallery, kind=kind)
            yield DistanceBlock(first, last, set_distance(distance, unit[samples] - first, gallery_unit))
            first = last

    def _counter(
        self,
        members: NDArray[np.int64],
        row: Tensor,
        distance: Tensor,
        subject: NDArray[np.int64],
        num_impostors: NDArray[np.int64],
    ) -> RocCounter:
        """What counts the impostors of one group."""
        is_member = torch.zeros(len(self.probe), dtype=torch.bool)
        is_member[torch.from_numpy(members)] = True
        keep = is_member[row]
        code = torch.from_numpy(subject)
        by_subject = torch.zeros(int(code.max()) + 1 if len(code) else 0, dtype=torch.int64)
        by_subject.index_add_(0, code[is_member], torch.from_numpy(num_impostors)[is_member])
        return RocCounter(
            distance[keep.to(self.device)], code[row[keep]].to(self.device), by_subject.to(self.device), KNOTS
        )

    def _count(
        self, pieces: Iterator[DistancePiece], ahead: ImpostorsAhead, counters: dict[str, RocCounter], subject: Tensor
    ) -> ByCell:
        """Look at every distance once; further metrics ``[Q, V]`` by name."""
        shape = (len(self.probe), len(self.cells))
        further: ByCell = {EXTRA + name: np.full(shape, np.nan, np.float32) for name in self.metrics}
        for rows, columns, distance in pieces:
            self._further(further, rows, distance)
            distance.masked_fill_(self.pairing.is_no_impostor(rows, columns, self.device), torch.inf)
            probe = torch.arange(rows.start, rows.stop, device=self.device)
            is_ordered = len(self.cells) == 1 or self.pairing.has_shared_impostors
            if is_ordered:
                distance = sort_rows(distance)
            for number, cell in enumerate(self.cells):
                start, stop = max(cell.columns.start, columns.start), min(cell.columns.stop, columns.stop)
                if is_ordered:
                    ahead.add(probe * len(self.cells) + number, distance)
                elif start < stop:  # the whole rows are still needed as they are
                    among = distance[:, start - columns.start : stop - columns.start]
                    among = among.clone(memory_format=torch.contiguous_format)
                    ahead.add(probe * len(self.cells) + number, sort_rows(among))
            ordered = distance if is_ordered else sort_rows(distance)
            for name, members in self.members.items():
                first, last = np.searchsorted(members, [rows.start, rows.stop])
                self._add(counters[name], ordered, members[first:last], rows, subject)
        return further

    def _add(
        self, counter: RocCounter, ordered: Tensor, members: NDArray[np.int64], rows: slice, subject: Tensor
    ) -> None:
        """Count the rows of a group's probes, as often as their impostors stand in cells."""
        times = self.pairing.times[members]
        for count in np.unique(times).tolist():
            here = torch.from_numpy(members[times == count])
            chosen = ordered if len(here) == len(ordered) else ordered[(here - rows.start).to(self.device)]
            counter.add(chosen, subject[here].to(self.device), times=count)

    def _further(self, out: ByCell, rows: slice, distance: Tensor) -> None:
        if not self.metrics:
            return
        for number in range(len(self.cells)):
            part, match, valid = self.pairing.in_cell(rows, number)
            for name, metric in self.metrics.items():
                out[EXTRA + name][rows, number] = _call(name, metric, distance[:, part].cpu(), match, valid)

    def _ranked(self, ahead: ImpostorsAhead, num_valid: NDArray[np.int64]) -> ByCell:
        """Everything of ``[Q, V]`` that ranks decide."""
        shape = num_valid.shape
        valid = torch.from_numpy(num_valid).reshape(-1)
        parts = []
        for start in range(0, len(valid), SEGMENTS_AT_ONCE):
            stop = min(start + SEGMENTS_AT_ONCE, len(valid))
            ranks = ahead.ranks(start, stop, valid[start:stop].to(self.device))
            ranks = MatchRanks(*(part.cpu() for part in ranks))
            first = torch.zeros_like(ranks.num_matches)
            if ranks.impostors_ahead.shape[1]:
                first = (ranks.impostors_ahead[:, 0] + 1) * (ranks.num_matches > 0)
            parts.append((first, ranks.num_matches, average_precision_of(ranks), inverse_negative_penalty_of(ranks)))
        rank, num_matches, ap, inp = (torch.cat(part).reshape(shape).numpy() for part in zip(*parts, strict=True))
        return {
            "rank": rank.astype(np.int32),
            "num_matches": num_matches.astype(np.int32),
            "num_valid": num_valid.astype(np.int32),
            "ap": ap,
            "inp": inp,
        }

    def _rows(self, ranked: ByCell, members: NDArray[np.int64]) -> Columns:
        """Rows of the probes table of one group, in order of probe view, gallery view and probe."""
        sizes = self.pairing.sizes
        gallery_view = np.array([name for name, _ in self.cells])
        gallery_deg = np.array(
            [self.gallery.view_deg[columns.start] if name else np.nan for name, columns in self.cells], np.float64
        )
        num_cells = len(self.cells)
        probe, cell = np.repeat(members, num_cells), np.tile(np.arange(num_cells), members.size)
        views, view = np.unique(self.probe.view, return_inverse=True)
        order = np.argsort(view[probe] * num_cells + cell, kind="stable")  # probes of a cell are in order
        probe, cell = probe[order], cell[order]
        taken = {name: values[probe, cell] for name, values in ranked.items()}
        status = (taken["num_matches"] == 0).astype(np.int32)  # as in STATUSES
        if self.protocol.averaging == "view_pairs" and "identical_view" in self.protocol.exclude:
            is_diagonal = views[:, None] == gallery_view
            status[is_diagonal[view[probe], cell]] = STATUSES.index("excluded")
        gap = np.abs(self.probe.view_deg[probe].astype(np.float64) - gallery_deg[cell]) % 360
        return {
            "probe": Words(self.probe.name, probe),
            "subject": Words(self.probe.subject, probe),
            "view": Words(views, view[probe]),
            "gallery_view": Words(gallery_view, cell),
            "gap_deg": (np.round(2 * np.minimum(gap, 360 - gap)) / 2).astype(np.float32),
            "status": Words(np.array(STATUSES), status),
            **taken,
            "num_excluded": (sizes[cell] - taken["num_valid"].astype(np.int64)).astype(np.int32),
        }


def _take(blocks: Iterable[DistanceBlock], row: Tensor, column: Tensor) -> Tensor:
    """``[E]`` distances of pairs whose rows ascend."""
    found = []
    for start, stop, distance in blocks:
        first, last = torch.searchsorted(row, torch.tensor([start, stop])).tolist()
        at = [part[first:last].to(distance.device) for part in (row, column)]
        found.append(distance[at[0] - start, at[1]])
    return torch.cat(found)


def _cut(blocks: Iterable[DistanceBlock]) -> Iterator[DistancePiece]:
    """The blocks, cut so small that what is counted in them takes little memory."""
    for start, stop, distance in blocks:
        size = max(1, RUN_ELEMENTS // max(1, distance.shape[1]))
        for first in range(start, stop, size):
            last = min(first + size, stop)
            yield DistancePiece(slice(first, last), slice(0, distance.shape[1]), distance[first - start : last - start])


def _roc_columns(
    curve: RocCounts, by_subject: RocBySubject, subjects: NDArray[np.str_], is_here: NDArray[np.bool_]
) -> tuple[Columns, Columns]:
    num_bins = by_subject.genuine.shape[1]
    return {
        "genuine": np.append(curve.genuine, 0).astype(np.int32),
        "impostors_below": np.append(curve.impostors_below, curve.num_impostors),
        "impostors_tied": np.append(curve.impostors_tied, 0),
    }, {
        "subject": Words(subjects, np.repeat(np.flatnonzero(is_here), num_bins)),
        "knot": np.tile(np.arange(num_bins, dtype=np.int16), int(is_here.sum())),
        "genuine": by_subject.genuine[is_here].reshape(-1).astype(np.int32),
        "impostors": by_subject.impostors[is_here].reshape(-1).astype(np.int32),
    }


def _call(name: str, metric: RankingMetric, distance: Tensor, match: Tensor, valid: Tensor) -> NDArray[np.float32]:
    try:
        value = metric(distance, match, valid)
    except Exception as error:
        raise PluginError(f"metric {name} failed on {list(distance.shape)} distances: {error}") from error
    if not isinstance(value, Tensor) or value.shape != distance.shape[:1]:
        got = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise PluginError(f"metric {name} must return a tensor [{distance.shape[0]}], one value per probe, got {got}")
    return value.detach().cpu().float().numpy()


def _is_built_in(name: str) -> bool:
    return name in BUILT_IN or name.startswith(("rank_", "tar_at_far_"))


def _in_group(group: str, columns: Columns) -> Columns:
    return {"group": Words.repeated(group, _num_rows(columns)), **columns}


def _num_rows(columns: Columns) -> int:
    first = next(iter(columns.values()))
    return len(first.code if isinstance(first, Words) else first)
