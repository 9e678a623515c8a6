"""Unpacking archives that others made: whole or not at all, and never outside the folder.

Nothing is taken from an archive but the content of regular files and the names of folders: no links, devices, owners,
modes or times.
"""

import bz2
import contextlib
import fcntl
import glob
import gzip
import lzma
import os
import secrets
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from gaitbench.atomic import make_folder, output_errors
from gaitbench.errors import DatasetError, OutputError
from gaitbench.reading.limits import check_regular_file, reading
from gaitbench.reading.member_names import NameCheck, path_parts
from gaitbench.reading.tar_headers import exceeds_members
from gaitbench.reading.zip_directory import check_directory

__all__ = ["ArchiveLimits", "Unpacked", "unpack"]

_CHUNK = 2**20
_HEADER_BYTES = 2**20
"""A tar header with its extensions is far smaller; more than this is decompressed for nobody."""
_NOT_SUPPORTED = (".7z", ".rar", ".z01", ".001")
_COMPRESSION = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_BLOCKS = 128 * tarfile.BLOCKSIZE
_NAME_BYTES = 100
_PADDING_BYTES = 64 * 2**20
"""Zeros after the end of a tar archive; tapes pad to a megabyte or so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """What one archive may hold."""

    num_archive_bytes: int = 2 * 2**40
    """Size of the archive."""
    num_members: int = 500_000
    """Files and folders."""
    num_bytes: int = 500 * 2**30
    """All files, unpacked."""
    num_member_bytes: int = 64 * 2**30
    """One file, unpacked."""
    ratio: float = 200.0
    """Unpacked bytes per byte of the archive."""
    bytes_without_ratio: int = 256 * 2**20
    """Archives may be packed any tighter up to this size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """What came out of an archive."""

    folder: Path
    """Where it is."""
    num_files: int
    """Files in it."""
    num_bytes: int
    """Their content."""


def unpack(archive: Path | str, folder: Path | str, *, limits: ArchiveLimits | None = None) -> Unpacked:
    """Unpack a zip or tar archive (``.tar``, ``.tar.gz``, ``.tar.bz2``, ``.tar.xz``) into a new folder.

    The folder appears when it is complete. What a killed run left beside it is removed by the next one.

    Args:
        archive: The file; its content, not its name, says what it is.
        folder: Where to; it must be absent or empty.
        limits: None for the defaults.

    Returns:
        Counts.

    Raises:
        DatasetError: The archive is missing, damaged, protected with a password, of another kind, beyond a limit, or
            has a member that is a link, a device or another archive of an unsupported kind, or that has an unsafe name
            or the name of another member. Nothing is left behind.
        OutputError: The folder is not empty or cannot be written.
    """
    archive, folder = Path(archive), Path(folder)
    limits = limits or ArchiveLimits()
    with reading(archive):
        check_regular_file(archive, limits.num_archive_bytes)
        with archive.open("rb") as file:
            start = file.read(512)
    _check_kind(archive, start)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} is there already; name a new folder, or remove this one")
    with _whole_folder(folder) as temp, reading(archive):
        sink = _Sink(archive, temp, limits)
        if start.startswith(b"PK"):
            _unpack_zip(archive, sink, limits)
        else:
            _unpack_tar(archive, start, sink, limits)
        if not sink.num_files:
            raise DatasetError(f"{archive} has no files in it")
    return Unpacked(folder=folder, num_files=sink.num_files, num_bytes=sink.num_bytes)


def _check_kind(archive: Path, start: bytes) -> None:
    is_other = start.startswith((b"7z\xbc\xaf\x27\x1c", b"Rar!")) or archive.suffix.lower() in _NOT_SUPPORTED
    if is_other:
        raise DatasetError(
            f"{archive} is an archive that Python cannot unpack; unpack it yourself (7z x {archive.name}), with the "
            "password that the dataset's owners gave you, and give the folder"
        )


