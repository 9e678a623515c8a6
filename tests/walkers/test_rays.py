"""The renderer, against a slow float64 one that marches nothing and batches nothing."""

import numpy as np
import pytest

from gaitbench.sequence import SequenceInfo
from gaitbench.walkers.options import WalkersOptions
from gaitbench.walkers.people import draw_person
from gaitbench.walkers.rays import (
    DEPTH_UNIT_M,
    NO_HIT,
    Grid,
    Solids,
    bounds,
    camera_grid,
    decode,
    lidar_grid,
    render,
)
from gaitbench.walkers.recording import record

OPTIONS = WalkersOptions(num_train_subjects=1, num_test_subjects=1, num_frames=2)


def slow_distance(solids: Solids, frame: int, direction: np.ndarray) -> tuple[float, int]:
    """Nearest hit of one ray: the hull of two balls is the union of the balls between them, sampled densely."""
    best, surface = np.inf, 0
    for s in np.flatnonzero(solids.ra[frame] > 0):
        inverse = np.linalg.inv(solids.shape[frame, s])
        a = inverse @ -solids.centre[frame, s]
        d = inverse @ direction
        end = inverse @ (solids.other[frame, s] - solids.centre[frame, s])
        share = np.linspace(0, 1, 2001 if np.linalg.norm(end) > 1e-6 else 1)[:, None]
        origin, radius = (
            a - share * end,
            solids.ra[frame, s] + share[:, 0] * (solids.rb[frame, s] - solids.ra[frame, s]),
        )
        if len(share) == 1:
            radius = np.maximum(radius, 0)
        b, c = origin @ d, (origin**2).sum(-1) - radius**2
        root = b * b - (d @ d) * c
        hit = (-b[root >= 0] - np.sqrt(root[root >= 0])) / (d @ d)
        if len(hit) and hit.min() < best:
            best, surface = hit.min(), int(solids.surface[s])
    return best, surface


def body(condition: str, view: int) -> Solids:
    info = SequenceInfo(
        sequence_id="x", subject_id="0001", condition=condition, view=f"{view:03d}", view_deg=float(view)
    )
    return record(OPTIONS, [info], lambda s: draw_person(OPTIONS, s)).solids


def compare(solids: Solids, grid: Grid, every: int) -> None:
    code = render(solids, grid)
    distance, surface = decode(code)
    mask = render(solids, grid, mask_only=True)
    assert ((code != NO_HIT) == (mask > 0)).all()
    num_edge = num_seen = 0
    for row in range(1, grid.up.shape[1], every):
        for column in range(1, grid.left.shape[1], every):
            direction = np.array([grid.forward[0, column], grid.left[0, column], grid.up[0, row]])
            true, part = slow_distance(solids, 0, direction)
            if (surface[0, row, column] > 0) != (part > 0):
                num_edge += 1
            elif part:
                num_seen += 1
                assert float(distance[0, row, column]) == pytest.approx(true, abs=2e-5)
                assert int(surface[0, row, column]) == part
    assert num_seen > 20
    assert num_edge <= 1, "sampled hulls are a hair thinner; more than that is an error"


@pytest.mark.parametrize(("condition", "view"), [("nm-01", 90), ("cl-01", 0), ("bg-01", 225)])
def test_camera_agrees_with_the_slow_renderer(condition: str, view: int) -> None:
    solids = body(condition, view)
    left, right, top, bottom = (part[:, solids.ra[0] > 0] for part in bounds(solids, is_lidar=False))
    pixel = (bottom.max(axis=1) - top.min(axis=1)) / 64
    middle = 0.5 * (left.min(axis=1) + right.max(axis=1))
    compare(solids, camera_grid(middle - 32 * pixel, top.min(axis=1), pixel, 64, 64), every=4)


def test_lidar_agrees_with_the_slow_renderer() -> None:
    solids = body("nm-02", 45)
    left, _, top, _ = (part[:, solids.ra[0] > 0] for part in bounds(solids, is_lidar=True))
    compare(solids, lidar_grid(-left.min(axis=1) + 1, -top.min(axis=1) + 1, 0.25, 90, 60), every=4)


def test_a_ball_by_hand() -> None:
    one = np.ones((1, 1))
    ball = Solids(
        np.array([[[10.0, 0, 0]]]), np.array([[[10.0, 0, 0]]]), np.eye(3)[None, None], one, one, np.array([7])
    )
    left, right, top, bottom = bounds(ball, is_lidar=False)
    tangent = 1 / np.sqrt(99)
    np.testing.assert_allclose([left[0, 0], right[0, 0], top[0, 0], bottom[0, 0]], [-tangent, tangent] * 2, rtol=1e-12)
    size = np.array([2 * tangent / 33])
    distance, surface = decode(render(ball, camera_grid(-size * 16.5, -size * 16.5, size, 33, 33)))
    assert float(distance[0, 16, 16]) == pytest.approx(9.0, abs=2 * DEPTH_UNIT_M)
    assert set(surface.unique().tolist()) == {0, 7}
    assert float((surface > 0).double().mean()) == pytest.approx(np.pi / 4, abs=0.02)


def test_what_stands_in_front_hides_what_is_behind() -> None:
    centre = np.array([[[6.0, 0, 0], [5.0, 0, 0]]])
    radius = np.full((1, 2), 0.4)
    pair = Solids(centre, centre, np.broadcast_to(np.eye(3), (1, 2, 3, 3)), radius, radius, np.array([1, 2]))
    grid = camera_grid(np.array([-0.01]), np.array([-0.01]), np.array([0.005]), 4, 4)
    for order in ([0, 1], [1, 0]):
        swapped = Solids(centre[:, order], centre[:, order], pair.shape, radius, radius, pair.surface[order])
        assert (decode(render(swapped, grid))[1] == 2).all()
