"""People to build small copies of official datasets from, and the way that each copy goes through the command line."""

import json
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gaitbench.cli import main
from gaitbench.silhouettes import align_all

Walk = Callable[..., NDArray[np.uint8]]


def camera_frames(
    subject: int, take: int = 0, num_frames: int = 6, size: tuple[int, int] = (96, 128)
) -> NDArray[np.uint8]:
    """``[T, H, W]`` masks 0 and 255 of somebody who walks through the picture; height and girth are the subject's."""
    rng = np.random.default_rng([subject, take])
    body, girth = 60 + subject * 7 % 20, 8 + subject * 5 % 9
    frames = np.zeros((num_frames, *size), np.uint8)
    for t, frame in enumerate(frames):
        x, top = 30 + 8 * t + int(rng.integers(0, 3)), 6 + int(rng.integers(0, 4))
        cv2.circle(frame, (x, top + 8), 7, 255, -1)
        cv2.ellipse(frame, (x, top + body // 2 - 4), (girth, body // 4), 0, 0, 360, 255, -1)
        for side in (-1, 1):
            foot = x + side * round((4 + girth) * np.sin(0.9 * t + subject))
            cv2.line(frame, (x, top + body // 2), (foot, top + body), 255, 6)
    return frames


@pytest.fixture(scope="session")
def raw() -> Walk:
    """Masks as a camera sees them, ``[T, 96, 128]`` of 0 and 255."""
    return camera_frames


@pytest.fixture(scope="session")
def aligned() -> Walk:
    """Masks as the common pre-treatment leaves them, ``[T, 64, 64]`` with soft edges."""
    return lambda *args, **kwargs: align_all(camera_frames(*args, **kwargs)).frames


@pytest.fixture
def write_pickle() -> Callable[[Path, object], None]:
    """Write a pickle, with its folders."""

    def write(path: Path, content: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(content))

    return write


@pytest.fixture
def write_images() -> Callable[..., None]:
    """Write a picture per frame, named by a pattern with its number from 1 on."""

    def write(folder: Path, frames: NDArray[np.uint8], name: str = "{:04d}.png") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for number, frame in enumerate(frames, 1):
            assert cv2.imwrite(str(folder / name.format(number)), frame)

    return write


@pytest.fixture
def through_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., dict[str, object]]]:
    """Prepare a source and run trivial models on it: ``(dataset, source, *options of run)`` to the records by model."""
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path / "cache"))
    here = os.getcwd()  # noqa: PTH109
    os.chdir(tmp_path)

    def run(dataset: str, source: Path, *options: str, models: tuple[str, ...] = ("nearest-raw",)) -> dict[str, object]:
        out = tmp_path / "prepared"
        assert main(["prepare", dataset, "--source", str(source), "--out", str(out), "--workers", "1"]) == 0
        said = capsys.readouterr()
        arguments = ["run", "--task", "identity", "--dataset", dataset, "--data", str(out), "--model", *models]
        code = main([*arguments, "--device", "cpu", "--json", *options])
        shown = capsys.readouterr()
        assert code == 0, shown.err
        return {"prepare": said.out, **json.loads(shown.out)}

    yield run
    os.chdir(here)
