"""Push: an exported repository, to the hub, in one commit: whoever reads meanwhile sees the old state or the new."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gaitbench.errors import DatasetError, OutputError, UsageError
from gaitbench.hub.connection import hub_api, hub_endpoint, hub_errors, retried
from gaitbench.hub.contents import CONTENTS_FILE, INDEX_FILE, README_FILE, Contents
from gaitbench.progress import track

__all__ = ["Pushed", "check_right", "check_token", "push"]


class Pushed(NamedTuple):
    """A repository on the hub."""

    repository: str
    """``ORG/NAME``."""
    commit: str
    """What it is now."""
    url: str
    is_private: bool


def check_right(name: str, redistribution: bool | None, *, has_right: bool) -> None:
    """Stop unless the data may be passed on.

    Args:
        name: Of the dataset.
        redistribution: What its terms say; None for nothing.
        has_right: The user says that he may.

    Raises:
        UsageError: The terms forbid it or say nothing, and the user does not say that he may.
    """
    if redistribution or has_right:
        return
    claim = "do not allow" if redistribution is False else "do not say"
    raise UsageError(
        f"{name} is not pushed: its terms {claim} that it may be passed on (gaitbench info {name}). If its owner gave "
        "you the right, say so: --i-have-the-right, or has_right=True."
    )


def check_token(repository: str) -> None:
    """Stop, before anything slow, when the hub does not know who is pushing or cannot be reached.

    Raises:
        UsageError: ``repository`` is no ``ORG/NAME``.
        OutputError: The token is missing or wrong, or there is no network.
    """
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repository, re.ASCII):
        raise UsageError(f"a dataset is pushed to ORG/NAME, not to {repository!r}.")
    with hub_errors(f"push to {repository}", OutputError):
        retried(lambda: hub_api().whoami())


def push(folder: Path | str, repository: str, *, public: bool = False, has_right: bool = False) -> Pushed:
    """Upload an exported repository; what was there of an earlier export is replaced in the same commit.

    Args:
        folder: What :func:`gaitbench.hub.export.export` wrote.
        repository: ``ORG/NAME``; created when there is none.
        public: Let everybody see a new repository.
        has_right: The user may pass the data on although its terms do not say so.

    Raises:
        UsageError: The terms forbid it, or the repository is public and ``public`` is not set.
        DatasetError: The folder is no finished export.
        OutputError: The hub refuses, or cannot be reached.
    """
    folder = Path(folder)
    contents = _contents(folder)
    check_right(contents.card.name, contents.card.redistribution, has_right=has_right)
    check_token(repository)
    with hub_errors(f"push to {repository}", OutputError):
        is_private = _make(repository, public=public)
    ours = [entry.path for entry in contents.files]
    with hub_errors(f"push to {repository}", OutputError):
        commit = _upload(folder, repository, [*ours, INDEX_FILE, README_FILE, CONTENTS_FILE], contents)
    return Pushed(repository, commit, f"{hub_endpoint()}/datasets/{repository}", is_private)


def _make(repository: str, *, public: bool) -> bool:
    """Create the repository, or look at the one that is there; gives whether it is private."""
    from huggingface_hub.errors import RepositoryNotFoundError

    api = hub_api()
    try:
        is_private = bool(retried(lambda: api.dataset_info(repository)).private)
    except RepositoryNotFoundError:
        retried(lambda: api.create_repo(repository, repo_type="dataset", private=not public, exist_ok=True))
        # Asked again: it may have been made meanwhile, by somebody who wants it public.
        is_private = bool(retried(lambda: api.dataset_info(repository)).private)
    if not is_private and not public:
        raise UsageError(
            f"{repository} is public already, so everybody would see the data: say --public, make it private on its "
            "page, or push to another one"
        )
    return is_private


def _upload(folder: Path, repository: str, paths: list[str], contents: Contents) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    api = hub_api()
    there = {
        entry.path
        for entry in retried(lambda: list(api.list_repo_tree(repository, recursive=True, repo_type="dataset")))
        if hasattr(entry, "size")
    }
    stale = [path for path in sorted(there - set(paths)) if path.startswith(("data/", "gaitbench/"))]
    added = [CommitOperationAdd(path_in_repo=path, path_or_fileobj=str(folder / path)) for path in paths]
    with _own_progress(), track(len(added), f"push {contents.card.name} to {repository}") as tracker:
        for operation in added:
            # One by one, so that an interrupted push has its finished files on the hub already.
            retried(lambda operation=operation: api.preupload_lfs_files(repository, [operation], repo_type="dataset"))  # type: ignore[misc]
            tracker.advance()
        done = retried(
            lambda: api.create_commit(
                repository,
                [*added, *(CommitOperationDelete(path_in_repo=path) for path in stale)],
                repo_type="dataset",
                commit_message=f"{contents.card.name} {contents.card.version}, {contents.num_sequences} sequences",
            )
        )
    return str(done.oid)


@contextlib.contextmanager
def _own_progress() -> Iterator[None]:
    """Show one bar for the push, not one more for each file."""
    from huggingface_hub import constants
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if constants.HF_HUB_DISABLE_PROGRESS_BARS is not None or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _contents(folder: Path) -> Contents:
    where = folder / CONTENTS_FILE
    try:
        found = json.loads(where.read_bytes())
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{folder} is no finished export: {CONTENTS_FILE} cannot be read; run gaitbench export"
        ) from error
    contents = Contents.parse(found, str(where))
    for entry in (contents.index, *contents.files):
        try:
            size = (folder / entry.path).stat().st_size
        except OSError as error:
            raise DatasetError(f"{folder / entry.path} is missing; run gaitbench export again") from error
        if size != entry.num_bytes:
            raise DatasetError(
                f"{folder / entry.path} has {size} bytes, not {entry.num_bytes}; run gaitbench export again"
            )
    return contents
