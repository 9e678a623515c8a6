import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.layers import farthest_points, gather_points, nearest_points
from gaitbench.layers import points as points_module


def cloud(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def slow_farthest(points: torch.Tensor, num_centres: int) -> list[int]:
    chosen = [0]
    while len(chosen) < num_centres:
        away = [min(float((p - points[c]).square().sum()) for c in chosen) for p in points]
        chosen.append(away.index(max(away)))
    return chosen


def test_farthest_points_by_hand() -> None:
    square = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0.4, 0.4, 0]]])
    # After the corners 0 and 3, corners 1 and 2 are equally far: the first counts.
    assert farthest_points(square, 5).tolist() == [[0, 3, 1, 2, 4]]


def test_farthest_points_agree_with_a_loop() -> None:
    points = cloud(6, 30, 3, seed=1)
    got = farthest_points(points, 12)
    assert got.tolist() == [slow_farthest(one, 12) for one in points]


def test_only_x_y_z_choose() -> None:
    points = cloud(3, 20, 5)
    points[..., 3:] *= 100
    assert torch.equal(farthest_points(points, 8), farthest_points(points[..., :3], 8))
    assert torch.equal(nearest_points(points, points, 4), nearest_points(points[..., :3], points[..., :3], 4))


def test_centres_of_centres_are_the_first_ones() -> None:
    points = cloud(5, 40, 3)
    points[3, 10:] = points[3, :10].repeat(3, 1)  # fewer distinct points than centres
    points[4] = 1.0
    order = farthest_points(points, 24)
    again = farthest_points(gather_points(points, order), 12)
    first = torch.arange(12).expand(5, -1)
    torch.testing.assert_close(gather_points(gather_points(points, order), again), gather_points(points, order[:, :12]))
    assert torch.equal(again[:3], first[:3])


def test_too_few_distinct_points_are_all_chosen_and_then_the_first_one() -> None:
    points = torch.tensor([[[1.0, 0, 0], [1, 0, 0], [5, 0, 0], [1, 0, 0], [2, 0, 0]]])
    assert farthest_points(points, 7).tolist() == [[0, 2, 4, 0, 0, 0, 0]]


def test_order_of_the_other_points_does_not_matter() -> None:
    points = cloud(1, 50, 3)
    order = torch.cat([torch.zeros(1, dtype=torch.int64), 1 + torch.randperm(49)])
    shuffled = points[:, order]
    torch.testing.assert_close(
        gather_points(shuffled, farthest_points(shuffled, 20)), gather_points(points, farthest_points(points, 20))
    )


def test_nearest_points_agree_with_a_sort() -> None:
    points, centres = cloud(4, 30, 3), cloud(4, 7, 3, seed=1)
    distance = torch.cdist(centres.double(), points.double())
    assert torch.equal(nearest_points(points, centres, 6), distance.argsort(dim=2)[..., :6])


def test_a_centre_is_its_own_first_neighbour_even_far_from_the_origin() -> None:
    points = cloud(2, 40, 3) + 200
    assert torch.equal(nearest_points(points, points, 3)[..., 0], torch.arange(40).expand(2, -1))


def test_few_points_give_all_of_them() -> None:
    points = cloud(2, 3, 3)
    assert nearest_points(points, points[:, :2], 8).shape == (2, 2, 3)
    assert farthest_points(points[:, :1], 4).tolist() == [[0] * 4] * 2


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    points = cloud(7, 20, 4)
    farthest, nearest = farthest_points(points, 9), nearest_points(points, points[:, :11], 5)
    for chunk in (1, 30, 450):
        monkeypatch.setattr(points_module, "_CHUNK", chunk)
        monkeypatch.setattr(points_module, "_CACHED", chunk)
        assert torch.equal(farthest_points(points, 9), farthest)
        assert torch.equal(nearest_points(points, points[:, :11], 5), nearest)


def test_no_cloud_gives_no_index() -> None:
    nothing = torch.zeros(0, 5, 3)
    assert farthest_points(nothing, 4).shape == (0, 4)
    assert nearest_points(nothing, nothing, 2).shape == (0, 5, 2)


def test_memory_does_not_grow_with_the_number_of_clouds() -> None:
    points = torch.randn(64, 256, 3)
    with torch.profiler.profile(profile_memory=True) as profile:
        nearest_points(points, points, 8)
    largest = max(event.self_cpu_memory_usage for event in profile.events())
    assert largest <= 4 * points_module._CHUNK  # all distances at once would take 64 * 256 * 256 * 4 = 16.8 MB


def test_half_precision_is_not_used() -> None:
    points = cloud(2, 200, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(farthest_points(points, 30), farthest_points(points.double(), 30))
        assert torch.equal(nearest_points(points, points, 4), nearest_points(points.double(), points.double(), 4))


def test_gather_agrees_with_a_loop_and_has_a_gradient() -> None:
    values = torch.randn(3, 5, 2, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([[[0, 0], [4, 1]], [[2, 2], [2, 2]], [[1, 3], [0, 4]]])
    got = gather_points(values, index)
    assert torch.equal(got, torch.stack([values[f][index[f]] for f in range(3)]))
    assert torch.autograd.gradcheck(lambda v: gather_points(v, index), values)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: farthest_points(x[0], 2), r"clouds must be \[F, M, 3 or more\]"),
        (lambda x: farthest_points(x[:, :0], 2), "with a point at least"),
        (lambda x: farthest_points(x[..., :2], 2), "3 or more"),
        (lambda x: farthest_points(x, 0), "1 centre or more, got 0"),
        (lambda x: nearest_points(x, x[:1], 2), r"centres must be \[2, S, 3 or more\]"),
        (lambda x: nearest_points(x, x, 0), "1 neighbour or more, got 0"),
        (lambda x: gather_points(x, torch.zeros(3, 1, dtype=torch.int64)), r"gather_points needs"),
    ],
)
def test_what_does_not_fit(call: object, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        call(torch.zeros(2, 4, 3))
