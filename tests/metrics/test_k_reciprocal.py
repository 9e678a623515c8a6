"""k-reciprocal re-ranking against a version in sets and loops, and by its properties."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from gaitbench.errors import ModelError, ShapeError
from gaitbench.metrics import k_reciprocal, k_reciprocal_blocks, part_distance


def oracle(distance: NDArray[np.float32], num_probes: int, k1: int, k2: int, weight: float) -> NDArray[np.float32]:
    """One sequence, one set, one sum at a time."""
    number = len(distance)
    scaled = np.stack([row / row.max() for row in distance])

    def around(i: int, k: int) -> list[int]:
        """The k nearest of i, and i itself in front."""
        others = sorted((j for j in range(number) if j != i), key=lambda j: (distance[i, j], j))
        return [i, *others[:k]]

    def mutual(i: int, k: int) -> set[int]:
        return {j for j in around(i, k) if i in around(j, k)}

    half = int(np.around(k1 / 2))
    weights = np.zeros((number, number), dtype=np.float16)
    for i in range(number):
        core = mutual(i, k1)
        grown = set(core)
        for j in core:
            theirs = mutual(j, half)
            if len(theirs & core) > 2 / 3 * len(theirs):
                grown |= theirs
        members = sorted(grown)
        closeness = np.exp(-scaled[i, members])
        weights[i, members] = closeness / closeness.sum()
    if k2 > 1:
        weights = np.stack([weights[around(i, k2 - 1)].astype(np.float32).mean(axis=0) for i in range(number)])
        weights = weights.astype(np.float16)
    out = np.zeros((num_probes, number - num_probes), dtype=np.float32)
    for i in range(num_probes):
        for j in range(num_probes, number):
            shared = np.float16(0)
            for column in range(number):
                shared = np.float16(shared + min(weights[i, column], weights[j, column]))
            jaccard = np.float16(1) - shared / (np.float16(2) - shared)
            out[i, j - num_probes] = (1 - weight) * np.float32(jaccard) + weight * scaled[i, j]
    return out


def people(number: int, seed: int, *, spread: float = 0.7) -> Tensor:
    """``[N, D, P]``: four of each person, so that neighbourhoods mean something."""
    rng = torch.Generator().manual_seed(seed)
    centre = torch.randn(-(-number // 4), 6, 2, generator=rng).repeat(4, 1, 1)[:number]
    return centre + spread * torch.randn(number, 6, 2, generator=rng)


@pytest.mark.parametrize(
    ("k1", "k2", "weight"),
    [(6, 6, 0.3), (20, 6, 0.3), (6, 1, 0.3), (5, 2, 0.0), (1, 1, 0.5), (3, 3, 1.0), (30, 6, 0.3)],
)
@pytest.mark.parametrize("seed", range(2))
def test_agrees_with_the_oracle(k1: int, k2: int, weight: float, seed: int) -> None:
    walks = people(24, seed)
    distance = part_distance(walks, walks)
    expected = oracle(distance.numpy(), 8, k1, k2, weight)
    found = k_reciprocal(distance, 8, k1=k1, k2=k2, weight=weight)
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=0, atol=2e-6)


def test_by_hand() -> None:
    """0 and 1 are each other's nearest, so are 2 and 3: both ways, nothing else is shared."""
    at = torch.tensor([0.0, 10.0, 1.0, 11.0])  # two probes, then a gallery of two
    distance = (at[:, None] - at).abs()
    found = k_reciprocal(distance, 2, k1=1, k2=1, weight=0.3)
    e = np.exp
    near, far = 1 / (1 + e(-1 / 11)), e(-1 / 11) / (1 + e(-1 / 11))  # weights of 0: itself, 2
    own, other = 1 / (1 + e(-0.1)), e(-0.1) / (1 + e(-0.1))  # weights of 2: itself, 0
    shared = min(near, other) + min(far, own)
    first = 0.7 * (1 - shared / (2 - shared)) + 0.3 * 1 / 11
    torch.testing.assert_close(found[0], torch.tensor([first, 0.7 + 0.3]).float(), rtol=0, atol=1e-3)
    torch.testing.assert_close(found[1, 0], torch.tensor(0.7 + 0.3 * 0.9).float(), rtol=0, atol=1e-3)


