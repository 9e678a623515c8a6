"""Packing: decoded frames of one sequence to bytes, and back.

Axes: T frames, C channels, H rows, W columns, V joints, M points of all frames together, D values per point.

Rasters and joints have a fixed number of bytes per frame, so that frames are addressed as rows of a table. JPEG
frames and point clouds differ in size and come with offsets.
"""

import hashlib
import io
import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import DatasetError
from gaitbench.modality import Modality
from gaitbench.sequence import Frames, PointFrames

if TYPE_CHECKING:
    from gaitbench.card import StreamInfo

__all__ = ["JPEG_QUALITY", "Packed", "decode_jpeg", "frame_nbytes", "pack", "pack_nothing", "unpack", "unpack_rows"]

JPEG_QUALITY = 92
"""Quality of stored JPEG frames, without colour subsampling."""


class Packed(NamedTuple):
    """The stored form of one sequence."""

    num_frames: int
    """T; 0 for a sequence that has no frames in this modality."""
    data: NDArray[np.uint8]
    """``[bytes]``: all frames, one after the other."""
    offsets: NDArray[np.int64] | None = None
    """``[T + 1]``: bytes before each frame (``jpeg``) or points before each frame (``points16``); None where
    frames have one size."""
    origin: NDArray[np.float32] | None = None
    """``[D]``: what ``points16`` coordinates are relative to; None for other codecs."""

    def sha256(self) -> bytes:
        """Hash of everything above, 32 bytes."""
        digest = hashlib.sha256(self.num_frames.to_bytes(8, "little"))
        digest.update(np.ascontiguousarray(self.data).data)
        if self.offsets is not None:
            digest.update(self.offsets.astype("<i8").tobytes())
        if self.origin is not None:
            digest.update(self.origin.astype("<f4").tobytes())
        return digest.digest()


