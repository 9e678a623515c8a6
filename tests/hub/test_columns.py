"""Frames become cells that keep every bit; anything that is no such cell is refused."""

import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from gaitbench.card import StreamInfo
from gaitbench.errors import DatasetError
from gaitbench.hub.columns import FrameColumn
from gaitbench.modality import DEPTH, LIDAR, PARSING, RGB, SILHOUETTE, SKELETON_2D, Modality
from gaitbench.sequence import Absent, PointFrames
from gaitbench.storage.codec import Packed, pack
from tests.hub.conftest import bomb

PHOTO = Modality(name="photo", title="x", kind="raster", codec="raw", dtype="uint8", channels=3, value_range=(0, 255))
FLOW = Modality(name="flow", title="x", kind="raster", codec="raw", dtype="float32", channels=2, value_range=(-9, 9))
RNG = np.random.default_rng(0)


def column_of(modality: Modality, *shape: int) -> FrameColumn:
    return FrameColumn(modality, StreamInfo(frame_shape=shape, frame_rate_hz=25))


CASES = [
    pytest.param(column_of(SILHOUETTE, 1, 5, 7), RNG.integers(0, 2, (4, 1, 5, 7), np.uint8), "mask", id="odd-masks"),
    pytest.param(column_of(RGB, 3, 9, 7), RNG.integers(0, 256, (2, 3, 9, 7), np.uint8), "jpeg", id="jpeg"),
    pytest.param(column_of(DEPTH, 1, 3, 4), RNG.integers(0, 65536, (3, 1, 3, 4), np.uint16), "grey", id="16-bit"),
    pytest.param(column_of(PARSING, 1, 6, 5), RNG.integers(0, 16, (3, 1, 6, 5), np.uint8), "classes", id="16-classes"),
    pytest.param(
        column_of(PARSING, 1, 16, 16), np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16), "classes", id="256"
    ),
    pytest.param(column_of(PHOTO, 3, 4, 5), RNG.integers(0, 256, (2, 3, 4, 5), np.uint8), "colour", id="raw-colour"),
    pytest.param(column_of(FLOW, 2, 3, 4), RNG.normal(0, 1, (3, 2, 3, 4)).astype(np.float32), "numbers", id="floats"),
    pytest.param(
        column_of(SKELETON_2D, 17, 3), np.array([-0.0, 1e-45, 1e4], np.float32) * np.ones((2, 17, 3), np.float32),
        "numbers", id="signed-zero-and-subnormal",
    ),
    pytest.param(
        column_of(LIDAR, 3), PointFrames(RNG.normal(0, 9, (5, 3)).astype(np.float32), np.array([0, 0, 5, 5])),
        "points", id="empty-frames-of-points",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("column", "frames", "form"), CASES)
def test_stored_bytes_come_back(column: FrameColumn, frames: "np.ndarray", form: str) -> None:
    stored = pack(frames, column.modality, column.info, "s")
    cells = [column.cell(stored), column.cell(Absent("nobody")), column.cell(stored)]
    array = column.assemble(cells)
    array.validate(full=True)
    assert column.form == form
    assert array.type == column.arrow_type
    assert column.packed(array, 1) is None
    for row in (0, 2):
        back = column.packed(array, row)
        assert back is not None
        assert back.sha256() == stored.sha256()
    assert column.packed(array.slice(2), 0).sha256() == stored.sha256()  # type: ignore[union-attr]


def test_jpeg_files_are_the_stored_ones() -> None:
    column = column_of(RGB, 3, 8, 8)
    stored = pack(RNG.integers(0, 256, (2, 3, 8, 8), np.uint8), RGB, column.info, "s")
    assert b"".join(column.cell(stored)) == stored.data.tobytes()  # type: ignore[arg-type]


def png(array: "np.ndarray") -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def pictures(*files: bytes | None) -> pa.Array:
    kind = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    return pa.array([[{"bytes": file, "path": None} for file in files]], kind)


