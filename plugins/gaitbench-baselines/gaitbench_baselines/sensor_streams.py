"""Streams of any camera or LiDAR as pictures of one size, so that one kind of network reads them all.

Axes: N batch, C channels, T frames, V joints, M images, H rows, W columns.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ModelError, ShapeError
from gaitbench.layers import fold_frames, skeleton_map
from gaitbench.model import GaitBatch, InputSpec, clips_of

__all__ = [
    "STREAMS",
    "Encoding",
    "StreamSize",
    "check_streams",
    "num_channels",
    "pictures_of",
    "present",
    "stream_specs",
]

_REACH_MM = 600.0
"""How far a depth image tells distances apart before and behind the middle of the body."""

Encoding = Literal["jet3", "gray1"]
"""How a range image enters: three channels in false colour as published, or one channel."""


class _Stream(NamedTuple):
    """How a modality becomes pictures."""

    channels: int
    """Of the pictures."""
    scale: float = 1.0
    """Decoded values are divided by this."""
    form: Literal["raster", "range", "colour", "metric", "joints"] = "raster"
    """``range`` may be coloured, ``colour`` has any size, ``metric`` is millimetres, ``joints`` are drawn."""


STREAMS: Mapping[str, _Stream] = MappingProxyType(
    {
        "silhouette": _Stream(1),
        "infrared-silhouette": _Stream(1),
        "lidar-silhouette": _Stream(1),
        "parsing": _Stream(1),
        "lidar-depth": _Stream(3, 255.0, "range"),
        "rgb": _Stream(3, 255.0, "colour"),
        "infrared": _Stream(3, 255.0, "colour"),
        "event": _Stream(3, 255.0, "colour"),
        "depth-colour": _Stream(3, 255.0, "colour"),
        "radar-depth": _Stream(3, 255.0, "colour"),
        "depth": _Stream(1, 1.0, "metric"),
        "skeleton-map": _Stream(2, 255.0),
        "skeleton2d": _Stream(2, 1.0, "joints"),
    }
)
"""Modalities that can be read, some of which other packages register."""


class StreamSize(Protocol):
    """What a configuration says of the pictures that a network reads."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """Streams, in the order in which the model names them."""

    @property
    def height_px(self) -> int:
        """H."""

    @property
    def width_px(self) -> int:
        """W."""

    @property
    def encoding(self) -> Encoding:
        """Of range images."""


def check_streams(modalities: Sequence[str]) -> None:
    """Refuse, as pydantic's validators do, streams that are no pictures or are named twice.

    Raises:
        ValueError: Fewer than two modalities, one of them twice, or one that cannot be read.
    """
    if unknown := [name for name in modalities if name not in STREAMS]:
        hint = "; of LiDAR points read the range images, 'lidar-depth'" if "lidar" in unknown else ""
        raise ValueError(
            f"modalities: {', '.join(unknown)} cannot be read as pictures{hint}; can: {', '.join(STREAMS)}"
        )
    if len(modalities) < 2 or len(set(modalities)) < len(modalities):
        raise ValueError(f"modalities must be two different ones or more, got {', '.join(modalities) or 'none'}")


def num_channels(modality: str, encoding: Encoding = "jet3") -> int:
    """Channels of a stream's pictures.

    Example:
        >>> num_channels("lidar-depth"), num_channels("lidar-depth", "gray1"), num_channels("skeleton2d")
        (3, 1, 2)
    """
    stream = STREAMS[modality]
    return 1 if stream.form == "range" and encoding == "gray1" else stream.channels


def stream_specs(config: StreamSize) -> tuple[InputSpec, ...]:
    """The input contract of a network that reads these streams."""
    return tuple(_spec(name, config) for name in config.modalities)


def _spec(modality: str, config: StreamSize) -> InputSpec:
    stream = STREAMS[modality]
    if stream.form == "joints":
        return InputSpec(modality=modality, channels=3)
    if stream.form in ("colour", "metric"):
        return InputSpec(modality=modality, channels=stream.channels, scale=stream.scale)
    is_jet = stream.form == "range" and config.encoding == "jet3"
    return InputSpec(
        modality=modality,
        height_px=config.height_px,
        width_px=config.width_px,
        channels=num_channels(modality, config.encoding),
        scale=1.0 if is_jet else stream.scale,
        colour_map="jet" if is_jet else "none",
    )


def present(batch: GaitBatch, modalities: Sequence[str]) -> list[str]:
    """Which of a model's modalities a batch holds, in the model's order.

    Raises:
        ModelError: None of them.
    """
    if found := [name for name in modalities if name in batch.inputs]:
        return found
    raise ModelError(f"the batch holds {', '.join(batch.inputs) or 'nothing'}, not {' or '.join(modalities)}")


def pictures_of(batch: GaitBatch, modality: str, config: StreamSize) -> tuple[Tensor, Tensor]:
    """Take one stream out of a batch as pictures of the network's size.

    Joints are drawn as maps of limbs and of joints. Depth in millimetres becomes nearness: 0 where nothing came back,
    else from 1/255 to 1 over 1.2 m around the mean distance of a frame, however far away that is. Colour crops are
    brought to H rows with their proportions, and their sides are cut or filled with zeros.

    Args:
        batch: Any batch.
        modality: One of :data:`STREAMS`.
        config: The size.

    Returns:
        All frames ``[N*T, C, H, W]`` in [0, 1] (labels of parsing maps as they are), channels last in memory, and the
        real frames of each clip ``[N]``.

    Raises:
        ModelError: The batch does not hold the modality.
        ShapeError: The clips have other axes, channels or pixels, or their numbers of frames do not fit.
    """
    stream, size = STREAMS[modality], (config.height_px, config.width_px)
    if stream.form == "joints":
        return _drawn(batch, modality, *size)
    clips, num_frames = clips_of(batch, modality)
    frames = fold_frames(clips)
    if stream.form == "metric":
        frames = _nearness(frames)
    if stream.form in ("colour", "metric"):
        frames = _fitted(frames, *size)
    wanted = (num_channels(modality, config.encoding), *size)
    if tuple(frames.shape[1:]) != wanted:
        raise ShapeError(f"{modality} must be [N, {wanted[0]}, T, {wanted[1]}, {wanted[2]}], got {list(clips.shape)}")
    return frames, num_frames


def _drawn(batch: GaitBatch, modality: str, height_px: int, width_px: int) -> tuple[Tensor, Tensor]:
    if modality not in batch.inputs:
        raise ModelError(f"the batch holds {', '.join(batch.inputs) or 'nothing'}, but the model reads {modality}")
    joints = batch.inputs[modality]
    if joints.dim() != 4:
        raise ShapeError(f"joints must be [N, 3, T, V], got {list(joints.shape)}")
    return fold_frames(skeleton_map(joints, height_px=height_px, width_px=width_px)), batch.num_frames[modality]


def _nearness(depth: Tensor) -> Tensor:
    """``[M, 1, H, W]`` distances in mm, 0 for none, as nearness in [0, 1] around the middle of each frame's body."""
    middle = _mean_of(depth, depth > 0)
    # Where an augmentation blended the body with nothing, the distance is that of neither.
    is_seen = depth > middle / 2
    middle = _mean_of(depth, is_seen)
    share = ((middle + _REACH_MM - depth) / (2 * _REACH_MM)).clamp(0, 1)
    return torch.where(is_seen, (share * 254 + 1) / 255, 0.0)


def _mean_of(depth: Tensor, chosen: Tensor) -> Tensor:
    """``[M, 1, 1, 1]``."""
    axes = (1, 2, 3)
    total = (depth * chosen).sum(dim=axes, keepdim=True)
    return total / chosen.sum(dim=axes, keepdim=True).clamp_min(1)


def _fitted(frames: Tensor, height_px: int, width_px: int) -> Tensor:
    height, width = frames.shape[2:]
    if height != height_px:
        size = (height_px, max(1, round(width * height_px / height)))
        frames = functional.interpolate(frames.float(), size, mode="bilinear", align_corners=False, antialias=True)
    left = (width_px - frames.shape[3]) // 2
    right = width_px - frames.shape[3] - left
    if left == right == 0:
        return frames
    # Negative widths cut.
    return functional.pad(frames, (left, right)).contiguous(memory_format=torch.channels_last)
