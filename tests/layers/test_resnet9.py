import pytest
import torch

from gaitbench.layers import ResNet9, rename_published
from gaitbench.layers.resnet9 import PUBLISHED_KEYS


def test_published_size() -> None:
    trunk = ResNet9(1)
    assert sum(p.numel() for p in trunk.parameters()) == 4_896_960
    assert trunk.eval()(torch.zeros(1, 1, 64, 44)).shape == (1, 512, 16, 11)


def test_blocks_and_strides_are_per_stage() -> None:
    trunk = ResNet9(3, channels=(4, 8, 8, 16), strides=(1, 2, 1, 1), num_blocks=(1, 2, 1, 1), stem_stride=2).eval()
    assert [len(stage) for stage in trunk.stages] == [1, 2, 1, 1]
    assert trunk(torch.zeros(1, 3, 64, 44)).shape == (1, 16, 16, 11)


def test_every_parameter_has_one_published_name() -> None:
    names = {
        "conv1.conv.weight": "stem.0.weight",
        "bn1.running_mean": "stem.1.running_mean",
        "layer2.0.conv2.weight": "stages.1.0.conv2.weight",
        "layer2.0.bn1.bias": "stages.1.0.norm1.bias",
        "layer4.0.downsample.1.weight": "stages.3.0.shortcut.1.weight",
    }
    assert rename_published(names, PUBLISHED_KEYS) == names
    assert set(names.values()) <= set(ResNet9(1).state_dict())


def test_stages_must_agree() -> None:
    with pytest.raises(ValueError, match="must name the same stages"):
        ResNet9(1, channels=(4, 8), strides=(1, 2, 2), num_blocks=(1, 1))
