"""Which side of a walker is seen, of points that come, go and pass."""

import pytest
import torch
from gaitbench_lidar.walking_direction import view_of_walk

from gaitbench.annotating.directions import DIRECTIONS, direction_index
from gaitbench.errors import DatasetError, ShapeError


def walk(step: tuple[float, float], middle: tuple[float, float] = (8.0, 0.0), frames: int = 9) -> torch.Tensor:
    """One point per frame."""
    time = torch.arange(frames) - (frames - 1) / 2
    place = torch.tensor(middle) + time[:, None] * torch.tensor(step)
    return torch.cat([place, torch.ones(frames, 1)], dim=1)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ((-0.2, 0.0), "front"),
        ((0.2, 0.0), "back"),
        ((0.0, 0.2), "left"),
        ((0.0, -0.2), "right"),
        ((-0.2, 0.2), "front-left"),
        ((0.2, -0.2), "back-right"),
    ],
)
def test_directions_by_hand(step: tuple[float, float], expected: str) -> None:
    points = walk(step)
    assert DIRECTIONS[direction_index(view_of_walk(points, torch.arange(10)))] == expected


def test_the_line_of_sight_counts_and_not_the_axes() -> None:
    assert view_of_walk(walk((0.0, -0.2), (0.0, 8.0)), torch.arange(10)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("aside", [1e-17, -1e-17])
def test_a_full_turn_is_none(aside: float) -> None:
    points = torch.tensor([[8.0, aside, 0.0], [7.0, 0.0, 0.0]], dtype=torch.float64)
    assert 0 <= view_of_walk(points, torch.arange(3)) < 360


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        pytest.param([], r"points \[M, 3\] and offsets \[F \+ 1\]", id="empty"),
        pytest.param([0, 6, 4, 9], "offsets must grow from 0 to the number of points, 9", id="falling"),
        pytest.param([1, 4, 9], "they go from 1 to 9", id="later-start"),
        pytest.param([0, 4], "they go from 0 to 4", id="points-left-over"),
    ],
)
def test_offsets_that_are_none_are_refused(offsets: list[int], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        view_of_walk(walk((-0.2, 0.0)), torch.tensor(offsets, dtype=torch.int64))


def test_broken_points_and_empty_frames_are_passed_over() -> None:
    points = walk((-0.2, 0.0))
    broken = torch.cat([points, torch.full((1, 3), torch.nan)])
    offsets = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10])
    assert view_of_walk(broken, offsets) == pytest.approx(0)


@pytest.mark.parametrize("junk", [[0.0, 0.0, 0.0], [7.0, 3.0, torch.nan], [90.0, 50.0, torch.inf], [0.0, 0.0, 0.4]])
def test_what_is_no_return_turns_nobody(junk: list[float]) -> None:
    points = walk((0.0, 0.2))
    counts = torch.arange(len(points)) * 5
    parts = [
        torch.cat([point[None], torch.tensor([junk]).repeat(int(n), 1)])
        for point, n in zip(points, counts, strict=True)
    ]
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), (counts + 1).cumsum(0)])
    assert view_of_walk(torch.cat(parts), offsets) == view_of_walk(points, torch.arange(len(points) + 1))


def test_what_is_no_walk_is_refused() -> None:
    with pytest.raises(DatasetError, match="stays within"):
        view_of_walk(walk((0.0, 0.0)), torch.arange(10))
    with pytest.raises(DatasetError, match="1 frames of the walk have points"):
        view_of_walk(walk((0.2, 0.0))[:1], torch.tensor([0, 1, 1]))
    far = torch.tensor([[1e308, 0, 0], [1e308, 0, 0], [7, 0, 0]], dtype=torch.float64)
    with pytest.raises(DatasetError, match="too far from the sensor"):
        view_of_walk(far, torch.tensor([0, 2, 3]))
    with pytest.raises(ShapeError, match="view_of_walk needs"):
        view_of_walk(torch.zeros(3, 2), torch.tensor([0, 3]))
