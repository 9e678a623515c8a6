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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from gaitbench.errors import PluginError
from gaitbench.metrics.average_precision import average_precision_of, inverse_negative_penalty_of
from gaitbench.metrics.distance import BLOCK_ELEMENTS, DistanceBlock, distance_blocks, part_distance, set_distance
from gaitbench.metrics.k_reciprocal import k_reciprocal_blocks
from gaitbench.metrics.ranking import rank_matches
from gaitbench.protocol import Protocol
from gaitbench.table import SequenceTable

__all__ = ["BUILT_IN", "EXTRA", "STATUSES", "Matching", "collect"]

STATUSES = ("counted", "absent", "excluded")
"""Words of the column ``status``."""

EXTRA = "extra:"
"""What the columns of further metrics begin with."""

BUILT_IN = ("mean_ap", "mean_inp", "eer")
"""Names that no further metric can take, besides ``rank_*`` and ``tar_at_far_*``."""

KEPT_PAIRS = 1 << 25
"""Distances up to this number (128 MiB) are kept between the two passes; more are computed twice."""

RUN_ELEMENTS = 1 << 20
"""Distances counted at a time: their ranks, masks and intervals stay in the processor's cache."""

KNOTS = np.unique(np.concatenate([np.linspace(0, 1, 25)[1:], 1 - 0.5 ** np.arange(4, 11), 1.5 ** np.arange(-12.0, -7)]))
"""Shares of the genuine pairs at which the bootstrap looks at the ROC; denser at both ends."""

Columns = dict[str, NDArray[np.generic]]


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


def collect(
    matchings: list[Matching],
    protocol: Protocol,
    metrics: Mapping[str, Callable[[Tensor, Tensor, Tensor], Tensor]],
    *,
    seed: int,
    bootstrap: int,
) -> dict[str, pa.Table]:
    """Compare every probe with its gallery and write down what the scores need.

    Args:
        matchings: One per direction.
        protocol: How to count.
        metrics: Further metrics by name; names of built-in scores are passed over.
        seed: Of the bootstrap, kept with the tables.
        bootstrap: Number of resamples, kept with the tables.

    Returns:
        The tables of this module.

    Raises:
        PluginError: A further metric fails or breaks its contract.
    """
    further = {name: metric for name, metric in metrics.items() if not _is_built_in(name)}
    parts: dict[str, list[Columns]] = {"probes": [], "verification": [], "roc_subjects": []}
    for matching in matchings:
        for groups in _by_gallery(matching, alone=protocol.reranking is not None):
            ranking = _Ranking(matching, groups, protocol, further)
            for name, columns in ranking.columns():
                parts[name].append({"direction": _repeat(matching.label, columns), **columns})
    note = {"bootstrap": {"seed": seed, "resamples": bootstrap}, "protocol": protocol.name, "version": protocol.version}
    metadata = {"gaitbench": json.dumps(note)}
    return {name: _to_table(columns).replace_schema_metadata(metadata) for name, columns in parts.items()}


@dataclass(frozen=True, slots=True, eq=False)
class _Units:
    """Probe or gallery units and their samples, which stand in unit order."""

    rows: NDArray[np.int64]
    """``[R]`` samples as rows of the embeddings."""
    unit: NDArray[np.int64]
    """``[R]`` unit of each sample."""
    name: NDArray[np.str_]
    """``[U]``."""
    subject: NDArray[np.str_]
    """``[U]``."""
    view: NDArray[np.str_]
    """``[U]``."""
    view_deg: NDArray[np.float32]
    """``[U]``."""

    def __len__(self) -> int:
        return len(self.name)


def _units_of(table: SequenceTable, rows: NDArray[np.int64], protocol: Protocol, order_by_view: bool) -> _Units:
    view = protocol.cameras(table.view)
    if protocol.unit == "set":
        name = _join(table.subject_id[rows], table.condition[rows], table.view[rows])
    else:
        name = table.sequence_id[rows]
    order = np.lexsort((table.sequence_id[rows], name, view[rows] if order_by_view else name))
    rows = rows[order]
    name = name[order]
    is_first = np.concatenate([[True], name[1:] != name[:-1]]) if len(name) else np.zeros(0, dtype=bool)
    first = rows[is_first]
    return _Units(
        rows=rows,
        unit=np.cumsum(is_first) - 1,
        name=name[is_first],
        subject=table.subject_id[first],
        view=view[first],
        view_deg=table.view_deg[first],
    )


