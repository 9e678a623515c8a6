"""The files of a repository, in a folder or on the hub: what there is, and reading parts of it. Nothing is executed."""

import io
from abc import ABC, abstractmethod
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from gaitbench.errors import DatasetError
from gaitbench.hub.connection import hub_api, hub_endpoint, hub_errors, retried

__all__ = ["FolderFiles", "HubFiles", "RepositoryFiles", "check_path"]

_BUFFER_BYTES = 256 * 1024


def check_path(path: str, where: str) -> str:
    """Accept a path that stays inside its repository.

    Args:
        path: As a file of the repository writes it.
        where: Who says so, for the message.

    Returns:
        ``path``.

    Raises:
        DatasetError: It is absolute, leads upwards, is an address, or cannot be a path.
    """
    parts = PurePosixPath(path).parts
    if (
        not parts
        or path.startswith(("/", "~"))
        or ".." in parts
        or any(mark in path for mark in ("\\", "\0", "::", "://"))
    ):
        raise DatasetError(f"{where} names {path!r}, which leads out of the repository; it is not read")
    return path


class RepositoryFiles(ABC):
    """Reads a repository.

    Attributes:
        where: Its name, for messages.
    """

    where: str

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Path of every file to its size, sorted by path.

        Raises:
            DatasetError: The repository cannot be listed.
        """

    @abstractmethod
    def open(self, path: str, num_bytes: int | None = None) -> BinaryIO:
        """Open a file for reading parts of it.

        Args:
            path: Relative to the repository.
            num_bytes: Its size, where known.

        Raises:
            DatasetError: There is no such file, or it cannot be read.
        """

    def read(self, path: str, most_bytes: int) -> bytes:
        """Read a whole file.

        Raises:
            DatasetError: There is no such file, it cannot be read, or it is larger than ``most_bytes``.
        """
        with self.open(path) as file:
            data = file.read(most_bytes + 1)
        if len(data) > most_bytes:
            raise DatasetError(f"{self.where}: {path} is larger than {most_bytes:,} bytes; it is not read")
        return data


class FolderFiles(RepositoryFiles):
    """A repository in a folder.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.where = str(folder)

    def sizes(self) -> dict[str, int]:
        """Path of every file to its size; hidden files are passed over."""
        if not self._folder.is_dir():
            raise DatasetError(f"{self._folder} is no folder; check the path of the repository")
        found = {}
        for path in sorted(self._folder.rglob("*")):
            relative = path.relative_to(self._folder)
            if not any(part.startswith(".") for part in relative.parts) and path.is_file():
                found[relative.as_posix()] = path.stat().st_size
        return found

    def open(self, path: str, num_bytes: int | None = None) -> BinaryIO:
        """Open a file of the folder."""
        del num_bytes
        try:
            return (self._folder / check_path(path, self.where)).open("rb")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DatasetError(
                f"{self._folder / path} cannot be read ({reason}); is the repository complete?"
            ) from error


class HubFiles(RepositoryFiles):
    """A repository on the hub, at a commit; files are read by ranges, never as a whole unless asked for.

    Args:
        repository: ``ORG/NAME``.
        commit: 40 hex digits.
    """

    def __init__(self, repository: str, commit: str) -> None:
        self._repository = repository
        self._commit = commit
        self.where = f"{repository}@{commit[:12]}"
        self._sizes: dict[str, int] | None = None

    def sizes(self) -> dict[str, int]:
        """Path of every file to its size, as the hub lists them."""
        if self._sizes is None:
            with hub_errors(f"list {self.where}", DatasetError):
                entries = retried(
                    lambda: list(
                        hub_api().list_repo_tree(
                            self._repository, recursive=True, repo_type="dataset", revision=self._commit
                        )
                    )
                )
            self._sizes = {
                entry.path: int(entry.size) for entry in sorted(entries, key=_path) if hasattr(entry, "size")
            }
        return self._sizes

    def open(self, path: str, num_bytes: int | None = None) -> BinaryIO:
        """Open a file of the commit; what is read of it is fetched."""
        check_path(path, self.where)
        if num_bytes is None:
            sizes = self.sizes()
            if path not in sizes:
                raise DatasetError(f"{self.where} has no file {path}; is the repository complete?")
            num_bytes = sizes[path]
        remote = _RangeFile(self._repository, self._commit, path, num_bytes)
        return io.BufferedReader(remote, _BUFFER_BYTES)


def _path(entry: object) -> str:
    return str(getattr(entry, "path", ""))


class _RangeFile(io.RawIOBase):
    """A file of the hub whose parts are fetched as they are read."""

    def __init__(self, repository: str, commit: str, path: str, num_bytes: int) -> None:
        self._repository, self._commit, self._path = repository, commit, path
        self._num_bytes = num_bytes
        self._position = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; nothing is fetched."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._num_bytes}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """Fetch the next bytes."""
        wanted = min(len(buffer), self._num_bytes - self._position)
        if wanted <= 0:
            return 0
        data = self._fetch(self._position, self._position + wanted)
        buffer[:wanted] = data
        self._position += wanted
        return wanted

    def _fetch(self, start: int, end: int) -> bytes:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import (  # type: ignore[attr-defined]
            build_hf_headers,
            get_session,
            hf_raise_for_status,
        )

        url = hf_hub_url(
            self._repository, self._path, repo_type="dataset", revision=self._commit, endpoint=hub_endpoint()
        )

        def ask() -> bytes:
            # Built for each request: they hold the token, which must not stay anywhere.
            headers = build_hf_headers(library_name="gaitbench")
            headers |= {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
            response = get_session().get(url, headers=headers, timeout=60)
            hf_raise_for_status(response)
            data = bytes(response.content)
            if response.status_code == 200:  # a server without ranges
                data = data[start:end]
            if len(data) != end - start:
                raise ConnectionError(f"{len(data)} of {end - start} bytes arrived")
            return data

        with hub_errors(f"read {self._path} of {self._repository}", DatasetError):
            return retried(ask)
