import pytest
import torch
from torch import nn
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.layers import on_vectors, pick_pixels, put_pixels


def choice(num_images: int = 40) -> torch.Tensor:
    return torch.rand(num_images, 1, 8, 4, generator=torch.Generator().manual_seed(0)) > 0.7


def test_pixels_are_those_of_the_enlarged_maps() -> None:
    maps, where = torch.randn(40, 5, 4, 2), choice()
    large = functional.interpolate(maps, (8, 4), mode="bilinear", align_corners=False)
    picked = pick_pixels(maps, where)
    assert torch.equal(picked, large.permute(0, 2, 3, 1)[where[:, 0]])
    back = put_pixels(picked, where)
    torch.testing.assert_close(back, large * where)


def test_gradients_reach_chosen_pixels_alone() -> None:
    maps, where = torch.randn(40, 3, 8, 4, requires_grad=True), choice()
    (put_pixels(pick_pixels(maps, where), where) * 3).sum().backward()
    assert maps.grad is not None
    assert torch.equal(maps.grad, 3.0 * where.expand_as(maps))


def test_no_pixels_leave_zeros() -> None:
    where = torch.zeros(2, 1, 8, 4, dtype=torch.bool)
    picked = pick_pixels(torch.randn(2, 3, 4, 2), where)
    assert picked.shape == (0, 3)
    assert not put_pixels(picked, where).any()


@pytest.mark.parametrize("num_vectors", [0, 1])
def test_too_few_vectors_leave_statistics_alone(num_vectors: int) -> None:
    network = nn.Sequential(nn.BatchNorm1d(3, affine=False), nn.Linear(3, 2)).train()
    before = network[0].running_mean.clone()
    out = on_vectors(network, torch.randn(num_vectors, 3))
    assert out.shape == (num_vectors, 2)
    assert network.training
    assert network[0].training
    assert torch.equal(network[0].running_mean, before)
    on_vectors(network, torch.randn(8, 3))
    assert not torch.equal(network[0].running_mean, before)


def test_shapes_are_checked() -> None:
    with pytest.raises(ShapeError, match=r"got \[2, 3, 4, 2\], \[3, 1, 8, 4\]"):
        pick_pixels(torch.zeros(2, 3, 4, 2), choice(3))
