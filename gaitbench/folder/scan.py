"""Which recorded walks a tree of folders has, whatever its folders are called.

::

    SOURCE/001/nm-01/090/0001.png ...      a folder per walk
    SOURCE/001/nm-01/090.mp4               or a file
    SOURCE/rgb/001/nm-01/090/0001.jpg      or a tree per modality: levels modality/subject/condition/view
"""

import os
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gaitbench.card import LeftOut
from gaitbench.errors import DatasetError

__all__ = ["Tally", "Walk", "scan"]

_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Walk:
    """A recorded walk and where it lies."""

    place: str
    """Its folder, or its file without the suffix, relative to the source and without the level of the modality."""
    subject: str
    condition: str
    """``walk`` where no level names it."""
    view: str
    """``any`` where no level names it."""
    twin: str = ""
    """The path of a name from which one of this walk's, beside it, differs in case or in the writing of accents only;
    nobody can say whether the two are one."""


class Tally:
    """What is passed over, counted by the reason."""

    def __init__(self) -> None:
        self._examples: dict[str, list[str]] = {}
        self._num: dict[str, int] = {}

    def add(self, path: str, reason: str) -> None:
        """Count a file or folder.

        Args:
            path: Relative to the source.
            reason: A sentence without a full stop.
        """
        examples = self._examples.setdefault(reason, [])
        self._num[reason] = self._num.get(reason, 0) + 1
        if len(examples) < _EXAMPLES:
            examples.append(path.encode("utf-8", "backslashreplace").decode())

    def left_out(self) -> list[LeftOut]:
        """The counts, by reason."""
        return [
            LeftOut(reason=reason, num=self._num[reason], examples=tuple(examples))
            for reason, examples in sorted(self._examples.items())
        ]


def scan(
    root: Path,
    levels: Sequence[str],
    modalities: Collection[str],
    suffixes: Collection[str],
    tally: Tally,
    ignored: Collection[str] = (),
) -> Iterator[Walk]:
    """Find every walk, sorted by its place. Hidden files are passed over, as systems leave them anywhere.

    Args:
        root: The source.
        levels: What the folders are: ``subject``, ``condition``, ``view``, ``modality``.
        modalities: Names that folders of the level ``modality`` can have.
        suffixes: Of files that hold a whole walk, in lower case with the dot.
        tally: Told of all that is no walk.
        ignored: Files that are known, relative to the source.
    """
    return _Scan(root, tuple(levels), frozenset(modalities), frozenset(suffixes), tally, frozenset(ignored)).walks()


@dataclass(frozen=True, slots=True)
class _Scan:
    root: Path
    levels: tuple[str, ...]
    modalities: frozenset[str]
    suffixes: frozenset[str]
    tally: Tally
    ignored: frozenset[str]

    def walks(self) -> Iterator[Walk]:
        return self._descend([""], 0, ())

    def _descend(self, folders: list[str], depth: int, names: tuple[str, ...], twin: str = "") -> Iterator[Walk]:
        """Go through folders of the same names; there are several below the level of the modality."""
        if depth == len(self.levels):
            yield self._walk(names, twin)
            return
        found: dict[str, list[str]] = {}
        for folder in folders:
            inner = self._inside(folder, depth)
            if not inner:
                self.tally.add(folder or ".", f"a folder without anything that could be a {self.levels[depth]}")
            for name, path in inner:
                found.setdefault(name, []).append(path)
        if self.levels[depth] == "modality":
            if found:
                yield from self._descend([path for paths in found.values() for path in paths], depth + 1, names)
            return
        seen: dict[str, str] = {}
        for name in sorted(found):
            first = seen.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
            other = "" if first == name else "/".join((*names, first))
            yield from self._descend(found[name], depth + 1, (*names, name), twin or other)

    def _inside(self, folder: str, depth: int) -> list[tuple[str, str]]:
        """Names at one level and where they lie, sorted; whatever else is there is told."""
        try:
            with os.scandir(self.root / folder) as scanned:
                entries = sorted((entry.name, _is_folder(entry), entry.is_symlink()) for entry in scanned)
        except OSError as error:
            raise DatasetError(
                f"{self.root / folder} cannot be listed ({error.strerror}), so that nobody knows what is missing; make "
                "it readable, or move it away"
            ) from error
        level, is_last = self.levels[depth], depth + 1 == len(self.levels)
        found: dict[str, str] = {}
        files = []
        for name, is_folder, is_link in entries:
            path = f"{folder}/{name}" if folder else name
            stem, suffix = Path(name).stem, Path(name).suffix
            if name.startswith(".") or path in self.ignored:
                continue
            if not name.isprintable():
                self.tally.add(path, "a name with characters that cannot be printed")
            elif not is_folder and not (is_last and suffix.lower() in self.suffixes):
                self.tally.add(path, f"a file at level {depth + 1} ({level}), where folders are expected")
            elif level == "modality" and (name if is_folder else stem) not in self.modalities:
                self.tally.add(path, "a name at the level of the modality that is none of those that are read")
            elif is_folder and is_link and self._is_inside(folder, path):
                self.tally.add(path, "a link to a folder that it is in")
            elif is_folder:
                found[name] = path
            else:
                files.append((stem, path))
        for stem, path in files:
            if self.root.joinpath(folder, stem).is_dir():
                self.tally.add(path, "a file beside a folder of the same name")
            else:
                found[stem] = f"{folder}/{stem}" if folder else stem
        return sorted(found.items())

    def _is_inside(self, folder: str, link: str) -> bool:
        return self.root.joinpath(folder).resolve().is_relative_to(self.root.joinpath(link).resolve())

    def _walk(self, names: tuple[str, ...], twin: str) -> Walk:
        words: dict[str, str] = {}
        for level, name in zip((level for level in self.levels if level != "modality"), names, strict=True):
            words[level] = f"{words[level]}-{name}" if level in words else name
        return Walk("/".join(names), **{"condition": "walk", "view": "any", **words}, twin=twin)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False
