"""A dataset of moving squares in every codec, made in milliseconds; for any test that needs prepared data."""

import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from pydantic import PositiveInt

from gaitbench.dataset import Attribute, BuilderOptions, DatasetBuilder, DatasetCard, GaitDataset, StreamInfo
from gaitbench.prepare import prepare
from gaitbench.sequence import Frames, PointFrames, SequenceInfo

__all__ = ["ALL_MODALITIES", "KinBuilder", "OtherBuilder", "TinyBuilder", "TinyOptions", "prepare_tiny"]

ALL_MODALITIES = ("silhouette", "rgb", "depth", "parsing", "lidar", "lidar-depth", "skeleton2d", "skeleton3d")


class TinyOptions(BuilderOptions):
    """Sizes."""

    num_subjects: PositiveInt = 6
    """Subjects ``000``, ``001`` ..."""
    num_sequences: PositiveInt = 4
    """Sequences of each, with conditions nm-01, bg-01, cl-01 in turn and views 000, 090 in turn."""
    min_frames: PositiveInt = 8
    """Shortest sequence."""
    max_frames: PositiveInt = 20
    """Longest sequence."""
    height_px: PositiveInt = 64
    """Rows."""
    width_px: PositiveInt = 64
    """Columns."""
    seed: int = 0
    """Changes every frame."""
    lidar_rate_hz: float = 25.0
    """Frame rate of LiDAR; the other streams run at 25 Hz."""
    lidar_clock: str | None = None
    """What timed LiDAR, where it was not what timed the other streams."""
    delay_s: float = 0.0
    """Time that each sequence takes, to be interrupted in."""
    hide_frames: bool = False
    """Do not say in advance how long sequences are."""


class TinyBuilder(DatasetBuilder):
    """Squares whose size and speed are the subject's."""

    options: TinyOptions

    def card(self) -> DatasetCard:
        o = self.options
        rate = 25.0
        unsaid = {"delay_s"} if o.lidar_clock else {"delay_s", "lidar_clock"}
        raster = (o.height_px, o.width_px)
        return DatasetCard(
            name="tiny",
            version="1",
            title="Moving squares",
            streams={
                "silhouette": StreamInfo(frame_shape=(1, *raster), frame_rate_hz=rate),
                "rgb": StreamInfo(frame_shape=(3, *raster), frame_rate_hz=rate),
                "depth": StreamInfo(frame_shape=(1, *raster), frame_rate_hz=rate),
                "parsing": StreamInfo(frame_shape=(1, *raster), frame_rate_hz=rate),
                "lidar": StreamInfo(frame_shape=(3,), frame_rate_hz=o.lidar_rate_hz, clock=o.lidar_clock),
                "lidar-depth": StreamInfo(frame_shape=(1, *raster), frame_rate_hz=o.lidar_rate_hz, clock=o.lidar_clock),
                "skeleton2d": StreamInfo(frame_shape=(17, 3), frame_rate_hz=rate),
                "skeleton3d": StreamInfo(frame_shape=(17, 3), frame_rate_hz=rate),
            },
            attributes=(
                Attribute(name="size", title="Size", classes=("small", "large")),
                Attribute(name="speed", title="Speed", classes=("slow", "middle", "fast")),
            ),
            options=o.model_dump(mode="json", exclude=unsaid),
        )

    def sequences(self) -> Sequence[SequenceInfo]:
        o = self.options
        infos = []
        for subject in range(o.num_subjects):
            for number in range(o.num_sequences):
                condition = ("nm-01", "bg-01", "cl-01")[number // 2 % 3]
                view = ("000", "090")[number % 2]
                name = f"{subject:03d}-{condition}-{view}-{number}"
                length = int(self._rng(name).integers(o.min_frames, o.max_frames + 1))
                infos.append(
                    SequenceInfo(
                        sequence_id=name,
                        subject_id=f"{subject:03d}",
                        condition=condition,
                        view=view,
                        view_deg=float(view),
                        num_frames=0 if o.hide_frames else length,
                        attributes=(subject % 2, subject % 3 if number else -1),
                    )
                )
        return infos

    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames]:
        for info in sequences:
            time.sleep(self.options.delay_s)
            yield self._draw(info, modality)

    def _rng(self, name: str) -> np.random.Generator:
        return np.random.default_rng([self.options.seed, zlib.crc32(name.encode())])

    def _draw(self, info: SequenceInfo, modality: str) -> Frames:
        o = self.options
        length = int(self._rng(info.sequence_id).integers(o.min_frames, o.max_frames + 1))
        rng = self._rng(info.sequence_id + modality)
        subject = int(info.subject_id)
        if modality.startswith("lidar"):
            length = max(1, int((length - 1) * o.lidar_rate_hz / 25.0) + 1)
        t = np.arange(length)
        if modality == "lidar":
            counts = rng.integers(0 if length > 3 else 1, 12, size=length)
            offsets = np.concatenate([[0], counts.cumsum()]).astype(np.int64)
            points = rng.normal([8.0, 0.1 * subject, 0.5], 0.4, (int(offsets[-1]), 3))
            return PointFrames(points.astype(np.float32), offsets)
        if modality.startswith("skeleton"):
            return rng.normal(0, 1, (length, 17, 3)).astype(np.float32)
        side = 4 + subject % 4
        top = (t * (1 + subject % 3)) % max(1, o.height_px - side)
        left = (2 * t + subject) % max(1, o.width_px - side)
        row, column = np.ogrid[: o.height_px, : o.width_px]
        inside = (row >= top[:, None, None]) & (row < top[:, None, None] + side)
        mask = inside & (column >= left[:, None, None]) & (column < left[:, None, None] + side)
        mask = mask[:, None]
        if modality == "silhouette":
            return mask.astype(np.uint8)
        if modality == "rgb":
            return np.where(mask, np.array([200, 90, 40], np.uint8)[:, None, None], np.uint8(20)).astype(np.uint8)
        if modality == "depth":
            return np.where(mask, 5000 + 100 * subject, 0).astype(np.uint16)
        if modality == "parsing":
            return (mask * (1 + t % 5)[:, None, None, None]).astype(np.uint8)
        return (mask * 200).astype(np.uint8)


class OtherBuilder(TinyBuilder):
    """The same squares under the name ``other``."""

    def card(self) -> DatasetCard:
        return super().card().model_copy(update={"name": "other"})


class KinBuilder(TinyBuilder):
    """The same squares under the name ``kin``."""

    def card(self) -> DatasetCard:
        return super().card().model_copy(update={"name": "kin"})


def prepare_tiny(
    out: Path, modalities: Sequence[str] = ("silhouette",), *, workers: int | None = 1, **options: object
) -> GaitDataset:
    """Prepare moving squares into a folder."""
    return prepare(TinyBuilder, TinyOptions(**options), None, out, modalities, workers=workers, progress=False)
