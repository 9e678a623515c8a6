"""A finished folder that is prepared again: what was damaged since is told, with the file and the next step."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gaitbench.cli import main


@pytest.fixture
def again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Prepare eight walks in two streams, and give what prepares them once more."""
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for number in range(8):
        walk = tmp_path / "source" / f"p{number}" / "nm" / "090"
        for modality, frames in (
            ("silhouette", rng.random((4, 64, 44)) > 0.5),
            ("depth", rng.integers(0, 999, (4, 8, 8), dtype=np.uint16)),
        ):
            (walk / modality).mkdir(parents=True)
            np.save(walk / modality / "a.npy", frames)
    command = ["prepare", "folder", "--source", str(tmp_path / "source"), "--out", str(tmp_path / "out")]
    command += ["--option", "align=false", "--workers", "1"]
    assert main(command) == 0
    return lambda *more: main([*command, *more])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


FILES = ["dataset.json", "sequences.arrow", "manifest.parquet", "streams/depth/00000.arrow"]


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink], ids=["flipped", "cut", "gone"])
@pytest.mark.parametrize("name", FILES)
def test_damage_is_told(
    again: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
    name: str,
) -> None:
    capsys.readouterr()
    damage(tmp_path / "out" / name)
    code = again()
    if (name, damage) == ("dataset.json", Path.unlink):
        # Without its card it is no finished folder, and everything is read again.
        assert code == 0
        assert main(["verify", str(tmp_path / "out")]) == 0
        return
    message = " ".join(capsys.readouterr().err.split())
    assert code == 1
    assert Path(name).name in message
    assert "gaitbench prepare` again" in message


def test_damage_of_a_stream_that_nobody_asks_for(again: Callable[..., int], tmp_path: Path) -> None:
    flip(tmp_path / "out" / "streams/depth/00000.arrow")
    assert again("--modalities", "silhouette") == 1


def test_a_sound_folder_is_left_alone(again: Callable[..., int], tmp_path: Path) -> None:
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert again() == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == files
