"""Each augmentation does what its name says, to whole clips, the same on every device and in every dtype."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gaitbench.augment import AugmentDraw, apply_augment, augment, draw_augment
from gaitbench.errors import ShapeError
from gaitbench.recipe import AugmentConfig

EVERYTHING = AugmentConfig(perspective=0.5, flip=0.5, rotate=0.5, shift=0.5, rescale=0.5, erase=0.5)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def nothing(n: int) -> AugmentDraw:
    return draw_augment(AugmentConfig(), n, rng())


def moved(x: Tensor, **changes: object) -> Tensor:
    """Apply a draw written by hand to every clip."""
    draw = nothing(len(x))
    fields = {name: np.broadcast_to(np.asarray(value), getattr(draw, name).shape) for name, value in changes.items()}
    return apply_augment(x, draw._replace(**fields))


def test_nothing_is_drawn_by_default() -> None:
    x = torch.rand(5, 2, 3, 8, 6)
    torch.testing.assert_close(augment(x, AugmentConfig(), rng()), x, rtol=0, atol=0)


def test_flip_is_exact_and_of_the_clips_drawn() -> None:
    x = torch.rand(200, 1, 2, 4, 6)
    y = augment(x, AugmentConfig(flip=0.3), rng())
    is_flipped = (y == x.flip(-1)).flatten(1).all(1)
    assert ((y == x).flatten(1).all(1) ^ is_flipped).all()
    assert 35 < int(is_flipped.sum()) < 85


def test_quarter_turn_is_counter_clockwise() -> None:
    x = torch.rand(1, 1, 2, 7, 7)
    torch.testing.assert_close(moved(x, rotate_deg=90.0), x.rot90(1, (3, 4)), atol=1e-5, rtol=0)


def test_shift_is_down_and_right_and_brings_in_black() -> None:
    x = torch.rand(1, 1, 1, 10, 20) + 1
    y = moved(x, shift=[0.2, 0.1])
    torch.testing.assert_close(y[..., 2:, 2:], x[..., :-2, :-2], atol=1e-4, rtol=0)
    assert y[..., :2, :].max() < 1e-4
    assert y[..., :, :2].max() < 1e-4


def test_rescale_by_two_enlarges_about_the_centre() -> None:
    x = torch.zeros(1, 1, 1, 9, 9)
    x[..., 4, 4] = 1
    x[..., 4, 6] = 1
    y = moved(x, rescale=[1.0, 2.0])
    assert y[0, 0, 0, 4, 4] == 1
    assert y[0, 0, 0, 4, 8] == 1
    assert y[0, 0, 0, 4, 6] == 0


def test_perspective_moves_the_corners_inwards() -> None:
    """The corner of the result shows what lay that far inside the image, rows stay where they are at the sides."""
    column = torch.arange(64.0).expand(1, 1, 1, 64, 64)
    y = moved(column, corners=[4 / 64, 0.0, 0.0, 6 / 64])[0, 0, 0]
    torch.testing.assert_close(
        torch.stack([y[0, 0], y[0, 63], y[63, 0], y[63, 63]]), torch.tensor([4.0, 63.0, 0.0, 57.0]), atol=1e-3, rtol=0
    )


@given(seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_drawn_corners_rotation_shift_and_scale_stay_in_range(seed: int) -> None:
    config = AugmentConfig(perspective=1, rotate=1, shift=1, rescale=1, rotate_deg=7, shift_fraction=0.1)
    draw = draw_augment(config, 20, rng(seed))
    assert ((draw.corners >= 0) & (draw.corners <= 10 / 64)).all()
    assert (np.abs(draw.rotate_deg) <= 7).all()
    assert (np.abs(draw.shift) <= 0.1).all()
    assert (np.abs(draw.rescale - 1) <= 0.05).all()
    assert draw.is_warped().all()


@given(seed=st.integers(0, 10**6), height=st.integers(4, 70), width=st.integers(4, 70))
@settings(max_examples=50, deadline=None)
def test_erased_is_one_rectangle_of_the_size_asked_for(seed: int, height: int, width: int) -> None:
    config = AugmentConfig(erase=1.0, erase_area=(0.1, 0.3), erase_aspect=(0.5, 2.0))
    y = augment(torch.ones(8, 1, 2, height, width), config, rng(seed))
    for clip in y[:, 0]:
        assert (clip[0] == clip[1]).all(), "the same rectangle in all frames"
        row, column = np.nonzero(clip[0].numpy() == 0)
        rows, columns = np.ptp(row) + 1, np.ptp(column) + 1
        assert rows * columns == len(row), "a full rectangle"
        low, high = math.sqrt(0.1 * height * width * 0.5), math.sqrt(0.3 * height * width * 2.0)
        assert min(math.floor(low), height) <= rows <= min(math.ceil(high), height)


def test_all_frames_and_channels_of_a_clip_change_alike() -> None:
    x = torch.rand(12, 1, 1, 16, 12)
    config = EVERYTHING.model_copy(update={"erase": 0.0})
    y = augment(x.expand(-1, 3, 4, -1, -1), config, rng(1))
    torch.testing.assert_close(y, y[:, :1, :1].expand_as(y), rtol=0, atol=0)
    assert len({tuple(clip.flatten().tolist()) for clip in y[:, 0, 0]}) == 12


def test_one_homography_equals_the_operations_one_after_the_other() -> None:
    """On a smooth image, where interpolating often does no harm; in the middle, where nothing moves in."""
    row, column = torch.meshgrid(torch.linspace(0, 2, 96), torch.linspace(0, 3, 96), indexing="ij")
    x = (torch.sin(row) + torch.cos(column))[None, None, None]
    steps: list[dict[str, object]] = [
        {"corners": [0.05, 0.1, 0.0, 0.08]},
        {"flip": True},
        {"rotate_deg": 8.0},
        {"shift": [0.05, -0.04]},
        {"rescale": [1.05, 0.96]},
    ]
    once = moved(x, **{name: value for step in steps for name, value in step.items()})
    stepwise = x
    for step in steps:
        stepwise = moved(stepwise, **step)
    torch.testing.assert_close(once[..., 24:72, 24:72], stepwise[..., 24:72, 24:72], atol=2e-3, rtol=0)


def test_switching_one_on_leaves_the_others_as_they_were() -> None:
    a = draw_augment(AugmentConfig(rotate=0.5, erase=0.5), 50, rng())
    b = draw_augment(AugmentConfig(rotate=0.5, erase=0.5, perspective=0.5, flip=1.0), 50, rng())
    np.testing.assert_array_equal(a.rotate_deg, b.rotate_deg)
    np.testing.assert_array_equal(a.erase, b.erase)
    assert b.flip.all()


def test_cut_shows_what_lies_outside_the_window() -> None:
    x = torch.rand(1, 1, 1, 8, 20)
    draw = nothing(1)._replace(shift=torch.tensor([[0.0, 0.1]]).double())
    y = apply_augment(x, draw, width_px=12)
    torch.testing.assert_close(y, x[..., 2:14], atol=1e-4, rtol=0)


@pytest.mark.parametrize("width_px", [None, 44])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_dtypes(dtype: torch.dtype, width_px: int | None) -> None:
    x = (torch.rand(30, 1, 3, 64, 64, generator=rng(5)) > 0.5).to(dtype)
    y = augment(x, EVERYTHING, rng(3), width_px=width_px)
    assert y.dtype == (torch.float32 if dtype == torch.uint8 else dtype)
    exact = augment(x.float(), EVERYTHING, rng(3), width_px=width_px)
    torch.testing.assert_close(y.float(), exact, atol=2**-8, rtol=0)
    low = augment(x, EVERYTHING, rng(3), width_px=width_px, dtype=torch.bfloat16)
    torch.testing.assert_close(low.float(), exact, atol=2**-8, rtol=0)


def test_class_maps_are_not_blended() -> None:
    x = torch.randint(0, 2, (16, 1, 2, 32, 32), dtype=torch.uint8) * 7
    assert set(augment(x, EVERYTHING, rng(), mode="nearest").unique().tolist()) == {0.0, 7.0}


def test_input_stays_as_it_is() -> None:
    x = torch.rand(8, 1, 2, 16, 16)
    before = x.clone()
    augment(x, EVERYTHING, rng())
    torch.testing.assert_close(x, before, rtol=0, atol=0)


def test_bad_shapes() -> None:
    with pytest.raises(ShapeError, match=r"\[N, C, T, H, W\], got \[2, 3, 4, 5\]"):
        augment(torch.rand(2, 3, 4, 5), AugmentConfig(), rng())
    for width_px in (5, 10):
        with pytest.raises(ShapeError, match="8 columns cannot be cut to"):
            augment(torch.rand(1, 1, 1, 4, 8), AugmentConfig(), rng(), width_px=width_px)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_same_on_the_gpu() -> None:
    x = (torch.rand(30, 1, 3, 64, 64, generator=rng(5)) > 0.5).to(torch.uint8)
    on_cpu = augment(x, EVERYTHING, rng(3), width_px=44)
    torch.testing.assert_close(augment(x.cuda(), EVERYTHING, rng(3), width_px=44).cpu(), on_cpu, atol=1e-3, rtol=0)
