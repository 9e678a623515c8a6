"""Distances of many probes to a large gallery, in float32 tiles that stay in the processor's cache.

A tile always has the same shape, padded at the ends: then a distance is summed in the same order wherever its pair
stands, so that equal embeddings are exact ties and nothing depends on how the work is cut. All parts of a tile are one
batched product, and the squared norms are two more columns of it: ``|a - b|^2 = [-2a, |a|^2, 1] [b, 1, |b|^2]^T``.

Axes: Q probes, G gallery sequences, D embedding width, P parts, E pairs, K columns of the product (D or D + 2); q and g
rows and columns of a tile.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gaitbench.errors import ModelError

__all__ = ["DistancePiece", "DistanceTiles", "full_precision"]

PROBE_TILE = 256
GALLERY_TILE = 256

DEVICE_PROBE_TILE = 1024
DEVICE_GALLERY_TILE = 4096
"""The tile on an accelerator, which needs more work at a time."""

CLOSE = 1e-2
"""Squared distances below this share of the squared norms lose digits in float32, and are computed again in float64."""

NEARLY_SAME = 1e-6
"""Below this share also the product of float64 loses digits, and the difference of each pair is taken."""

KEPT_ELEMENTS = 1 << 26
"""Probe values (256 MiB of float32) converted at a time; the gallery is read once for each such run of probes."""

PIECE_COLUMNS = 4096
"""Gallery sequences converted at a time, and the columns of a piece."""

_FAR = 1e30
"""Squared norm of padding, which keeps it out of everything that looks for close pairs."""

_LARGEST = torch.finfo(torch.float32).max / 4
"""Bound of squared norms: the squared distance of two such embeddings is finite."""

_PAIRS_AT_ONCE = 1 << 14


class DistancePiece(NamedTuple):
    """Distances of a run of probes to a run of the gallery."""

    rows: slice
    """Of the probes."""
    columns: slice
    """Of the gallery."""
    distance: Tensor
    """``[rows, columns]`` float32; the receiver's to change."""


class _Source(NamedTuple):
    """Embeddings of one side, and which rows of them in which order."""

    name: Literal["probe", "gallery"]
    embedding: Tensor
    """``[N, D, P]``."""
    rows: Tensor | None
    """``[n]`` int64; None for all."""

    @property
    def number(self) -> int:
        return len(self.embedding) if self.rows is None else len(self.rows)

    def read(self, start: int, stop: int) -> Tensor:
        return self.embedding[start:stop] if self.rows is None else self.embedding[self.rows[start:stop]]

    def take(self, index: Tensor) -> "_Source":
        return self._replace(rows=index if self.rows is None else self.rows[index])


class _Side(NamedTuple):
    """Converted embeddings of one side of a tile."""

    factor: Tensor
    """``[P, q, K]`` float32 of probes; ``[P, K, g]`` of the gallery."""
    square: Tensor
    """``[P, n]`` float32 squared norms."""
    largest: Tensor
    """``[P]`` float32 largest of them, padding left out."""
    number: int
    """Embeddings that are no padding."""


