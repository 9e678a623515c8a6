import os
from pathlib import Path

import pytest

from gaitbench.reading.ahead import announce


@pytest.fixture
def advised(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that the kernel is asked to fetch."""
    found: list[str] = []

    def advise(descriptor: int, offset: int, length: int, advice: int) -> None:
        assert (offset, length, advice) == (0, 0, os.POSIX_FADV_WILLNEED)
        found.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    monkeypatch.setattr(os, "posix_fadvise", advise)
    return found


def test_files_of_the_pattern_are_announced_and_closed_again(tmp_path: Path, advised: list[str]) -> None:
    for name in ("1.png", "2.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    announce(tmp_path, "*.png")
    assert sorted(advised) == ["1.png", "2.png"]
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_nothing_is_waited_for_and_nothing_is_raised(tmp_path: Path, advised: list[str]) -> None:
    os.mkfifo(tmp_path / "1.png")
    (tmp_path / "2.png").symlink_to("2.png")
    (tmp_path / "3.png").symlink_to(tmp_path / "1.png")
    announce(tmp_path, "*.png")
    announce(tmp_path / "missing", "*.png")
    assert advised == []


def test_systems_without_the_call_do_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "1.png").write_bytes(b"x")
    monkeypatch.delattr(os, "posix_fadvise")
    announce(tmp_path, "*.png")
