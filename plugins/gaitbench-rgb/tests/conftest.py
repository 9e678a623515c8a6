"""Made-up people for small trees of official files."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray


def walking_masks(
    subject: int, num_frames: int, *, take: int = 0, size_px: tuple[int, int] = (64, 64)
) -> NDArray[np.uint8]:
    """A body and two legs that swing, ``[T, H, W]``, with soft edges; the build is the subject's."""
    person = np.random.default_rng(subject)
    girth, stride, head = person.uniform(0.1, 0.2), person.uniform(0.08, 0.25), person.uniform(0.12, 0.25)
    height, width_px = size_px
    y, x = np.mgrid[0:height, 0:width_px] + 0.5
    y, x = y / height, (x - width_px / 2) / height
    frames = []
    for phase in 2 * np.pi * (np.arange(num_frames) / 9 + 0.13 * take):
        lean = stride * np.clip(y - 0.5, 0, 0.5) * np.sin(phase)
        width = np.where(y < head, 0.6 * girth, np.where(y < 0.5, girth, 0.45 * girth))
        legs = np.minimum(np.abs(x - 2 * lean), np.abs(x + 2 * lean))
        frames.append(np.clip((width - np.where(y < 0.5, np.abs(x), legs)) * height + 0.5, 0, 1))
    return np.round(np.stack(frames) * 255).astype(np.uint8)


def in_colour(masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Masks ``[T, H, W]`` as clothes of one colour, ``[T, 3, H, W]``."""
    return np.stack([masks, masks // 2, masks // 3], axis=1)


@pytest.fixture
def masks() -> Callable[..., NDArray[np.uint8]]:
    return walking_masks


@pytest.fixture
def colours() -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    return in_colour


@pytest.fixture
def save() -> Callable[[Path, object], None]:
    def write(path: Path, value: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(value))

    return write
