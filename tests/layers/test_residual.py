import pytest
import torch
from torch.nn import functional

from gaitbench.layers import ResidualBlock2d


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
