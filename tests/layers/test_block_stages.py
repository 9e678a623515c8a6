from typing import NamedTuple

import torch
from torch.nn import functional

from gaitbench.layers import Stages, Stem, padding_mask


class Sizes(NamedTuple):
    channels: tuple[int, ...] = (4, 6, 8)
    strides: tuple[int, ...] = (1, 2, 2)
    num_blocks: tuple[int, ...] = (1, 2, 1)


def test_the_stem_sees_every_frame_by_itself() -> None:
    torch.manual_seed(0)
    stem = Stem(1, 4, stride=2).eval()
    clips = torch.randn(2, 1, 3, 8, 6)
    for frame in range(3):
        expected = functional.relu(stem[1](stem[0](clips[:, :, frame])))
        torch.testing.assert_close(stem(clips)[:, :, frame], expected)
    assert list(stem.state_dict()) == [
        "0.weight",
        "1.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
    ]


def test_stages_have_the_named_kinds_widths_strides_and_blocks() -> None:
    stages = Stages(Sizes(), ("2d", "p3d", "3d")).eval()
    x = stages(torch.randn(2, 4, 5, 16, 8))
    assert x.shape == (2, 8, 5, 4, 2)
    assert [len(stage) for stage in stages] == [1, 2, 1]
    assert [type(stage[0]).__name__ for stage in stages] == ["ResidualBlock2d", "ResidualBlockP3d", "ResidualBlock3d"]
    # With fewer kinds, those of the last stages.
    last = Stages(Sizes(), ("3d",)).eval()
    assert last(torch.randn(1, 6, 2, 4, 4)).shape == (1, 8, 2, 2, 2)


def test_padding_reaches_no_real_frame() -> None:
    torch.manual_seed(0)
    stages = Stages(Sizes(), ("2d", "3d", "3d")).eval()
    x = torch.randn(1, 4, 5, 8, 8)
    alone = stages(x[:, :, :3])
    padded = stages(x, padding_mask(torch.tensor([3]), 5))
    torch.testing.assert_close(padded[:, :, :3], alone, rtol=1e-5, atol=1e-6)
