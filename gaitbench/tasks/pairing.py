"""Which units are compared: who matches whom, which pairs the protocol leaves out, and the cells they are counted in.

Axes: Q probe units, G gallery units, V cells, R samples, E pairs; q and g runs of probe and gallery units (a unit is
one sequence, or a set of samples).
"""

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gaitbench.protocol import Protocol
from gaitbench.table import SequenceTable

__all__ = ["Cell", "CellPairs", "Pairing", "Pairs", "Units"]


@dataclass(frozen=True, slots=True, eq=False)
class Units:
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

    @classmethod
    def of(
        cls, table: SequenceTable, rows: NDArray[np.int64], protocol: Protocol, *, order_by_view: bool = False
    ) -> "Units":
        """Make units of some rows of a table.

        Args:
            table: All sequences.
            rows: Those to compare.
            protocol: It says what a unit is, and which words are one view.
            order_by_view: Units stand by view and then name, instead of by name alone.
        """
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
        return cls(
            rows=rows,
            unit=np.cumsum(is_first) - 1,
            name=name[is_first],
            subject=table.subject_id[first],
            view=view[first],
            view_deg=table.view_deg[first],
        )

    def __len__(self) -> int:
        return len(self.name)

    def followed_by(self, others: "Units") -> "Units":
        """These units, and behind them those of other rows.

        Args:
            others: Of the same table and protocol.
        """
        behind = dataclasses.replace(others, unit=others.unit + len(self))
        fields = [field.name for field in dataclasses.fields(self)]
        return Units(**{name: np.concatenate([getattr(self, name), getattr(behind, name)]) for name in fields})

    @property
    def start(self) -> NDArray[np.int64]:
        """``[U]`` first sample of each unit."""
        return np.flatnonzero(np.diff(self.unit, prepend=-1))


class Cell(NamedTuple):
    """Gallery units that are counted together."""

    name: str
    """Their view; empty where the gallery is pooled."""
    columns: slice
    """They stand side by side."""


class Pairs(NamedTuple):
    """Single pairs of units."""

    row: Tensor
    """``[E]`` int64 probe units, ascending."""
    column: Tensor
    """``[E]`` int64 gallery units, ascending for each probe."""


class CellPairs(NamedTuple):
    """Some probes and what is searched in one cell."""

    columns: slice
    """Gallery units."""
    match: Tensor
    """``[q, g]`` bool, pairs of one subject."""
    valid: Tensor
    """``[q, g]`` bool, pairs that count."""


