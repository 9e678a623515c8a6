import pytest
import torch
from gaitbench_lidar.prepared_points import prepare_points

from gaitbench.errors import ShapeError


def test_by_hand() -> None:
    points = torch.tensor([[1.0, 2.0, -0.8], [1.0, 6.0, -0.8], [1.0, 4.0, 0.4]])  # mean (1, 4, -0.4)
    largest = (2**2 + 0.4**2) ** 0.5
    expected = torch.tensor([[0, -2 / largest, -0.4 / largest, 0], [0, 2 / largest, -0.4 / largest, 0], [0, 0, 0, 1.2]])
    expected[2, 2] = 0.8 / largest
    torch.testing.assert_close(prepare_points(points), expected, rtol=1e-6, atol=1e-6)


def test_place_does_not_matter_and_size_shows_in_the_height_alone() -> None:
    points = torch.randn(2, 3, 40, 3)
    prepared = prepare_points(points)
    torch.testing.assert_close(prepare_points(points + torch.tensor([16.0, -8.0, 2.0])), prepared, rtol=1e-4, atol=1e-4)
    larger = prepare_points(2 * points)
    torch.testing.assert_close(larger[..., :3], prepared[..., :3])
    torch.testing.assert_close(larger[..., 3], 2 * prepared[..., 3])
    torch.testing.assert_close(prepared[..., :3].norm(dim=-1).amax(dim=-1), torch.ones(2, 3))
    assert (prepared[..., 3].amin(dim=-1) == 0).all()


def test_frames_are_independent() -> None:
    points = torch.randn(2, 3, 40, 3)
    torch.testing.assert_close(prepare_points(points)[1, 2], prepare_points(points[1, 2]))


@pytest.mark.parametrize("place", [[0.0, 0, 0], [17.3, -4.1, 0.77]], ids=["empty", "one-place"])
def test_a_frame_without_extent_is_zero(place: list[float]) -> None:
    points = torch.tensor(place).expand(5, 96, 3)
    assert torch.equal(prepare_points(points), torch.zeros(5, 96, 4))


def test_what_does_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"\[..., M, 3\] with a point at least, got \[2, 0, 3\]"):
        prepare_points(torch.zeros(2, 0, 3))
    with pytest.raises(ShapeError, match=r"got \[2, 5, 4\]"):
        prepare_points(torch.zeros(2, 5, 4))
