import pytest
import torch

from gaitbench.layers import TwoStreamTrunk


def test_published_size() -> None:
    with torch.device("meta"):
        trunk = TwoStreamTrunk(16)
    # With 16 matrices of 512 x 256 and a neck for 100 subjects this is the published gait network.
    assert sum(weight.numel() for weight in trunk.parameters()) + 16 * 512 * 256 + 16 * 256 * 100 + 8192 == 7_505_056


def test_agrees_with_its_parts() -> None:
    torch.manual_seed(0)
    trunk = TwoStreamTrunk(3, channels=(4, 6, 8), strides=(1, 2, 2)).eval()
    first, second = torch.randn(2, 2, 3, 16, 8)
    one, two = trunk.first(first), trunk.second(second)
    expected = trunk.stages(trunk.fusion(one, two))
    got = trunk(first, second)
    torch.testing.assert_close(got, expected)
    assert got.shape == (2, 8, 4, 2)
    assert (trunk(second, first) - got).abs().max() > 1e-3


def test_stages_must_agree() -> None:
    with pytest.raises(ValueError, match="must name the same stages"):
        TwoStreamTrunk(3, channels=(4, 6), strides=(1,))
