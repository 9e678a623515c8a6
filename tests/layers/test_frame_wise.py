import pytest
import torch
from torch import nn

from gaitbench.errors import ShapeError
from gaitbench.layers import fold_frames, frame_wise, unfold_frames


def test_agrees_with_a_loop_over_frames() -> None:
    torch.manual_seed(0)
    x, conv = torch.randn(2, 3, 4, 6, 5), nn.Conv2d(3, 7, 3, stride=2)
    expected = torch.stack([conv(x[:, :, t]) for t in range(4)], dim=2)
    torch.testing.assert_close(frame_wise(conv, x), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_convolutions_see_channels_last(channels: int) -> None:
    folded = fold_frames(torch.randn(2, channels, 4, 6, 5))
    out = nn.Conv2d(channels, 8, 3)(folded)
    # With one channel, strides are ambiguous; the convolution's own output tells what it was taken for.
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert not out.is_contiguous()


def test_unfold_undoes_fold_and_gradients_pass() -> None:
    x = torch.randn(2, 3, 4, 6, 5, requires_grad=True)
    back = unfold_frames(fold_frames(x), 4)
    assert torch.equal(back, x)
    back.square().sum().backward()
    torch.testing.assert_close(x.grad, 2 * x.detach())


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"clips must be \[N, C, T, H, W\], got \[2, 3, 4, 4\]"):
        fold_frames(torch.zeros(2, 3, 4, 4))
    with pytest.raises(ShapeError, match="10 frames are no multiple of 4"):
        unfold_frames(torch.zeros(10, 3, 4, 4), 4)
    with pytest.raises(ShapeError, match="10 frames are no multiple of 0"):
        unfold_frames(torch.zeros(10, 3, 4, 4), 0)
