"""Tiles in float32: as near the exact distance as float32 can be, and the same however the work is cut."""

import pytest
import torch
from torch import Tensor

from gaitbench.errors import ModelError
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
@pytest.mark.parametrize("mean", [0, 10, 100, 3000])
def test_nothing_depends_on_where_a_pair_stands(
    is_cosine: bool, kept: int, mean: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe, gallery = mean + embeddings(0, 300, 32, 4), mean + embeddings(1, 2500, 32, 4)
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


@pytest.mark.parametrize("mean", [30, 100, 1000, 10_000])
def test_digits_survive_a_large_common_mean(mean: float) -> None:
    probe, gallery = mean + embeddings(0, 20, 64, 2), mean + embeddings(1, 30, 64, 2)
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


@pytest.mark.parametrize("is_cosine", [False, True])
def test_rows_pieces_and_pairs_agree_to_the_bit(is_cosine: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distance_tiles, "PIECE_COLUMNS", 512)
    monkeypatch.setattr(distance_tiles, "KEPT_ELEMENTS", 256 * 30)  # probes in two runs
    probe, gallery = embeddings(0, 300, 10, 3), embeddings(1, 700, 10, 3)
    rows, columns = (torch.randperm(n, generator=torch.Generator().manual_seed(3)) for n in (290, 690))
    tiles = DistanceTiles(
        probe, gallery, is_cosine=is_cosine, probe_rows=rows, gallery_rows=columns, device=torch.device("cpu")
    )
    whole = DistanceTiles(probe, gallery, is_cosine=is_cosine).rows(0, 300)[rows][:, columns]
    assert torch.equal(tiles.rows(0, 290), whole)
    out = torch.full((290, 690), torch.nan)
    for piece in tiles.pieces():
        assert piece.distance.shape[1] <= 512
        out[piece.rows, piece.columns] = piece.distance
    assert torch.equal(out, whole)
    row = torch.arange(290).repeat_interleave(2)
    column = (row * 37) % 690
    assert torch.equal(tiles.pairs(row, column), whole[row, column])


@pytest.mark.parametrize("is_cosine", [False, True])
@pytest.mark.parametrize("mean", [0, 10, 100])
def test_number_of_threads_does_not_matter(is_cosine: bool, mean: float) -> None:
    probe, gallery = mean + embeddings(0, 70, 64, 16), mean + embeddings(1, 300, 64, 16)
    before, found = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            found.append(DistanceTiles(probe, gallery, is_cosine=is_cosine).rows(0, 70))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("mean", [0, 100])
def test_what_training_allows_does_not_reach_distances(mean: float) -> None:
    """Reduced precision for products, and autocast, are choices of whoever trains in this process."""
    probe, gallery = mean + embeddings(0, 40, 256, 4), mean + embeddings(1, 50, 256, 4)
    expected = DistanceTiles(probe, gallery).rows(0, 40)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(DistanceTiles(probe, gallery).rows(0, 40), expected)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("apart", [pytest.param(3.0, id="close"), pytest.param(1e-3, id="nearly-the-same")])
def test_a_pair_is_mended_alike_whoever_its_neighbours_are(apart: float) -> None:
    """Few close pairs of a tile are computed one by one, many together: a tie must survive that."""
    one = 100 + embeddings(0, 1, 256, 2)
    twins = one + apart * embeddings(1, 200, 256, 2)
    far = 1e3 * embeddings(2, 256, 256, 2)
    crowded = DistanceTiles(one, torch.cat([twins, far])).rows(0, 1)[:, :200]
    alone = torch.cat([DistanceTiles(one, torch.cat([far, twins[i, None]])).rows(0, 1)[:, 256:] for i in range(20)], 1)
    assert torch.equal(alone, crowded[:, :20])
    many = DistanceTiles(one.repeat(256, 1, 1), torch.cat([twins, far])).rows(0, 256)
    assert torch.equal(many[:, :200], crowded.expand(256, -1))


def test_padding_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles are padded with pairs of zeros; no pair here is so close that its difference is needed."""

    def unneeded(left: Tensor, right: Tensor) -> Tensor:
        raise AssertionError(f"differences of {len(left)} x {len(right)} pairs")

    probe, gallery = 30 + embeddings(0, 70, 64, 2), 30 + embeddings(1, 300, 64, 2)
    expected = part_distance(probe, gallery)
    monkeypatch.setattr(distance_tiles, "_square_of_difference", unneeded)
    torch.testing.assert_close(DistanceTiles(probe, gallery).rows(0, 70), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e30, 1.8e19])
def test_values_that_float32_cannot_compare(bad: float) -> None:
    gallery = embeddings(1, 300, 4, 2)
    gallery[299, 0, 0] = bad
    with pytest.raises(ModelError, match="gallery embedding values are NaN or infinite, or their squares"):
        DistanceTiles(embeddings(0, 3, 4, 2), gallery).rows(0, 3)
