"""Tiles in float32: as near the exact distance as float32 can be, and the same however the work is cut."""

import pytest
import torch
from torch import Tensor

from gaitbench.metrics import distance as module
from gaitbench.metrics import distance_tiles
from gaitbench.metrics.distance import distance_blocks, part_distance
from gaitbench.metrics.distance_tiles import DistanceTiles


def embeddings(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("is_cosine", [False, True])
@pytest.mark.parametrize("sizes", [(1, 1), (129, 70), (130, 2051)])
def test_agrees_with_the_exact_distance(is_cosine: bool, sizes: tuple[int, int]) -> None:
    probe, gallery = embeddings(0, sizes[0], 8, 3), embeddings(1, sizes[1], 8, 3)
    exact = part_distance(probe, gallery, kind="cosine" if is_cosine else "euclidean")
    got = DistanceTiles(probe, gallery, is_cosine=is_cosine).rows(0, sizes[0])
    torch.testing.assert_close(got, exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("is_cosine", [False, True])
@pytest.mark.parametrize("kept", [0, 1 << 26])
def test_nothing_depends_on_where_a_pair_stands(is_cosine: bool, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    probe, gallery = embeddings(0, 300, 32, 4), embeddings(1, 2500, 32, 4)
    whole = DistanceTiles(probe, gallery, is_cosine=is_cosine).rows(0, 300)
    monkeypatch.setattr(distance_tiles, "KEPT_ELEMENTS", kept)
    order, columns = (torch.randperm(n, generator=torch.Generator().manual_seed(2)) for n in (300, 2500))
    shuffled = DistanceTiles(probe[order], gallery[columns], is_cosine=is_cosine)
    cut = torch.cat([shuffled.rows(0, 7), shuffled.rows(7, 200), shuffled.rows(200, 300)])
    assert torch.equal(cut, whole[order][:, columns])


@pytest.mark.parametrize("num_copies", [1, 40])
def test_equal_embeddings_are_ties_and_at_distance_zero(num_copies: int) -> None:
    """Few pairs and many pairs of a tile that must be computed again."""
    gallery = 100 + embeddings(0, 50, 256, 4)
    gallery = torch.cat([gallery] * (1 + num_copies))
    distance = DistanceTiles(gallery[:3], gallery).rows(0, 3)
    for start in range(50, len(gallery), 50):
        assert torch.equal(distance[:, :50], distance[:, start : start + 50])
    assert distance[0, 0] == distance[2, 2] == 0


def test_digits_survive_a_large_common_mean() -> None:
    probe, gallery = 1000 + embeddings(0, 20, 64, 2), 1000 + embeddings(1, 30, 64, 2)
    torch.testing.assert_close(
        DistanceTiles(probe, gallery).rows(0, 20), part_distance(probe, gallery), rtol=1e-6, atol=0
    )


def test_blocks_of_a_large_problem_are_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXACT_WORK", 0)
    probe, gallery = embeddings(0, 37, 16, 4), embeddings(1, 29, 16, 4)
    whole = DistanceTiles(probe, gallery).rows(0, 37)
    for size in (1, 100, 10_000):
        blocks = list(distance_blocks(probe, gallery, block_elements=size))
        assert torch.equal(torch.cat([block.distance for block in blocks]), whole)
    (exact,) = distance_blocks(probe.double(), gallery.double())
    assert torch.equal(exact.distance, part_distance(probe.double(), gallery.double()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_embeddings_are_compared_in_float32(dtype: torch.dtype) -> None:
    probe, gallery = embeddings(0, 5, 16, 2).to(dtype), embeddings(1, 6, 16, 2).to(dtype)
    expected = DistanceTiles(probe.float(), gallery.float()).rows(0, 5)
    assert torch.equal(DistanceTiles(probe, gallery).rows(0, 5), expected)