class Pairing:
    """Probes and gallery under the rules of a protocol.

    Args:
        probe: Probe units.
        gallery: Gallery units, by view where the protocol counts view pairs.
        protocol: Which pairs it excludes, and what its cells are.
        num_extra: Units at the end of ``gallery`` that are of no cell's own gallery and only impostors. They are there
            where every cell has all units as impostors, see :attr:`gaitbench.protocol.Protocol.impostors`.
    """

    def __init__(self, probe: Units, gallery: Units, protocol: Protocol, num_extra: int = 0) -> None:
        self.probe = probe
        self.gallery = gallery
        self.has_shared_impostors = protocol.impostors is not None
        """Every unit of another subject than the probe's is an impostor, in every cell."""
        self._num_own = len(gallery) - num_extra
        self.cells = _cells(gallery.view[: self._num_own], protocol)
        self._exclude = protocol.exclude
        self._subject = _codes(probe.subject, gallery.subject)
        self._view = _codes(probe.view, gallery.view)
        self._name = _codes(probe.name, gallery.name)
        is_diagonal = np.zeros((len(probe), len(self.cells)), dtype=bool)
        if protocol.averaging == "view_pairs" and "identical_view" in protocol.exclude:
            is_diagonal = probe.view[:, None] == np.array([cell.name for cell in self.cells])
        self._is_asked = ~is_diagonal
        self.times = self._is_asked.sum(axis=1) if self.has_shared_impostors else np.ones(len(probe), dtype=np.int64)
        """``[Q]`` cells in which an impostor of the probe counts."""

    @property
    def sizes(self) -> NDArray[np.int64]:
        """``[V]`` units of each cell."""
        if self.has_shared_impostors:
            return np.full(len(self.cells), len(self.gallery))
        return np.array([cell.columns.stop - cell.columns.start for cell in self.cells])

    def matches(self) -> Pairs:
        """All valid pairs of one subject."""
        found = _equal_pairs(self._subject[0], self._subject[1][: self._num_own])
        is_valid = ~self._is_excluded(*found)
        return Pairs(found.row[is_valid], found.column[is_valid])

    def cell_of(self, column: Tensor) -> Tensor:
        """``[E]`` number of the cell whose own gallery units are in."""
        return torch.searchsorted(torch.tensor([cell.columns.stop for cell in self.cells]), column, right=True)

    def num_valid(self) -> NDArray[np.int64]:
        """``[Q, V]`` gallery units of each cell that the protocol does not exclude."""
        if self.has_shared_impostors:
            row, column = self.matches()
            place = row * len(self.cells) + self.cell_of(column)
            matches = torch.bincount(place, minlength=self._is_asked.size).view(self._is_asked.shape).numpy()
            of_one = torch.bincount(_equal_pairs(*self._subject).row, minlength=len(self.probe)).numpy()
            return np.asarray((matches + (len(self.gallery) - of_one)[:, None]) * self._is_asked)
        sizes = self.sizes
        cell_of = torch.from_numpy(np.repeat(np.arange(len(self.cells)), sizes))
        left_out = torch.zeros(len(self.probe), len(self.cells), dtype=torch.int64)
        by_view = "identical_view" in self._exclude
        if by_view:
            num_views = 1 + max((int(codes.max()) for codes in self._view if len(codes)), default=0)
            place = cell_of * num_views + self._view[1]
            count = torch.bincount(place, minlength=len(self.cells) * num_views).view(-1, num_views)
            left_out += count.T[self._view[0].long()]
        # The other rules exclude few pairs: those of one subject, or those of one name.
        found = _equal_pairs(*self._subject)
        parts = [found]
        if "same_sequence" in self._exclude:
            named = _equal_pairs(*self._name)
            is_new = self._subject[0][named.row] != self._subject[1][named.column]
            parts.append(Pairs(named.row[is_new], named.column[is_new]))
        for row, column in parts:
            is_counted = self._is_excluded(row, column)
            if by_view:
                is_counted &= self._view[0][row] != self._view[1][column]
            place = row[is_counted] * len(self.cells) + cell_of[column[is_counted]]
            left_out += torch.bincount(place, minlength=left_out.numel()).view_as(left_out)
        return np.asarray(sizes - left_out.numpy())

    def is_no_impostor(self, rows: slice, columns: slice, device: torch.device) -> Tensor:
        """``[q, g]`` bool: pairs of one subject, and pairs that the protocol excludes.

        It does not exclude pairs with impostors that all cells share.
        """
        subject, view, name = (
            (probe[rows, None].to(device), gallery[columns].to(device))
            for probe, gallery in (self._subject, self._view, self._name)
        )
        found = torch.eq(*subject)  # what same_subject_and_view excludes is part of it
        if self.has_shared_impostors:
            return found
        if "identical_view" in self._exclude:
            found |= torch.eq(*view)
        if "same_sequence" in self._exclude:
            found |= torch.eq(*name)
        return found

    def in_cell(self, rows: slice, number: int) -> CellPairs:
        """Every pair of some probes with what is searched in a cell, as further metrics ask for them.

        Args:
            rows: Probe units.
            number: Of the cell.
        """
        columns = self.cells[number].columns
        if not self.has_shared_impostors:
            match, is_excluded = self._compared(rows, columns)
            return CellPairs(columns, match, ~is_excluded)
        whole = slice(0, len(self.gallery))
        same, is_excluded = self._compared(rows, whole)
        is_own = torch.zeros(len(self.gallery), dtype=torch.bool)
        is_own[columns] = True
        match = same & is_own & ~is_excluded
        return CellPairs(whole, match, (match | ~same) & torch.from_numpy(self._is_asked[rows, number, None]))

    def _compared(self, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        """Pairs of one subject, and pairs that are excluded, ``[q, g]``."""
        row = torch.arange(len(self.probe))[rows, None]
        column = torch.arange(len(self.gallery))[columns]
        return self._subject[0][row] == self._subject[1][column], self._is_excluded(row, column)

    def _is_excluded(self, row: Tensor, column: Tensor) -> Tensor:
        same_subject, same_view, same_name = (
            probe[row] == gallery[column] for probe, gallery in (self._subject, self._view, self._name)
        )
        excluded = torch.zeros_like(same_subject)
        if "identical_view" in self._exclude:
            excluded |= same_view
        if "same_subject_and_view" in self._exclude:
            excluded |= same_view & same_subject
        if "same_sequence" in self._exclude:
            excluded |= same_name
        return excluded


def _join(*words: NDArray[np.str_]) -> NDArray[np.str_]:
    return np.array(["/".join(parts) for parts in zip(*(w.tolist() for w in words), strict=True)], dtype=np.str_)


def _cells(gallery_view: NDArray[np.str_], protocol: Protocol) -> list[Cell]:
    """A cell per gallery view; one nameless cell where the gallery is pooled."""
    if protocol.averaging != "view_pairs":
        return [Cell("", slice(0, len(gallery_view)))]
    view, start = np.unique(gallery_view, return_index=True)
    stop = np.append(start[1:], len(gallery_view))
    return [Cell(str(v), slice(int(a), int(b))) for v, a, b in zip(view, start, stop, strict=True)]


def _codes(probe: NDArray[np.str_], gallery: NDArray[np.str_]) -> tuple[Tensor, Tensor]:
    """Words of both sides as numbers, int32."""
    code = np.unique(np.concatenate([probe, gallery]), return_inverse=True)[1].astype(np.int32)
    return torch.from_numpy(code[: len(probe)]), torch.from_numpy(code[len(probe) :])


def _equal_pairs(probe: Tensor, gallery: Tensor) -> Pairs:
    """All pairs of equal codes."""
    ordered, column = torch.sort(gallery, stable=True)
    first = torch.searchsorted(ordered, probe)
    count = torch.searchsorted(ordered, probe, right=True) - first
    row = torch.repeat_interleave(count)
    before = count.cumsum(0) - count
    return Pairs(row, column[torch.arange(len(row)) + (first - before)[row]])
