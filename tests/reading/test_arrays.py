"""``.npy`` and ``.npz`` files."""

import io
import zipfile
from pathlib import Path

import hostile
import numpy as np
import pytest

from gaitbench.errors import DatasetError
from gaitbench.reading.arrays import ArrayLimits, read_npy, read_npz, read_npz_objects

ARRAYS = [
    hostile.valid_array(),
    np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)),
    np.arange(5, dtype=">i4"),
    np.array([True, False]),
    np.zeros((0, 3)),
    np.array(1.5),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype.str}{array.shape}")
def test_what_was_written(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    got = read_npy(tmp_path / "a.npy")
    np.testing.assert_array_equal(got, array)
    assert (got.dtype, got.shape) == (array.dtype.newbyteorder("="), array.shape)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives_of_arrays(tmp_path: Path, save: object) -> None:
    arrays = {f"a{number}": array for number, array in enumerate(ARRAYS)}
    save(tmp_path / "a.npz", **arrays)  # type: ignore[operator]
    got = read_npz(tmp_path / "a.npz")
    assert list(got) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(got[name], array)


def test_version_2_headers(tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, ARRAYS[0], version=(2, 0))
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), ARRAYS[0])


def test_declared_and_present_size(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(hostile.npy(ARRAYS[0])[:-1])
    with pytest.raises(DatasetError, match=r"a\.npy declares an array of shape \[8, 16, 11\].*takes 1,408.*has 1,407"):
        read_npy(path)


def test_limits(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(hostile.npz(ARRAYS[0]))
    for limits, message in (
        (ArrayLimits(num_bytes=1000), "unpacks to|more than the limit of 1,000"),
        (ArrayLimits(num_arrays=1), "2 members, more than the limit of 1"),
        (ArrayLimits(ratio=1, bytes_without_ratio=0), "as a zip bomb does"),
    ):
        with pytest.raises(DatasetError, match=message):
            read_npz(path, limits=limits)
    path.write_bytes(hostile.bomb("a.npy"))
    with pytest.raises(DatasetError, match=r"a\.npz: a\.npy unpacks .* as a zip bomb does"):
        read_npz(path)


def test_a_bomb_in_many_small_members(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, **{str(number): np.zeros(100_000, np.uint8) for number in range(20)})
    with pytest.raises(DatasetError, match=r"a\.npz unpacks [\d,]+ bytes to 2,002,560, as a zip bomb does"):
        read_npz(path, limits=ArrayLimits(bytes_without_ratio=200_000))
    assert len(read_npz(path)) == 20


def test_members_that_share_their_bytes(tmp_path: Path) -> None:
    """A bomb without any ratio: many entries of the directory point to one content."""
    one = hostile.zip_of({"a.npy": hostile.npy(ARRAYS[0])}, zipfile.ZIP_STORED)
    at, end = one.index(b"PK\x01\x02"), one.index(b"PK\x05\x06")
    entry = one[at:end]
    size = (len(entry) * 50).to_bytes(4, "little")
    tail = one[end : end + 8] + (50).to_bytes(2, "little") * 2 + size + one[end + 16 :]
    (tmp_path / "a.npz").write_bytes(one[:at] + entry * 50 + tail)
    with pytest.raises(DatasetError, match="members that overlap"):
        read_npz(tmp_path / "a.npz")


def test_a_directory_that_lies_about_its_length(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(200):
            archive.writestr(f"{number}.npy", b"")
    data = bytearray(buffer.getvalue())
    at = data.rindex(b"PK\x05\x06")
    data[at + 8 : at + 12] = (3).to_bytes(2, "little") * 2
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(DatasetError, match="more than the limit of 100 members"):
        read_npz(tmp_path / "a.npz", limits=ArrayLimits(num_arrays=100))


def test_arrays_of_objects_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    people = np.empty(2, object)
    people[:] = [{"cam": np.arange(3.0)}, {"cam": np.arange(3.0, 6.0)}]
    np.savez(tmp_path / "a.npz", results=people, plain=np.eye(2))
    with pytest.raises(DatasetError, match="holds pickled Python objects"):
        read_npz(tmp_path / "a.npz")
    found = read_npz_objects(tmp_path / "a.npz")
    np.testing.assert_array_equal(found["plain"], np.eye(2))
    assert [person["cam"].tolist() for person in found["results"]] == [[0, 1, 2], [3, 4, 5]]
    people[0] = exit
    np.savez(tmp_path / "b.npz", results=people)
    with pytest.raises(DatasetError, match=r"b\.npz: results asks for _sitebuiltins\.Quitter"):
        read_npz_objects(tmp_path / "b.npz")
