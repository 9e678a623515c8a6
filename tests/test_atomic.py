"""Files are whole or absent, and a folder that cannot be written gives one readable error."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gaitbench.atomic import atomic_path, link, make_folder, remove_leftovers, write_bytes, write_json, write_text
from gaitbench.errors import OutputError


def test_write_creates_parents_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    write_text(path, "first\n")
    write_text(path, "zweite Zeile ä\n")
    assert path.read_bytes() == "zweite Zeile ä\n".encode()
    assert [file.name for file in path.parent.iterdir()] == ["c.txt"]


def test_write_json_keeps_order_and_refuses_nan(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": 1, "a": [1.5, "ä"]})
    assert path.read_text() == '{\n  "b": 1,\n  "a": [\n    1.5,\n    "ä"\n  ]\n}\n'
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"b": 1, "a": [1.5, "ä"]}


@pytest.mark.parametrize("failure", [ValueError("broken"), KeyboardInterrupt()])
def test_failure_keeps_the_old_file(tmp_path: Path, failure: BaseException) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def write_half() -> None:
        with atomic_path(path) as temp:
            temp.write_text("half")
            raise failure

    with pytest.raises(type(failure)):
        write_half()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputError, match=r"taken.*a file stands where a folder is needed"):
        write_text(tmp_path / "taken" / "deep" / "a.txt", "x")
    with pytest.raises(OutputError, match=r"taken.*a file stands where a folder is needed"):
        make_folder(tmp_path / "taken")


def test_folder_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OutputError, match=r"a\.txt.*a folder stands where a file is needed"):
        write_text(tmp_path / "a.txt", "x")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.txt"]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "no permission; choose a folder"),
        (errno.EROFS, "the file system is read-only; choose another folder"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_errors_of_the_system_name_path_and_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, message: str
) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def refuse(*_args: object, **_options: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(OutputError, match=message) as caught:
            write_text(path, "new")
    assert str(path) in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
    assert path.read_text() == "old"


def test_disk_that_fills_up_while_writing(tmp_path: Path) -> None:
    """/dev/full is always full: writing through a link to it fails as on a full disk."""

    def write() -> None:
        with atomic_path(tmp_path / "a.txt") as temp:
            temp.symlink_to("/dev/full")
            temp.write_bytes(b"x" * 10)

    with pytest.raises(OutputError, match="the disk is full"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_content_and_folder_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def watch(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    write_bytes(tmp_path / "a.bin", b"x")
    assert len(synced) == 2
    assert Path(synced[0]).name.startswith(".a.bin.")
    assert synced[1] == str(tmp_path)


def test_killed_writer_leaves_the_old_file_and_a_leftover_that_can_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    code = (
        "import os, signal, sys; from gaitbench.atomic import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temp:\n"
        "    temp.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p or str(Path.cwd()) for p in sys.path)}
    assert subprocess.run([sys.executable, "-c", code, str(path)], env=environment, check=False).returncode == -9
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    remove_leftovers(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_link_is_the_same_file_and_replaces_whatever_was_there(tmp_path: Path) -> None:
    source, path = tmp_path / "source", tmp_path / "deep" / "path"
    source.write_text("new")
    link(source, path)
    assert path.samefile(source)
    link(source, path)
    assert [file.name for file in path.parent.iterdir()] == ["path"]
    write_text(source, "newer")
    assert path.read_text() == "new"
    link(source, path)
    assert path.read_text() == "newer"
    source.unlink()
    assert path.read_text() == "newer"


def test_a_link_is_a_copy_where_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Path, _target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    source, path = tmp_path / "source", tmp_path / "path"
    source.write_text("new")
    link(source, path)
    assert path.read_text() == "new"
    assert not path.samefile(source)
    with pytest.raises(OutputError, match="cannot write"):
        link(tmp_path / "nowhere", tmp_path / "other")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["path", "source"]
