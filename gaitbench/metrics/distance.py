"""Distances between part embeddings, and between sets of samples.

Axes: Q probes, G gallery sequences, D embedding width, P parts. Distances are not negative; smaller means more alike.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from gaitbench.errors import ModelError, ShapeError
from gaitbench.metrics.distance_tiles import DistanceTiles

__all__ = ["DistanceBlock", "DistanceKind", "distance_blocks", "is_tiled", "part_distance", "set_distance"]

DistanceKind = Literal["euclidean", "cosine"]
"""Mean over parts of the Euclidean distance, or one minus the mean over parts of the cosine."""

BLOCK_ELEMENTS = 1 << 25
"""Distances held at a time by :func:`distance_blocks`: 128 MiB of float32."""

EXACT_WORK = 1 << 33
"""Up to this number of multiplications (Q * G * D * P), about half a second, :func:`distance_blocks` computes in
float64, beyond it in float32 tiles; the whole problem decides, so that results do not depend on the blocks."""

GALLERY_BLOCK = 4096
"""Gallery sequences turned to float64 at a time; bounds memory and changes no result."""

SAME_POINT = 1e-12
"""Squared distances below this share of the squared norms are rounding, and count as zero."""


def part_distance(probe: Tensor, gallery: Tensor, *, kind: DistanceKind = "euclidean") -> Tensor:
    """Distance of every probe to every gallery sequence.

    It is computed in float64 and rounded to float32 once, so that equal embeddings are exactly as far from a probe,
    ties are ties, and no result depends on how the work is cut into blocks. Two float32 embeddings that differ in
    the last bits only have distance 0.

    Args:
        probe: ``[Q, D, P]`` float16, bfloat16, float32 or float64.
        gallery: ``[G, D, P]`` in the same number format.
        kind: ``euclidean``: mean over parts of the Euclidean distance, in [0, inf). ``cosine``: one minus the mean
            over parts of the cosine, in [0, 2]; a part of norm zero has cosine 0 with everything.

    Returns:
        ``[Q, G]`` float32.

    Raises:
        ShapeError: A tensor is not ``[N, D, P]``, or the two differ in D or P.
        ModelError: An embedding holds NaN or infinity.
        ValueError: ``kind`` is unknown.

    Example:
        >>> probe, gallery = torch.tensor([[[0.0], [3.0]]]), torch.tensor([[[4.0], [0.0]], [[0.0], [3.0]]])
        >>> part_distance(probe, gallery)
        tensor([[5., 0.]])
    """
    _check(probe, gallery, kind)
    return _exact_distance(probe, gallery, kind)


def _check(probe: Tensor, gallery: Tensor, kind: DistanceKind) -> None:
    _check_shapes(probe, gallery, kind)
    for name, embedding in (("probe", probe), ("gallery", gallery)):
        if num_bad := _num_not_finite(embedding):
            raise ModelError(f"{num_bad} of {embedding.numel()} {name} embedding values are NaN or infinite")


def _check_shapes(probe: Tensor, gallery: Tensor, kind: DistanceKind) -> None:
    if kind not in ("euclidean", "cosine"):
        raise ValueError(f"kind must be 'euclidean' or 'cosine', got {kind!r}")
    if probe.ndim != 3 or gallery.ndim != 3 or probe.shape[1:] != gallery.shape[1:]:
        raise ShapeError(
            f"distances need embeddings [N, D, P] of one width and number of parts, got probe {list(probe.shape)} "
            f"and gallery {list(gallery.shape)}"
        )
    if probe.shape[1] == 0 or probe.shape[2] == 0:
        raise ShapeError(f"embeddings {list(probe.shape)} have no value to compare")


def _num_not_finite(embedding: Tensor) -> int:
    """Number of NaN and infinite values; one quick look where there are none."""
    count = 0
    for start in range(0, len(embedding), GALLERY_BLOCK):
        rows = embedding[start : start + GALLERY_BLOCK]
        if rows.numel() and not all(bool(end.isfinite()) for end in rows.aminmax()):
            count += int((~rows.isfinite()).sum())
    return count


def _exact_distance(probe: Tensor, gallery: Tensor, kind: DistanceKind) -> Tensor:
    """``[Q, G]`` float32, computed in float64."""
    out = torch.empty(probe.shape[0], gallery.shape[0], device=probe.device)
    rows = _by_part(probe, kind)
    for start in range(0, gallery.shape[0], GALLERY_BLOCK):
        columns = _by_part(gallery[start : start + GALLERY_BLOCK], kind)
        out[:, start : start + GALLERY_BLOCK] = _mean_over_parts(rows, columns, kind)
    return out


class DistanceBlock(NamedTuple):
    """Distances of consecutive probes to the whole gallery."""

    start: int
    """Index of the first probe."""
    stop: int
    """Index behind the last probe."""
    distance: Tensor
    """``[stop - start, G]`` float32."""


def distance_blocks(
    probe: Tensor,
    gallery: Tensor,
    *,
    kind: DistanceKind = "euclidean",
    block_elements: int = BLOCK_ELEMENTS,
    probe_rows: Tensor | None = None,
    gallery_rows: Tensor | None = None,
    device: torch.device | None = None,
) -> Iterator[DistanceBlock]:
    """Yield the distances of runs of probes, so that the whole matrix is never held.

    Small problems are computed as :func:`part_distance` does, in float64. Large ones are computed in float32 by
    :class:`gaitbench.metrics.distance_tiles.DistanceTiles`, which agrees to about 1e-6 relative. In both, equal
    embeddings are exact ties, and no distance depends on the blocks.

    Args:
        probe: ``[Q, D, P]``.
        gallery: ``[G, D, P]``.
        kind: As in :func:`part_distance`.
        block_elements: Distances per block, at least one probe's.
        probe_rows: ``[Q]`` int64 rows of ``probe`` to ask about, in this order; None for all.
        gallery_rows: ``[G]`` int64 rows of ``gallery`` to search, in this order; None for all. A gallery in a memory
            map is then read piece by piece and never copied whole.
        device: Where to compute, and where the blocks are; None for where the probes are.

    Yields:
        Blocks in probe order.

    Raises:
        ShapeError: Shapes do not fit.
        ModelError: An embedding holds NaN or infinity.

    Example:
        >>> blocks = distance_blocks(torch.zeros(3, 2, 1), torch.ones(2, 2, 1), block_elements=4)
        >>> [(block.start, block.stop) for block in blocks]
        [(0, 2), (2, 3)]
    """
    num_probes, num_gallery = (
        len(embedding) if rows is None else len(rows)
        for embedding, rows in ((probe, probe_rows), (gallery, gallery_rows))
    )
    step = max(1, block_elements // max(1, num_gallery))
    tiles = None
    if is_tiled(probe, num_probes, num_gallery):
        _check_shapes(probe, gallery, kind)
        tiles = DistanceTiles(
            probe, gallery, is_cosine=kind == "cosine", probe_rows=probe_rows, gallery_rows=gallery_rows, device=device
        )
    else:
        probe, gallery = (
            (embedding if rows is None else embedding[rows]).to(probe.device if device is None else device)
            for embedding, rows in ((probe, probe_rows), (gallery, gallery_rows))
        )
        _check(probe, gallery, kind)
    for start in range(0, num_probes, step):
        stop = min(start + step, num_probes)
        rows = _exact_distance(probe[start:stop], gallery, kind) if tiles is None else tiles.rows(start, stop)
        yield DistanceBlock(start, stop, rows)


def is_tiled(probe: Tensor, num_probes: int, num_gallery: int) -> bool:
    """Tell whether a problem is so large that :func:`distance_blocks` computes it in float32 tiles.

    Args:
        probe: ``[N, D, P]``; only its shape and number format are looked at.
        num_probes: Q.
        num_gallery: G.
    """
    num_products = num_probes * num_gallery * probe.shape[1:].numel()
    return num_products > EXACT_WORK and probe.dtype is not torch.float64


def set_distance(distance: Tensor, probe_set: Tensor, gallery_set: Tensor) -> Tensor:
    """Distance of sets from distances of their samples.

    It is the mean over the samples of one set of the distance to the nearest sample of the other, taken both ways
    and added.

    Args:
        distance: ``[Q, G]`` float between samples.
        probe_set: ``[Q]`` int64, the set of each probe sample, 0 to Sq - 1 without holes.
        gallery_set: ``[G]`` int64, the set of each gallery sample, 0 to Sg - 1 without holes.

    Returns:
        ``[Sq, Sg]`` float32.

    Raises:
        ShapeError: Lengths do not fit, or a set has no sample.
        ModelError: ``distance`` holds NaN.

    Source:
        Lu, Plataniotis, Venetsanopoulos, "MPCA: Multilinear Principal Component Analysis of Tensor Objects", IEEE
        TNN 19(1), 2008, section on gait recognition (matching of sequences).

    Example:
        >>> distance = torch.tensor([[1.0, 4.0], [3.0, 2.0]])
        >>> set_distance(distance, torch.tensor([0, 0]), torch.tensor([0, 0]))  # (1 + 2) / 2 + (1 + 2) / 2
        tensor([[3.]])
    """
    if distance.ndim != 2 or distance.shape != (probe_set.numel(), gallery_set.numel()):
        raise ShapeError(
            f"set_distance needs one set index per row and column, got distance {list(distance.shape)}, "
            f"{probe_set.numel()} and {gallery_set.numel()} indices"
        )
    if num_nan := int(distance.isnan().sum()):
        raise ModelError(f"{num_nan} of {distance.numel()} distances are NaN; check the embeddings")
    sizes = [torch.bincount(index) for index in (probe_set, gallery_set)]
    if any(int(size.min()) == 0 for size in sizes if size.numel()):
        raise ShapeError("set_distance needs set indices without holes: every set must have a sample")
    num_probe, num_gallery = (size.numel() for size in sizes)
    to_gallery = _nearest_of_set(distance, gallery_set, num_gallery)  # [Q, Sg]
    to_probe = _nearest_of_set(distance.T, probe_set, num_probe).T  # [Sq, G]
    out = torch.zeros(num_probe, num_gallery, dtype=torch.float64, device=distance.device)
    out.index_add_(0, probe_set, to_gallery.double() / sizes[0][probe_set][:, None])
    out.index_add_(1, gallery_set, to_probe.double() / sizes[1][gallery_set])
    return out.float()


def _nearest_of_set(distance: Tensor, index: Tensor, num_sets: int) -> Tensor:
    """``[Q, S]`` minimum over the columns of each set, from ``[Q, G]``."""
    far = torch.full((distance.shape[0], num_sets), torch.inf, dtype=distance.dtype, device=distance.device)
    return far.scatter_reduce_(1, index.expand(distance.shape[0], -1), distance, "amin")


def _by_part(embedding: Tensor, kind: DistanceKind) -> Tensor:
    """``[P, N, D]`` float64, normalised along D for the cosine."""
    parts = embedding.double().permute(2, 0, 1).contiguous()
    return torch.nn.functional.normalize(parts, dim=2) if kind == "cosine" else parts


def _mean_over_parts(rows: Tensor, columns: Tensor, kind: DistanceKind) -> Tensor:
    """``[Q, G]`` float64 from ``[P, Q, D]`` and ``[P, G, D]``."""
    total = torch.zeros(rows.shape[1], columns.shape[1], dtype=torch.float64, device=rows.device)
    for row, column in zip(rows, columns, strict=True):
        dot = row @ column.T
        if kind == "cosine":
            total += dot
            continue
        norm = row.square().sum(1)[:, None] + column.square().sum(1)
        square = norm - 2 * dot
        total += square.masked_fill_(square < SAME_POINT * norm, 0).sqrt_()
    mean = total / rows.shape[0]
    return (1 - mean).clamp_(min=0) if kind == "cosine" else mean
