"""Unpacking: what is sound comes out whole, what is not leaves nothing behind. Hostile names are in test_hostile.py."""

import gzip
import os
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import hostile
import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import REPOSITORY

from gaitbench.errors import DatasetError, OutputError
from gaitbench.reading.archives import ArchiveLimits, unpack
from gaitbench.reading.member_names import path_parts

MEMBERS = {
    "001/nm-01/000/001.png": b"one",
    "001/nm-01/000/002.png": b"",
    "002/\u6b65.png": bytes(3_000_000),
    "a.txt": b"a",
}


def archive(path: Path, kind: str) -> Path:
    if kind == "zip":
        path.write_bytes(hostile.zip_of([("001/", b""), *MEMBERS.items()]))
        return path
    members = [(hostile.special("001", tarfile.DIRTYPE), b"")]
    for name, content in MEMBERS.items():
        info = tarfile.TarInfo(f"./{name}")
        info.mode, info.mtime, info.uid = 0o4777, 1, 0
        members.append((info, content))
    path.write_bytes(hostile.tar_of(members, f"w:{kind}"))
    return path


@pytest.mark.parametrize("kind", ["zip", "", "gz", "bz2", "xz"])
def test_content_comes_out_and_nothing_else(tmp_path: Path, kind: str) -> None:
    done = unpack(archive(tmp_path / "data", kind), tmp_path / "out")
    files = {str(path.relative_to(tmp_path / "out")): path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in files.items()} == MEMBERS
    assert (done.num_files, done.num_bytes) == (len(MEMBERS), sum(map(len, MEMBERS.values())))
    assert all(path.stat().st_mode & (stat.S_ISUID | 0o111) == 0 for path in files.values())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out"]


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_in_all_formats(tmp_path: Path, format_: int) -> None:
    name = "/".join(["folder-with-a-long-name"] * 6) + "/001.png"
    with tarfile.open(tmp_path / "a.tar", "w", format=format_) as tar:
        info = tarfile.TarInfo(name)
        tar.addfile(info)
    unpack(tmp_path / "a.tar", tmp_path / "out")
    assert (tmp_path / "out" / name).is_file()


def test_an_empty_folder_is_filled_and_a_full_one_is_not_touched(tmp_path: Path) -> None:
    data = archive(tmp_path / "data", "zip")
    (tmp_path / "out").mkdir()
    unpack(data, tmp_path / "out")
    with pytest.raises(OutputError, match="is there already; name a new folder"):
        unpack(data, tmp_path / "out")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="is there already"):
        unpack(data, tmp_path / "file")


@pytest.mark.parametrize("kind", ["zip", "gz"])
@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (ArchiveLimits(num_members=3), "members"),
        (ArchiveLimits(num_bytes=1000), "unpacks to more than 1,000 bytes"),
        (ArchiveLimits(num_member_bytes=1000), "has a file of 3,000,000 bytes"),
        (ArchiveLimits(ratio=2, bytes_without_ratio=1000), "as a bomb does"),
        (ArchiveLimits(num_archive_bytes=10), "more than the limit of 10"),
    ],
)
def test_limits_leave_nothing_behind(tmp_path: Path, kind: str, limits: ArchiveLimits, message: str) -> None:
    data = archive(tmp_path / "data", kind)
    with pytest.raises(DatasetError, match=f"data.*{message}"):
        unpack(data, tmp_path / "out", limits=limits)
    assert list(tmp_path.iterdir()) == [data]


