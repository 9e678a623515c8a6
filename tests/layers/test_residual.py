import pytest
import torch
from torch.nn import functional

from gaitbench.layers import ResidualBlock2d
from gaitbench.layers.residual import every_pixel


@pytest.mark.parametrize(
    ("out_channels", "stride", "shape"),
    [
        pytest.param(4, 1, (2, 4, 7, 6), id="identity-shortcut"),
        pytest.param(8, 1, (2, 8, 7, 6), id="wider"),
        pytest.param(4, 2, (2, 4, 4, 3), id="strided"),
    ],
)
def test_agrees_with_the_formula(out_channels: int, stride: int, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    block, x = ResidualBlock2d(4, out_channels, stride=stride).eval(), torch.randn(2, 4, 7, 6)
    with torch.no_grad():
        for norm in (block.norm1, block.norm2):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
    inner = functional.relu(block.norm1(functional.conv2d(x, block.conv1.weight, stride=stride, padding=1)))
    outer = block.norm2(functional.conv2d(inner, block.conv2.weight, padding=1))
    is_same = stride == 1 and out_channels == 4
    shortcut = x if is_same else block.shortcut[1](functional.conv2d(x, block.shortcut[0].weight, stride=stride))
    got = block(x)
    torch.testing.assert_close(got, functional.relu(outer + shortcut))
    assert got.shape == shape


def test_the_input_is_left_alone() -> None:
    x = torch.randn(2, 4, 7, 6)
    before = x.clone()
    ResidualBlock2d(4, 4).eval()(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_every_pixel_is_a_slice_whose_gradient_stays_channels_last(stride: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, 7, 6).to(dtype).to(memory_format=torch.channels_last).requires_grad_()
    seen: list[torch.Tensor] = []
    inner = x * 2
    inner.register_hook(seen.append)
    picked, wanted = every_pixel(inner, stride), (x * 2)[:, :, ::stride, ::stride]
    weights = torch.randn_like(picked)
    (picked * weights).sum().backward()
    assert torch.equal(picked, wanted)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.autograd.grad((wanted * weights).sum(), x)[0])