def frame_nbytes(modality: Modality, info: "StreamInfo") -> int | None:
    """Bytes of one stored frame, None where frames differ in size.

    Example:
        >>> from gaitbench.card import StreamInfo
        >>> from gaitbench.modality import SILHOUETTE
        >>> frame_nbytes(SILHOUETTE, StreamInfo(frame_shape=(1, 64, 44), frame_rate_hz=25))
        352
    """
    size = math.prod(info.frame_shape)
    if modality.codec == "bits":
        return -(-size // 8)
    if modality.codec == "raw":
        return size * np.dtype(modality.dtype).itemsize
    return None


def pack(frames: Frames, modality: Modality, info: "StreamInfo", sequence_id: str) -> Packed:
    """Check the frames of one sequence and pack them.

    Args:
        frames: Raster ``[T, C, H, W]``, joints ``[T, V, D]`` or :class:`gaitbench.sequence.PointFrames`, of exactly
            the modality's dtype and the stream's frame shape, with values inside the modality's range.
        modality: What a frame is and how it is stored.
        info: The stream in this dataset.
        sequence_id: For messages.

    Returns:
        The stored form.

    Raises:
        DatasetError: No frames, or a wrong type, shape or dtype, or a value that is out of range or not finite.

    Example:
        >>> from gaitbench.card import StreamInfo
        >>> from gaitbench.modality import SILHOUETTE
        >>> info = StreamInfo(frame_shape=(1, 2, 4), frame_rate_hz=25)
        >>> pack(np.ones((3, 1, 2, 4), np.uint8), SILHOUETTE, info, "0001-nm-01").data
        array([255, 255, 255], dtype=uint8)
    """
    where = f"sequence {sequence_id}, {modality.name}"
    if modality.kind == "points":
        return _pack_points(frames, modality, info, where)
    if not isinstance(frames, np.ndarray):
        raise DatasetError(f"{where}: the builder gave {type(frames).__name__} where an array is needed")
    if frames.ndim != 1 + len(info.frame_shape) or frames.shape[1:] != info.frame_shape:
        raise DatasetError(
            f"{where}: frames have shape {list(frames.shape)}, the card says [T, {str(list(info.frame_shape))[1:]}; "
            "correct the builder's card or its frames"
        )
    if frames.dtype != np.dtype(modality.dtype):
        raise DatasetError(
            f"{where}: frames are {frames.dtype}, the modality says {modality.dtype}; convert them in the builder"
        )
    if len(frames) == 0:
        raise DatasetError(f"{where}: no frames; leave the sequence out of the builder's list, or repair its files")
    _check_values(frames, (0, 1) if modality.codec == "bits" else modality.value_range, where)

    if modality.codec == "bits":
        rows = np.packbits(frames.reshape(len(frames), -1).astype(np.uint8, copy=False), axis=1)
        return Packed(len(frames), rows.reshape(-1))
    if modality.codec == "raw":
        little = np.ascontiguousarray(frames, dtype=frames.dtype.newbyteorder("<"))
        return Packed(len(frames), little.reshape(-1).view(np.uint8))
    files = [_encode_jpeg(frame) for frame in frames]
    offsets = np.cumsum([0, *map(len, files)], dtype=np.int64)
    return Packed(len(frames), np.frombuffer(b"".join(files), np.uint8), offsets)


def pack_nothing(modality: Modality, info: "StreamInfo") -> Packed:
    """The stored form of a sequence without frames."""
    has_offsets = modality.codec in ("jpeg", "points16")
    return Packed(
        0,
        np.empty(0, np.uint8),
        np.zeros(1, np.int64) if has_offsets else None,
        np.zeros(info.frame_shape, np.float32) if modality.codec == "points16" else None,
    )


def unpack(packed: Packed, modality: Modality, info: "StreamInfo") -> Frames:
    """Decode all frames of one sequence; the inverse of :func:`pack` up to JPEG and float16 rounding.

    Returns:
        Raster ``[T, C, H, W]``, joints ``[T, V, D]`` or :class:`gaitbench.sequence.PointFrames`, in memory of
        their own.

    Raises:
        DatasetError: The bytes do not fit the stream.
    """
    if modality.codec == "points16":
        assert packed.offsets is not None
        assert packed.origin is not None
        half = packed.data.view("<f2").reshape(-1, info.frame_shape[0])
        return PointFrames(half.astype(np.float32) + packed.origin, packed.offsets.copy())
    if modality.codec == "jpeg":
        assert packed.offsets is not None
        ends = packed.offsets.tolist()
        frames = [
            decode_jpeg(packed.data[start:end].tobytes(), info.frame_shape) for start, end in itertools.pairwise(ends)
        ]
        return np.stack(frames) if frames else np.empty((0, *info.frame_shape), np.uint8)
    width = frame_nbytes(modality, info)
    assert width is not None
    return unpack_rows(packed.data.reshape(packed.num_frames, width), modality, info)


def unpack_rows(rows: NDArray[np.uint8], modality: Modality, info: "StreamInfo") -> NDArray[np.generic]:
    """Decode frames of fixed size.

    Args:
        rows: ``[T, bytes]`` stored frames.
        modality: One with codec ``bits`` or ``raw``.
        info: The stream in this dataset.

    Returns:
        ``[T, *frame_shape]`` in the modality's dtype.

    Example:
        >>> from gaitbench.card import StreamInfo
        >>> from gaitbench.modality import SILHOUETTE
        >>> info = StreamInfo(frame_shape=(1, 1, 4), frame_rate_hz=25)
        >>> unpack_rows(np.array([[0b10110000]], np.uint8), SILHOUETTE, info).reshape(-1)
        array([1, 0, 1, 1], dtype=uint8)
    """
    shape = (len(rows), *info.frame_shape)
    if modality.codec == "bits":
        return np.unpackbits(rows, axis=1, count=math.prod(info.frame_shape)).reshape(shape)
    values = np.ascontiguousarray(rows).view(np.dtype(modality.dtype).newbyteorder("<"))
    return values.astype(modality.dtype).reshape(shape)


def decode_jpeg(data: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Decode one JPEG file to ``[C, H, W]`` uint8.

    Raises:
        DatasetError: It is not a JPEG file of this shape.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            pixels = np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise DatasetError(f"a stored frame is not a readable JPEG file ({error}); run `gaitbench verify`") from error
    pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if pixels.shape != shape:
        raise DatasetError(
            f"a stored JPEG frame has shape {list(pixels.shape)}, not {list(shape)}; run `gaitbench verify`"
        )
    return pixels


def _encode_jpeg(frame: NDArray[np.generic]) -> bytes:
    from PIL import Image

    pixels = frame[0] if frame.shape[0] == 1 else np.ascontiguousarray(frame.transpose(1, 2, 0))
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return file.getvalue()


def _pack_points(frames: Frames, modality: Modality, info: "StreamInfo", where: str) -> Packed:
    if not isinstance(frames, PointFrames):
        raise DatasetError(f"{where}: the builder gave {type(frames).__name__} where PointFrames is needed")
    points, offsets = frames
    if points.ndim != 2 or points.shape[1:] != info.frame_shape:
        raise DatasetError(
            f"{where}: points have shape {list(points.shape)}, the card says [M, {info.frame_shape[0]}]; "
            "correct the builder's card or its points"
        )
    if points.dtype != np.float32 or offsets.dtype != np.int64:
        raise DatasetError(
            f"{where}: points are {points.dtype} and offsets {offsets.dtype}, they must be float32 and int64; "
            "convert them in the builder"
        )
    if offsets.ndim != 1 or len(offsets) < 2:
        raise DatasetError(f"{where}: no frames; leave the sequence out of the builder's list, or repair its files")
    if offsets[0] != 0 or offsets[-1] != len(points) or bool((np.diff(offsets) < 0).any()):
        raise DatasetError(
            f"{where}: offsets must rise from 0 to the {len(points)} points, they go from {offsets[0]} to "
            f"{offsets[-1]}; correct the builder"
        )
    if not len(points):
        origin = np.zeros(info.frame_shape, np.float32)
        return Packed(len(offsets) - 1, np.empty(0, np.uint8), offsets.copy(), origin)
    _check_values(points, modality.value_range, where)
    origin = ((points.min(0).astype(np.float64) + points.max(0)) / 2).astype(np.float32)
    half = np.ascontiguousarray((points - origin).astype("<f2"))
    return Packed(len(offsets) - 1, half.reshape(-1).view(np.uint8), offsets.copy(), origin)


def _check_values(values: NDArray[np.generic], allowed: tuple[float, float], where: str) -> None:
    if values.dtype.kind in "ui":
        limits = np.iinfo(values.dtype)  # type: ignore[type-var]
        if limits.min >= allowed[0] and limits.max <= allowed[1]:
            return
    low, high = float(values.min()), float(values.max())
    # NaN makes min and max NaN, and every comparison with it false.
    if low >= allowed[0] and high <= allowed[1]:
        return
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise DatasetError(f"{where}: {bad} of {values.size} values are NaN or infinite; repair them in the builder")
    raise DatasetError(
        f"{where}: values go from {low:g} to {high:g}, the modality allows {allowed[0]:g} to {allowed[1]:g}; "
        "convert them in the builder"
    )
