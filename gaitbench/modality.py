"""What a stream of frames is: shape, range, dtype, and how it is packed on disk.

Axes of one decoded sequence: rasters ``[T, C, H, W]``, joints ``[T, V, D]`` (D = 2 or 3, or 3 with a
confidence), points a ragged list ``[sum(T_i), D]`` with offsets ``[T + 1]``.
"""

from dataclasses import dataclass
from typing import Literal

__all__ = ["CODECS", "Codec", "FrameKind", "Modality"]

FrameKind = Literal["raster", "joints", "points"]
"""What one frame is: an image, a skeleton, or a cloud of points."""

Codec = Literal["bits", "raw", "jpeg", "points16"]
"""How frames are stored.

``bits``: one bit per pixel (masks). ``raw``: the array's bytes, C order, little endian. ``jpeg``: one JPEG
file per frame. ``points16``: float16 coordinates relative to an origin per sequence.
"""


CODECS: dict[FrameKind, tuple[Codec, ...]] = {
    "raster": ("bits", "raw", "jpeg"),
    "joints": ("raw",),
    "points": ("points16",),
}
"""Codecs that can store each kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Modality:
    """One kind of stream.

    Attributes:
        name: The word used on the command line and in results, such as ``silhouette``.
        title: One line for listings.
        kind: What one frame is.
        codec: How frames are stored.
        dtype: NumPy dtype of decoded frames: ``uint8``, ``uint16`` or ``float32``.
        channels: Channels of a raster, values per joint, or values per point.
        value_range: Smallest and largest decoded value that is meaningful.
        unit: Unit of the values, such as ``mm``, ``px``, ``m`` or ``class``; empty for plain intensities.
        is_exact: True when regenerating or re-reading gives the same bytes on every machine, so that the
            bytes belong to a dataset's fingerprint. Floats from a renderer are not exact.
    """

    name: str
    title: str
    kind: FrameKind
    codec: Codec
    dtype: str
    channels: int
    value_range: tuple[float, float]
    unit: str = ""
    is_exact: bool = True


SILHOUETTE = Modality(
    name="silhouette",
    title="Binary masks of the walking person, height-normalised",
    kind="raster",
    codec="bits",
    dtype="uint8",
    channels=1,
    value_range=(0, 1),
)
RGB = Modality(
    name="rgb",
    title="Colour crops of the walking person",
    kind="raster",
    codec="jpeg",
    dtype="uint8",
    channels=3,
    value_range=(0, 255),
    is_exact=False,
)
DEPTH = Modality(
    name="depth",
    title="Depth-camera images, distance along the optical axis; 0 means no return",
    kind="raster",
    codec="raw",
    dtype="uint16",
    channels=1,
    value_range=(0, 65535),
    unit="mm",
    is_exact=False,
)
PARSING = Modality(
    name="parsing",
    title="Body-part maps; 0 is the background",
    kind="raster",
    codec="raw",
    dtype="uint8",
    channels=1,
    value_range=(0, 255),
    unit="class",
)
LIDAR = Modality(
    name="lidar",
    title="LiDAR returns on the person, x forward, y left, z up from the sensor",
    kind="points",
    codec="points16",
    dtype="float32",
    channels=3,
    value_range=(-200, 200),
    unit="m",
    is_exact=False,
)
LIDAR_DEPTH = Modality(
    name="lidar-depth",
    title="LiDAR returns projected to an aligned range image; 0 is no return, 255 the nearest of a frame",
    kind="raster",
    codec="raw",
    dtype="uint8",
    channels=1,
    value_range=(0, 255),
    is_exact=False,
)
SKELETON_2D = Modality(
    name="skeleton2d",
    title="COCO-17 joints in the image: x, y, confidence",
    kind="joints",
    codec="raw",
    dtype="float32",
    channels=3,
    value_range=(-10000, 10000),
    unit="px",
    is_exact=False,
)
SKELETON_3D = Modality(
    name="skeleton3d",
    title="COCO-17 joints in space, x forward, y left, z up",
    kind="joints",
    codec="raw",
    dtype="float32",
    channels=3,
    value_range=(-200, 200),
    unit="m",
    is_exact=False,
)

SILHOUETTE_RAW = Modality(
    name="silhouette-raw",
    title="Masks of the walking person as cut from the video, neither aligned nor height-normalised",
    kind="raster",
    codec="raw",
    dtype="uint8",
    channels=1,
    value_range=(0, 255),
)
ASPECT_RATIO = Modality(
    name="aspect-ratio",
    title="Width over height of the person's box in the video, as one joint of one value",
    kind="joints",
    codec="raw",
    dtype="float32",
    channels=1,
    value_range=(0, 1000),
)
SKELETON_MAP = Modality(
    name="skeleton-map",
    title="Soft pictures of the skeleton: limbs in one channel, joints in the other",
    kind="raster",
    codec="raw",
    dtype="uint8",
    channels=2,
    value_range=(0, 255),
    is_exact=False,
)
OPTICAL_FLOW = Modality(
    name="optical-flow",
    title="Optical flow of the walking person as colours",
    kind="raster",
    codec="raw",
    dtype="uint8",
    channels=3,
    value_range=(0, 255),
    is_exact=False,
)
SMPL = Modality(
    name="smpl",
    title="SMPL body model of each frame, as one joint: 3 camera, 72 pose and 10 shape values",
    kind="joints",
    codec="raw",
    dtype="float32",
    channels=85,
    value_range=(-1000, 1000),
    is_exact=False,
)

CORE_MODALITIES = (
    SILHOUETTE,
    RGB,
    DEPTH,
    PARSING,
    LIDAR,
    LIDAR_DEPTH,
    SKELETON_2D,
    SKELETON_3D,
    SILHOUETTE_RAW,
    ASPECT_RATIO,
    SKELETON_MAP,
    OPTICAL_FLOW,
    SMPL,
)
"""The modalities that core registers, as several packages supply or read them; plugins add others."""
