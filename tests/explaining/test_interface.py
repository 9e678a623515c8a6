import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.explaining import activation_heatmap, maximum_heatmap


def test_activation_is_the_mean_size_over_channels() -> None:
    features = torch.randn(2, 3, 4, 5, 6)
    found = activation_heatmap("a", "rgb", features)
    assert (found.title, found.modality, found.limits) == ("a", "rgb", None)
    expected = (features[:, 0].abs() + features[:, 1].abs() + features[:, 2].abs()) / 3
    torch.testing.assert_close(found.values, expected)


def test_maximum_shares_each_channel_out_over_real_frames() -> None:
    features = torch.randint(0, 3, (2, 7, 5, 2, 3)).float()
    num_frames = torch.tensor([5, 3])
    values = maximum_heatmap("m", "rgb", features, num_frames).values
    torch.testing.assert_close(values.sum(dim=1), torch.ones(2, 2, 3))
    assert float(values[1, 3:].abs().max()) == 0
    for n, t, h, w in [(0, 4, 1, 2), (1, 0, 0, 0)]:
        share = 0.0
        for c in range(7):
            walk = features[n, c, : num_frames[n], h, w]
            share += float(walk[t] == walk.max()) / int((walk == walk.max()).sum())
        assert float(values[n, t, h, w]) == pytest.approx(share / 7)


def test_no_gradient_is_kept() -> None:
    features = torch.randn(1, 2, 3, 4, 5, requires_grad=True)
    assert not activation_heatmap("a", "rgb", features).values.requires_grad
    assert not maximum_heatmap("a", "rgb", features, torch.tensor([3])).values.requires_grad


def test_other_axes_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"features of 'a' must be \[N, C, T, h, w\], got \[2, 3, 4, 5\]"):
        activation_heatmap("a", "rgb", torch.zeros(2, 3, 4, 5))
