"""k-reciprocal re-ranking: two sequences are alike when they have the same neighbours.

Axes: N sequences of the joint set, probes first; Q probes, G gallery sequences; K neighbours; E entries of the
neighbour weights, which are kept as (row, column, weight) because nearly all of the ``[N, N]`` are zero.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gaitbench.errors import ModelError, ShapeError
from gaitbench.metrics.distance import DistanceBlock, DistanceKind, distance_blocks
from gaitbench.metrics.nearest import nearest

__all__ = ["k_reciprocal", "k_reciprocal_blocks"]

BLOCK_ELEMENTS = 1 << 23
"""Distances held at a time by :func:`k_reciprocal_blocks`: 32 MiB, and about four times that while they are ranked."""

PAIR_ELEMENTS = 1 << 22
"""Embedding values gathered at a time for distances of single pairs: 32 MiB of float64."""

ROWS_AT_ONCE = 1 << 12
"""Sequences whose neighbours' neighbours are compared at a time; changes no result."""


def k_reciprocal(distance: Tensor, num_probes: int, *, k1: int = 6, k2: int = 6, weight: float = 0.3) -> Tensor:
    """Re-rank from all distances of the joint set of probes and gallery.

    Args:
        distance: ``[N, N]`` float, symmetric; probes are the first ``num_probes`` rows and columns.
        num_probes: Q.
        k1: Neighbours that can be reciprocal.
        k2: Neighbours whose weights are averaged, the sequence itself among them; 1 averages nothing.
        weight: Share of the original distance in the result; the rest is the Jaccard distance.

    Returns:
        ``[Q, G]`` float32 in [0, 1].

    Raises:
        ShapeError: ``distance`` is not square, or ``num_probes`` is not between 1 and N - 1.
        ModelError: ``distance`` holds NaN or infinity.
        ValueError: ``k1`` or ``k2`` is below 1, or ``weight`` outside [0, 1].

    Source:
        Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017: k-reciprocal nearest
        neighbours and their extension, equations 1 to 4; weights, equation 7; Jaccard distance, equation 10; local
        query expansion, equation 11; final distance, equation 12. As in the evaluations that published gait numbers
        come from, and unlike the paper: the probe counts among its own neighbours and belongs to the joint set;
        neighbours of a neighbour are taken in when more than two thirds of them, not just two thirds, are
        reciprocal; distances are not squared and are divided by the largest one of their sequence; weights
        and Jaccard distances are half-precision numbers.

    Example:
        >>> at = torch.tensor([0.0, 0.1, 5.0])  # one probe, a gallery of two
        >>> k_reciprocal((at[:, None] - at).abs(), 1, k1=1, k2=1)
        tensor([[0.0197, 1.0000]])
    """
    if distance.ndim != 2 or distance.shape[0] != distance.shape[1] or not 1 <= num_probes < distance.shape[0]:
        raise ShapeError(
            f"re-ranking needs distances [N, N] of probes and gallery together, with 1 to N - 1 probes, got "
            f"{list(distance.shape)} and {num_probes} probes"
        )
    if num_bad := int((~distance.isfinite()).sum()):
        raise ModelError(f"{num_bad} of {distance.numel()} distances are NaN or infinite; check the embeddings")
    _check(k1, k2, weight)
    joint = _look([DistanceBlock(0, len(distance), distance.float())], len(distance), k1)
    encoded = _encode(joint, lambda row, column: distance[row, column].float().cpu(), k1, k2)
    sharing = _Sharing(encoded, num_probes)
    top = DistanceBlock(0, num_probes, distance[:num_probes, num_probes:].float())
    return _mix(top, joint, sharing, weight).distance


