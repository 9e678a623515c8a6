import pytest
import torch
from gaitbench_baselines.energy_image import energy_image

from gaitbench.errors import ShapeError


def test_agrees_with_a_loop_and_ignores_padding() -> None:
    x, num_frames = torch.rand(3, 1, 5, 4, 3), torch.tensor([5, 1, 3])
    expected = torch.stack([x[n, :, :count].mean(dim=1) for n, count in enumerate(num_frames.tolist())])
    x[1, :, 1:] = torch.nan
    torch.testing.assert_close(energy_image(x, num_frames), expected)


def test_masks_may_be_bool() -> None:
    mask = torch.tensor([True, False]).reshape(1, 1, 2, 1, 1)
    assert energy_image(mask, torch.tensor([2])).item() == 0.5


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"needs \[N, C, T, H, W\]"):
        energy_image(torch.zeros(2, 5, 4, 3), torch.tensor([5, 5]))
