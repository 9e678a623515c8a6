import torch
from torch import nn

from gaitbench.layers import init_parameters


def test_kinds_of_layers_start_as_documented() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(400), nn.Linear(100, 50), nn.BatchNorm1d(3, affine=False))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(9)
    init_parameters(net)
    bound = (6 / (4 * 9 + 8 * 9)) ** 0.5
    assert 0.9 * bound < net[0].weight.abs().max() <= bound
    assert net[0].bias.abs().max() == net[1].bias.abs().max() == net[2].bias.abs().max() == 0
    assert abs(net[1].weight.mean() - 1) < 0.005
    assert 0.015 < net[1].weight.std() < 0.025
    assert 0.95 * 0.2 < net[2].weight.abs().max() <= 0.2
