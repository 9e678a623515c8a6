"""Stored frames as columns that everybody can read, and back, bit by bit.

=========  ================================================  ==========================================================
form       used for                                          a cell
=========  ================================================  ==========================================================
jpeg       codec ``jpeg``                                    list of pictures: the stored JPEG files
mask       codec ``bits``, one channel                       list of PNG pictures of one bit per pixel
classes    uint8 class maps, one channel                     list of PNG pictures with colours; indices are exact
grey       other uint8 or uint16 rasters of one channel      list of PNG pictures of 8 or 16 bits
colour     uint8 rasters of three channels, stored raw       list of PNG pictures
numbers    joints and every other raster                     nested lists ``[T, *frame_shape]``
points     codec ``points16``                                ``points`` float16 ``[M, D]``, ``offsets`` ``[T + 1]`` and
                                                             ``origin`` float32 ``[D]``
=========  ================================================  ==========================================================

A sequence without frames in a modality has null there.

Axes: T frames, C channels, H rows, W columns, M points of all frames together, D values per point.
"""

import functools
import io
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gaitbench.card import StreamInfo
from gaitbench.errors import DatasetError
from gaitbench.modality import Modality
from gaitbench.sequence import Absent
from gaitbench.storage.codec import Packed, unpack_rows

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Cell", "Form", "FrameColumn"]

Form = Literal["jpeg", "mask", "classes", "grey", "colour", "numbers", "points"]
"""How a modality's frames appear in a cell."""

Cell = list[bytes] | NDArray[np.generic] | tuple[NDArray[np.float16], NDArray[np.int64], NDArray[np.float32]] | None
"""One sequence: files of pictures, an array, points with offsets and origin, or None."""

_PICTURE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
_PNG_MODES: dict[str, tuple[str, ...]] = {
    "mask": ("1",),
    "classes": ("P",),
    "grey": ("L", "I;16", "I"),
    "colour": ("RGB",),
}
_PNG_LEVEL = 6


