import pytest
import torch
from gaitbench_baselines.strips import strip_wise
from torch import nn

from gaitbench.errors import ShapeError


@pytest.mark.parametrize(
    ("shape", "conv"),
    [
        pytest.param((2, 3, 8, 5), nn.Conv2d(3, 4, 3, padding=1), id="2d"),
        pytest.param((2, 3, 5, 8, 6), nn.Conv3d(3, 4, 3, padding=1), id="3d"),
    ],
)
@pytest.mark.parametrize("is_channels_last", [False, True])
@pytest.mark.parametrize("num_strips", [1, 2, 4, 8])
def test_agrees_with_a_loop_over_strips(
    shape: tuple[int, ...], conv: nn.Module, is_channels_last: bool, num_strips: int
) -> None:
    x = torch.randn(shape)
    if is_channels_last:
        x = x.contiguous(memory_format=torch.channels_last if x.dim() == 4 else torch.channels_last_3d)
    expected = torch.cat([conv(strip) for strip in x.chunk(num_strips, dim=-2)], dim=-2)
    torch.testing.assert_close(strip_wise(conv, x, num_strips), expected)


def test_gradients_agree_with_a_loop_over_strips() -> None:
    conv = nn.Conv3d(3, 4, 3, padding=1).double()
    x = torch.randn(2, 3, 5, 8, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 4, 5, 8, 6, dtype=torch.float64)
    looped = torch.cat([conv(strip) for strip in x.chunk(4, dim=-2)], dim=-2)
    expected = torch.autograd.grad((looped * weight).sum(), [x, conv.weight])
    found = torch.autograd.grad((strip_wise(conv, x, 4) * weight).sum(), [x, conv.weight])
    torch.testing.assert_close(found, expected)


def test_maps_with_the_channels_last_are_not_copied() -> None:
    x = torch.randn(2, 3, 8, 5).contiguous(memory_format=torch.channels_last)
    seen: list[int] = []
    out = strip_wise(lambda strips: (seen.append(strips.data_ptr()), strips)[1], x, 4)
    assert seen == [x.data_ptr()] == [out.data_ptr()]


def test_rows_that_do_not_divide() -> None:
    with pytest.raises(ShapeError, match="10 rows, which 4 strips do not divide"):
        strip_wise(lambda strip: strip, torch.zeros(1, 1, 10, 3), 4)
