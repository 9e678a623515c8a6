import pytest
import torch
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.losses import sobel_smoothness


def test_agrees_with_convolutions() -> None:
    maps = torch.rand(2, 3, 7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=torch.float64)
    padded = functional.pad(maps, (1, 1, 1, 1), mode="replicate").flatten(0, 1)[:, None]
    expected = sum(functional.conv2d(padded, kernel[None, None]).abs().mean() for kernel in (across, across.T))
    torch.testing.assert_close(sobel_smoothness(maps), expected)


def test_constants_are_smooth_and_steps_are_not() -> None:
    assert sobel_smoothness(torch.full((2, 3, 6, 4), 0.7)) == 0
    step = torch.zeros(1, 1, 6, 6)
    step[..., 3:] = 1
    assert sobel_smoothness(step) == pytest.approx(2 * 4 / 6)
    assert sobel_smoothness(step.transpose(2, 3)) == sobel_smoothness(step)
    assert sobel_smoothness(2 * step) == 2 * sobel_smoothness(step)


def test_half_precision_is_computed_in_full() -> None:
    maps = torch.rand(1, 2, 5, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert sobel_smoothness(maps).dtype == torch.float32


def test_no_maps_are_smooth() -> None:
    assert sobel_smoothness(torch.zeros(0, 3, 6, 4)) == 0
    with pytest.raises(ShapeError, match=r"\[M, C, H, W\], got \[6, 4\]"):
        sobel_smoothness(torch.zeros(6, 4))