@pytest.mark.parametrize("kind", ["euclidean", "cosine"])
@pytest.mark.parametrize("block_elements", [1, 500, 1 << 20])
def test_blocks_agree_with_the_whole_matrix(kind: str, block_elements: int) -> None:
    walks = people(50, 3)
    whole = k_reciprocal(part_distance(walks, walks, kind=kind), 15)
    blocks = list(k_reciprocal_blocks(walks[:15], walks[15:], kind=kind, block_elements=block_elements))
    assert [block.start for block in blocks] == [0, *(block.stop for block in blocks[:-1])]
    torch.testing.assert_close(torch.cat([block.distance for block in blocks]), whole, rtol=0, atol=1e-6)


def test_order_of_sequences_does_not_matter() -> None:
    walks = people(50, 4)
    whole = torch.cat([b.distance for b in k_reciprocal_blocks(walks[:15], walks[15:])])
    rng = torch.Generator().manual_seed(0)
    rows, columns = torch.randperm(15, generator=rng), torch.randperm(35, generator=rng)
    again = torch.cat([b.distance for b in k_reciprocal_blocks(walks[:15][rows], walks[15:][columns])])
    # Half-precision sums run over columns in their order, so the last half-precision bit may differ.
    torch.testing.assert_close(again, whole[rows][:, columns], rtol=0, atol=2e-3)


def test_scaling_changes_nothing() -> None:
    walks = people(30, 5)
    distance = part_distance(walks, walks)
    torch.testing.assert_close(k_reciprocal(4 * distance, 10), k_reciprocal(distance, 10), rtol=0, atol=0)


def test_it_helps_where_neighbours_tell_more_than_the_distance() -> None:
    walks = people(200, 6, spread=1.3)
    subject = torch.arange(50).repeat(4)
    plain = part_distance(walks, walks)[:50, 50:]
    ranked = torch.cat([block.distance for block in k_reciprocal_blocks(walks[:50], walks[50:])])
    hits = [(subject[50:][d.argsort(dim=1)[:, :3]] == subject[:50, None]).float().mean() for d in (plain, ranked)]
    assert hits[1] > hits[0]


def test_all_at_one_point() -> None:
    found = torch.cat([b.distance for b in k_reciprocal_blocks(torch.ones(3, 2, 1), torch.ones(20, 2, 1))])
    assert found.isfinite().all()
    assert ((found >= 0) & (found <= 1)).all()


def test_gallery_of_one() -> None:
    (block,) = k_reciprocal_blocks(torch.zeros(2, 2, 1), torch.ones(1, 2, 1))
    assert block.distance.shape == (2, 1)


def test_what_is_refused() -> None:
    square = torch.zeros(4, 4)
    with pytest.raises(ShapeError, match=r"got \[4, 3\] and 1 probes"):
        k_reciprocal(square[:, :3], 1)
    with pytest.raises(ShapeError, match="4 probes"):
        k_reciprocal(square, 4)
    with pytest.raises(ModelError, match="1 of 16 distances are NaN or infinite"):
        k_reciprocal(square.index_put((torch.tensor(0), torch.tensor(1)), torch.tensor(torch.nan)), 1)
    with pytest.raises(ValueError, match="k1 and k2 must be 1 or more, got 0 and 6"):
        k_reciprocal(square, 1, k1=0)
    with pytest.raises(ValueError, match=r"weight must lie in \[0, 1\], got 2"):
        next(k_reciprocal_blocks(torch.zeros(1, 1, 1), torch.zeros(2, 1, 1), weight=2))
    with pytest.raises(ShapeError, match="got 0 and 2 sequences"):
        next(k_reciprocal_blocks(torch.zeros(0, 1, 1), torch.zeros(2, 1, 1)))