def test_a_bomb_in_a_tar(tmp_path: Path) -> None:
    bomb = hostile.special("zeros", tarfile.REGTYPE)
    bomb.size = 600 * 2**20
    with gzip.open(tmp_path / "a.tar.gz", "wb", compresslevel=1) as file:
        file.write(bomb.tobuf())
        for _ in range(600):
            file.write(bytes(2**20))
        file.write(bytes(1024))
    with pytest.raises(DatasetError, match="as a bomb does"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_million_members(tmp_path: Path, kind: str) -> None:
    """Refused within seconds and in little memory, before anything is written."""
    path = tmp_path / f"many.{kind}"
    write_million(path)
    program = (
        "import resource, sys\n"
        "from gaitbench.errors import DatasetError\n"
        "from gaitbench.reading.archives import unpack\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: unpack(sys.argv[1], sys.argv[2])\n"
        "except DatasetError as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    said, grown_kib = done.stdout.splitlines()
    assert "limit" in said
    assert "members" in said
    assert int(grown_kib) < 64 * 1024
    assert time.perf_counter() - started < 60
    assert not (tmp_path / "out").exists()


def write_million(path: Path) -> None:
    count = 1_000_000
    if path.suffix == ".zip":
        entry = hostile.zip_of({"0000000.png": b""})
        at, end = entry.index(b"PK\x01\x02"), entry.index(b"PK\x05\x06")
        directory = entry[at:end] * count
        size, place = len(directory).to_bytes(8, "little"), (at).to_bytes(8, "little")
        number = count.to_bytes(8, "little")
        end_64 = b"PK\x06\x06" + (44).to_bytes(8, "little") + bytes(12) + number * 2 + size + place
        locator = b"PK\x06\x07" + bytes(4) + (at + len(directory)).to_bytes(8, "little") + (1).to_bytes(4, "little")
        tail = b"PK\x05\x06" + bytes(4) + b"\xff\xff" * 2 + b"\xff\xff\xff\xff" * 2 + bytes(2)
        path.write_bytes(entry[:at] + directory + end_64 + locator + tail)
        return
    header = tarfile.TarInfo("0000000.png").tobuf()
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(count // 1000):
            file.write(header * 1000)
        file.write(bytes(1024))


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    leftover = tmp_path / ".out.0123abcd.unpacking"
    (leftover / "001").mkdir(parents=True)
    (tmp_path / ".out-other.0123abcd.unpacking").mkdir()
    unpack(archive(tmp_path / "data", "zip"), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out-other.0123abcd.unpacking", "data", "out"]


def test_other_kinds_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(50))
    with pytest.raises(DatasetError, match=r"unpack it yourself \(7z x a\.7z\), with the password"):
        unpack(tmp_path / "a.7z", tmp_path / "out")
    locked = hostile.zip_of({"a/1.png": b"content"})
    at = locked.index(b"PK\x01\x02")
    (tmp_path / "a.zip").write_bytes(locked[: at + 8] + b"\x01\x00" + locked[at + 10 :])
    with pytest.raises(DatasetError, match="protected with a password; unpack it yourself"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    (tmp_path / "b.zip").write_bytes(hostile.zip_of({"part.7z": b"content"}))
    with pytest.raises(DatasetError, match=r"holds 'part\.7z', an archive that Python cannot unpack"):
        unpack(tmp_path / "b.zip", tmp_path / "out")
    with pytest.raises(DatasetError, match="cannot be read: No such file"):
        unpack(tmp_path / "c.zip", tmp_path / "out")


@pytest.mark.parametrize("title", hostile.MEETING_NAMES)
def test_names_that_meet_are_named(tmp_path: Path, title: str) -> None:
    (tmp_path / "a.zip").write_bytes(hostile.zip_of([(name, b"") for name in hostile.MEETING_NAMES[title]]))
    with pytest.raises(DatasetError, match=r"a\.zip is not unpacked: its member '.*' (is|and)"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@given(st.text(max_size=40) | st.lists(st.sampled_from([*"aB.:/\\\0\n", "..", "C:", "//"])).map("".join))
def test_a_name_is_refused_or_stays_inside(name: str) -> None:
    try:
        parts = path_parts(name)
    except DatasetError:
        return
    joined = os.path.normpath(os.path.join("/root-of-all", *parts))  # noqa: PTH118
    assert joined == "/root-of-all" or joined.startswith("/root-of-all/")
    assert all(0 < len(part.encode()) <= 255 and part not in (".", "..") for part in parts)


def test_zip_reads_the_same_members_as_python(tmp_path: Path) -> None:
    """The directory is counted by ourselves: with a comment, behind a program, and in the 64-bit form."""
    data = hostile.zip_of({f"{number}.png": b"" for number in range(5)})
    for name, content in {"comment": data[:-2] + b"\x03\x00abc", "program": b"#!/bin/sh\n" * 9 + data}.items():
        (tmp_path / name).write_bytes(b"PK" + content[2:] if name == "comment" else content)
        with zipfile.ZipFile(tmp_path / name) as file:
            assert len(file.infolist()) == 5
    unpack(tmp_path / "comment", tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 5
