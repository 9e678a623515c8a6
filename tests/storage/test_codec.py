"""What is packed comes back, and what must not be packed is refused with the sequence's name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gaitbench.card import StreamInfo
from gaitbench.errors import DatasetError
from gaitbench.modality import DEPTH, LIDAR, PARSING, RGB, SILHOUETTE, SKELETON_3D, Modality
from gaitbench.sequence import PointFrames
from gaitbench.storage.codec import Packed, decode_jpeg, frame_nbytes, pack, unpack


def info(*shape: int) -> StreamInfo:
    return StreamInfo(frame_shape=shape, frame_rate_hz=25)


sizes = st.tuples(st.integers(1, 5), st.just(1), st.integers(1, 9), st.integers(1, 17))


@given(sizes.flatmap(lambda shape: hnp.arrays(np.uint8, shape, elements=st.integers(0, 1))))
def test_bits_round_trip(frames: NDArray[np.uint8]) -> None:
    stream = info(*frames.shape[1:])
    packed = pack(frames, SILHOUETTE, stream, "a")
    assert packed.data.nbytes == len(frames) * -(-frames[0].size // 8)
    assert packed.data.nbytes == len(frames) * (frame_nbytes(SILHOUETTE, stream) or 0)
    np.testing.assert_array_equal(unpack(packed, SILHOUETTE, stream), frames)


@given(sizes.flatmap(lambda shape: hnp.arrays(np.uint16, shape)))
def test_raw_round_trip(frames: NDArray[np.uint16]) -> None:
    stream = info(*frames.shape[1:])
    packed = pack(frames, DEPTH, stream, "a")
    assert packed.data.tobytes() == frames.astype("<u2").tobytes()
    back = unpack(packed, DEPTH, stream)
    np.testing.assert_array_equal(back, frames)
    assert back.dtype == np.uint16


def test_unpacked_frames_are_the_callers_own() -> None:
    packed = pack(np.zeros((2, 1, 2, 2), np.uint16), DEPTH, info(1, 2, 2), "a")
    frames = unpack(packed, DEPTH, info(1, 2, 2))
    assert isinstance(frames, np.ndarray)
    frames[:] = 7
    assert not packed.data.any()


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.just(17), st.just(3)), elements=st.floats(-99, 99, width=32))
)
def test_joints_round_trip(frames: NDArray[np.float32]) -> None:
    np.testing.assert_array_equal(unpack(pack(frames, SKELETON_3D, info(17, 3), "a"), SKELETON_3D, info(17, 3)), frames)


@settings(max_examples=50)
@given(
    counts=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    centre=st.floats(-100, 100),
    seed=st.integers(0, 2**32 - 1),
)
def test_points_round_trip_to_half_a_float16_step(counts: list[int], centre: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    offsets = np.cumsum([0, *counts]).astype(np.int64)
    points = (centre + rng.uniform(-1, 1, (offsets[-1], 3))).astype(np.float32)
    back = unpack(pack(PointFrames(points, offsets), LIDAR, info(3), "a"), LIDAR, info(3))
    assert isinstance(back, PointFrames)
    np.testing.assert_array_equal(back.offsets, offsets)
    # Within 1 m of the origin a float16 step is 2**-11 m, and float32 at 100 m adds 2**-18.
    np.testing.assert_allclose(back.points, points, atol=2**-12 + 2**-17)


def test_jpeg_is_near_and_of_the_same_shape() -> None:
    row, column = np.mgrid[:64, :48]
    frames = np.stack([np.stack([row * 3, column * 4, 200 - row]).astype(np.uint8)] * 3)
    stream = info(3, 64, 48)
    packed = pack(frames, RGB, stream, "a")
    assert packed.offsets is not None
    assert len(packed.offsets) == 4
    back = unpack(packed, RGB, stream)
    assert np.abs(np.asarray(back, float) - frames).mean() < 2
    assert packed.data.nbytes < frames.nbytes / 4


@pytest.mark.parametrize("data", [b"", b"\x00" * 50, b"\xff\xd8\xff\xe0" + b"\x00" * 20])
def test_broken_jpeg(data: bytes) -> None:
    with pytest.raises(DatasetError, match=r"JPEG.*verify"):
        decode_jpeg(data, (3, 4, 4))


def test_jpeg_of_another_size() -> None:
    packed = pack(np.zeros((1, 3, 8, 8), np.uint8), RGB, info(3, 8, 8), "a")
    with pytest.raises(DatasetError, match=r"shape \[3, 8, 8\], not \[3, 4, 4\]"):
        decode_jpeg(packed.data.tobytes(), (3, 4, 4))


mask = np.zeros((3, 1, 4, 4), np.uint8)
joints = np.zeros((3, 17, 3), np.float32)


@pytest.mark.parametrize(
    ("frames", "modality", "shape", "message"),
    [
        pytest.param(mask[:0], SILHOUETTE, (1, 4, 4), "no frames", id="no-frames"),
        pytest.param(mask[:, :, :3], SILHOUETTE, (1, 4, 4), r"shape \[3, 1, 3, 4\]", id="shape"),
        pytest.param(mask[:, 0], SILHOUETTE, (1, 4, 4), r"shape \[3, 4, 4\]", id="axes"),
        pytest.param(mask.astype(bool), SILHOUETTE, (1, 4, 4), "frames are bool", id="dtype"),
        pytest.param(mask + 2, SILHOUETTE, (1, 4, 4), "from 2 to 2, the modality allows 0 to 1", id="not-a-mask"),
        pytest.param(mask + 255, SILHOUETTE, (1, 4, 4), "from 255 to 255", id="mask-of-255"),
        pytest.param(joints + np.nan, SKELETON_3D, (17, 3), "153 of 153 values are NaN", id="nan"),
        pytest.param(joints + np.inf, SKELETON_3D, (17, 3), "NaN or infinite", id="infinite"),
        pytest.param(joints + 1000, SKELETON_3D, (17, 3), "from 1000 to 1000", id="range"),
        pytest.param(joints.astype(np.float64), SKELETON_3D, (17, 3), "frames are float64", id="double"),
        pytest.param([mask], SILHOUETTE, (1, 4, 4), "list", id="list"),
        pytest.param(PointFrames(joints[0], np.array([0, 17])), PARSING, (1, 4, 4), "PointFrames", id="points"),
        pytest.param(mask, LIDAR, (3,), "PointFrames is needed", id="no-points"),
    ],
)
def test_refused(frames: object, modality: Modality, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(DatasetError, match=rf"sequence 0001-nm-01, {modality.name}.*{message}"):
        pack(frames, modality, info(*shape), "0001-nm-01")  # type: ignore[arg-type]


points = np.zeros((4, 3), np.float32)


@pytest.mark.parametrize(
    ("cloud", "message"),
    [
        pytest.param(PointFrames(points, np.array([0])), "no frames", id="no-frames"),
        pytest.param(PointFrames(points, np.array([0, 3])), "rise from 0 to the 4 points", id="too-few"),
        pytest.param(PointFrames(points, np.array([0, 3, 2, 4])), "rise", id="falling"),
        pytest.param(PointFrames(points, np.array([1, 4])), "rise", id="start"),
        pytest.param(PointFrames(points[:, :2], np.array([0, 4])), r"shape \[4, 2\]", id="shape"),
        pytest.param(PointFrames(points + np.nan, np.array([0, 4])), "12 of 12 values are NaN", id="nan"),
        pytest.param(PointFrames(points + 300, np.array([0, 4])), "from 300 to 300", id="range"),
        pytest.param(PointFrames(points.astype(np.float64), np.array([0, 4])), "float64", id="dtype"),
        pytest.param(PointFrames(points, np.array([0, 4], np.int32)), "int32", id="offsets"),
    ],
)
def test_refused_points(cloud: PointFrames, message: str) -> None:
    with pytest.raises(DatasetError, match=rf"sequence 0001-nm-01, lidar.*{message}"):
        pack(cloud, LIDAR, info(3), "0001-nm-01")


def test_hash_covers_everything() -> None:
    data, offsets = np.arange(12, dtype=np.uint8), np.array([0, 1, 2])
    origin = np.zeros(3, np.float32)
    variants = [
        Packed(2, data, offsets, origin),
        Packed(1, data, offsets, origin),
        Packed(2, data + 1, offsets, origin),
        Packed(2, data, offsets + 1, origin),
        Packed(2, data, offsets, origin + 1),
        Packed(2, data, None, None),
    ]
    assert len({packed.sha256() for packed in variants}) == len(variants)
