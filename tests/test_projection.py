"""LiDAR points to aligned range images, against the recipe worked by hand."""

import numpy as np
import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.projection import jet, points_to_depth, unjet


def plate(distance: float, rows: int, columns: int, middle_deg: float = 0.0) -> torch.Tensor:
    """A grid of returns ``rows`` x ``columns`` beams large, at one planar range."""
    up = torch.deg2rad(0.2 * (torch.arange(rows) - rows / 2)).double()
    aside = torch.deg2rad(middle_deg + 0.19188 * (torch.arange(columns) - columns / 2)).double()
    up, aside = torch.meshgrid(up, aside, indexing="ij")
    return torch.stack([distance * aside.cos(), distance * aside.sin(), distance * up.tan()], -1).reshape(-1, 3)


def offsets_of(*clouds: torch.Tensor) -> torch.Tensor:
    return torch.tensor([0, *np.cumsum([len(c) for c in clouds])])


def test_a_body_fills_the_rows_and_sits_in_the_middle() -> None:
    cloud = plate(6.0, 80, 20, middle_deg=9.0)
    image = points_to_depth(cloud, offsets_of(cloud))[0]
    assert image.dtype == torch.uint8
    assert image[0].any()
    assert image[-1].any()
    columns = torch.nonzero(image.any(dim=0))[:, 0]
    assert len(columns) == pytest.approx(20 * 64 / 80, abs=2)
    assert abs(float(columns.double().mean()) - 31.5) <= 1.0


def test_near_is_bright_far_is_dark_and_nothing_is_black() -> None:
    left, right = plate(5.0, 64, 16, middle_deg=2.0), plate(7.0, 64, 16, middle_deg=-2.0)
    cloud = torch.cat([left, right])
    image = points_to_depth(cloud, offsets_of(cloud))[0]
    seen = image[image > 0]
    assert seen.max() == 255
    assert seen.min() == 1
    # y is to the left, and so is the left of the image.
    row = image[32]
    assert row[row > 0][0] == 255
    assert row[row > 0][-1] == 1
    assert (image[:, :4] == 0).all()


def test_the_nearest_return_wins() -> None:
    wall, spot = plate(8.0, 64, 30), plate(6.0, 3, 3)
    for cloud in (torch.cat([wall, spot]), torch.cat([spot, wall])):
        image = points_to_depth(cloud, offsets_of(cloud))[0]
        assert image[30:34, 30:34].max() == 255


def test_frames_do_not_touch_each_other() -> None:
    clouds = [plate(6.0, 70, 15), torch.zeros(0, 3).double(), plate(9.0, 40, 12, middle_deg=-20.0), plate(6.0, 1, 1)]
    together = points_to_depth(torch.cat(clouds), offsets_of(*clouds))
    for image, cloud in zip(together, clouds, strict=True):
        assert torch.equal(image, points_to_depth(cloud, offsets_of(cloud))[0])
    assert not together[1].any()


def test_many_frames_are_worked_off_in_pieces() -> None:
    cloud = plate(6.0, 30, 9)
    images = points_to_depth(cloud.repeat(300, 1), torch.arange(301) * len(cloud))
    assert (images == images[0]).all()


def test_a_few_points_are_cropped_but_not_blown_up() -> None:
    cloud = plate(10.0, 2, 2)
    image = points_to_depth(cloud, offsets_of(cloud))[0]
    rows = torch.nonzero(image.any(dim=1))[:, 0]
    assert 0 < len(rows) <= 32
    assert abs(float(rows.double().mean()) - 31.5) <= 5


def test_order_of_points_and_turning_the_sensor_change_nothing() -> None:
    cloud = plate(6.0, 64, 20) * torch.linspace(0.95, 1.05, 64 * 20).double()[:, None]
    image = points_to_depth(cloud, offsets_of(cloud))
    shuffled = cloud[torch.randperm(len(cloud), generator=torch.Generator().manual_seed(0))]
    assert torch.equal(points_to_depth(shuffled, offsets_of(cloud)), image)
    angle = torch.deg2rad(torch.tensor(0.19188 * 37)).double()
    turn = torch.tensor([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0], [0, 0, 1]]).double()
    turned = points_to_depth(cloud @ turn.T, offsets_of(cloud))
    assert (turned.int() - image.int()).abs().max() <= 1


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_points_that_are_not_finite_are_no_returns(value: float) -> None:
    first, second = plate(6.0, 70, 15), plate(9.0, 40, 12)
    broken = torch.full((2, 3), 5.0).double()
    broken[0, 2] = broken[1, 0] = value
    clouds = [torch.cat([broken, first]), broken, torch.cat([second[:7], broken, second[7:]])]
    images = points_to_depth(torch.cat(clouds), offsets_of(*clouds))
    whole = [first, torch.zeros(0, 3).double(), second]
    assert torch.equal(images, points_to_depth(torch.cat(whole), offsets_of(*whole)))


def test_no_frames_give_no_images() -> None:
    assert points_to_depth(torch.zeros(0, 3), torch.zeros(1, dtype=torch.int64)).shape == (0, 64, 64)


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
        points_to_depth(points, offsets)


def test_jet_goes_from_blue_over_green_to_red_and_keeps_black() -> None:
    colours = jet(torch.arange(256, dtype=torch.uint8))
    assert colours.shape == (256, 3)
    assert colours[0].tolist() == [0, 0, 0]
    assert colours[1].tolist() == [0, 0, 128]
    assert colours[255].tolist() == [128, 0, 0]
    assert colours[100:160, 1].min() > 200
    assert colours[40, 2] == 255
    assert colours[210, 0] == 255
    # The published nodes: red rises from 0.35 to 0.66 of the way.
    assert colours[1 + round(0.35 * 254), 0] <= 3
    assert colours[1 + round(0.66 * 254), 0] == 255


def test_jet_of_fractions_is_jet_of_bytes() -> None:
    values = torch.arange(256, dtype=torch.uint8).view(16, 16)
    torch.testing.assert_close(jet(values.float() / 255), jet(values).float() / 255, atol=0.002, rtol=0)


def test_colours_are_read_back() -> None:
    values = torch.arange(256, dtype=torch.uint8).reshape(2, 8, 16)
    error = (unjet(jet(values)).int() - values.int()).abs()
    assert int(error.max()) <= 4
    assert float(error.float().mean()) < 0.2
    assert int(error[0, 0, 0]) == 0, "black is no return"


def test_mixtures_with_the_background_are_still_returns() -> None:
    faded = (jet(torch.arange(1, 256, dtype=torch.uint8)).float() * 0.3).to(torch.uint8)
    assert (unjet(faded) > 0).all()


@pytest.mark.parametrize("colours", [torch.zeros(4, 2, dtype=torch.uint8), torch.zeros(4, 3)])
def test_anything_but_three_bytes_is_no_colour(colours: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match="uint8 colours"):
        unjet(colours)