def k_reciprocal_blocks(
    probe: Tensor,
    gallery: Tensor,
    *,
    kind: DistanceKind = "euclidean",
    k1: int = 6,
    k2: int = 6,
    weight: float = 0.3,
    block_elements: int = BLOCK_ELEMENTS,
) -> Iterator[DistanceBlock]:
    """Yield re-ranked distances for runs of probes; no matrix of all pairs is ever held.

    All distances of the joint set are looked at once, those of probes and gallery once more. Ties among neighbours go
    to the sequence that stands first, so callers who want results independent of the order of rows sort them.

    Args:
        probe: ``[Q, D, P]``.
        gallery: ``[G, D, P]``.
        kind: As in :func:`gaitbench.metrics.distance.part_distance`.
        k1: As in :func:`k_reciprocal`.
        k2: As in :func:`k_reciprocal`.
        weight: As in :func:`k_reciprocal`.
        block_elements: Distances per block, at least those of one sequence.

    Yields:
        Blocks in probe order.

    Raises:
        ShapeError: Shapes do not fit, or a side is empty.
        ModelError: An embedding holds NaN or infinity.
        ValueError: ``k1`` or ``k2`` is below 1, or ``weight`` outside [0, 1].

    Example:
        >>> blocks = k_reciprocal_blocks(torch.zeros(1, 1, 1), torch.tensor([[[0.1]], [[5.0]]]), k1=1, k2=1)
        >>> next(blocks).distance
        tensor([[0.0197, 1.0000]])
    """
    if not len(probe) or not len(gallery):
        raise ShapeError(f"re-ranking needs probes and gallery, got {len(probe)} and {len(gallery)} sequences")
    _check(k1, k2, weight)
    everything = torch.cat([probe, gallery])
    joint = _look(
        distance_blocks(everything, everything, kind=kind, block_elements=block_elements), len(everything), k1
    )
    sharing = _Sharing(_encode(joint, _PairDistance(everything, kind), k1, k2), len(probe))
    for block in distance_blocks(probe, gallery, kind=kind, block_elements=block_elements):
        yield _mix(block, joint, sharing, weight)


class _Joint(NamedTuple):
    """What is kept of the distances of the joint set, on the CPU as all that follows."""

    neighbours: Tensor
    """``[N, K]`` int64, nearest first; a sequence is its own first neighbour."""
    largest: Tensor
    """``[N]`` float32 largest distance of each sequence."""


class _Encoded(NamedTuple):
    """Neighbour weights, rows ascending and columns ascending within a row."""

    start: Tensor
    """``[N + 1]`` int64, where the entries of each row begin."""
    column: Tensor
    """``[E]`` int64."""
    weight: Tensor
    """``[E]`` float16."""


def _check(k1: int, k2: int, weight: float) -> None:
    if k1 < 1 or k2 < 1:
        raise ValueError(f"k1 and k2 must be 1 or more, got {k1} and {k2}")
    if not 0 <= weight <= 1:
        raise ValueError(f"weight must lie in [0, 1], got {weight}")


def _look(blocks: Iterable[DistanceBlock], number: int, k1: int) -> _Joint:
    neighbours, largest = [], []
    for start, stop, distance in blocks:
        largest.append(distance.amax(dim=1).cpu())
        own = torch.arange(start, stop, device=distance.device)[:, None]
        # Rounding and duplicates must not push a sequence out of its own neighbourhood.
        neighbours.append(nearest(distance.scatter(1, own, -torch.inf), min(k1 + 1, number)).cpu())
    return _Joint(torch.cat(neighbours), torch.cat(largest))


def _encode(joint: _Joint, distance_of: Callable[[Tensor, Tensor], Tensor], k1: int, k2: int) -> _Encoded:
    """Weights of the expanded k-reciprocal neighbours, averaged over the k2 nearest."""
    number = len(joint.neighbours)
    everybody = torch.arange(number)
    key = torch.cat([_expand(joint.neighbours, rows, k1) for rows in torch.split(everybody, ROWS_AT_ONCE)])
    row, column = key // number, key % number
    closeness = (-_share(distance_of(row, column), joint.largest[row])).exp()
    total = torch.zeros(number).index_add_(0, row, closeness)
    value = (closeness / total[row]).half()
    if k2 > 1:
        row, column, value = _average_over_neighbours(joint.neighbours[:, :k2], row, column, value)
    return _Encoded(_starts(row, number), column, value)


def _expand(neighbours: Tensor, rows: Tensor, k1: int) -> Tensor:
    """Expanded k-reciprocal neighbours of some rows, as ascending keys ``row * N + column``."""
    number = len(neighbours)
    mine = neighbours[rows]  # [r, K]
    is_mutual = (neighbours[mine] == rows[:, None, None]).any(dim=2)  # [r, K] mine that have me among theirs
    width = min(round(k1 / 2) + 1, neighbours.shape[1])
    theirs = neighbours[mine][:, :, :width]  # [r, K, H]
    back = neighbours[theirs][..., :width]  # [r, K, H, H]
    is_theirs = (back == mine[:, :, None, None]).any(dim=3)
    is_shared = ((theirs[..., None] == mine[:, None, None, :]) & is_mutual[:, None, None, :]).any(dim=3) & is_theirs
    is_taken = is_mutual & (3 * is_shared.sum(dim=2) > 2 * is_theirs.sum(dim=2))
    own = (rows[:, None] * number + mine)[is_mutual]
    taken = (rows[:, None, None] * number + theirs)[is_theirs & is_taken[:, :, None]]
    return torch.as_tensor(torch.unique(torch.cat([own, taken])))