class _Sink:
    """Checks each member and writes it; keeps the totals."""

    def __init__(self, archive: Path, root: Path, limits: ArchiveLimits) -> None:
        self._archive = archive
        self._packed = archive.stat().st_size
        self.root = root
        self._limits = limits
        self._names = NameCheck()
        self._num_members = 0
        self.num_files = 0
        self.num_bytes = 0

    def check(self, name: str, num_bytes: int, *, is_folder: bool) -> tuple[str, ...]:
        """Say yes to a member before a byte of it is read."""
        limits = self._limits
        self._num_members += 1
        if self._num_members > limits.num_members:
            raise self.error(f"has more than {limits.num_members:,} members")
        try:
            parts = path_parts(name)
            self._names.add(parts, is_folder=is_folder)
        except DatasetError as error:
            raise DatasetError(
                f"{self._archive} is not unpacked: its member {error}. Ask who made it, or unpack it yourself and give "
                "the folder"
            ) from error
        if not parts and not is_folder:
            raise self.error("has a file without a name")
        if not is_folder and name.lower().endswith(_NOT_SUPPORTED):
            raise DatasetError(
                f"{self._archive} holds {name[-80:]!a}, an archive that Python cannot unpack; unpack both "
                "yourself (7z x FILE) and give the folder"
            )
        if num_bytes < 0 or num_bytes > limits.num_member_bytes:
            raise self.error(f"has a file of {num_bytes:,} bytes ({name[-80:]!a})")
        self.check_total(self.num_bytes + num_bytes)
        return parts

    def check_total(self, num_bytes: int) -> None:
        """Compare unpacked bytes with the limits."""
        limits = self._limits
        if num_bytes > limits.num_bytes:
            raise self.error(f"unpacks to more than {limits.num_bytes:,} bytes")
        if num_bytes > max(limits.bytes_without_ratio, limits.ratio * self._packed):
            raise self.error(f"unpacks to more than {limits.ratio:g} times its size, as a bomb does")

    def error(self, what: str) -> DatasetError:
        return DatasetError(
            f"{self._archive} {what}, which is beyond the limits for archives of others; if you trust it, unpack it "
            "yourself and give the folder"
        )

    def folder(self, parts: tuple[str, ...]) -> None:
        with output_errors(self.root):
            self.root.joinpath(*parts).mkdir(parents=True, exist_ok=True)

    def file(self, parts: tuple[str, ...], content: IO[bytes], num_bytes: int) -> None:
        """Write a file of exactly so many bytes."""
        self.folder(parts[:-1])
        path = self.root.joinpath(*parts)
        with output_errors(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        left = num_bytes
        with os.fdopen(descriptor, "wb", buffering=0) as target:
            while left >= 0 and (chunk := memoryview(content.read(min(_CHUNK, left + 1)))):
                left -= len(chunk)
                with output_errors(path):
                    while chunk:
                        chunk = chunk[target.write(chunk) :]
        if left:
            raise DatasetError(f"{self._archive}: {'/'.join(parts)} does not have the size it should; copy it again")
        self.num_files += 1
        self.num_bytes += num_bytes


def _unpack_zip(archive: Path, sink: _Sink, limits: ArchiveLimits) -> None:
    check_directory(archive, limits.num_members)
    with zipfile.ZipFile(archive) as file:
        members = file.infolist()
        if any(member.flag_bits & 1 for member in members):
            raise DatasetError(
                f"{archive} is protected with a password; unpack it yourself (7z x {archive.name}) with the one that "
                "the dataset's owners gave you, and give the folder"
            )
        if sum(member.compress_size for member in members) > archive.stat().st_size:
            raise DatasetError(f"{archive} has members that overlap, as in a zip bomb; it is not unpacked")
        sink.check_total(sum(member.file_size for member in members))
        # All names first: nothing is written of an archive that is refused.
        checked = []
        for member in members:
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                what = "a link" if kind == stat.S_IFLNK else "no regular file"
                raise DatasetError(f"{archive} is not unpacked: its member {member.filename[-80:]!a} is {what}")
            if member.compress_type not in _COMPRESSION:
                raise DatasetError(
                    f"{archive} is packed in a way that Python cannot unpack (type {member.compress_type}); unpack it "
                    f"yourself (7z x {archive.name}) and give the folder"
                )
            # `filename` ends at the first NUL.
            is_folder = member.orig_filename.endswith("/")
            checked.append(sink.check(member.orig_filename, member.file_size, is_folder=is_folder))
        for member, parts in zip(members, checked, strict=True):
            if member.orig_filename.endswith("/"):
                sink.folder(parts)
            else:
                with file.open(member) as content:
                    sink.file(parts, content, member.file_size)


def _unpack_tar(archive: Path, start: bytes, sink: _Sink, limits: ArchiveLimits) -> None:
    with _decompressed(archive, start) as plain:
        if exceeds_members(plain, limits.num_members):
            raise sink.error(f"has more than {limits.num_members:,} members")
    with _decompressed(archive, start) as plain:
        stream = _Stream(plain, sink)
        try:
            with tarfile.open(
                fileobj=cast(Any, stream), mode="r|", bufsize=_BLOCKS, errorlevel=2, tarinfo=_Header
            ) as tar:
                _unpack_members(archive, tar, stream, sink)
        except tarfile.TarError as error:
            raise DatasetError(
                f"{archive} is no zip or tar archive, or is damaged or cut short ({error}); copy or download it again"
            ) from error
        end = stream.since(tar.offset)
        if len(end) < tarfile.BLOCKSIZE or any(end) or not stream.is_empty_to_the_end():
            # tarfile takes whatever is no header for the end of the archive.
            raise DatasetError(
                f"{archive} is damaged or cut short after {sink.num_files:,} files: what follows is neither a member "
                "nor the end; copy or download it again"
            )


def _unpack_members(archive: Path, tar: Any, stream: "_Stream", sink: _Sink) -> None:
    while True:
        stream.left = _HEADER_BYTES
        member = tar.next()
        if member is None:
            return
        # The list of members grows with the archive and is not needed.
        tar.members = []
        if not (member.isdir() or member.isreg()) or member.issparse():
            kind = "a link" if member.issym() or member.islnk() else "no regular file"
            raise DatasetError(f"{archive} is not unpacked: its member {member.name[-80:]!a} is {kind}")
        parts = sink.check(member.name, member.size if member.isreg() else 0, is_folder=member.isdir())
        _second_opinion(archive, member, sink)
        if member.isdir():
            sink.folder(parts)
            continue
        stream.left = member.size + _HEADER_BYTES
        sink.file(parts, tar.extractfile(member), member.size)


class _Header(tarfile.TarInfo):
    """A header whose name is all there is in its field."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        """Read a block; see :meth:`tarfile.TarInfo.frombuf`."""
        name = bytes(buf[:_NAME_BYTES])
        if name.rstrip(b"\0").find(b"\0") >= 0:
            raise tarfile.ReadError(f"a member's name goes on after a NUL: {name[:80]!r}")
        header: _Header = super().frombuf(buf, encoding, errors)
        return header


def _second_opinion(archive: Path, member: tarfile.TarInfo, sink: _Sink) -> None:
    """Ask Python's own filter, which knows some tricks of its own; early versions of Python 3.11 have none."""
    check = getattr(tarfile, "data_filter", None)
    if check is None:
        return
    try:
        check(member, str(sink.root))
    except tarfile.TarError as error:
        raise DatasetError(f"{archive} is not unpacked: {error}") from error


@contextlib.contextmanager
def _decompressed(archive: Path, start: bytes) -> Iterator[Any]:
    with archive.open("rb") as file:
        if start.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=file) as plain:
                yield plain
        elif start.startswith(b"\xfd7zXZ"):
            with lzma.LZMAFile(file) as plain:
                yield plain
        elif start.startswith(b"BZh"):
            with bz2.BZ2File(file) as plain:
                yield plain
        else:
            yield file


