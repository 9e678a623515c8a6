import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.layers import PointMLP, SetAbstraction, farthest_points


def layer(in_channels: int = 2, num_neighbours: int = 4, radius: float = 0.5) -> SetAbstraction:
    torch.manual_seed(0)
    made = SetAbstraction(4, in_channels, [6, 8], num_neighbours=num_neighbours, radius=radius)
    for norm in (part for part in made.modules() if isinstance(part, torch.nn.BatchNorm2d)):
        torch.nn.init.normal_(norm.running_mean)
        torch.nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return made.double().eval()


def slow(made: SetAbstraction, points: torch.Tensor, features: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
    out = []
    for cloud, told, chosen in zip(points, features, centre, strict=True):
        for c in chosen:
            away = (cloud[:, :3] - cloud[c, :3]).norm(dim=1)
            seen = []
            for j in away.argsort()[: made.num_neighbours]:
                x = torch.cat([(cloud[j] - cloud[c]) / made.radius, told[j]])
                for convolution, norm, _ in made.mlp:
                    x = convolution.weight[:, :, 0, 0] @ x + convolution.bias
                    x = (x - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
                    x = x.clamp_min(0)
                seen.append(x)
            out.append(torch.stack(seen).amax(dim=0))
    return torch.stack(out).view(*centre.shape, -1)


def test_agrees_with_a_loop() -> None:
    made = layer()
    points, features = torch.randn(2, 9, 4, dtype=torch.float64), torch.randn(2, 9, 2, dtype=torch.float64)
    centre = torch.tensor([[0, 3, 8], [5, 5, 1]])
    with torch.no_grad():
        got = made(points, features, centre)
        torch.testing.assert_close(got.features, slow(made, points, features, centre))
    assert torch.equal(got.points, torch.stack([points[0, centre[0]], points[1, centre[1]]]))


def test_a_step_without_features_sees_offsets_alone() -> None:
    made = layer(in_channels=0)
    points, centre = torch.randn(2, 9, 4, dtype=torch.float64), torch.tensor([[0, 3], [5, 1]])
    with torch.no_grad():
        moved = made(points + torch.tensor([3.0, -2.0, 1.0, 0.5]), None, centre)
        torch.testing.assert_close(moved.features, made(points, None, centre).features)
        assert not torch.allclose(made(2 * points, None, centre).features, moved.features)
        made.radius *= 2  # twice the size at twice the radius is the same
        torch.testing.assert_close(made(2 * points, None, centre).features, moved.features)


def test_order_and_copies_of_points_do_not_matter() -> None:
    made = layer(num_neighbours=3)
    points, features = torch.randn(1, 12, 4, dtype=torch.float64), torch.randn(1, 12, 2, dtype=torch.float64)
    order = torch.randperm(12)
    place = order.argsort()[:4][None]  # where points 0 to 3 went
    with torch.no_grad():
        expected = made(points, features, torch.arange(4)[None]).features
        torch.testing.assert_close(made(points[:, order], features[:, order], place).features, expected)
        made.num_neighbours = 6  # every point twice: twice as many neighbours are the same places
        doubled = made(points.repeat(1, 2, 1), features.repeat(1, 2, 1), torch.arange(4)[None]).features
        torch.testing.assert_close(doubled, expected)


def test_gradients() -> None:
    made = layer()
    points = torch.randn(2, 6, 4, dtype=torch.float64)
    centre = farthest_points(points, 3)
    features = torch.randn(2, 6, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: made(points, x, centre).features, features)


def test_norms_count_every_point_once() -> None:
    mlp = PointMLP(3, [5]).train()
    x = torch.randn(4, 7, 2, 3)
    mlp(x)
    seen = mlp[0][0](x.reshape(-1, 3, 1, 1)).detach()
    torch.testing.assert_close(mlp[0][1].running_mean, 0.1 * seen.mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mlp_takes_any_number_of_axes(dtype: torch.dtype) -> None:
    mlp = PointMLP(3, [5, 4]).eval()
    x = torch.randn(2, 7, 6, 3)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        got = mlp(x)
        assert got.dtype == dtype
        assert got.shape == (2, 7, 6, 4)
        torch.testing.assert_close(got[:, 3, 2], mlp(x[:, 3, 2, None])[:, 0], rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("values", "channels"), [(3, 2), (4, 3), (4, None)], ids=["point-values", "channels", "no-features"]
)
def test_what_does_not_fit(values: int, channels: int | None) -> None:
    points = torch.zeros(2, 6, values, dtype=torch.float64)
    features = None if channels is None else torch.zeros(2, 6, channels, dtype=torch.float64)
    with pytest.raises(ShapeError, match=r"points \[F, M, 4\] and features \[2, 6, 2\]"):
        layer()(points, features, torch.zeros(2, 1, dtype=torch.int64))
