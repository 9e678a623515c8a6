import torch
from torch import nn

from gaitbench.layers import channels_last


def test_weights_of_both_kinds_are_laid_out_and_keep_their_numbers() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv3d(4, 5, 3), nn.Conv1d(5, 6, 3), nn.BatchNorm1d(6))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    assert channels_last(module) is module
    assert module[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert module[1].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_parameters_stay_the_same_objects() -> None:
    module = nn.Conv3d(2, 4, 3)
    weight = module.weight
    channels_last(module)
    assert module.weight is weight