class _Stream:
    """The tar archive's bytes; gives no more than was allowed since the last member, whatever a header declares."""

    def __init__(self, file: Any, sink: _Sink) -> None:
        self._file = file
        self._sink = sink
        self._recent = b""
        self._position = 0
        self.left = _HEADER_BYTES

    def read(self, size: int) -> bytes:
        data: bytes = self._file.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise self._sink.error("has a header that goes on and on")
        self._position += len(data)
        self._recent = self._recent[-_BLOCKS:] + data
        return data

    def since(self, offset: int) -> bytes:
        """What was read from a place on, which was reached lately."""
        start = len(self._recent) - (self._position - offset)
        return self._recent[start:] if start >= 0 else b""

    def is_empty_to_the_end(self) -> bool:
        """Read what is left, which also compares the checksum of a compressed archive."""
        self.left = _PADDING_BYTES
        while data := self.read(_BLOCKS):
            if any(data):
                return False
        return True


@contextlib.contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """Give a temp folder beside ``folder`` that takes its place when the block succeeds."""
    parent = make_folder(folder.absolute().parent)
    for leftover in parent.glob(f".{glob.escape(folder.name)}.*.unpacking"):
        with contextlib.suppress(OSError), _locked(leftover):
            shutil.rmtree(leftover, ignore_errors=True)
    temp = parent / f".{folder.name}.{secrets.token_hex(4)}.unpacking"
    with output_errors(folder):
        temp.mkdir()
    try:
        with _locked(temp):
            yield temp
            with output_errors(folder):
                temp.replace(folder)
    except BaseException:
        shutil.rmtree(temp, ignore_errors=True)
        raise


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder that another process could take for a leftover.

    Raises:
        BlockingIOError: Another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
