import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.layers import SeparateFC


def test_each_part_has_its_own_matrix() -> None:
    torch.manual_seed(0)
    layer, x = SeparateFC(3, 4, 5), torch.randn(2, 4, 3)
    expected = torch.stack([x[:, :, part] @ layer.weight[part] for part in range(3)], dim=2)
    torch.testing.assert_close(layer(x), expected)
    assert sum(weight.numel() for weight in layer.parameters()) == 3 * 4 * 5


def test_starts_xavier_uniform_for_the_fans_of_one_part() -> None:
    torch.manual_seed(0)
    bound = (6 / (100 + 50)) ** 0.5
    largest = SeparateFC(8, 100, 50).weight.abs().max().item()
    assert 0.98 * bound < largest <= bound


def test_is_computed_in_float32_under_autocast() -> None:
    layer, x = SeparateFC(3, 4, 5), torch.randn(2, 4, 3)
    with torch.autocast("cpu", torch.bfloat16):
        got = layer(x)
    assert got.dtype == torch.float32
    assert torch.equal(got, layer(x))


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"SeparateFC needs \[N, 4, 3\], got \[2, 3, 4\]"):
        SeparateFC(3, 4, 5)(torch.zeros(2, 3, 4))
