"""Pictures of every kind of file become the same frames."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from gaitbench.errors import DatasetError
from gaitbench.sequence import Absent
from gaitbench.silhouettes import align_all
from gaitbench.testing import check_dataset

from .conftest import camera, save_array, save_png, save_video

ALIGNED = align_all(camera(1)).frames[:, None]


def only(builder: object, modality: str = "silhouette") -> object:
    (found,) = builder.frames(builder.sequences(), modality)
    return found


@pytest.mark.parametrize(
    "save",
    [
        pytest.param(lambda leaf: save_png(leaf, camera(1)), id="png"),
        pytest.param(lambda leaf: save_png(leaf, camera(1) // 255), id="png-of-0-and-1"),
        pytest.param(lambda leaf: save_png(leaf, camera(1), "IMG_{}.PNG"), id="upper-case-suffix"),
        pytest.param(lambda leaf: save_array(leaf / "walk.npy", camera(1)), id="npy"),
        pytest.param(lambda leaf: save_array(leaf / "walk.npy", camera(1) > 0), id="truth-values"),
        pytest.param(lambda leaf: save_array(leaf / "walk.npy", camera(1)[:, None] / 255.0), id="floats"),
        pytest.param(lambda leaf: save_array(leaf.with_suffix(".npy"), camera(1)), id="file-as-walk"),
        pytest.param(lambda leaf: [save_array(leaf / f"{t}.npy", f) for t, f in enumerate(camera(1))], id="npy-each"),
    ],
)
def test_silhouettes_of_every_kind(source: Path, build: Callable, save: Callable) -> None:
    save(source / "001/nm/090")
    np.testing.assert_array_equal(only(build(source)), ALIGNED)


def test_more_than_nine_frames_keep_their_order(source: Path, build: Callable) -> None:
    save_png(source / "001/nm/090", camera(1, num_frames=12))
    np.testing.assert_array_equal(only(build(source)), align_all(camera(1, num_frames=12)).frames[:, None])


def test_arrays_of_different_sizes_in_npz(source: Path, build: Callable) -> None:
    leaf = source / "001/nm/090"
    leaf.mkdir(parents=True)
    frames = [np.pad(frame, t) for t, frame in enumerate(camera(1, num_frames=11))]
    np.savez_compressed(leaf / "walk.npz", *frames)
    np.testing.assert_array_equal(only(build(source)), align_all(frames).frames[:, None])


@pytest.mark.parametrize("name", ["walk.avi", "walk.mp4", "{}.jpg"])
def test_compression_changes_little(source: Path, build: Callable, name: str) -> None:
    """Its noise, black but for a shade, does not count as a part of the body."""
    leaf = source / "001/nm/090"
    save_png(leaf, camera(1), name) if name == "{}.jpg" else save_video(leaf / name, camera(1))
    found = only(build(source))
    assert found.shape == ALIGNED.shape
    assert np.abs(found.astype(int) - ALIGNED).mean() < 3


def test_photographs_are_no_silhouettes(source: Path, build: Callable) -> None:
    save_png(source / "001/nm/090", np.random.default_rng(0).integers(20, 200, (2, 50, 40, 3), np.uint8))
    found = only(build(source))
    assert found.is_defect
    assert "modality=rgb" in found.reason


def test_binary_edges_and_columns(source: Path, build: Callable) -> None:
    save_png(source / "001/nm/090", camera(1))
    builder = build(source, edges="binary", width_px=44)
    np.testing.assert_array_equal(only(builder), (ALIGNED >> 7)[..., 10:54])
    assert builder.card().streams["silhouette"].frame_shape == (1, 64, 44)
    check_dataset(builder)


def test_whole_frames_as_they_are_and_scaled(source: Path, build: Callable) -> None:
    save_png(source / "001/nm/090", camera(1))
    np.testing.assert_array_equal(only(build(source, align=False))[:, 0], camera(1))
    scaled = build(source, align=False, height_px=48, width_px=64)
    assert only(scaled).shape == (6, 1, 48, 64)
    check_dataset(scaled)


def test_sizes_that_differ_are_an_error_or_scaled(source: Path, build: Callable) -> None:
    save_png(source / "001/nm/090", camera(1))
    save_png(source / "001/nm/180", camera(1)[:, :90])
    builder = build(source, align=False)
    first, second = builder.frames(builder.sequences(), "silhouette")
    assert first.shape == (6, 1, 96, 128)
    assert second.is_defect
    assert "has 90 x 128 pixels" in second.reason
    assert "give the options height_px and width_px" in second.reason
    scaled = build(source, align=False, height_px=32)
    assert {frames.shape for frames in scaled.frames(scaled.sequences(), "silhouette")} == {(6, 1, 32, 32)}


def test_colours(source: Path, build: Callable) -> None:
    colours = np.random.default_rng(0).integers(0, 255, (4, 12, 10, 3), np.uint8)
    save_png(source / "001/nm/000", colours)
    save_array(source / "001/nm/045/a.npy", colours)
    save_array(source / "001/nm/090/a.npy", colours.transpose(0, 3, 1, 2))
    builder = build(source, modality="rgb")
    for frames in builder.frames(builder.sequences(), "rgb"):
        np.testing.assert_array_equal(frames, colours.transpose(0, 3, 1, 2))
    scaled = build(source, modality="rgb", height_px=6, width_px=5)
    expected = cv2.resize(colours[0], (5, 6), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
    np.testing.assert_array_equal(next(iter(scaled.frames(scaled.sequences(), "rgb")))[0], expected)


def test_a_video_in_colour_keeps_red_red(source: Path, build: Callable) -> None:
    red = np.zeros((4, 32, 48, 3), np.uint8)
    red[..., 0] = 200
    save_video(source / "001/nm/090.mp4", red)
    found = only(build(source, modality="rgb"), "rgb")
    assert found.shape == (4, 3, 32, 48)
    np.testing.assert_allclose(found.mean(axis=(0, 2, 3)), [200, 0, 0], atol=12)


def test_part_maps(source: Path, build: Callable) -> None:
    ids = np.where(camera(1) > 0, np.arange(1, 129, dtype=np.uint8) % 12 + 1, 0).astype(np.uint8)
    save_png(source / "001/nm/090", ids)
    found = only(build(source, modality="parsing"), "parsing")
    masks = (ids > 0).astype(np.uint8) * np.uint8(255)
    np.testing.assert_array_equal(found[:, 0], align_all(masks, images=ids, interpolation="nearest").frames)
    assert set(np.unique(found)) <= set(range(13)), "scaling mixes no ids"


def test_distances_of_sixteen_bits(source: Path, build: Callable) -> None:
    distances = np.arange(3 * 6 * 8, dtype=np.uint16).reshape(3, 6, 8) * 400
    save_png(source / "001/nm/000", distances)
    save_array(source / "001/nm/090/a.npy", distances.astype(np.int64))
    builder = build(source, modality="depth")
    for frames in builder.frames(builder.sequences(), "depth"):
        assert frames.dtype == np.uint16
        np.testing.assert_array_equal(frames[:, 0], distances)
    check_dataset(builder)


@pytest.mark.parametrize(
    ("modality", "value", "reason"),
    [
        ("depth", np.full((2, 4, 4), 0.5), "no distances in millimetres"),
        ("depth", np.full((2, 4, 4), -1), "no distances in millimetres"),
        ("parsing", np.full((2, 4, 4), 300), "no ids of body parts"),
        ("parsing", np.full((2, 4, 4), np.nan), "no ids of body parts"),
        ("silhouette", np.full((2, 4, 4), 2.0e9), "silhouettes go from 0 to 1"),
        ("silhouette", np.zeros((2, 17, 3, 3)), "silhouettes are [T, H, W]"),
        ("rgb", np.zeros((2, 8, 8)), "colour frames are"),
        ("silhouette", np.zeros((0, 8, 8)), "no frames"),
    ],
)
def test_wrong_arrays_are_broken_walks(
    source: Path, build: Callable, modality: str, value: np.ndarray, reason: str
) -> None:
    save_array(source / "001/nm/090/a.npy", value)
    builder = build(source, modality=modality, height_px=8)
    found = only(builder, modality)
    assert isinstance(found, Absent)
    assert found.is_defect
    assert reason in found.reason


def test_a_walk_in_which_nobody_is_seen_is_no_defect(source: Path, build: Callable) -> None:
    save_png(source / "001/nm/090", np.zeros((3, 50, 40), np.uint8))
    found = only(build(source))
    assert found == Absent(f"{source / '001/nm/090'} shows nobody in any of its 3 frames", is_defect=False)


def test_files_that_contradict_each_other(source: Path, build: Callable) -> None:
    save_png(source / "001/nm/090", camera(1))
    save_array(source / "001/nm/090/a.npy", camera(1))
    save_png(source / "001/nm/180", camera(1))
    save_png(source / "001/nm/180", camera(1)[:1], "01.png")
    builder = build(source)
    mixed, twice = builder.frames(builder.sequences(), "silhouette")
    assert "files of 2 kinds" in mixed.reason
    assert "claim the same place" in twice.reason


def test_opencv_is_named_where_it_is_needed(source: Path, build: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    save_array(source / "001/nm/090/a.npy", camera(1))
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(DatasetError, match=r"pip install 'gaitbench\[images\]'"):
        build(source).card()
    np.testing.assert_array_equal(only(build(source, align=False))[:, 0], camera(1))
