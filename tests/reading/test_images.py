"""Folders of frames."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gaitbench.errors import DatasetError
from gaitbench.reading.images import ImageLimits, frame_files, in_order, read_depth_image, read_frames, read_image

RNG = np.random.default_rng(0)


def test_frames_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    frames = RNG.integers(0, 256, (12, 6, 4), np.uint8)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"walk-{number + 1}.png")
    (tmp_path / "notes.txt").write_text("no frame")
    (tmp_path / ".hidden.png").write_bytes(b"no frame")
    assert [path.stem for path in frame_files(tmp_path)][-3:] == ["walk-10", "walk-11", "walk-12"]
    np.testing.assert_array_equal(read_frames(tmp_path, "grey"), frames)
    np.testing.assert_array_equal(read_frames(frame_files(tmp_path)[3:5], "grey"), frames[3:5])


def test_colours_come_channels_first(tmp_path: Path) -> None:
    frame = RNG.integers(0, 256, (6, 4, 3), np.uint8)
    Image.fromarray(frame).save(tmp_path / "1.png")
    np.testing.assert_array_equal(read_frames(tmp_path, "rgb"), frame.transpose(2, 0, 1)[None])
    Image.fromarray(frame).save(tmp_path / "2.JPG", "JPEG")
    assert read_frames(tmp_path, "rgb").shape == (2, 3, 6, 4)


def test_truth_values_and_palettes(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "1.png")
    np.testing.assert_array_equal(read_image(tmp_path / "1.png", "grey"), [[255, 0]])
    np.testing.assert_array_equal(read_image(tmp_path / "1.png", "labels"), [[1, 0]])
    parts = Image.fromarray(np.array([[0, 3, 11]], np.uint8), "L").convert("P")
    parts.putpalette([0, 0, 0, *range(3, 36)])
    parts.putdata([0, 3, 11])
    parts.save(tmp_path / "2.png")
    np.testing.assert_array_equal(read_image(tmp_path / "2.png", "labels"), [[0, 3, 11]])


def test_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="has no PNG or JPEG files"):
        read_frames(tmp_path, "grey")
    with pytest.raises(DatasetError, match="none cannot be read: No such file"):
        read_frames(tmp_path / "none", "grey")
    Image.new("L", (4, 6)).save(tmp_path / "1.png")
    Image.new("L", (4, 7)).save(tmp_path / "2.png")
    with pytest.raises(DatasetError, match=r"2\.png is 4 x 7 pixels, but .*1\.png is 4 x 6"):
        read_frames(tmp_path, "grey")
    with pytest.raises(DatasetError, match=r"2 frames, more than the limit of 1"):
        read_frames(tmp_path, "grey", limits=ImageLimits(num_frames=1))
    with pytest.raises(DatasetError, match=r"1\.png has 4 x 6 pixels, more than the limit of 20"):
        read_frames(tmp_path, "grey", limits=ImageLimits(num_pixels=20))
    with pytest.raises(DatasetError, match="take more than 30 bytes"):
        read_frames([tmp_path / "1.png"] * 2, "grey", limits=ImageLimits(num_bytes=30))
    Image.new("L", (4, 6)).save(tmp_path / "01.png")
    with pytest.raises(DatasetError, match=r"01\.png and 1\.png claim the same place"):
        read_frames(tmp_path, "grey")
    Image.new("RGB", (4, 6)).save(tmp_path / "3.png")
    with pytest.raises(DatasetError, match=r"3\.png has colours \(RGB\)"):
        read_image(tmp_path / "3.png", "labels")
    Image.fromarray(RNG.integers(0, 256, (40, 40), np.uint8)).save(tmp_path / "4.png")
    (tmp_path / "4.png").write_bytes((tmp_path / "4.png").read_bytes()[:900])
    with pytest.raises(DatasetError, match=r"4\.png is damaged or cut short: .*truncated"):
        read_image(tmp_path / "4.png", "rgb")


def test_files_of_several_kinds_in_order(tmp_path: Path) -> None:
    names = ["10.bin", "2.bin", "a-1.bin"]
    assert [path.name for path in in_order(tmp_path / name for name in names)] == ["2.bin", "10.bin", "a-1.bin"]
    with pytest.raises(DatasetError, match=r"01\.npy and 1\.npy claim the same place"):
        in_order([tmp_path / "1.npy", tmp_path / "01.npy"])


def test_distances_of_sixteen_and_eight_bits(tmp_path: Path) -> None:
    distances = RNG.integers(0, 65536, (6, 4), np.uint16)
    Image.fromarray(distances).save(tmp_path / "1.png")
    Image.fromarray(distances.astype(np.uint8)).save(tmp_path / "2.png")
    np.testing.assert_array_equal(read_depth_image(tmp_path / "1.png"), distances)
    np.testing.assert_array_equal(read_depth_image(tmp_path / "2.png"), distances.astype(np.uint8))
    assert read_depth_image(tmp_path / "2.png").dtype == np.uint16
    with pytest.raises(DatasetError, match=r"1\.png has pixels of kind I;16, not of eight bits"):
        read_image(tmp_path / "1.png", "grey")
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "3.png")
    with pytest.raises(DatasetError, match=r"3\.png has pixels of kind RGB, not of one channel"):
        read_depth_image(tmp_path / "3.png")
