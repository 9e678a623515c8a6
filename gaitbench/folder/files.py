"""Which files of a walk belong to a modality, and of what kind they are."""

import fnmatch
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from gaitbench.errors import DatasetError
from gaitbench.modality import CORE_MODALITIES, FrameKind

__all__ = ["FileKind", "files_of", "frame_kind", "kind_of", "pattern_parts", "suffixes_of", "unread", "whole_walks"]

FileKind = Literal["image", "array", "video", "json", "csv", "bin", "cloud"]
"""How a file is read."""

_KINDS: dict[str, FileKind] = {
    **dict.fromkeys((".png", ".jpg", ".jpeg"), "image"),
    **dict.fromkeys((".npy", ".npz"), "array"),
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv"), "video"),
    **dict.fromkeys((".pcd", ".ply"), "cloud"),
    ".json": "json",
    ".csv": "csv",
    ".bin": "bin",
}
_READ: dict[FrameKind, tuple[FileKind, ...]] = {
    "raster": ("image", "array", "video"),
    "joints": ("array", "json", "csv"),
    "points": ("array", "bin", "cloud"),
}
_WHOLE: tuple[FileKind, ...] = ("array", "video", "json", "csv")
"""Kinds of which one file holds a whole walk."""


def frame_kind(modality: str) -> FrameKind:
    """What a frame of a modality is."""
    return next(known.kind for known in CORE_MODALITIES if known.name == modality)


def suffixes_of(modality: str) -> frozenset[str]:
    """Suffixes of the files that a modality can lie in, in lower case."""
    return frozenset(suffix for suffix, kind in _KINDS.items() if kind in _READ[frame_kind(modality)])


def whole_walks(modality: str) -> frozenset[str]:
    """Those of :func:`suffixes_of` of which one file holds a whole walk."""
    return frozenset(suffix for suffix in suffixes_of(modality) if _KINDS[suffix] in _WHOLE)


def pattern_parts(pattern: str) -> tuple[str, ...]:
    """A pattern by folders, ending with that of the files; the name of a folder alone stands for what is in it.

    Example:
        >>> pattern_parts("sil*.png"), pattern_parts("rgb/*.jpg"), pattern_parts("rgb/"), pattern_parts("rgb")
        (('sil*.png',), ('rgb', '*.jpg'), ('rgb', '*'), ('rgb', '*'))
    """
    parts = tuple(pattern.removesuffix("/").split("/"))
    is_folder = pattern.endswith("/") or not any(letter in parts[-1] for letter in "*?[.")
    return (*parts, "*") if is_folder else parts


def files_of(folder: Path, parts: Sequence[str], suffixes: frozenset[str]) -> list[Path]:
    """Find the files of a modality in a walk's folder, or beside it where the walk is a file.

    Args:
        folder: Of the walk, or its file without the suffix.
        parts: See :func:`pattern_parts`; case does not count.
        suffixes: That files may have.

    Returns:
        Files, sorted by their paths.

    Raises:
        OSError: A folder cannot be listed.
    """
    if folder.is_dir():
        found = _matching(folder, parts, suffixes)
    elif len(parts) == 1 and folder.parent.is_dir():
        found = (path for path in _matching(folder.parent, parts, suffixes) if path.stem == folder.name)
    else:
        return []
    return sorted(found)


def _matching(folder: Path, parts: Sequence[str], suffixes: frozenset[str]) -> Iterator[Path]:
    for entry in os.scandir(folder):
        if entry.name.startswith(".") or not fnmatch.fnmatchcase(entry.name.lower(), parts[0].lower()):
            continue
        if len(parts) > 1:
            if entry.is_dir():
                yield from _matching(folder / entry.name, parts[1:], suffixes)
        elif Path(entry.name).suffix.lower() in suffixes and not entry.is_dir():
            yield folder / entry.name


def unread(folder: Path, read: frozenset[Path]) -> Iterator[Path]:
    """Files in a walk's folder that no modality claims; a folder without any that is claimed stands for its files.

    Raises:
        OSError: A folder cannot be listed.
    """
    places = {parent for path in read for parent in path.parents}
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = folder / entry.name
        if entry.name.startswith(".") or path in read:
            continue
        if entry.is_dir() and path in places:
            yield from unread(path, read)
        else:
            yield path


def kind_of(paths: Sequence[Path]) -> FileKind:
    """What all of these files are.

    Raises:
        DatasetError: They are of several kinds, or several files that each hold a whole walk.
    """
    by_kind: dict[FileKind, list[Path]] = {}
    for path in paths:
        by_kind.setdefault(_KINDS[path.suffix.lower()], []).append(path)
    if len(by_kind) > 1:
        found = ", ".join(sorted(files[0].name for files in by_kind.values()))
        raise DatasetError(
            f"{paths[0].parent} has files of {len(by_kind)} kinds for one modality ({found}); keep one kind, or say "
            "which files are meant with the option patterns"
        )
    (kind,) = by_kind
    if len(paths) > 1 and kind in ("video", "csv"):
        raise DatasetError(
            f"{paths[0].parent} has {len(paths)} {kind} files for one modality ({paths[0].name}, {paths[1].name}); "
            "each is a whole walk: give each a folder, or say which is meant with the option patterns"
        )
    return kind
