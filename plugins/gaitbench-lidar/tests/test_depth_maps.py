"""Points to range images, against the recipe worked by hand, and everything that is no body."""

import math

import pytest
import torch
from gaitbench_lidar.depth_maps import Encoding, Projection, depth_maps

from gaitbench.errors import DatasetError, ShapeError
from gaitbench.projection import points_to_depth, unjet

PROJECTIONS = pytest.mark.parametrize("projection", ["angular", "spherical", "dense"])
ENCODINGS = pytest.mark.parametrize("encoding", ["jet3", "gray1", "metric1"])


def plate(distance: float, rows: int, columns: int, middle_deg: float = 0.0) -> torch.Tensor:
    """A grid of returns ``rows`` x ``columns`` beams large, at one planar range."""
    up = torch.deg2rad(0.2 * (torch.arange(rows) - rows / 2)).double()
    aside = torch.deg2rad(middle_deg + 0.19188 * (torch.arange(columns) - columns / 2)).double()
    up, aside = torch.meshgrid(up, aside, indexing="ij")
    return torch.stack([distance * aside.cos(), distance * aside.sin(), distance * up.tan()], -1).reshape(-1, 3)


def body(distance: float = 6.0) -> torch.Tensor:
    """A plate whose ranges grow from the left to the right."""
    cloud = plate(distance, 60, 20)
    return cloud * (1 + 0.004 * torch.arange(20).repeat(60))[:, None]


def one(cloud: torch.Tensor, projection: Projection = "angular", encoding: Encoding = "gray1") -> torch.Tensor:
    return depth_maps(cloud, torch.tensor([0, len(cloud)]), projection=projection, encoding=encoding)[0]


@PROJECTIONS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_plane_at_constant_range_has_one_colour(projection: Projection, dtype: torch.dtype) -> None:
    cloud = plate(6.0, 64, 20, middle_deg=-7.0).to(dtype)
    colours = one(cloud, projection, "jet3")
    is_seen = (colours > 0).any(dim=0)
    assert int(is_seen.sum()) > 800
    assert len(colours[:, is_seen].unique(dim=1).T) == 1
    metres = one(cloud, projection, "metric1")
    assert metres[metres > 0] == pytest.approx(6.0, abs=1e-5)


@PROJECTIONS
def test_swapping_two_ranges_swaps_their_colours(projection: Projection) -> None:
    def pair(left_m: float, right_m: float) -> torch.Tensor:
        cloud = torch.cat([plate(left_m, 64, 10, middle_deg=1.5), plate(right_m, 64, 10, middle_deg=-1.5)])
        return one(cloud, projection, "jet3")

    near_left, near_right = pair(5.9, 6.0), pair(6.0, 5.9)
    row = near_left[:, 32]
    columns = torch.nonzero(row.any(dim=0))[:, 0]
    first, last = int(columns[0]), int(columns[-1])
    other = near_right[:, 32]
    others = torch.nonzero(other.any(dim=0))[:, 0]
    assert row[:, first].tolist() == other[:, int(others[-1])].tolist() == [128, 0, 0], "the nearest is dark red"
    assert row[:, last].tolist() == other[:, int(others[0])].tolist() == [0, 0, 128], "the farthest is dark blue"


@PROJECTIONS
def test_encodings_say_the_same(projection: Projection) -> None:
    cloud = body()
    gray, metres, colours = (one(cloud, projection, e) for e in ("gray1", "metric1", "jet3"))
    assert gray.shape == metres.shape == (1, 64, 64)
    assert colours.shape == (3, 64, 64)
    assert (gray.dtype, metres.dtype, colours.dtype) == (torch.uint8, torch.float32, torch.uint8)
    assert torch.equal(gray > 0, metres > 0)
    assert int((unjet(colours.permute(1, 2, 0)).int() - gray[0].int()).abs().max()) <= 4
    near, far = 6.0, 6.0 * (1 + 0.004 * 19)
    assert float(metres[metres > 0].min()) == pytest.approx(near, abs=1e-4)
    assert float(metres.max()) == pytest.approx(far, abs=(far - near) / 254 * 2)


def test_angular_is_the_projection_of_core() -> None:
    cloud = body()
    expected = points_to_depth(cloud, torch.tensor([0, len(cloud)]))[0]
    assert int((one(cloud)[0].int() - expected.int()).abs().max()) <= 1


