import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.layers import horizontal_pyramid_pool


def test_agrees_with_a_loop_over_strips() -> None:
    x = torch.randn(2, 3, 16, 11, generator=torch.Generator().manual_seed(1))
    strips = [strip.flatten(2) for count in (16, 8, 4, 2, 1) for strip in x.chunk(count, dim=2)]
    expected = [strip.mean(dim=2) + strip.max(dim=2).values for strip in strips]
    got = horizontal_pyramid_pool(x, (16, 8, 4, 2, 1))
    torch.testing.assert_close(got, torch.stack(expected, dim=2))
    assert got.shape == (2, 3, 31)


def test_a_change_in_one_strip_changes_one_part() -> None:
    x = torch.zeros(1, 1, 16, 11)
    x[0, 0, 5, 3] = 1
    assert horizontal_pyramid_pool(x, (16,))[0, 0].nonzero().flatten().tolist() == [5]


def test_columns_may_come_in_any_order() -> None:
    x = torch.randn(2, 3, 8, 6)
    torch.testing.assert_close(horizontal_pyramid_pool(x.flip(3), (4, 2)), horizontal_pyramid_pool(x, (4, 2)))


def test_memory_layout_changes_nothing() -> None:
    x = torch.randn(2, 3, 8, 6)
    last = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(horizontal_pyramid_pool(last, (4, 2)), horizontal_pyramid_pool(x, (4, 2)))


def test_strips_may_cut_rows_as_the_published_code_allows() -> None:
    x = torch.arange(12.0).reshape(1, 1, 3, 4)  # two strips of one and a half rows
    assert horizontal_pyramid_pool(x, (2,)).flatten().tolist() == [2.5 + 5, 8.5 + 11]


@pytest.mark.parametrize("bins", [(5,), (), (16, 3), (0,), (-2,)])
def test_bins_that_do_not_divide(bins: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"cannot be cut into .* choose other bins"):
        horizontal_pyramid_pool(torch.zeros(1, 1, 8, 4), bins)