class FrameColumn:
    """One modality as a column.

    Args:
        modality: What a frame is and how it is stored.
        info: The stream in this dataset.

    Example:
        >>> from gaitbench.modality import SILHOUETTE
        >>> from gaitbench.storage.codec import pack
        >>> info = StreamInfo(frame_shape=(1, 2, 4), frame_rate_hz=25)
        >>> column = FrameColumn(SILHOUETTE, info)
        >>> stored = pack(np.ones((3, 1, 2, 4), np.uint8), SILHOUETTE, info, "0001-nm-01")
        >>> array = column.assemble([column.cell(stored)])
        >>> column.form, array.type, column.packed(array, 0).data.tolist()
        ('mask', ListType(list<item: struct<bytes: binary, path: string>>), [255, 255, 255])
    """

    def __init__(self, modality: Modality, info: StreamInfo) -> None:
        self.modality = modality
        self.info = info
        self.form: Form = _form(modality, info)

    @property
    def is_pictures(self) -> bool:
        """True when a cell is a list of pictures."""
        return self.form not in ("numbers", "points")

    @functools.cached_property
    def arrow_type(self) -> pa.DataType:
        """Type of the column."""
        if self.form == "points":
            return pa.struct(
                [
                    pa.field("points", pa.list_(pa.list_(pa.float16()))),
                    pa.field("offsets", pa.list_(pa.int64())),
                    pa.field("origin", pa.list_(pa.float32())),
                ]
            )
        nested = _PICTURE
        if self.form == "numbers":
            nested = pa.from_numpy_dtype(np.dtype(self.modality.dtype))
            for _ in self.info.frame_shape:
                nested = pa.list_(nested)
        return pa.list_(nested)

    def cell(self, stored: Packed | Absent) -> Cell:
        """Turn the stored form of one sequence into what its cell holds."""
        if isinstance(stored, Absent):
            return None
        if self.form == "jpeg":
            assert stored.offsets is not None
            ends = stored.offsets.tolist()
            return [stored.data[start:end].tobytes() for start, end in itertools.pairwise(ends)]
        if self.form == "points":
            assert stored.offsets is not None
            assert stored.origin is not None
            half = stored.data.view("<f2").reshape(-1, self.info.frame_shape[0])
            return half, stored.offsets, stored.origin
        frames = unpack_rows(stored.data.reshape(stored.num_frames, -1), self.modality, self.info)
        return frames if self.form == "numbers" else [self._png(frame) for frame in frames]

    @staticmethod
    def nbytes(cell: Cell) -> int:
        """Size of a cell before compression."""
        if cell is None:
            return 0
        if isinstance(cell, list):
            return sum(map(len, cell))
        if isinstance(cell, tuple):
            return sum(part.nbytes for part in cell)
        return cell.nbytes

    def assemble(self, cells: Sequence[Cell]) -> pa.Array:
        """Put the cells of several sequences into one Arrow array of :attr:`arrow_type`."""
        is_null = pa.array([cell is None for cell in cells], pa.bool_())
        if self.form == "points":
            parts = [cell if isinstance(cell, tuple) else self._no_points() for cell in cells]
            points = _nested([part[0] for part in parts], pa.float16(), self.info.frame_shape)
            offsets = _nested([part[1] for part in parts], pa.int64(), ())
            origin = _nested([part[2] for part in parts], pa.float32(), ())
            return pa.StructArray.from_arrays([points, offsets, origin], fields=list(self.arrow_type), mask=is_null)
        if self.form == "numbers":
            empty = np.empty((0, *self.info.frame_shape), self.modality.dtype)
            arrays = [cell if isinstance(cell, np.ndarray) else empty for cell in cells]
            value_type = pa.from_numpy_dtype(np.dtype(self.modality.dtype))
            return _nested(arrays, value_type, self.info.frame_shape, is_null)
        files = [cell if isinstance(cell, list) else [] for cell in cells]
        data = pa.array([file for of_one in files for file in of_one], pa.binary())
        pictures = pa.StructArray.from_arrays([data, pa.nulls(len(data), pa.string())], fields=list(_PICTURE))
        return pa.ListArray.from_arrays(_starts([len(of_one) for of_one in files]), pictures, mask=is_null)

    def check_type(self, found: pa.DataType, where: str) -> None:
        """Stop when a column of a file is not of this type.

        Raises:
            DatasetError: It is not; the message begins with ``where``.
        """
        if not _same_type(found, self.arrow_type):
            raise DatasetError(f"{where}: column {self.modality.name} is {found}, not {self.arrow_type}")

    def packed(self, column: pa.Array, row: int) -> Packed | None:
        """The stored form of one sequence; None where the cell is null.

        Raises:
            DatasetError: The cell is not what :meth:`cell` makes.
        """
        cell = column[row]
        if not cell.is_valid:
            return None
        if self.form == "points":
            return self._packed_points(cell)
        if self.form == "numbers":
            frames = _regular(cell.values, self.info.frame_shape).astype(self.modality.dtype, copy=False)
            raw = np.ascontiguousarray(frames, frames.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
            return Packed(frames.size // math.prod(self.info.frame_shape), raw)
        files = cell.values.field("bytes").to_pylist()
        if any(file is None for file in files):
            raise DatasetError("a picture has no bytes")
        if self.form == "jpeg":
            for file in files:
                _check_jpeg(file, self.info.frame_shape)
            ends = np.cumsum([0, *map(len, files)], dtype=np.int64)
            return Packed(len(files), np.frombuffer(b"".join(files), np.uint8), ends)
        frames = np.stack([self._pixels(file) for file in files]) if files else np.empty((0, 1), np.uint8)
        if self.form == "mask":
            return Packed(len(files), np.packbits(frames.reshape(len(files), -1), axis=1).reshape(-1))
        little = np.ascontiguousarray(frames, frames.dtype.newbyteorder("<"))
        return Packed(len(files), little.reshape(-1).view(np.uint8))

    def _png(self, frame: NDArray[np.generic]) -> bytes:
        """Encode ``[C, H, W]`` without loss; the same frame gives the same bytes with the same Pillow."""
        from PIL import Image

        options = {}
        if self.form == "colour":
            image = Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0)))
        elif self.form == "mask":
            image = Image.fromarray(frame[0].astype(bool))
        else:
            image = Image.fromarray(np.ascontiguousarray(frame[0]))
            if self.form == "classes":
                options["bits"] = 4 if int(frame.max()) < 16 else 8
                image.putpalette(_palette())
        file = io.BytesIO()
        image.save(file, "PNG", compress_level=_PNG_LEVEL, **options)
        return file.getvalue()

    def _pixels(self, file: bytes) -> NDArray[np.generic]:
        """Decode a PNG file to ``[H, W]`` or ``[C, H, W]``; nothing is decoded that is not of the stream's size."""
        with _opened(file, "PNG") as image:
            if image.mode not in _PNG_MODES[self.form]:
                raise DatasetError(f"a picture has mode {image.mode}, not {' or '.join(_PNG_MODES[self.form])}")
            _check_size(image, self.info.frame_shape)
            try:
                pixels = np.asarray(image)
            except (OSError, SyntaxError, ValueError) as error:
                raise DatasetError(f"a picture is truncated or altered ({error})") from error
        if self.form == "colour":
            return pixels.transpose(2, 0, 1)
        if self.form == "mask":
            return pixels.astype(np.uint8)
        if pixels.min(initial=0) < 0 or pixels.max(initial=0) > np.iinfo(self.modality.dtype).max:
            raise DatasetError(f"a picture has values outside {self.modality.dtype}")
        return pixels.astype(self.modality.dtype)

    def _packed_points(self, cell: pa.StructScalar) -> Packed:
        width = self.info.frame_shape[0]
        if not all(cell[name].is_valid for name in ("points", "offsets", "origin")):
            raise DatasetError("points, offsets or origin are null")
        half = _regular(cell["points"].values, (width,)).astype(np.float16, copy=False)
        offsets = _regular(cell["offsets"].values, ()).astype(np.int64, copy=False)
        origin = _regular(cell["origin"].values, ()).astype(np.float32, copy=False)
        is_rising = len(offsets) > 1 and offsets[0] == 0 and bool((np.diff(offsets) >= 0).all())
        if not is_rising or offsets[-1] * width != half.size or len(origin) != width:
            raise DatasetError("offsets or origin do not fit the points")
        raw = np.ascontiguousarray(half, np.dtype("<f2")).reshape(-1).view(np.uint8)
        return Packed(len(offsets) - 1, raw, offsets.copy(), origin.copy())

    def _no_points(self) -> tuple[NDArray[np.float16], NDArray[np.int64], NDArray[np.float32]]:
        width = self.info.frame_shape[0]
        return np.empty((0, width), np.float16), np.empty(0, np.int64), np.empty(0, np.float32)


