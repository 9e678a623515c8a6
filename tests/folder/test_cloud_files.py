"""PCD and PLY files are whole before Open3D sees them: it makes points up for those that are missing."""

import struct
from pathlib import Path

import numpy as np
import pytest

from gaitbench.errors import DatasetError
from gaitbench.folder.cloud_files import check_cloud

POINTS = np.random.default_rng(0).uniform(-5, 5, (40, 3)).astype(np.float32)


def rows(points: np.ndarray) -> bytes:
    return "".join(" ".join(map(str, row)) + "\n" for row in points.tolist()).encode()


def pcd(form: str, body: bytes) -> bytes:
    head = "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 40\nHEIGHT 1\n"
    return f"{head}VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 40\nDATA {form}\n".encode() + body


def ply(form: str, body: bytes, more: str = "") -> bytes:
    axes = "".join(f"property float {axis}\n" for axis in "xyz")
    return f"ply\nformat {form} 1.0\ncomment made up\nelement vertex 40\n{axes}{more}end_header\n".encode() + body


PACKED = struct.pack("<2I", 99, POINTS.nbytes) + bytes(99)
FACES = "element face 1\nproperty list uchar int vertex_indices\n"
WHOLE = {
    "pcd-ascii": pcd("ascii", rows(POINTS)),
    "pcd-binary": pcd("binary", POINTS.tobytes()),
    "pcd-compressed": pcd("binary_compressed", PACKED),
    "ply-ascii": ply("ascii", rows(POINTS)),
    "ply-ascii-faces": ply("ascii", rows(POINTS) + b"3 0 1 2\n", FACES),
    "ply-binary": ply("binary_little_endian", POINTS.tobytes()),
    "ply-big-endian": ply("binary_big_endian", POINTS.astype(">f4").tobytes()),
    "ply-binary-faces": ply("binary_little_endian", POINTS.tobytes() + struct.pack("<B3i", 3, 0, 1, 2), FACES),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_files_have_their_points(tmp_path: Path, name: str) -> None:
    path = tmp_path / "0.cloud"
    path.write_bytes(WHOLE[name])
    assert check_cloud(path) == 40


@pytest.mark.parametrize("name", [name for name in WHOLE if name != "ply-binary-faces"])
def test_files_that_were_cut_short_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "0.cloud"
    content = WHOLE[name]
    for length in (*range(0, len(content), 64), len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(DatasetError, match=r"0\.cloud (has|declares|does not end)"):
            check_cloud(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (WHOLE["pcd-ascii"].replace(b"POINTS 40", b"POINTS 10"), "declares 40 times 1 points, and then 10"),
        (WHOLE["pcd-ascii"].replace(b"40\n", b"41\n"), "has 40 rows where 41 are declared"),
        (WHOLE["pcd-ascii"].replace(b"40\n", b"39\n"), "more rows than are declared"),
        (WHOLE["pcd-binary"].replace(b"40\n", b"39\n"), "declares points of 468 bytes and has 480"),
        (WHOLE["pcd-binary"].replace(b"40\n", b"-1\n"), "declares -1 times 1 points"),
        (WHOLE["pcd-binary"].replace(b"COUNT 1", b"COUNT 1000000"), "declares points of 160,000,320 bytes and has 480"),
        (WHOLE["pcd-ascii"].replace(b"SIZE 4", b"SIZE 3"), "another size than 1, 2, 4 or 8"),
        (WHOLE["pcd-ascii"].replace(b"FIELDS x", b"FIELDS a"), "no fields x, y and z"),
        (WHOLE["pcd-ascii"].replace(b"TYPE F", b"TYPE U"), "no fields x, y and z of type F"),
        (WHOLE["pcd-ascii"].replace(b"SIZE 4 4 4", b"SIZE 4 4"), "another number of sizes"),
        (WHOLE["pcd-ascii"].replace(b"DATA ascii", b"DATA evil"), "data of the form 'evil'"),
        (WHOLE["ply-ascii"].replace(b"vertex 40", b"vertex 99999999999"), "has 40 rows where 99,999,999,999"),
        (WHOLE["ply-ascii"][:-30] + b"oops\n", "where 3 numbers are declared"),
        (WHOLE["ply-ascii"].replace(b"float z", b"list uchar int z"), "lists or unknown types"),
        (WHOLE["ply-ascii"].replace(b"vertex", b"corner"), "has 0 elements called vertex"),
        (WHOLE["ply-ascii"].replace(b"vertex 40", b"vertex -1"), "negative number"),
        (WHOLE["ply-binary"].replace(b"vertex 40", b"vertex 41"), "declares points of 492 bytes and has 480"),
        (WHOLE["ply-binary"].replace(b"float z", b"float q"), "no properties x, y and z"),
        (b"ply\ncomment " + b"x" * 10**5, "has no end_header"),
        (b"hello", "no FIELDS in its header"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "0.cloud"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=reason):
        check_cloud(path)