MASK = png(np.ones((5, 7), bool))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (pictures(None), "has no bytes"),
        (pictures(b"GIF89a"), "no PNG file"),
        (pictures(b""), "no PNG file"),
        (pictures(png(np.ones((7, 5), bool))), "has 7 x 5 pixels, not 5 x 7"),
        (pictures(png(np.full((5, 7), 200, np.uint8))), "has mode L, not 1"),
        (pictures(MASK[:-30]), "truncated or altered|no PNG file"),
        (pictures(png(np.zeros((5, 7, 3), np.uint8))), "has mode RGB"),
    ],
    ids=["null", "gif", "empty", "turned", "grey", "truncated", "colour"],
)
def test_foreign_pictures_are_refused(cell: pa.Array, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        column_of(SILHOUETTE, 1, 5, 7).packed(cell, 0)


@pytest.mark.parametrize("position", range(8, len(MASK), 5))
def test_altered_pictures_are_refused_or_whole(position: int) -> None:
    altered = bytearray(MASK)
    altered[position] ^= 0xFF
    try:
        packed = column_of(SILHOUETTE, 1, 5, 7).packed(pictures(bytes(altered)), 0)
    except DatasetError:
        return
    assert isinstance(packed, Packed)


@pytest.mark.filterwarnings("default")
def test_bombs_are_not_decoded() -> None:
    with pytest.raises(DatasetError, match="9000 x 9000 pixels"):
        column_of(SILHOUETTE, 1, 5, 7).packed(pictures(bomb(9000, 9000)), 0)
    with pytest.raises(DatasetError, match=r"broken|too large"):
        column_of(SILHOUETTE, 1, 5, 7).packed(pictures(bomb(2**30, 2**30)), 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[[1.0, 2.0], [3.0, 4.0]]], "not of length 3"),
        ([[[1.0, None, 3.0], [1.0, 2.0, 3.0]]], "null"),
        ([[[1.0, 2.0, 3.0]]], "not of length 2"),
        ([[[1.0, 2.0, 3.0], None]], "not of length 3"),
    ],
)
def test_ragged_numbers_are_refused(values: list[object], message: str) -> None:
    column = column_of(SKELETON_2D, 2, 3)
    with pytest.raises(DatasetError, match=message):
        column.packed(pa.array([values], column.arrow_type), 0)


@pytest.mark.parametrize(
    "change",
    [
        {"offsets": [0, 3]},
        {"offsets": [1, 2]},
        {"offsets": [0, 2, 1, 2]},
        {"offsets": [0]},
        {"origin": [0.0, 0.0]},
        {"origin": None},
        {"points": [[0.0, 0.0]]},
    ],
    ids=str,
)
def test_points_that_do_not_fit_are_refused(change: dict[str, object]) -> None:
    column = column_of(LIDAR, 3)
    cell = {"points": [[0, 0, 0], [1, 1, 1]], "offsets": [0, 1, 2], "origin": [0.0, 0.0, 0.0], **change}
    cell["points"] = cell["points"] and [list(map(np.float16, point)) for point in cell["points"]]  # type: ignore[attr-defined, assignment]
    with pytest.raises(DatasetError, match=r"do not fit|null|not of length"):
        column.packed(pa.array([cell], column.arrow_type), 0)


def test_wrong_column_types_are_named() -> None:
    with pytest.raises(DatasetError, match=r"a.parquet: column lidar is list<item: double>, not struct"):
        column_of(LIDAR, 3).check_type(pa.list_(pa.float64()), "a.parquet")


def registered() -> list[Modality]:
    from gaitbench.registry import load_registry

    return [spec.modality for spec in load_registry().specs("modality")]  # type: ignore[attr-defined]


@pytest.mark.parametrize("modality", registered(), ids=lambda modality: modality.name)
def test_every_registered_modality_comes_back(modality: Modality) -> None:
    shape = {"raster": (modality.channels, 6, 5), "joints": (4, modality.channels), "points": (modality.channels,)}
    column = column_of(modality, *shape[modality.kind])
    low, high = np.clip(modality.value_range, -1000, 1000)
    values = RNG.uniform(low, high, (3, *shape[modality.kind])).astype(modality.dtype)
    frames = PointFrames(values, np.array([0, 1, 3])) if modality.kind == "points" else values
    stored = pack(frames, modality, column.info, "s")
    back = column.packed(column.assemble([column.cell(stored)]), 0)
    assert back is not None
    assert back.sha256() == stored.sha256()