def _average_over_neighbours(
    nearest_rows: Tensor, row: Tensor, column: Tensor, value: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Replace the weights of each row by their mean over the rows of ``[N, k2]`` neighbours."""
    number, k2 = nearest_rows.shape
    entry, owner = _entries(_starts(row, number), nearest_rows.reshape(-1))
    key, place = torch.unique(owner // k2 * number + column[entry], return_inverse=True)
    total = torch.zeros(len(key)).index_add_(0, place, value[entry].float())
    return key // number, key % number, (total / k2).half()


def _starts(row: Tensor, number: int) -> Tensor:
    """``[number + 1]`` where each row begins in an ascending list of rows."""
    return torch.searchsorted(row, torch.arange(number + 1))


def _entries(start: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Entries of several rows one after another, and for each the position of its row in ``rows``."""
    count = start[rows + 1] - start[rows]
    owner = torch.repeat_interleave(torch.arange(len(rows)), count)
    before = count.cumsum(0) - count
    return start[rows][owner] + torch.arange(len(owner)) - before[owner], owner


class _Sharing:
    """The weight that probes share with gallery sequences."""

    def __init__(self, encoded: _Encoded, num_probes: int) -> None:
        self.encoded = encoded
        number = len(encoded.start) - 1
        self.num_gallery = number - num_probes
        column, weight = (values[encoded.start[num_probes] :] for values in (encoded.column, encoded.weight))
        row = torch.repeat_interleave(torch.arange(self.num_gallery), encoded.start[num_probes:].diff())
        by_column = column.argsort(stable=True)
        self.holder, self.held = row[by_column], weight[by_column]  # gallery rows that weigh a column, and how much
        self.first = _starts(column[by_column], number)

    def of(self, start: int, stop: int) -> Tensor:
        """``[stop - start, G]`` float16: the smaller one of two rows' weights, summed over columns."""
        encoded = self.encoded
        shared = torch.zeros((stop - start) * self.num_gallery, dtype=torch.float16)
        begin, end = encoded.start[start:stop], encoded.start[start + 1 : stop + 1]
        # Half-precision sums depend on their order: column after column, each touching a pair at most once.
        for step in range(int((end - begin).max())):
            asking = (end - begin > step).nonzero()[:, 0]
            entry = begin[asking] + step
            at, owner = _entries(self.first, encoded.column[entry])
            pair = asking[owner] * self.num_gallery + self.holder[at]
            shared[pair] += torch.minimum(encoded.weight[entry][owner], self.held[at])
        return shared.view(stop - start, self.num_gallery)


def _mix(block: DistanceBlock, joint: _Joint, sharing: _Sharing, weight: float) -> DistanceBlock:
    """Mix the Jaccard distance of some probes with the original one."""
    start, stop, distance = block
    shared = sharing.of(start, stop)
    jaccard = (1 - shared / (2 - shared)).float().to(distance.device)
    original = _share(distance, joint.largest[start:stop, None].to(distance.device))
    return DistanceBlock(start, stop, (1 - weight) * jaccard + weight * original)


def _share(distance: Tensor, largest: Tensor) -> Tensor:
    """A distance as a share of the largest one of its sequence; 0 where all are 0."""
    return torch.where(largest > 0, distance / largest.clamp_min(torch.finfo(torch.float32).tiny), 0.0)


class _PairDistance:
    """Distances of single pairs of sequences, as :func:`gaitbench.metrics.distance.part_distance` defines them."""

    def __init__(self, embeddings: Tensor, kind: DistanceKind) -> None:
        self.embeddings = embeddings
        self.kind = kind
        self.pairs_at_once = max(1, PAIR_ELEMENTS // max(1, embeddings[0].numel()))

    def __call__(self, row: Tensor, column: Tensor) -> Tensor:
        """``[E]`` float32 from two ``[E]``."""
        parts = zip(torch.split(row, self.pairs_at_once), torch.split(column, self.pairs_at_once), strict=True)
        return torch.cat([self._of(*pair) for pair in parts])

    def _of(self, row: Tensor, column: Tensor) -> Tensor:
        place = self.embeddings.device
        left, right = (self.embeddings[rows.to(place)].double() for rows in (row, column))  # [e, D, P]
        if self.kind == "cosine":
            left, right = (torch.nn.functional.normalize(side, dim=1) for side in (left, right))
            return (1 - (left * right).sum(dim=1).mean(dim=1)).clamp_min(0).float().cpu()
        return (left - right).square().sum(dim=1).sqrt().mean(dim=1).float().cpu()