class DistanceTiles:
    """Distances between two sets of embeddings.

    Args:
        probe: ``[Q, D, P]`` float16, bfloat16 or float32; may lie in a memory map.
        gallery: ``[G, D, P]`` likewise.
        is_cosine: One minus the mean over parts of the cosine, instead of the mean of the Euclidean distance.
        probe_rows: ``[Q]`` int64 rows of ``probe``; None for all.
        gallery_rows: ``[G]`` int64 rows of ``gallery``; None for all.
        device: Where to compute; embeddings are moved there piece by piece. None for where the probes are.

    Raises:
        ModelError: By any method, when an embedding that it reads holds NaN or infinity.

    Example:
        >>> tiles = DistanceTiles(torch.tensor([[[0.0], [3.0]]]), torch.tensor([[[4.0], [0.0]], [[0.0], [3.0]]]))
        >>> tiles.rows(0, 1)
        tensor([[5., 0.]])
    """

    def __init__(
        self,
        probe: Tensor,
        gallery: Tensor,
        *,
        is_cosine: bool = False,
        probe_rows: Tensor | None = None,
        gallery_rows: Tensor | None = None,
        device: torch.device | None = None,
    ) -> None:
        self._probe = _Source("probe", probe, probe_rows)
        self._gallery = _Source("gallery", gallery, gallery_rows)
        self._is_cosine = is_cosine
        self._device = probe.device if device is None else device
        on_cpu = self._device.type == "cpu"
        self._probe_tile = PROBE_TILE if on_cpu else DEVICE_PROBE_TILE
        self._gallery_tile = GALLERY_TILE if on_cpu else DEVICE_GALLERY_TILE
        self._room: dict[str, Tensor] = {}

    def rows(self, start: int, stop: int) -> Tensor:
        """Distances of probes ``start`` to ``stop`` to the whole gallery.

        Returns:
            ``[stop - start, G]`` float32.
        """
        out = self._empty(stop - start, self._gallery.number)
        for first, last in self._runs(start, stop):
            sides = self._sides(self._probe, first, last)
            for left in range(0, self._gallery.number, self._gallery_tile):
                (column,) = self._sides(self._gallery, left, left + self._gallery_tile)
                with full_precision():
                    for number, row in enumerate(sides):
                        top = first - start + number * self._probe_tile
                        self._tile(row, column, out[top : top + row.number, left : left + column.number])
        return out

    def pieces(self) -> Iterator[DistancePiece]:
        """All distances in pieces of bounded size; the gallery is read front to back."""
        for first, last in self._runs(0, self._probe.number):
            sides = self._sides(self._probe, first, last)
            for left in range(0, self._gallery.number, PIECE_COLUMNS):
                right = min(left + PIECE_COLUMNS, self._gallery.number)
                strip = self._sides(self._gallery, left, right)
                for number, row in enumerate(sides):
                    top = first + number * self._probe_tile
                    out = self._empty(row.number, right - left)
                    with full_precision():
                        for place, column in enumerate(strip):
                            begin = place * self._gallery_tile
                            self._tile(row, column, out[:, begin : begin + column.number])
                    yield DistancePiece(slice(top, top + row.number), slice(left, right), out)

    def pairs(self, row: Tensor, column: Tensor) -> Tensor:
        """Distances of single pairs, to the bit those of the other methods.

        Args:
            row: ``[E]`` int64 probes, ascending.
            column: ``[E]`` int64 gallery sequences.

        Returns:
            ``[E]`` float32.
        """
        out = torch.empty(len(row), device=self._device)
        asked, owner = torch.unique_consecutive(row, return_inverse=True)
        for first in range(0, len(asked), self._probe_tile):
            (side,) = self._sides(self._probe.take(asked[first : first + self._probe_tile]))
            here = slice(*torch.searchsorted(owner, torch.tensor([first, first + self._probe_tile])).tolist())
            wanted, place = torch.unique(column[here], return_inverse=True)
            for left in range(0, len(wanted), self._gallery_tile):
                (other,) = self._sides(self._gallery.take(wanted[left : left + self._gallery_tile]))
                tile = torch.empty(side.number, other.number, device=self._device)
                with full_precision():
                    self._tile(side, other, tile)
                at = ((place >= left) & (place < left + other.number)).nonzero()[:, 0]
                out[here][at] = tile[owner[here][at] - first, place[at] - left]
        return out

    def _runs(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Probes that are converted together."""
        values = self._probe.embedding[0].numel() * self._probe_tile
        at_once = max(1, KEPT_ELEMENTS // values) * self._probe_tile
        yield from ((first, min(first + at_once, stop)) for first in range(start, stop, at_once))

    def _sides(self, source: _Source, start: int = 0, stop: int | None = None) -> list[_Side]:
        """Some embeddings, cut into sides of tiles."""
        size = self._probe_tile if source.name == "probe" else self._gallery_tile
        stop = source.number if stop is None else min(stop, source.number)
        return [self._side(source, first, min(first + size, stop), size) for first in range(start, stop, size)]

    def _side(self, source: _Source, start: int, stop: int, size: int) -> _Side:
        embedding = source.read(start, stop).to(self._device)
        number, width, num_parts = embedding.shape
        value, squares = (self._scratch(use, width, num_parts, size) for use in ("value", "squares"))
        # Transposed as a matrix, which costs a third of what permuting three axes at once does.
        value.view(-1, size)[:, :number] = embedding.reshape(number, -1).T
        value[:, :, number:] = 0
        norm = torch.mul(value, value, out=squares).sum(0)  # [P, size]
        if not bool((norm < _LARGEST).all()):
            raise ModelError(
                f"{int((~embedding.isfinite()).sum())} of {embedding.numel()} {source.name} embedding values are NaN "
                "or infinite, or their squares are too large for float32"
            )
        is_probe = source.name == "probe"
        largest = norm.amax(1)
        extra = 0 if self._is_cosine else 2
        shape = (num_parts, size, width + extra) if is_probe else (num_parts, width + extra, size)
        factor = self._empty(*shape)
        side = _Side(factor, norm, largest, number)
        by_row = factor.transpose(1, 2) if is_probe else factor  # [P, K, size]
        if self._is_cosine:
            value /= norm.sqrt().clamp_min_(1e-12)
            by_row.copy_(value.transpose(0, 1))
            return side
        norm[:, number:] = _FAR
        by_row[:, :width] = (value.mul_(-2) if is_probe else value).transpose(0, 1)
        by_row[:, width] = norm if is_probe else 1
        by_row[:, width + 1] = 1 if is_probe else norm
        return side

    def _tile(self, row: _Side, column: _Side, out: Tensor) -> None:
        """Write ``[q, g]`` distances."""
        shape = (row.factor.shape[1], column.factor.shape[2])
        product = self._scratch("product", len(row.factor), *shape)
        torch.bmm(row.factor, column.factor, out=product)  # [P, q, g]; autocast leaves alone what has an out
        if not self._is_cosine:
            is_suspect = product.flatten(1).amin(1) < CLOSE * (row.largest + column.largest)
            for part in is_suspect.nonzero()[:, 0].tolist():
                norm = row.square[part][:, None] + column.square[part]
                _mend(product[part], row.factor[part, :, :-2], column.factor[part, :-2], norm)
            product.sqrt_()
        # Of the whole tile, as everything: the sum of a smaller one could take its parts in another order.
        tile = torch.mean(product, 0, out=self._scratch("tile", *shape))
        if self._is_cosine:
            tile.neg_().add_(1).clamp_(min=0)
        out.copy_(tile[: row.number, : column.number])

    def _scratch(self, use: str, *shape: int) -> Tensor:
        """Memory that one tile after the other writes to: a fresh one would be faulted in page by page."""
        if use not in self._room or self._room[use].shape != shape:
            self._room[use] = self._empty(*shape)
        return self._room[use]

    def _empty(self, *shape: int) -> Tensor:
        if self._device.type == "cpu":
            return torch.from_numpy(np.empty(shape, np.float32))  # NumPy asks for huge pages, torch does not
        return torch.empty(shape, device=self._device)


@contextmanager
def full_precision() -> Iterator[None]:
    """Keep float32 products in float32, whatever training in this process has allowed (TF32, bfloat16)."""
    backends = (torch.backends.mkldnn.matmul, torch.backends.cuda.matmul)  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision


def _mend(square: Tensor, row: Tensor, column: Tensor, norm: Tensor) -> None:
    """Compute squared distances ``[q, g]`` of ``[q, D]`` and ``[D, g]`` again in float64 where float32 lost digits.

    How a pair is computed follows from the pair alone, and all ways sum it in the same order wherever it stands, so
    that a tie does not depend on how many pairs of its tile are close.
    """
    # Factors of 0 and 1 choose exactly, in a fourth of the time of torch.where.
    is_close = (square < CLOSE * norm).float()
    twice, right = row.double(), column.double()  # -2a and b
    exact = torch.mm(twice, right)
    exact += (twice.square().sum(1) / 4)[:, None]
    exact += right.square().sum(0)
    square.mul_(1 - is_close).add_(exact.float().mul_(is_close))
    # Padding has a large norm, and is not close.
    is_nearly_same = (exact < NEARLY_SAME * norm) & is_close.bool()
    at = is_nearly_same.nonzero()
    left, right = twice.div_(-2), right.T
    if 16 * len(at) > square.numel():
        square[is_nearly_same] = _square_of_difference(left, right).float()[is_nearly_same]
        return
    for start in range(0, len(at), _PAIRS_AT_ONCE):
        top, side = at[start : start + _PAIRS_AT_ONCE].unbind(1)
        square[top, side] = _square_of_difference(left[top, None], right[side, None]).float()[:, 0, 0]


def _square_of_difference(left: Tensor, right: Tensor) -> Tensor:
    return torch.cdist(left, right, compute_mode="donot_use_mm_for_euclid_dist").square_()
