"""Made-up people for small trees of official files."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gaitbench.projection import jet

Masks = Callable[..., NDArray[np.uint8]]


def walking_masks(subject: int, num_frames: int, *, take: int = 0, size_px: int = 64) -> NDArray[np.uint8]:
    """A body and two legs that swing, ``[T, H, W]``, with soft edges; the build is the subject's."""
    person = np.random.default_rng(subject)
    girth, stride, head = person.uniform(0.1, 0.2), person.uniform(0.08, 0.25), person.uniform(0.12, 0.25)
    y, x = (np.mgrid[0:size_px, 0:size_px] + 0.5) / size_px
    frames = []
    for phase in 2 * np.pi * (np.arange(num_frames) / 9 + 0.13 * take):
        lean = stride * np.clip(y - 0.5, 0, 0.5) * np.sin(phase)
        width = np.where(y < head, 0.6 * girth, np.where(y < 0.5, girth, 0.45 * girth))
        legs = np.minimum(np.abs(x - 0.5 - 2 * lean), np.abs(x - 0.5 + 2 * lean))
        frames.append(np.clip((width - np.where(y < 0.5, np.abs(x - 0.5), legs)) * size_px + 0.5, 0, 1))
    return np.round(np.stack(frames) * 255).astype(np.uint8)


@pytest.fixture
def masks() -> Masks:
    return walking_masks


@pytest.fixture
def jet_images() -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """Range images ``[T, 3, H, W]`` in jet colours of a body that is a mask: the nearest part is its middle."""

    def paint(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        near = np.where(frames > 127, frames // 2 + np.arange(64, dtype=np.uint8)[:, None] + 1, 0)
        return jet(torch.from_numpy(near.astype(np.uint8))).numpy().transpose(0, 3, 1, 2)

    return paint


@pytest.fixture
def save() -> Callable[[Path, object], None]:
    def write(path: Path, value: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(value))

    return write