@PROJECTIONS
@pytest.mark.parametrize("turn_deg", [90.0, 180.0, -123.4])
def test_where_around_the_sensor_somebody_walks_changes_nothing(projection: Projection, turn_deg: float) -> None:
    cloud, turn = body(), math.radians(turn_deg)
    matrix = torch.tensor([[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
    turned = one(cloud @ matrix.double().T, projection)
    changed = (turned.int() - one(cloud, projection).int()).abs() > 1
    assert float(changed.float().mean()) < 0.01, "also behind it, where angles jump"


@PROJECTIONS
@ENCODINGS
def test_frames_do_not_touch_each_other(projection: Projection, encoding: Encoding) -> None:
    nothing = torch.zeros(0, 3).double()
    clouds = [body(), nothing, plate(6.0, 1, 1), plate(6.0, 40, 12, middle_deg=-20.0)]
    offsets = torch.tensor([0, *torch.tensor([len(c) for c in clouds]).cumsum(0).tolist()])
    together = depth_maps(torch.cat(clouds), offsets, projection=projection, encoding=encoding)
    assert not together[1].any()
    for image, cloud in zip(together, clouds, strict=True):
        if projection != "spherical":  # whose sphere is that of the sequence
            torch.testing.assert_close(image, one(cloud, projection, encoding))


@PROJECTIONS
@ENCODINGS
@pytest.mark.parametrize(
    "cloud",
    [
        pytest.param(torch.zeros(0, 3), id="no-points"),
        pytest.param(torch.zeros(5, 3), id="zeros-as-files-write-them-for-no-return"),
        pytest.param(torch.full((4, 3), torch.nan), id="nan"),
        pytest.param(torch.tensor([[torch.inf, 0.0, 0.0], [0.0, -torch.inf, 1.0]]), id="infinite"),
    ],
)
def test_frames_without_returns_are_black(cloud: torch.Tensor, projection: Projection, encoding: Encoding) -> None:
    image = one(cloud, projection, encoding)
    assert image.shape == (3 if encoding == "jet3" else 1, 64, 64)
    assert not image.any()


@PROJECTIONS
def test_one_point_is_a_small_spot_in_the_middle(projection: Projection) -> None:
    image = one(torch.tensor([[6.0, 1.0, 0.3]]), projection)[0]
    places = torch.nonzero(image)
    assert 0 < len(places) <= 200
    assert (places.double().mean(dim=0) - 31.5).abs().max() <= 5


@PROJECTIONS
def test_broken_points_among_good_ones_change_nothing(projection: Projection) -> None:
    cloud = body()
    broken = torch.tensor([[torch.nan, 1, 1], [6, torch.inf, 0], [0, 0, 0], [6, 0, torch.nan]]).double()
    assert torch.equal(one(torch.cat([broken, cloud, broken]), projection), one(cloud, projection))
    with_intensity = torch.cat([cloud, torch.full((len(cloud), 1), torch.nan).double()], dim=1)
    assert torch.equal(one(with_intensity, projection), one(cloud, projection))


def test_the_sphere_is_that_of_the_sequence() -> None:
    near, far = plate(5.0, 60, 20), plate(10.0, 60, 20)
    cloud, offsets = torch.cat([near, far]), torch.tensor([0, len(near), len(near) + len(far)])
    spherical = depth_maps(cloud, offsets, projection="spherical", encoding="gray1")
    angular = depth_maps(cloud, offsets, projection="angular", encoding="gray1")
    # Angles of the sphere grow with the distance, and alignment takes the scale out again.
    difference = (spherical > 0) != (angular > 0)
    assert float(difference.float().mean()) < 0.2


def test_holes_are_filled_inside_the_body_only() -> None:
    corners = torch.tensor([[6.0, 0.4, 0.9], [6.0, -0.4, 0.9], [6.0, 0.4, -0.9], [6.0, -0.4, -0.9], [5.5, 0.0, 0.0]])
    image = one(corners, "dense")[0]
    rows = torch.nonzero(image)
    assert len(rows) > 1500, "between the corners all is filled"
    assert int(image[:, :12].max()) == 0
    assert int(image[32, 32]) == 255
    assert int(image[2, 32]) < 100, "and what is near a corner takes after it"


def test_holes_can_be_filled_near_the_points_only() -> None:
    legs = torch.cat([plate(6.0, 60, 4, middle_deg=2.0), plate(6.0, 60, 4, middle_deg=-2.0)])
    offsets = torch.tensor([0, len(legs)])
    whole, near = (
        depth_maps(legs, offsets, projection="dense", encoding="gray1", fill_px=fill)[0, 0] for fill in (None, 2)
    )
    columns = torch.nonzero(near.any(dim=0))[:, 0]
    between = slice(int(columns[0]) + 1, int(columns[-1]))
    assert bool((whole[1:-1, between] > 0).all())
    assert bool((near[:, between] == 0).all(dim=0).any()), "the space between the legs stays"
    assert bool(((whole > 0) | (near == 0)).all())


@pytest.mark.parametrize(
    ("points", "offsets", "message"),
    [
        pytest.param(torch.zeros(4, 2), torch.tensor([0, 4]), r"points \[M, 3\]", id="two-coordinates"),
        pytest.param(torch.zeros(4, 3), torch.tensor([0, 3]), "from 0 to", id="points-left-over"),
        pytest.param(torch.zeros(4, 3), torch.tensor([0, 3, 2, 4]), "grow", id="falling"),
    ],
)
def test_what_does_not_fit_is_refused(points: torch.Tensor, offsets: torch.Tensor, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        depth_maps(points, offsets)


def test_a_whole_scene_is_no_person() -> None:
    angle = torch.linspace(0, 6.2, 50)
    ring = torch.stack([8 * angle.cos(), 8 * angle.sin(), torch.zeros(50)], dim=1)
    with pytest.raises(DatasetError, match=r"points of frame 0 lie 1\d\d degrees from its middle"):
        one(ring)


def test_words_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="projection must be angular, spherical or dense, got 'flat'"):
        one(body(), "flat")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="encoding must be jet3, gray1 or metric1, got 'rgb'"):
        one(body(), encoding="rgb")  # type: ignore[arg-type]
