"""Distances of many probes to a large gallery, in float32 tiles that stay in the processor's cache.

A tile always has the same shape, padded with zeros at the ends: then a distance is summed in the same order wherever
its pair stands, so that equal embeddings are exact ties and nothing depends on how the work is cut.

Axes: Q probes, G gallery sequences, D embedding width, P parts; q and g rows and columns of a tile.
"""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["DistanceTiles"]

PROBE_TILE = 128
GALLERY_TILE = 2048

CLOSE = 1e-2
"""Squared distances below this share of the squared norms lose digits in float32, and are computed again in float64."""

KEPT_ELEMENTS = 1 << 26
"""A gallery of up to this many values (256 MiB of float32) is converted once; a larger one for every run of probes."""

_PAIRS_AT_ONCE = 1 << 14


class _Side(NamedTuple):
    """Embeddings of one side of a tile."""

    parts: Tensor
    """``[P, q, D]`` float32 of probes; ``[P, D, g]`` of the gallery."""
    square: Tensor
    """``[P, q]`` or ``[P, g]`` float32 squared norms; empty for the cosine."""


class DistanceTiles:
    """Distances between two sets of embeddings, a run of probes at a time.

    Args:
        probe: ``[Q, D, P]`` finite, float16, bfloat16 or float32; may lie in a memory map.
        gallery: ``[G, D, P]`` likewise.
        is_cosine: One minus the mean over parts of the cosine, instead of the mean of the Euclidean distance.
        gallery_rows: ``[G]`` int64 rows of ``gallery``; None for all.

    Example:
        >>> tiles = DistanceTiles(torch.tensor([[[0.0], [3.0]]]), torch.tensor([[[4.0], [0.0]], [[0.0], [3.0]]]))
        >>> tiles.rows(0, 1)
        tensor([[5., 0.]])
    """

    def __init__(
        self, probe: Tensor, gallery: Tensor, *, is_cosine: bool = False, gallery_rows: Tensor | None = None
    ) -> None:
        self._probe = probe
        self._gallery = gallery
        self._gallery_rows = gallery_rows
        self._num_gallery = len(gallery) if gallery_rows is None else len(gallery_rows)
        self._is_cosine = is_cosine
        self._kept: list[_Side] | None = None
        if self._num_gallery * gallery.shape[1] * gallery.shape[2] <= KEPT_ELEMENTS:
            self._kept = [self._columns(start) for start in range(0, self._num_gallery, GALLERY_TILE)]

    def rows(self, start: int, stop: int) -> Tensor:
        """Distances of probes ``start`` to ``stop``.

        Returns:
            ``[stop - start, G]`` float32.
        """
        out = torch.empty(stop - start, self._num_gallery, device=self._probe.device)
        sides = [self._rows(first, stop) for first in range(start, stop, PROBE_TILE)]
        for number, left in enumerate(range(0, self._num_gallery, GALLERY_TILE)):
            columns = self._columns(left) if self._kept is None else self._kept[number]
            for top, side in zip(range(0, stop - start, PROBE_TILE), sides, strict=True):
                tile = self._cosine(side, columns) if self._is_cosine else self._euclidean(side, columns)
                place = out[top : top + PROBE_TILE, left : left + GALLERY_TILE]
                place.copy_(tile[: place.shape[0], : place.shape[1]])
        return out

    def _rows(self, start: int, stop: int) -> _Side:
        parts = self._parts(self._probe[start : min(stop, start + PROBE_TILE)], PROBE_TILE)
        return _Side(parts, self._square(parts))

    def _columns(self, start: int) -> _Side:
        if self._gallery_rows is None:
            embedding = self._gallery[start : start + GALLERY_TILE]
        else:
            embedding = self._gallery[self._gallery_rows[start : start + GALLERY_TILE]]
        parts = self._parts(embedding, GALLERY_TILE)
        return _Side(parts.transpose(1, 2).contiguous(), self._square(parts))

    def _parts(self, embedding: Tensor, size: int) -> Tensor:
        """``[P, size, D]`` float32, normalised for the cosine, padded with zeros."""
        num, width, num_parts = embedding.shape
        parts = torch.zeros(num_parts, size, width, device=embedding.device)
        parts[:, :num] = embedding.permute(2, 0, 1)
        if self._is_cosine:
            # In float64, so that a norm does not depend on how float32 sums are split.
            norm = parts.double().square().sum(2, keepdim=True).sqrt_()
            parts /= norm.clamp_min_(1e-12)
        return parts

    def _square(self, parts: Tensor) -> Tensor:
        return parts.new_zeros(0) if self._is_cosine else parts.square().sum(2, dtype=torch.float64).float()

    def _euclidean(self, rows: _Side, columns: _Side) -> Tensor:
        total = torch.zeros(rows.parts.shape[1], columns.parts.shape[2], device=rows.parts.device)
        square = torch.empty_like(total)
        for row, row_square, column, column_square in zip(*rows, *columns, strict=True):
            torch.addmm(column_square, row, column, alpha=-2, out=square)
            square += row_square[:, None]
            # Padding has norm 0 and is as far as the norm of the other side.
            if float(square.min()) < CLOSE * float(row_square.max() + column_square.max()):
                _mend(square, row, column, row_square[:, None] + column_square)
            total += square.clamp_(min=0).sqrt_()
        return total.div_(len(rows.parts))

    def _cosine(self, rows: _Side, columns: _Side) -> Tensor:
        total = torch.zeros(rows.parts.shape[1], columns.parts.shape[2], device=rows.parts.device)
        for row, column in zip(rows.parts, columns.parts, strict=True):
            total.addmm_(row, column)
        return total.div_(-len(rows.parts)).add_(1).clamp_(min=0)


def _mend(square: Tensor, row: Tensor, column: Tensor, norm: Tensor) -> None:
    """Compute squared distances ``[q, g]`` again in float64 where float32 lost digits."""
    is_close = square < CLOSE * norm
    at = is_close.nonzero()
    if 16 * len(at) > square.numel():
        exact = torch.cdist(row.double(), column.double().T, compute_mode="donot_use_mm_for_euclid_dist").square_()
        square[is_close] = exact.float()[is_close]
        return
    for start in range(0, len(at), _PAIRS_AT_ONCE):
        part = at[start : start + _PAIRS_AT_ONCE]
        difference = row[part[:, 0]].double() - column[:, part[:, 1]].T.double()
        square[part[:, 0], part[:, 1]] = difference.square_().sum(1).float()
