"""Videos that are broken or mean harm fail alone, with their name."""

from pathlib import Path

import numpy as np
import pytest

from gaitbench.errors import DatasetError
from gaitbench.folder.rasters import Treatment
from gaitbench.folder.video import read_video
from gaitbench.reading.limits import ProcessLimits

from .conftest import camera, save_video

KEEP = Treatment(modality="silhouette", pixels="grey", size_px=(96, 128), how="keep")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    save_video(tmp_path / "walk.avi", camera(1, num_frames=20))
    return tmp_path / "walk.avi"


def test_a_playlist_is_no_video(tmp_path: Path) -> None:
    """A decoder would follow it to other files and addresses."""
    path = tmp_path / "walk.mp4"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(DatasetError, match=r"walk\.mp4 is no MP4, AVI"):
        read_video(path, KEEP)


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_a_video_that_was_cut_short(video: Path, share: float) -> None:
    data = video.read_bytes()
    video.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DatasetError, match=r"walk\.avi .*(cut short|damaged)"):
        read_video(video, KEEP)


def test_noise_behind_a_right_beginning(tmp_path: Path) -> None:
    path = tmp_path / "walk.mp4"
    path.write_bytes(b"\0\0\0\x18ftypmp42" + np.random.default_rng(0).bytes(5000))
    with pytest.raises(DatasetError, match=r"walk\.mp4"):
        read_video(path, KEEP)


def test_memory_is_limited(video: Path) -> None:
    with pytest.raises(DatasetError, match=r"walk\.avi"):
        read_video(video, KEEP, limits=ProcessLimits(memory_bytes=2**20))


def test_frames_that_show_nobody_are_counted(tmp_path: Path) -> None:
    frames = camera(1, num_frames=8)
    frames[3:5] = 0
    save_video(tmp_path / "walk.avi", frames)
    align = Treatment(modality="silhouette", pixels="grey", size_px=(64, 64), how="align")
    found, num_frames = read_video(tmp_path / "walk.avi", align)
    assert (found.shape, num_frames) == ((6, 64, 64), 8)
