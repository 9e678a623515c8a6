import pytest
import torch
from gaitbench_tcfdnet.patch_exchange import draw_exchange, exchange_patches

from gaitbench.errors import ShapeError


def test_twice_with_the_same_cells_is_nothing() -> None:
    a, b = torch.rand(2, 6, 3, 4, 8, 12)
    cells = draw_exchange(6, (4, 3), chance=0.8, share=0.4)
    once = exchange_patches(a, b, cells)
    assert not torch.equal(once[0], a)
    twice = exchange_patches(*once, cells)
    assert torch.equal(twice[0], a)
    assert torch.equal(twice[1], b)


def test_by_hand_the_same_cells_in_all_frames() -> None:
    a, b = torch.zeros(2, 1, 3, 4, 4), torch.ones(2, 1, 3, 4, 4)
    cells = torch.zeros(2, 2, 2, dtype=torch.bool)
    cells[1, 0, 1] = True
    first, second = exchange_patches(a, b, cells)
    assert not first[0].any()
    expected = torch.tensor([[0.0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]])
    for frame in range(3):
        assert torch.equal(first[1, 0, frame], expected)
        assert torch.equal(second[1, 0, frame], 1 - expected)


def test_share_of_pairs_and_of_cells() -> None:
    cells = draw_exchange(2000, (4, 4), chance=0.5, share=0.25, generator=torch.Generator().manual_seed(0))
    counts = cells.sum(dim=(1, 2))
    assert set(counts.tolist()) == {0, 4}
    assert 0.45 < (counts > 0).float().mean() < 0.55
    assert (cells.float().mean(dim=0) - 0.125).abs().max() < 0.03
    assert not draw_exchange(10, (4, 4), chance=0.0, share=0.25).any()
    assert draw_exchange(10, (2, 2), chance=1.0, share=0.01).sum(dim=(1, 2)).tolist() == [1] * 10


def test_the_global_seed_decides() -> None:
    def draw(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return draw_exchange(8, (4, 4), chance=0.5, share=0.25)

    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3), draw(4))


def test_what_is_not_synchronised_is_refused() -> None:
    a = torch.zeros(2, 3, 4, 8, 8)
    cells = torch.ones(2, 2, 2, dtype=torch.bool)
    with pytest.raises(ShapeError, match="synchronised clips"):
        exchange_patches(a, a[:, :, :3], cells)
    with pytest.raises(ShapeError, match="do not divide clips"):
        exchange_patches(a, a, torch.ones(2, 3, 2, dtype=torch.bool))
    with pytest.raises(ShapeError, match="do not divide clips"):
        exchange_patches(a, a, torch.ones(2, 0, 2, dtype=torch.bool))
    for cells in (torch.ones(2, 4).bool(), torch.ones(3, 2, 2).bool()):
        with pytest.raises(ShapeError, match=r"cells must be \[N, rows, columns\] of 2 pairs, got"):
            exchange_patches(a, a, cells)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.float64, torch.bfloat16])
def test_clips_of_every_type(dtype: torch.dtype) -> None:
    a, b = torch.zeros(1, 1, 1, 2, 2, dtype=dtype), torch.ones(1, 1, 1, 2, 2, dtype=dtype)
    first, second = exchange_patches(a, b, torch.tensor([[[True, False], [False, False]]]))
    assert (first.dtype, second.dtype) == (dtype, dtype)
    assert first.flatten().tolist() == [1, 0, 0, 0]
    assert second.flatten().tolist() == [0, 1, 1, 1]