def _join(*words: NDArray[np.str_]) -> NDArray[np.str_]:
    return np.array(["/".join(parts) for parts in zip(*(w.tolist() for w in words), strict=True)], dtype=np.str_)


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
    """All comparisons of the groups that share a gallery, in one direction."""

    def __init__(
        self,
        matching: Matching,
        groups: tuple[str, ...],
        protocol: Protocol,
        metrics: Mapping[str, Callable[[Tensor, Tensor, Tensor], Tensor]],
    ) -> None:
        self.matching = matching
        self.protocol = protocol
        self.metrics = metrics
        asked = np.unique(np.concatenate([matching.probes[name] for name in groups]))
        self.probe = _units_of(matching.probe_table, asked, protocol, order_by_view=False)
        self.gallery = _units_of(matching.gallery_table, matching.galleries[groups[0]], protocol, order_by_view=True)
        first = self.probe.rows[np.unique(self.probe.unit, return_index=True)[1]]
        self.members = {name: np.flatnonzero(np.isin(first, matching.probes[name])) for name in groups}

        subjects = np.unique(np.concatenate([self.probe.subject, self.gallery.subject]))
        views, view = np.unique(np.concatenate([self.probe.view, self.gallery.view]), return_inverse=True)
        names = np.unique(np.concatenate([self.probe.name, self.gallery.name]))
        self.subject = [torch.from_numpy(np.searchsorted(subjects, u.subject)) for u in (self.probe, self.gallery)]
        self.view = [torch.from_numpy(v) for v in np.split(view, [len(self.probe)])]
        self.name = [torch.from_numpy(np.searchsorted(names, u.name)) for u in (self.probe, self.gallery)]
        self.views = views
        self.cells = self._cells()
        self.kept: list[DistanceBlock] | None = None

    def _cells(self) -> list[tuple[str, slice]]:
        """Name of each gallery view and its columns; one nameless cell where the gallery is pooled."""
        if self.protocol.averaging != "view_pairs":
            return [("", slice(0, len(self.gallery)))]
        view, start = np.unique(self.gallery.view, return_index=True)
        stop = np.append(start[1:], len(self.gallery))
        return [(str(v), slice(int(a), int(b))) for v, a, b in zip(view, start, stop, strict=True)]

    def blocks(self) -> Iterator[DistanceBlock]:
        """Distances of runs of probe units; kept for the second pass when they are few."""
        if self.kept is not None:
            yield from self.kept
            return
        kept: list[DistanceBlock] | None = [] if len(self.probe) * len(self.gallery) <= KEPT_PAIRS else None
        for block in self._compute():
            if kept is not None:
                kept.append(block)
            yield block
        self.kept = kept

    def _compute(self) -> Iterator[DistanceBlock]:
        kind = self.protocol.distance
        probe = self.matching.probe[torch.from_numpy(self.probe.rows)]
        gallery_rows = torch.from_numpy(self.gallery.rows)
        if (reranking := self.protocol.reranking) is not None:
            yield from k_reciprocal_blocks(
                probe,
                self.matching.gallery[gallery_rows],
                kind=kind,
                k1=reranking.k1,
                k2=reranking.k2,
                weight=reranking.weight,
            )
            return
        if self.protocol.unit == "sequence":
            yield from distance_blocks(
                probe,
                self.matching.gallery,
                kind=kind,
                block_elements=BLOCK_ELEMENTS,
                gallery_rows=gallery_rows,
            )
            return
        gallery = self.matching.gallery[gallery_rows]
        unit, gallery_unit = torch.from_numpy(self.probe.unit), torch.from_numpy(self.gallery.unit)
        start = np.append(np.unique(self.probe.unit, return_index=True)[1], len(unit))
        budget = max(1, BLOCK_ELEMENTS // max(1, len(gallery_unit)))
        first = 0
        while first < len(self.probe):
            last = max(first + 1, int(np.searchsorted(start, start[first] + budget, side="right")) - 1)
            rows = slice(int(start[first]), int(start[last]))
            samples = part_distance(probe[rows], gallery, kind=kind)
            yield DistanceBlock(first, last, set_distance(samples, unit[rows] - first, gallery_unit))
            first = last

    def runs(self) -> Iterator[DistanceBlock]:
        """The blocks, cut so small that what is counted in them takes little memory."""
        size = max(1, RUN_ELEMENTS // max(1, len(self.gallery)))
        for block in self.blocks():
            for start in range(block.start, block.stop, size):
                stop = min(start + size, block.stop)
                yield DistanceBlock(start, stop, block.distance[start - block.start : stop - block.start])

    def pairs(self, block: DistanceBlock) -> tuple[Tensor, Tensor]:
        """Match and valid ``[q, G]`` of a block."""
        run = slice(block.start, block.stop)
        match = self.subject[0][run, None] == self.subject[1]
        same_view = self.view[0][run, None] == self.view[1]
        valid = torch.ones_like(match)
        if "identical_view" in self.protocol.exclude:
            valid &= ~same_view
        if "same_subject_and_view" in self.protocol.exclude:
            valid &= ~(same_view & match)
        if "same_sequence" in self.protocol.exclude:
            valid &= self.name[0][run, None] != self.name[1]
        return match, valid

    def columns(self) -> Iterator[tuple[str, Columns]]:
        """Name of a table and columns for it."""
        ranked, genuine = self._rank()
        for name, members in self.members.items():
            yield "probes", {"group": np.full(members.size * len(self.cells), name), **self._rows(ranked, members)}
        for name, members in self.members.items():
            curve, by_subject = self._roc(members, genuine)
            yield "verification", {"group": _repeat(name, curve), **curve}
            yield "roc_subjects", {"group": _repeat(name, by_subject), **by_subject}

    def _rank(self) -> tuple[Columns, tuple[Tensor, Tensor]]:
        """Everything of ``[Q, V]``, and the probe and distance of every genuine pair."""
        shape = (len(self.probe), len(self.cells))
        out: Columns = {name: np.zeros(shape, np.int32) for name in ("rank", "num_matches", "num_valid")}
        out |= {name: np.full(shape, np.nan, np.float32) for name in ("ap", "inp")}
        out |= {EXTRA + name: np.full(shape, np.nan, np.float32) for name in self.metrics}
        genuine: list[tuple[Tensor, Tensor]] = []
        for block in self.runs():
            match, valid = self.pairs(block)
            run = slice(block.start, block.stop)
            for cell, (_, columns) in enumerate(self.cells):
                pairs = block.distance[:, columns], match[:, columns], valid[:, columns]
                ranks = rank_matches(*pairs)
                if ranks.impostors_ahead.shape[1]:
                    is_found = ranks.num_matches > 0
                    out["rank"][run, cell] = ((ranks.impostors_ahead[:, 0] + 1) * is_found).numpy()
                out["num_matches"][run, cell] = ranks.num_matches.numpy()
                out["num_valid"][run, cell] = ranks.num_valid.numpy()
                out["ap"][run, cell] = average_precision_of(ranks).numpy()
                out["inp"][run, cell] = inverse_negative_penalty_of(ranks).numpy()
                for name, metric in self.metrics.items():
                    out[EXTRA + name][run, cell] = _call(name, metric, *pairs)
            at = (match & valid).nonzero()
            genuine.append((at[:, 0] + block.start, block.distance[at[:, 0], at[:, 1]]))
        return out, (torch.cat([g[0] for g in genuine]), torch.cat([g[1] for g in genuine]))

    def _rows(self, ranked: Columns, members: NDArray[np.int64]) -> Columns:
        """Rows of the probes table of one group, in order of probe view, gallery view and probe."""
        sizes = np.array([columns.stop - columns.start for _, columns in self.cells])
        gallery_view = np.array([name for name, _ in self.cells])
        gallery_deg = np.array(
            [self.gallery.view_deg[columns.start] if name else np.nan for name, columns in self.cells], np.float64
        )
        num_cells = len(self.cells)
        probe, cell = np.repeat(members, num_cells), np.tile(np.arange(num_cells), members.size)
        order = np.lexsort((probe, cell, self.probe.view[probe]))
        probe, cell = probe[order], cell[order]
        taken = {name: values[probe, cell] for name, values in ranked.items()}
        is_diagonal = np.zeros(probe.size, dtype=bool)
        if self.protocol.averaging == "view_pairs" and "identical_view" in self.protocol.exclude:
            is_diagonal = self.probe.view[probe] == gallery_view[cell]
        status = np.where(is_diagonal, "excluded", np.where(taken["num_matches"] == 0, "absent", "counted"))
        gap = np.abs(self.probe.view_deg[probe].astype(np.float64) - gallery_deg[cell]) % 360
        return {
            "probe": self.probe.name[probe],
            "subject": self.probe.subject[probe],
            "view": self.probe.view[probe],
            "gallery_view": gallery_view[cell],
            "gap_deg": (np.round(2 * np.minimum(gap, 360 - gap)) / 2).astype(np.float32),
            "status": status,
            **taken,
            "num_excluded": (sizes[cell] - taken["num_valid"]).astype(np.int32),
        }

    def _roc(self, members: NDArray[np.int64], genuine: tuple[Tensor, Tensor]) -> tuple[Columns, Columns]:
        """Counts at every genuine distance of one group, and by subject at a few of them."""
        is_member = torch.zeros(len(self.probe), dtype=torch.bool)
        is_member[torch.from_numpy(members)] = True
        keep = is_member[genuine[0]]
        threshold, at, count = torch.unique(genuine[1][keep], return_inverse=True, return_counts=True)  # [T]
        num_thresholds = threshold.numel()
        knot = _knots(count.numpy())
        num_bins = len(knot) + 1
        subjects, code = np.unique(self.probe.subject, return_inverse=True)
        subject = torch.from_numpy(code) * num_bins
        below = torch.zeros(num_thresholds + 1, dtype=torch.int64)
        tied = torch.zeros(num_thresholds + 1, dtype=torch.int64)
        cells = len(subjects) * num_bins
        impostors = torch.zeros(cells, dtype=torch.int64)
        # Of each place: its bin, len(knot) beyond the last knot; what is no impostor falls behind all cells.
        bins = np.append(np.searchsorted(knot, np.arange(num_thresholds + 1)), cells)
        bin_of = torch.from_numpy(bins)
        padded = torch.cat([threshold, torch.tensor([torch.nan])])
        for block in self.runs():
            run = slice(block.start, block.stop)
            rows = is_member[run].nonzero()[:, 0]
            if not len(rows):
                continue
            match, valid = self.pairs(block)
            is_impostor = (valid & ~match)[rows]  # [r, G]
            distance = block.distance[rows]
            place = torch.searchsorted(threshold, distance)  # thresholds strictly below
            is_tied = padded[place] == distance
            # What is no impostor goes to a bin of its own, which costs less than picking out the rest.
            place.masked_fill_(~is_impostor, num_thresholds + 1)
            below += torch.bincount(place.view(-1), minlength=num_thresholds + 2)[:-1]
            tied += torch.bincount(place[is_tied], minlength=num_thresholds + 2)[:-1]
            owner = subject[block.start + rows, None]
            impostors += torch.bincount((owner + bin_of[place]).view(-1), minlength=cells)[:cells]
        total = int(below.sum())
        upto = below.cumsum(0)
        curve: Columns = {
            "genuine": np.append(count.numpy(), 0).astype(np.int32),
            "impostors_below": np.append((upto - tied)[:-1].numpy(), total),
            "impostors_tied": np.append(tied[:-1].numpy(), 0),
        }
        owner = subject[genuine[0][keep]] + bin_of[at]
        by_subject = torch.bincount(owner, minlength=cells)
        is_here = np.repeat(np.isin(np.arange(len(subjects)), code[members]), num_bins)
        table: Columns = {
            "subject": np.repeat(subjects, num_bins)[is_here],
            "knot": np.tile(np.arange(num_bins, dtype=np.int16), len(subjects))[is_here],
            "genuine": by_subject.numpy().astype(np.int32)[is_here],
            "impostors": impostors.numpy().astype(np.int32)[is_here],
        }
        return curve, table


def _knots(count: NDArray[np.int64]) -> NDArray[np.int64]:
    """Thresholds, by index, at which the shares of :data:`KNOTS` of the genuine pairs are reached."""
    if count.size == 0:
        return np.zeros(0, dtype=np.int64)
    share = np.cumsum(count) / count.sum()
    return np.unique(np.minimum(np.searchsorted(share, KNOTS), count.size - 1))


def _call(
    name: str, metric: Callable[[Tensor, Tensor, Tensor], Tensor], distance: Tensor, match: Tensor, valid: Tensor
) -> NDArray[np.float32]:
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


def _repeat(word: str, columns: Columns) -> NDArray[np.str_]:
    return np.full(len(next(iter(columns.values()))), word)


def _to_table(parts: list[Columns]) -> pa.Table:
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return pa.table(
        {
            name: _dictionary(values) if values.dtype.kind == "U" else pa.array(values)
            for name, values in columns.items()
        }
    )


def _dictionary(values: NDArray[np.generic]) -> pa.DictionaryArray:
    words, index = np.unique(values, return_inverse=True)
    return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32)), pa.array(words.tolist(), pa.string()))
