"""Cutting people out of masks: a case by hand, a slow version written from the data sheet, and every reason to drop."""

import builtins
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from gaitbench.errors import DatasetError
from gaitbench.silhouettes import MIN_PIXEL_SUM, align_all, align_silhouette

cv2 = pytest.importorskip("cv2", reason="aligning raw frames needs opencv-python-headless")


def blob(seed: int, *, height: int = 120, width: int = 160, size: int = 70) -> NDArray[np.uint8]:
    """A body-like blot with soft edges, anywhere in the frame."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8)
    top, left = int(rng.integers(0, height - size)), int(rng.integers(0, width - size // 2))
    mask[top : top + size, left : left + size // 2] = rng.random((size, size // 2)) < 0.7
    return cv2.GaussianBlur(mask * 255, (3, 3), 0)


def by_the_sheet(mask: NDArray[np.uint8], size: int = 64, limit: int = MIN_PIXEL_SUM) -> NDArray[np.uint8] | None:
    """Steps 2 to 7 of the common pre-treatment, a step at a time and in plain loops."""
    if sum(int(value) for value in mask.ravel()) <= limit:
        return None
    rows = [row for row in range(len(mask)) if any(mask[row] != 0)]
    body = mask[rows[0] : rows[-1] + 1]
    width = int(size * (body.shape[1] / body.shape[0]))
    body = cv2.resize(body, (width, size), interpolation=cv2.INTER_CUBIC)
    columns = [sum(int(value) for value in body[:, x]) for x in range(width)]
    total, so_far, centre = sum(columns), 0, -1
    for x, amount in enumerate(columns):
        so_far += amount
        if so_far > total / 2:
            centre = x
            break
    if centre <= 0:
        return None
    left, right = centre - size // 2, centre + size // 2
    if left <= 0 or right >= width:
        empty = np.zeros((size, size // 2), np.uint8)
        body = np.concatenate([empty, body, empty], axis=1)
        left, right = left + size // 2, right + size // 2
    return body[:, left:right]


def test_a_rectangle_by_hand() -> None:
    mask = np.zeros((240, 320), np.uint8)
    mask[100:228, 60:92] = 255  # 128 rows become 64, so 32 columns become 16
    aligned = align_silhouette(mask)
    assert aligned is not None
    assert aligned.shape == (64, 64)
    assert aligned.dtype == np.uint8
    # Half of the pixels lie before column 8 of the body's 16, which comes to stand in column 32.
    assert (aligned[:, 25:39] == 255).all()
    assert not aligned[:, :23].any()
    assert not aligned[:, 41:].any()


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("seed", range(12))
def test_agrees_with_the_sheet(seed: int, size: int) -> None:
    mask = blob(seed)
    np.testing.assert_array_equal(align_silhouette(mask, size), by_the_sheet(mask, size))


@pytest.mark.parametrize("left", [0, 1, 10, 20, 80, 124, 125])
def test_bodies_at_the_border_are_padded(left: int) -> None:
    mask = np.zeros((70, 160), np.uint8)
    mask[3:67, left : left + 35] = 255
    aligned, expected = align_silhouette(mask), by_the_sheet(mask)
    assert expected is not None
    np.testing.assert_array_equal(aligned, expected)


def test_edges_stay_soft() -> None:
    aligned = align_silhouette(blob(0))
    assert aligned is not None
    assert len(np.unique(aligned)) > 10


def test_more_than_the_limit_is_needed() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[:10, 20:24] = 250
    assert mask.sum() == MIN_PIXEL_SUM
    assert align_silhouette(mask) is None
    mask[0, 20] = 251
    assert align_silhouette(mask) is not None
    assert align_silhouette(mask // 2, min_pixel_sum=0) is not None


@pytest.mark.parametrize(
    ("height", "width", "columns"),
    [
        pytest.param(64, 64, slice(0, 1), id="first-column-holds-half"),
        pytest.param(6500, 64, slice(0, 64), id="too-narrow-to-be-scaled"),
    ],
)
def test_who_has_no_centre_is_dropped(height: int, width: int, columns: slice) -> None:
    mask = np.zeros((height, width), np.uint8)
    mask[:, columns] = 255
    assert align_silhouette(mask) is None


def test_an_empty_frame_shows_nobody_even_without_a_limit() -> None:
    assert align_silhouette(np.zeros((40, 40), np.uint8), min_pixel_sum=-1) is None


def test_a_map_is_cut_where_its_mask_is() -> None:
    mask = (blob(3) > 0).astype(np.uint8) * 255
    parts = np.where(mask > 0, np.random.default_rng(0).integers(1, 12, mask.shape), 0).astype(np.uint8)
    aligned = align_silhouette(mask, image=parts, interpolation="nearest")
    plain = align_silhouette(mask, interpolation="nearest")
    assert aligned is not None
    assert plain is not None
    assert set(np.unique(aligned)) <= set(range(12))  # part ids, none of them mixed
    np.testing.assert_array_equal(aligned > 0, plain > 0)


def test_all_keeps_the_frames_with_somebody_and_their_places() -> None:
    seen, empty = blob(1), np.zeros((50, 60), np.uint8)  # frames of a sequence may differ in size
    aligned = align_all([empty, seen, empty, seen])
    assert aligned.kept.tolist() == [1, 3]
    np.testing.assert_array_equal(aligned.frames, np.stack([by_the_sheet(seen)] * 2))
    nobody = align_all([empty], 32)
    assert nobody.frames.shape == (0, 32, 32)
    assert nobody.kept.size == 0


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(np.ones((64, 64, 3), np.uint8), id="colour"),
        pytest.param(np.ones((64, 64), np.float32), id="float"),
    ],
)
def test_what_is_no_mask_is_refused(mask: NDArray[np.generic]) -> None:
    with pytest.raises(DatasetError, match=r"must be uint8 \[H, W\], got"):
        align_silhouette(mask)


def test_a_map_of_another_size_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"beside an image \[64, 63\]"):
        align_silhouette(np.full((64, 64), 255, np.uint8), image=np.ones((64, 63), np.uint8))


def test_without_opencv_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: object, **kwargs: object) -> object:
        if name == "cv2":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "cv2")
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(DatasetError, match=r"pip install 'gaitbench\[images\]'"):
        align_silhouette(blob(0))
