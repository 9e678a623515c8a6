"""The window with points, with a stand-in for Open3D that notes what it is given."""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gaitbench.card import DatasetCard, StreamInfo
from gaitbench.cli import main
from gaitbench.dataset import BuilderOptions, DatasetBuilder, GaitDataset
from gaitbench.errors import DatasetError, UsageError
from gaitbench.open3d_extra import load_open3d
from gaitbench.point_viewer import height_colours, view_points
from gaitbench.prepare import prepare
from gaitbench.sequence import Absent, PointFrames, SequenceInfo

COUNTS = (3, 0, 2)


class Clouds(DatasetBuilder):
    """Three walks: one without frames, one of three frames, one whose frames are empty."""

    def card(self) -> DatasetCard:
        streams = {
            "lidar": StreamInfo(frame_shape=(3,), frame_rate_hz=1000.0),
            "silhouette": StreamInfo(frame_shape=(1, 4, 4), frame_rate_hz=1000.0),
        }
        return DatasetCard(name="clouds", version="1", title="Clouds", streams=streams)

    def sequences(self) -> list[SequenceInfo]:
        return [SequenceInfo(sequence_id=name, subject_id=name, condition="nm", view="0") for name in ("a", "b", "c")]

    def frames(self, sequences: Any, modality: str) -> Any:
        for info in sequences:
            if modality == "silhouette":
                yield np.zeros((2, 1, 4, 4), np.uint8)
            elif info.sequence_id == "a":
                yield Absent("nobody was seen", is_defect=False)
            elif info.sequence_id == "b":
                points = np.arange(sum(COUNTS) * 3, dtype=np.float32).reshape(-1, 3)
                yield PointFrames(points, np.cumsum([0, *COUNTS]))
            else:
                yield PointFrames(np.zeros((0, 3), np.float32), np.zeros(3, np.int64))


class Window:
    """Keeps the number of points of every frame; closes itself when told to."""

    opens: bool | None = True
    closes_after = 10**6
    shown: list[int]

    def __init__(self) -> None:
        Window.shown = []
        self.num_polls = 0
        Window.is_destroyed = False

    def create_window(self, **about: object) -> bool | None:
        Window.title = about["window_name"]
        return self.opens

    def add_geometry(self, cloud: Any) -> None:
        Window.first = len(cloud.points)

    def get_render_option(self) -> None:
        return None

    def get_view_control(self) -> Any:
        return types.SimpleNamespace(set_front=lambda _: None, set_up=lambda up: setattr(Window, "up", up))

    def update_geometry(self, cloud: Any) -> None:
        assert len(cloud.points) == len(cloud.colors)
        Window.shown.append(len(cloud.points))

    def poll_events(self) -> bool:
        self.num_polls += 1
        return self.num_polls <= self.closes_after

    def update_renderer(self) -> None:
        pass

    def destroy_window(self) -> None:
        Window.is_destroyed = True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    prepare(Clouds, BuilderOptions(), None, tmp_path / "clouds", ["lidar"], workers=1, progress=False)
    return tmp_path / "clouds"


@pytest.fixture
def open3d(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = types.ModuleType("open3d")
    fake.visualization = types.SimpleNamespace(Visualizer=Window)  # type: ignore[attr-defined]
    fake.geometry = types.SimpleNamespace(PointCloud=types.SimpleNamespace)  # type: ignore[attr-defined]
    fake.utility = types.SimpleNamespace(Vector3dVector=np.array)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "open3d", fake)
    monkeypatch.setenv("DISPLAY", ":0")


@pytest.mark.usefixtures("open3d")
def test_every_frame_is_shown_and_the_window_closed(folder: Path) -> None:
    shown = view_points(GaitDataset.open(folder), is_once=True)
    assert shown == ("b", "lidar", 3, 5), "the first walk that has points"
    assert Window.first == 5, "the camera is set to the whole walk"
    assert Window.shown == list(COUNTS)
    assert Window.is_destroyed
    assert Window.title == "b - lidar"
    assert Window.up == (0, 0, 1), "a walker stands"


@pytest.mark.usefixtures("open3d")
def test_it_plays_until_it_is_closed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Window, "closes_after", 40)
    assert main(["info", str(folder), "--view3d", "--sequence", "b"]) == 0
    assert capsys.readouterr().out == "b: 3 frames of lidar, 5 points\n"
    assert Window.is_destroyed


@pytest.mark.usefixtures("open3d")
def test_what_has_no_points_is_told(folder: Path, tmp_path: Path) -> None:
    dataset = GaitDataset.open(folder)
    with pytest.raises(UsageError, match=r"has no sequence 'bb'; did you mean 'b'\?"):
        view_points(dataset, "bb")
    with pytest.raises(DatasetError, match="a has no lidar: nobody was seen"):
        view_points(dataset, "a")
    with pytest.raises(DatasetError, match="c has 2 frames without any point"):
        view_points(dataset, "c")
    masks = prepare(Clouds, BuilderOptions(), None, tmp_path / "masks", ["silhouette"], workers=1, progress=False)
    with pytest.raises(DatasetError, match="has silhouette and no points"):
        view_points(masks)


@pytest.mark.usefixtures("open3d")
def test_no_window_can_be_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Window, "opens", False)
    with pytest.raises(UsageError, match="there is no display here"):
        view_points(GaitDataset.open(folder))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UsageError, match="there is no display here"):
        view_points(GaitDataset.open(folder))


def test_open3d_is_named_where_it_is_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    assert main(["info", str(folder), "--view3d"]) == 2
    assert "pip install 'gaitbench-lidar[open3d]'" in capsys.readouterr().err
    assert main(["info", "walkers", "--sequence", "x"]) == 2
    assert "give both, or neither" in capsys.readouterr().err


def test_open3d_that_cannot_be_loaded_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "open3d.py").write_text("raise OSError('libGL.so.1: cannot open shared object file')")
    monkeypatch.delitem(sys.modules, "open3d", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match=r"cannot be loaded: libGL\.so\.1.*libgl1"):
        load_open3d("3D views")


def test_height_is_the_colour() -> None:
    colours = height_colours(np.array([[0, 0, 1.0], [5, 5, 1.0]]))
    assert (colours[0] == colours[1]).all()
    assert height_colours(np.zeros((0, 3))).shape == (0, 3)
