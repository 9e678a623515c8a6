"""Pictures: what is bright is bright, what is small stays sharp, and every frame has its number."""

import numpy as np
import pytest

from gaitbench.explaining.colours import heat_colours, overlay, stretch
from gaitbench.explaining.picture import Layer, Strip, draw_sheet, frame_pictures


def luminance(picture: np.ndarray) -> np.ndarray:
    return picture.astype(float) @ np.array([0.2126, 0.7152, 0.0722])


def test_colours_get_brighter_all_the_way() -> None:
    assert (np.diff(luminance(heat_colours(np.linspace(0, 1, 256)[None]))[0]) > 0).all()


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_larger_values_are_brighter_over_any_frame(shade: int) -> None:
    values = np.tile(np.linspace(0, 1, 64), (4, 1))
    mixed = overlay(np.full((4, 64, 3), shade, dtype=np.uint8), values)
    assert (np.diff(luminance(mixed)[0]) >= 0).all()
    assert luminance(mixed)[0, -1] > luminance(mixed)[0, 0] + 100


def test_stretch_cuts_off_and_survives_one_value() -> None:
    assert stretch(np.array([-1.0, 0.0, 3.0, 4.0]), 0.0, 3.0).tolist() == [0, 0, 1, 1]
    assert stretch(np.full((2, 2), 7.0), 7.0, 7.0).tolist() == [[0, 0], [0, 0]]


def test_frames_are_drawn_as_the_model_gets_them() -> None:
    assert (frame_pictures(np.full((1, 1, 2, 2), 0.2)) == 51).all()
    colour = np.zeros((3, 1, 1, 1))
    colour[0] = 1
    assert frame_pictures(colour).tolist() == [[[[255, 0, 0]]]]
    labels = np.arange(4.0).reshape(1, 1, 2, 2)
    assert frame_pictures(labels)[0, :, :, 0].tolist() == [[0, 85], [170, 255]]
    assert frame_pictures(np.stack([np.zeros((1, 1, 1)), np.ones((1, 1, 1))])).tolist() == [[[[128] * 3]]]


def test_a_sheet_has_a_row_of_frames_and_one_per_map() -> None:
    frames = np.zeros((3, 16, 11, 3), dtype=np.uint8)
    frames[1] = 255
    hot = np.zeros((3, 4, 3), dtype=np.float32)
    hot[2] = 5
    strip = Strip("silhouette", frames, (Layer("cold", np.zeros_like(hot), 0, 1), Layer("hot", hot, 0, 5)))
    sheet = np.asarray(draw_sheet([strip], [0, 4, 9], "heading", "subtitle"))
    cell = 12 * 16  # sixteen rows become 192, pixels stay squares
    left = [16 + i * (12 * 11 + 4) for i in range(3)]
    top = [16 + 54 + 24 + i * (cell + 4 + 24) for i in range(3)]
    middle = [[sheet[t + cell // 2, x + 60].tolist() for x in left] for t in top]
    assert middle[0] == [[0, 0, 0], [255, 255, 255], [0, 0, 0]]
    cold = overlay(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1)))[0, 0].tolist()
    assert middle[1][0] == middle[1][2] == middle[2][0] == cold
    assert middle[2][2] == overlay(np.zeros((1, 1, 3), np.uint8), np.ones((1, 1)))[0, 0].tolist()
    # The legend runs from bright to dark beside the maps, and not beside the plain frames.
    bar = left[2] + 12 * 11 + 4 + 8 + 4
    assert sheet[top[2], bar].tolist() == heat_colours(np.ones((1, 1)))[0, 0].tolist()
    assert sheet[top[2] + cell - 1, bar].tolist() == heat_colours(np.zeros((1, 1)))[0, 0].tolist()
    assert sheet[top[0] + 60, bar].tolist() == sheet[0, 0].tolist()


@pytest.mark.parametrize("height", [1, 16, 44, 100, 128, 448])
def test_all_frames_are_drawn_at_one_height(height: int) -> None:
    frames = np.zeros((2, height, 1 + height // 2, 3), dtype=np.uint8)
    other = np.zeros((2, 64, 44, 3), dtype=np.uint8)
    both = draw_sheet([Strip("rgb", frames, ()), Strip("silhouette", other, ())], [0, 1], "h", "s")
    assert both.height == draw_sheet([Strip("a", other, ()), Strip("b", other, ())], [0, 1], "h", "s").height


def test_large_frames_are_made_smaller_and_long_headings_fit() -> None:
    frames = np.full((1, 512, 256, 3), 90, dtype=np.uint8)
    sheet = draw_sheet([Strip("rgb", frames, ())], [0], "a heading " * 30, "b")
    assert sheet.height < 330
    pixels = np.asarray(sheet)
    # No ink at the edge: nothing is cut off.
    assert (pixels[:, -4:] == pixels[0, 0]).all()
