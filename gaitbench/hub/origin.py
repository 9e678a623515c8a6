"""A repository that was found, written down in a folder of the cache: what worker processes open it by.

::

    GAITBENCH_CACHE
      hub/DIGEST/origin.json       where the repository is, at which commit, and how its columns are read
      hub/DIGEST/...               copies of its small files
      hub/commits.json             which commit a branch or tag was last seen at, for HF_HUB_OFFLINE
"""

import json
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ValidationError

from gaitbench.atomic import write_json
from gaitbench.digest import json_digest
from gaitbench.errors import DatasetError
from gaitbench.hub.address import Address
from gaitbench.hub.connection import hub_api, hub_endpoint, hub_errors, is_offline, retried
from gaitbench.hub.contents import CONTENTS_FILE
from gaitbench.hub.exported import ExportedReader
from gaitbench.hub.files import FolderFiles, HubFiles, RepositoryFiles
from gaitbench.hub.mapping import ColumnMapping
from gaitbench.hub.reader import RepositoryReader

__all__ = ["Origin", "find_origin"]

_ORIGIN_FILE = "origin.json"
_COMMITS_FILE = "commits.json"
_COMMIT_DIGITS = 40


class Origin(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Where a repository is and how it is read."""

    folder: Path | None = None
    """On this machine; None for one of the hub."""
    state: str = ""
    """Hash of the names, sizes and times of a folder's files, so that a changed folder is another origin."""
    repository: str = ""
    """``ORG/NAME``."""
    commit: str = ""
    """40 hex digits."""
    endpoint: str = ""
    """Of the hub."""
    is_exported: bool
    """True when gaitbench wrote the repository."""
    mapping: ColumnMapping | None = None
    """How columns become sequences, where it did not."""

    @property
    def pinned(self) -> str:
        """``ORG/NAME@COMMIT``; empty for a folder."""
        return f"{self.repository}@{self.commit}" if self.repository else ""

    @property
    def title(self) -> str:
        """For messages and cards."""
        return f"hf:{self.pinned or self.folder}"

    @property
    def digest(self) -> str:
        """12 hex digits that tell it from others."""
        return json_digest(self.model_dump(mode="json"))[:12]

    def files(self) -> RepositoryFiles:
        """The repository's files."""
        return FolderFiles(self.folder) if self.folder else HubFiles(self.repository, self.commit)

    def save(self, cache: Path) -> Path:
        """Write it down.

        Args:
            cache: The folder of everything that can be made again.

        Returns:
            The folder that :meth:`load` takes.
        """
        folder = cache / "hub" / self.digest
        if not (folder / _ORIGIN_FILE).is_file():
            write_json(folder / _ORIGIN_FILE, self.model_dump(mode="json"))
        return folder

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            DatasetError: It is missing or broken.
        """
        try:
            return cls.model_validate(json.loads((folder / _ORIGIN_FILE).read_bytes()))
        except (OSError, ValueError, ValidationError) as error:
            raise DatasetError(f"{folder / _ORIGIN_FILE} cannot be read ({error}); remove {folder}") from error

    def open(self, cache: Path) -> RepositoryReader:
        """Open the repository.

        Args:
            cache: The folder of :meth:`save`.

        Raises:
            DatasetError: It is broken, or not what it says it is.
        """
        from gaitbench.hub.mapped import MappedReader

        copies = cache if self.repository else None
        if self.is_exported:
            return ExportedReader(self.files(), self.pinned, copies)
        assert self.mapping is not None
        return MappedReader(self.files(), self.mapping, self.title, self.pinned, cache)


def find_origin(address: Address, mapping: ColumnMapping | None, cache: Path) -> Origin:
    """Find a repository and pin it: a folder by its files' state, one of the hub by its commit.

    Args:
        address: Where to look.
        mapping: For repositories that gaitbench did not write; None for the usual names.
        cache: The folder of everything that can be made again.

    Raises:
        DatasetError: There is no such repository or revision, or the hub cannot be reached.
    """
    if address.folder is not None:
        folder = address.folder.resolve()
        if not folder.is_dir():
            raise DatasetError(f"{address}: there is no folder {folder}; check the path")
        is_exported = (folder / CONTENTS_FILE).is_file()
        state = json_digest(_state_of(folder))
        return Origin(
            folder=folder, state=state, is_exported=is_exported, mapping=_used(mapping, is_exported, str(address))
        )
    commit = _commit_of(address, cache)
    known = _known_kind(cache, address.repository, commit)
    is_exported = CONTENTS_FILE in HubFiles(address.repository, commit).sizes() if known is None else known
    _remember(cache, f"{address.repository}#{commit}", is_exported)
    return Origin(
        repository=address.repository,
        commit=commit,
        endpoint=hub_endpoint(),
        is_exported=is_exported,
        mapping=_used(mapping, is_exported, str(address)),
    )


def _used(mapping: ColumnMapping | None, is_exported: bool, where: str) -> ColumnMapping | None:
    if not is_exported:
        return mapping or ColumnMapping()
    if mapping is not None and mapping != ColumnMapping():
        raise DatasetError(
            f"{where} was written by gaitbench export, so there is nothing to map; leave the options out"
        )
    return None


def _commit_of(address: Address, cache: Path) -> str:
    """The commit that a revision means now; without network, the one that it was last seen at."""
    revision = address.revision
    if len(revision) == _COMMIT_DIGITS and all(digit in "0123456789abcdef" for digit in revision):
        return revision
    key = f"{address.repository}@{revision}"
    if is_offline():
        seen = _commits(cache).get(hub_endpoint(), {}).get(key)
        if not isinstance(seen, str):
            raise DatasetError(
                f"cannot read {key}: HF_HUB_OFFLINE is set, and it was not read before; unset it, or name the folder "
                "of a copy: hf:FOLDER"
            )
        return seen
    with hub_errors(f"read {key}", DatasetError):
        info = retried(lambda: hub_api().dataset_info(address.repository, revision=revision))
    if not info.sha:
        raise DatasetError(f"{hub_endpoint()} does not say at which commit {key} is; name a commit after @")
    _remember(cache, key, info.sha)
    return str(info.sha)


def _known_kind(cache: Path, repository: str, commit: str) -> bool | None:
    known = _commits(cache).get(hub_endpoint(), {}).get(f"{repository}#{commit}")
    return known if isinstance(known, bool) else None


def _commits(cache: Path) -> dict[str, dict[str, object]]:
    try:
        found = json.loads((cache / "hub" / _COMMITS_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    is_sound = isinstance(found, dict) and all(isinstance(of_hub, dict) for of_hub in found.values())
    return found if is_sound else {}


def _remember(cache: Path, key: str, value: object) -> None:
    known = _commits(cache)
    of_hub = known.setdefault(hub_endpoint(), {})
    if of_hub.get(key) != value:
        of_hub[key] = value
        write_json(cache / "hub" / _COMMITS_FILE, known)


def _state_of(folder: Path) -> list[list[object]]:
    state: list[list[object]] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            status = path.stat()
            state.append([path.relative_to(folder).as_posix(), status.st_size, status.st_mtime_ns])
    return state