def _form(modality: Modality, info: StreamInfo) -> Form:
    if modality.codec == "points16":
        return "points"
    if modality.codec == "jpeg":
        return "jpeg"
    channels = info.frame_shape[0] if modality.kind == "raster" else 0
    if channels == 1 and modality.codec == "bits":
        return "mask"
    if channels == 1 and modality.dtype == "uint8" and modality.unit == "class":
        return "classes"
    if channels == 1 and modality.dtype in ("uint8", "uint16"):
        return "grey"
    if channels == 3 and modality.dtype == "uint8" and modality.codec == "raw":
        return "colour"
    return "numbers"


@functools.cache
def _palette() -> list[int]:
    """Colours of class indices 0 to 255: black, then hues a golden angle apart."""
    import colorsys

    colours = [colorsys.hsv_to_rgb(i * 0.381966 % 1, 0.8 - 0.3 * (i % 3 == 2), 1 - 0.25 * (i % 2)) for i in range(255)]
    return [0, 0, 0, *(round(255 * value) for colour in colours for value in colour)]


def _starts(lengths: Sequence[int]) -> pa.Array:
    return pa.array(np.cumsum([0, *lengths], dtype=np.int64), pa.int32())


def _nested(
    arrays: Sequence[NDArray[np.generic]],
    value_type: pa.DataType,
    shape: tuple[int, ...],
    is_null: pa.Array | None = None,
) -> pa.Array:
    """Lists of ``[T, *shape]`` arrays, one list per array, all levels of any length."""
    flat = np.concatenate([array.reshape(-1) for array in arrays]) if arrays else np.empty(0)
    values = pa.array(flat.astype(value_type.to_pandas_dtype(), copy=False), value_type)
    for size in reversed(shape):
        values = pa.ListArray.from_arrays(_starts([size] * (len(values) // size)), values)
    return pa.ListArray.from_arrays(_starts([len(array) for array in arrays]), values, mask=is_null)


def _regular(values: pa.Array, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """The numbers of nested lists whose inner lengths are ``shape``, flat, or an error."""
    for size in shape:
        if values.null_count or bool((values.value_lengths().to_numpy(zero_copy_only=False) != size).any()):
            raise DatasetError(f"a list is not of length {size}")
        values = values.flatten()
    if values.null_count:
        raise DatasetError("a number is null")
    return np.asarray(values.to_numpy(zero_copy_only=False))


def _same_type(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Compare types; what lists call their items, and whether items may be null, does not count."""
    if pa.types.is_struct(wanted):
        return pa.types.is_struct(found) and all(
            found.get_field_index(field.name) >= 0 and _same_type(found.field(field.name).type, field.type)
            for field in wanted
        )
    if pa.types.is_list(wanted):
        return pa.types.is_list(found) and _same_type(found.value_type, wanted.value_type)
    return bool(found == wanted)


def _opened(file: bytes, *formats: str) -> "Image":
    """Read a picture's header; its pixels are decoded when they are asked for."""
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(file), formats=formats)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError(f"a picture is no {' or '.join(formats)} file, or broken") from error
    except Image.DecompressionBombWarning as error:  # where warnings are errors
        raise DatasetError("a picture is too large") from error


def _check_size(image: "Image", shape: tuple[int, ...]) -> None:
    if (image.height, image.width) != shape[1:]:
        raise DatasetError(f"a picture has {image.height} x {image.width} pixels, not {shape[1]} x {shape[2]}")


def _check_jpeg(file: bytes, shape: tuple[int, ...]) -> None:
    with _opened(file, "JPEG") as image:
        _check_size(image, shape)
        if len(image.getbands()) != shape[0]:
            raise DatasetError(f"a picture has {len(image.getbands())} channels, not {shape[0]}")
