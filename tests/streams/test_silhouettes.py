"""Masks and part maps out of pickles and pictures: values, sizes, what is dropped and what is refused."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gaitbench.card import StreamInfo
from gaitbench.errors import DatasetError
from gaitbench.sequence import Absent
from gaitbench.silhouettes import align_all
from gaitbench.streams.silhouettes import (
    SilhouetteOptions,
    mask_values,
    pickled_parsing,
    pickled_silhouettes,
    raw_parsing,
    raw_silhouettes,
)

pytest.importorskip("cv2", reason="raw frames need opencv-python-headless")

SIZE = (8, 6)
WHERE = Path("s/090.pkl")


def masks(num_frames: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (num_frames, *SIZE), dtype=np.uint8)


def pickled(path: Path, content: object) -> list[Path]:
    path.write_bytes(pickle.dumps(content))
    return [path]


def pictures(folder: Path, frames: list[NDArray[np.uint8]], name: str = "{:03d}.png") -> list[Path]:
    paths = [folder / name.format(number) for number in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        Image.fromarray(frame).save(path)
    return paths


def walker(num_frames: int = 3) -> list[NDArray[np.uint8]]:
    """Frames ``[60, 90]`` of a block that walks."""
    frames = [np.zeros((60, 90), np.uint8) for _ in range(num_frames)]
    for t, frame in enumerate(frames):
        frame[5:55, 20 + 9 * t : 38 + 9 * t] = 255
    return frames


def test_soft_bytes_are_given_on_as_they_are() -> None:
    frames = masks()
    got = mask_values(frames, WHERE, SIZE)
    assert got.shape == (3, 1, *SIZE)
    assert np.shares_memory(got, frames), "a large pickle is not copied"
    np.testing.assert_array_equal(got[:, 0], frames)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 255])
def test_binary_cuts_at_128(value: int) -> None:
    frames = np.full((1, *SIZE), value, np.uint8)
    frames[0, 0, 0] = 255  # so that 1 is a grey value and not a truth value
    got = mask_values(frames, WHERE, SIZE, "binary")
    assert got.dtype == np.uint8
    assert got[0, 0, 1, 1] == (value >= 128)
    assert got[0, 0, 0, 0] == 1


@pytest.mark.parametrize("edges", ["soft", "binary"])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_zeros_and_ones_are_white_whatever_their_type(dtype: type, edges: str) -> None:
    ones = masks() > 100
    got = mask_values(ones.astype(dtype), WHERE, SIZE, edges)  # type: ignore[arg-type]
    np.testing.assert_array_equal(got[:, 0], ones * np.uint8(255 if edges == "soft" else 1))


@pytest.mark.parametrize("shape", [(3, 1, *SIZE), (3, *SIZE, 1)])
def test_a_channel_axis_may_stand_anywhere(shape: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(mask_values(masks().reshape(shape), WHERE, SIZE)[:, 0], masks())


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        pytest.param(np.zeros((3, 9, 7), np.uint8), r"height_px=9 and width_px=7", id="another-size"),
        pytest.param(np.zeros((3, 17, 3)), r"as joints are, where masks \[T, 8, 6\]", id="joints"),
        pytest.param(np.zeros((3, 3, *SIZE), np.uint8), r"holds an array \[3, 3, 8, 6\]", id="colours"),
        pytest.param(np.zeros((3,)), r"holds an array \[3\]", id="flat"),
        pytest.param(np.full((1, *SIZE), np.nan), "NaN", id="nan"),
        pytest.param(np.full((1, *SIZE), 256), "256", id="too-bright"),
        pytest.param(np.full((1, *SIZE), -1), "-1", id="negative"),
    ],
)
def test_what_is_no_mask_is_refused_by_name(frames: NDArray[np.generic], message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        mask_values(frames, WHERE, SIZE)
    assert str(caught.value).startswith("s/090.pkl")


def test_the_card_follows_the_edges() -> None:
    soft, binary = (pickled_silhouettes("*.pkl", SIZE, 25, edges=edges).info for edges in ("soft", "binary"))
    assert soft == StreamInfo(
        frame_shape=(1, *SIZE), frame_rate_hz=25, codec="raw", value_range=(0, 255), scale_to_unit=1 / 255
    )
    assert binary == StreamInfo(frame_shape=(1, *SIZE), frame_rate_hz=25), "the modality's own bits"


def test_pickles_of_arrays_and_of_lists(tmp_path: Path) -> None:
    files = pickled_silhouettes("*.pkl", SIZE, 25)
    for content in (masks(), list(masks())):
        np.testing.assert_array_equal(files.read(pickled(tmp_path / "a.pkl", content))[:, 0], masks())
    found = files.read(pickled(tmp_path / "a.pkl", masks()[:0]))
    assert isinstance(found, Absent)
    assert "a.pkl holds no frame" in found.reason


def test_pictures_are_aligned(tmp_path: Path) -> None:
    frames = walker()
    nobody = np.zeros((60, 90), np.uint8)
    paths = pictures(tmp_path, [nobody, *frames])
    got = raw_silhouettes("*.png", (32, 32), 25).read(paths)
    np.testing.assert_array_equal(got[:, 0], align_all(frames, 32).frames)
    narrow = raw_silhouettes("*.png", (32, 22), 25).read(paths)
    np.testing.assert_array_equal(narrow, got[..., 5:27])
    binary = raw_silhouettes("*.png", (32, 32), 25, edges="binary").read(paths)
    np.testing.assert_array_equal(binary, got >= 128)


def test_aligned_frames_are_no_wider_than_high(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="have 32 columns; give a width_px of that or less, not 44"):
        raw_silhouettes("*.png", (32, 44), 25).read(pictures(tmp_path, walker()))


def test_energy_images_are_passed_over(tmp_path: Path) -> None:
    files = raw_silhouettes("*.png", (32, 32), 25, may_lack=True)
    energy = pictures(tmp_path, walker(1), "x-gei.png")
    paths = pictures(tmp_path, walker())
    assert len(files.read(sorted([*paths, *energy]))) == 3
    found = files.read(energy)
    assert found == Absent(f"{tmp_path} has no frame, only x-gei.png", is_defect=False)


@pytest.mark.parametrize(("treatment", "size"), [("resize", (32, 40)), ("keep", (60, 90))])
def test_whole_frames(tmp_path: Path, treatment: str, size: tuple[int, int]) -> None:
    frames = walker()
    got = raw_silhouettes("*.png", size, 25, treatment=treatment).read(pictures(tmp_path, frames))  # type: ignore[arg-type]
    assert got.shape == (3, 1, *size)
    if treatment == "keep":
        np.testing.assert_array_equal(got[:, 0], frames)


def test_kept_frames_must_have_the_size(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"000\.png has 60 x 90 pixels where 32 x 32 are expected.*height_px=60"):
        raw_silhouettes("*.png", (32, 32), 25, treatment="keep").read(pictures(tmp_path, walker()))


def test_too_few_frames_and_nobody_are_no_defects(tmp_path: Path) -> None:
    paths = pictures(tmp_path, walker())
    assert raw_silhouettes("*.png", (32, 32), 25, min_frames=4).read(paths) == Absent(
        f"{tmp_path} has 3 frames, and sequences of less than 4 are left out", is_defect=False
    )
    nobody = pictures(tmp_path, [np.zeros((60, 90), np.uint8)] * 2)
    expected = Absent(f"{tmp_path} shows nobody in any of its 2 frames", is_defect=False)
    assert raw_silhouettes("*.png", (32, 32), 25).read(nobody) == expected
    assert raw_parsing("*.png", (32, 32), 25).read(nobody) == expected


def test_masks_of_zeros_and_ones_do_not_pass_for_nobody(tmp_path: Path) -> None:
    dark = pictures(tmp_path, [frame // np.uint8(255) for frame in walker()])
    with pytest.raises(DatasetError, match="holds masks of 0 and 1, where 0 to 255 are expected"):
        raw_silhouettes("*.png", (32, 32), 25).read(dark)
    one_is_bright = [*pictures(tmp_path, walker(1), "b{}.png"), *dark]
    assert len(raw_silhouettes("*.png", (32, 32), 25).read(one_is_bright)) == 1


def test_part_ids_are_never_mixed(tmp_path: Path) -> None:
    maps = [np.where(frame > 0, np.arange(90, dtype=np.uint8) % 11 + 1, 0).astype(np.uint8) for frame in walker()]
    got = raw_parsing("*.png", (32, 22), 25).read(pictures(tmp_path, maps))
    assert got.shape == (3, 1, 32, 22)
    assert set(np.unique(got)) <= set(range(12))
    files = pickled_parsing("*.pkl", (32, 22), 25)
    for content in (got[:, 0], got[:, 0].astype(np.float64), got.astype(np.int64)):
        np.testing.assert_array_equal(files.read(pickled(tmp_path / "a.pkl", content)), got)


@pytest.mark.parametrize("wrong", [0.5, -1.0, 256.0, np.nan])
def test_what_is_no_part_id_is_refused(tmp_path: Path, wrong: float) -> None:
    content = np.ones((3, *SIZE))
    content[1, 2, 3] = wrong
    with pytest.raises(DatasetError, match="not ids of body parts"):
        pickled_parsing("*.pkl", SIZE, 25).read(pickled(tmp_path / "a.pkl", content))


def test_options_have_the_published_size() -> None:
    assert SilhouetteOptions().size_px == (64, 64)
    assert SilhouetteOptions(height_px=128, width_px=88).size_px == (128, 88)
