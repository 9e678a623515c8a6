"""People who walk through pictures, and the ways in which somebody may have saved them."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gaitbench.folder.builder import FolderBuilder
from gaitbench.folder.options import FolderOptions

SIZE = (96, 128)


def camera(subject: int, take: int = 0, num_frames: int = 6) -> NDArray[np.uint8]:
    """``[T, 96, 128]`` masks of 0 and 255."""
    frames = np.zeros((num_frames, *SIZE), np.uint8)
    for t, frame in enumerate(frames):
        swing = round(6 * np.sin(t + take))
        cv2.ellipse(frame, (40 + 5 * t, 48), (8 + 2 * subject, 28 + 3 * subject), 0, 0, 360, 255, -1)
        cv2.line(frame, (40 + 5 * t, 60), (40 + 5 * t + swing, 92), 255, 5)
    return frames


def save_png(folder: Path, frames: NDArray[np.generic], name: str = "{}.png") -> None:
    """A picture per frame, numbered from 1 without leading zeros; colours are ``[T, H, W, 3]``."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames, 1):
        assert cv2.imwrite(str(folder / name.format(number)), frame[..., ::-1] if frame.ndim == 3 else frame)


def save_video(path: Path, frames: NDArray[np.uint8]) -> None:
    """MP4 or AVI of grey or coloured frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = cv2.VideoWriter.fourcc(*("mp4v" if path.suffix == ".mp4" else "MJPG"))
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, 25.0, frames.shape[1:3][::-1])
    assert writer.isOpened()
    for frame in frames:
        writer.write(np.repeat(frame[..., None], 3, axis=2) if frame.ndim == 2 else frame[..., ::-1])
    writer.release()


def save_array(path: Path, frames: NDArray[np.generic]) -> None:
    """One ``.npy`` file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, frames)


@pytest.fixture
def build() -> Callable[..., FolderBuilder]:
    """A builder on a source, with options."""
    return lambda source, **options: FolderBuilder(FolderOptions(**options), source)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Where somebody's data is."""
    return tmp_path / "own data"
