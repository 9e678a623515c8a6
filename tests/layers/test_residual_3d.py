import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.layers import ResidualBlock2d, ResidualBlock3d, ResidualBlockP3d, ResidualStage, padding_mask

SHAPES = pytest.mark.parametrize(
    ("out_channels", "stride", "shape"),
    [
        pytest.param(4, 1, (2, 4, 5, 7, 6), id="identity-shortcut"),
        pytest.param(8, 1, (2, 8, 5, 7, 6), id="wider"),
        pytest.param(4, 2, (2, 4, 5, 4, 3), id="strided"),
    ],
)


def ready(block: nn.Module) -> nn.Module:
    """In evaluation mode, with statistics that a batch norm cannot ignore."""
    with torch.no_grad():
        for part in block.modules():
            if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2)
    return block.eval()


def per_frame(x: Tensor, weight: Tensor, norm: nn.Module, stride: int = 1) -> Tensor:
    frames = [norm(functional.conv2d(frame, weight, stride=stride, padding=1)) for frame in x.unbind(2)]
    return torch.stack(frames, dim=2)


def shortcut(block: nn.Module, x: Tensor, stride: int) -> Tensor:
    if isinstance(block.shortcut, nn.Identity):
        return x
    conv, norm = block.shortcut
    return norm(functional.conv3d(x, conv.weight, stride=(1, stride, stride)))


@SHAPES
def test_p3d_agrees_with_the_formula(out_channels: int, stride: int, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    block, x = ready(ResidualBlockP3d(4, out_channels, stride=stride)), torch.randn(2, 4, 5, 7, 6)
    a = functional.relu(per_frame(x, block.conv1.weight, block.norm1, stride))
    over_time = functional.conv3d(a, block.temporal.weight, padding=(1, 0, 0))
    b = functional.relu(a + block.temporal_norm(over_time))
    expected = functional.relu(per_frame(b, block.conv2.weight, block.norm2) + shortcut(block, x, stride))
    got = block(x)
    torch.testing.assert_close(got, expected)
    assert got.shape == shape


@SHAPES
def test_3d_agrees_with_the_formula(out_channels: int, stride: int, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    block, x = ready(ResidualBlock3d(4, out_channels, stride=stride)), torch.randn(2, 4, 5, 7, 6)
    inner = functional.conv3d(x, block.conv1.weight, stride=(1, stride, stride), padding=1)
    outer = functional.conv3d(functional.relu(block.norm1(inner)), block.conv2.weight, padding=1)
    got = block(x)
    torch.testing.assert_close(got, functional.relu(block.norm2(outer) + shortcut(block, x, stride)))
    assert got.shape == shape


def test_a_stage_of_2d_blocks_sees_single_frames() -> None:
    torch.manual_seed(0)
    stage, x = ready(ResidualStage("2d", 4, 8, stride=2, num_blocks=2)), torch.randn(2, 4, 3, 8, 6)
    expected = torch.stack([stage[1](stage[0](frame)) for frame in x.unbind(2)], dim=2)
    torch.testing.assert_close(stage(x), expected)
    assert all(isinstance(block, ResidualBlock2d) for block in stage)


@pytest.mark.parametrize("kind", ["2d", "p3d", "3d"])
@pytest.mark.parametrize("rubbish", [7.0, float("nan")])
def test_padding_reaches_no_real_frame(kind: str, rubbish: float) -> None:
    torch.manual_seed(0)
    stage, x = ready(ResidualStage(kind, 4, 6, stride=2, num_blocks=3)), torch.randn(2, 4, 6, 8, 6)
    padded = x.clone()
    padded[1, :, 4:] = rubbish
    got = stage(padded, padding_mask(torch.tensor([6, 4]), 6))
    torch.testing.assert_close(got[0], stage(x)[0])
    torch.testing.assert_close(got[1:, :, :4], stage(x[1:, :, :4]))


@pytest.mark.parametrize("kind", ["p3d", "3d"])
def test_copies_of_a_frame_differ_at_the_ends_only(kind: str) -> None:
    torch.manual_seed(0)
    block = ready(ResidualStage(kind, 4, 4))
    out = block(torch.randn(1, 4, 1, 6, 6).expand(-1, -1, 9, -1, -1))
    reach = 1 if kind == "p3d" else 2  # one convolution over three frames, or two of them
    middle = out[:, :, reach:-reach]
    torch.testing.assert_close(middle, middle[:, :, :1].expand_as(middle))
    assert (out[:, :, 0] - out[:, :, 4]).abs().max() > 1e-2


@pytest.mark.parametrize("kind", ["p3d", "3d"])
def test_gradients_agree_in_either_memory_layout(kind: str) -> None:
    torch.manual_seed(0)
    stage, x = ResidualStage(kind, 4, 6, stride=2).train(), torch.randn(2, 4, 3, 8, 6)
    gradients = []
    for layout in (torch.contiguous_format, torch.channels_last_3d):
        stage.zero_grad()
        stage(x.to(memory_format=layout)).square().sum().backward()
        gradients.append([weight.grad.clone() for weight in stage.parameters()])
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3)


def test_a_stage_needs_blocks_of_a_known_kind() -> None:
    with pytest.raises(ValueError, match="got 0 of 'p3d'"):
        ResidualStage("p3d", 4, 4, num_blocks=0)
    with pytest.raises(ValueError, match="2d, p3d, 3d, got 1 of '4d'"):
        ResidualStage("4d", 4, 4)
