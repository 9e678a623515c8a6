"""Videos, decoded by OpenCV in a process of their own: a decoder is a large program, and files are made to break it.

Axes: T frames, C channels, H rows, W columns.
"""

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import DatasetError
from gaitbench.reading.child import in_child
from gaitbench.reading.images import ImageLimits
from gaitbench.reading.limits import ProcessLimits, check_regular_file, reading

if TYPE_CHECKING:
    from gaitbench.folder.rasters import Treatment

__all__ = ["decode", "read_video"]

_MOST_BYTES = 64 * 2**30
_LOST_FRAMES = 2
"""Containers count a frame or two at the ends that are not shown."""


def read_video(
    path: Path, treatment: "Treatment | None", *, limits: ProcessLimits | None = None
) -> tuple[NDArray[np.uint8], int]:
    """Decode a video, frame by frame, each of which is treated before the next one.

    Args:
        path: An MP4, AVI, QuickTime or Matroska file; its content, not its name, says what it is.
        treatment: What is done to frames; None for the first one alone, as it is.
        limits: Of the process; None for the defaults.

    Returns:
        ``[T, H, W]``, or ``[T, 3, H, W]`` of colours, and how many frames the video has.

    Raises:
        DatasetError: It is no such video, is damaged or cut short, or asks for too much memory or time.
    """
    chosen = None if treatment is None else asdict(treatment)
    found = in_child("gaitbench.folder.video:decode", path, chosen, limits=limits)
    return found["frames"], found["num_frames"]


def decode(path: str, chosen: dict[str, Any] | None) -> dict[str, Any]:
    """Run as the child of :func:`read_video`."""
    from gaitbench.folder.rasters import Treatment, treated

    file = Path(path)
    with reading(file):
        _check_container(file)
        if chosen is None:
            frame = next(_frames(file, is_grey=False))
            return {"frames": frame[None], "num_frames": 1}
        treatment = Treatment(**{**chosen, "size_px": tuple(chosen["size_px"])})
        names = (f"{file}: frame {number}" for number in range(2**63))
        frames, num_frames = treated(_frames(file, is_grey=treatment.pixels == "grey"), names, treatment, is_lossy=True)
        return {"frames": np.stack(frames) if frames else np.empty(0, np.uint8), "num_frames": num_frames}


def _check_container(path: Path) -> None:
    """Let in four containers: decoders also take playlists for videos, which name other files and addresses."""
    check_regular_file(path, _MOST_BYTES)
    with path.open("rb") as file:
        start = file.read(12)
    is_mp4 = start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
    is_avi = start[:4] == b"RIFF" and start[8:12] == b"AVI "
    if not (is_mp4 or is_avi or start[:4] == b"\x1aE\xdf\xa3"):
        raise DatasetError(f"{path} is no MP4, AVI, QuickTime or Matroska video; copy it again, or convert it")


def _frames(path: Path, *, is_grey: bool) -> Iterator[NDArray[np.uint8]]:
    # No file that a video names is opened, and no address.
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "protocol_whitelist;file"
    import cv2

    cv2.setNumThreads(1)
    limits = ImageLimits()
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    width, height = int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
    if not video.isOpened() or width < 1 or height < 1:
        raise DatasetError(f"{path} is no video that OpenCV can decode, or is damaged; copy it again, or convert it")
    if width * height > limits.num_pixels:
        raise DatasetError(f"{path} has {width} x {height} pixels, more than the limit of {limits.num_pixels:,}")
    number = 0
    while True:
        is_read, frame = video.read()
        if not is_read:
            break
        number += 1
        if is_grey:
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).astype(np.uint8, copy=False)
        else:
            yield np.ascontiguousarray(frame[:, :, ::-1].transpose(2, 0, 1))
    expected = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    video.release()
    if number == 0 or number < expected - _LOST_FRAMES:
        raise DatasetError(
            f"{path} has {number} frames that can be decoded, and says it has {expected}; it is damaged or cut short: "
            "copy it again, or convert it"
        )
