r"""Official files that lie in folders per subject, condition and view: one builder, driven by data.

A dataset is a :class:`TreeBuilder` with a class attribute or two: its :class:`gaitbench.specs.DatasetSpec`, and the
:class:`Layout` of every form in which people have it. The first layout that the source has is read.

::

    SOURCE/001/nm-01/090/090.pkl     levels (r"(?P<subject>\d{3})", r"(?P<condition>nm-\d\d)", r"(?P<view>\d{3})")
"""

import fnmatch
import functools
import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from gaitbench.card import Attribute, DatasetCard, LeftOut, StreamInfo
from gaitbench.dataset import BuilderOptions, DatasetBuilder
from gaitbench.errors import DatasetError
from gaitbench.reading.ahead import announce
from gaitbench.sequence import Absent, Frames, SequenceInfo
from gaitbench.specs import DatasetSpec

__all__ = ["Layout", "StreamFiles", "TreeBuilder", "TreeOptions"]

_AHEAD = 4
"""Sequences whose files are on their way from the disk while one is read."""
_EXAMPLES = 5
_PROBED = 50
"""Leaf folders that are looked into to tell which streams a source has."""


class TreeOptions(BuilderOptions):
    """Options of every dataset that lies in folders."""

    layout: str = "auto"
    """Which form of the files; ``auto`` takes the first that the source has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFiles:
    """The files of one modality in the folder of a sequence.

    Attributes:
        modality: Its name.
        info: Frame shape, rate and storage.
        pattern: Glob of the file names; several files are sorted by name.
        read: From the files, one or more, to frames in the modality's dtype and the shape of ``info``, or why there
            are none. A :class:`gaitbench.errors.DatasetError` that it raises marks this sequence as broken.
        is_single: Whether just one file may match; False for a file per frame.
        folder: From a sequence to the files' folder, relative to the source, where that is not the layout's own.
        may_lack: Whether the official release itself has sequences without such files, so that one is no defect.
    """

    modality: str
    info: StreamInfo
    pattern: str
    read: Callable[[Sequence[Path]], Frames | Absent]
    is_single: bool = True
    folder: Callable[[SequenceInfo], str] | None = None
    may_lack: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One form in which a dataset lies on disk.

    Attributes:
        name: Word for the option ``layout``, such as ``pickles`` or ``frames``.
        title: What a user reads when the source has none of the layouts.
        levels: A regular expression per folder level, from the top; it must match the whole name, its digits being
            those of ASCII. Named groups make the sequence: ``subject``, ``condition``, ``view``.
        streams: What a folder of the lowest level holds.
        condition: The condition where no level names it.
        view: The view where no level names it.
        also: More such rows of levels, where a dataset has parts that lie differently.
        beside: Folders at the top with more files of the same sequences, for streams that have a folder of their own.
        fits: Looks into the first folder with files, where names alone do not tell this layout from another one. It is
            not asked when the option ``layout`` names the layout.
        folder: From a sequence to its folder, relative to the source; the inverse of ``levels``.
        refine: Changes the list of sequences when it is whole, such as numbering those of one subject.
    """

    name: str
    title: str
    levels: tuple[str, ...]
    streams: tuple[StreamFiles, ...]
    condition: str = ""
    view: str = ""
    also: tuple[tuple[str, ...], ...] = ()
    beside: tuple[str, ...] = ()
    fits: Callable[[Path], bool] | None = None
    folder: Callable[[SequenceInfo], str] = lambda info: f"{info.subject_id}/{info.condition}/{info.view}"
    refine: Callable[[list[SequenceInfo]], list[SequenceInfo]] | None = None


class TreeBuilder(DatasetBuilder):
    """Reads a dataset that lies in folders.

    What does not fit the layout is counted and told, never passed over in silence; a sequence with a broken file is
    one that says so, and the others are read.
    """

    spec: ClassVar[DatasetSpec]
    """The registered record: name, title, licence, citation."""
    version: ClassVar[str] = "1"
    """Raised when the frames that come out of the same files change."""
    attributes: ClassVar[tuple[Attribute, ...]] = ()
    """Attribute schema."""
    notes: ClassVar[str] = ""
    """What a user of the frames must know; it stands in the card's description."""
    views_are_angles: ClassVar[bool] = False
    """Whether a view's word begins with its angle in degrees."""
    options: TreeOptions

    def __init__(self, options: BuilderOptions, source: Path | None = None) -> None:
        super().__init__(options, source)
        self._left_out: dict[str, list[str]] = {}
        self._num_left_out: dict[str, int] = {}

    def layouts(self) -> Sequence[Layout]:
        """All forms of the dataset, the usual one first; may depend on the options."""
        raise NotImplementedError

    def card(self) -> DatasetCard:
        """Describe the dataset, with the streams that the source has.

        Raises:
            DatasetError: The source has none of the layouts, or no file of any stream.
        """
        layout = self.layout
        streams = {files.modality: files.info for files in self._streams.values()}
        if not streams:
            patterns = ", ".join(dict.fromkeys(files.pattern for files in layout.streams))
            raise DatasetError(
                f"{self.spec.name}: no folder of the first {_PROBED} under {self.source} has a file named {patterns}; "
                f"expected: {layout.title}"
            )
        chosen = {**self.options.model_dump(mode="json"), "layout": layout.name}
        return DatasetCard(
            name=self.spec.name,
            version=self.version,
            title=self.spec.title,
            description=f"Read from {layout.title}. {self.notes}".strip(),
            streams=streams,
            attributes=self.attributes,
            options=chosen,
            licence=self.spec.licence,
            citation=self.spec.citation,
            source=self.spec.source,
            redistribution=self.spec.redistribution,
        )

    def sequences(self) -> Sequence[SequenceInfo]:
        """Every folder that the layout names, sorted by its path.

        Raises:
            DatasetError: The source has none of the layouts, or two folders are the same sequence.
        """
        self._left_out, self._num_left_out = {}, {}
        layout = self.layout
        infos = [self.describe(names, layout) for names in _walk(self._root(), layout, self._leave_out)]
        if layout.refine is not None:
            infos = layout.refine(infos)
        self._tell_late_streams(infos)
        return infos

    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames | Absent]:
        """Read the files of these sequences; broken ones are :class:`gaitbench.sequence.Absent`.

        Raises:
            DatasetError: The source has no such stream.
        """
        try:
            files = self._streams[modality]
        except KeyError:
            raise DatasetError(
                f"{self.spec.name}: {self.source} has no {modality}, only {', '.join(sorted(self._streams))}"
            ) from None
        folders = [self._folder(info, files) for info in sequences]
        for folder in folders[:_AHEAD]:
            announce(folder, files.pattern)
        for number, folder in enumerate(folders):
            if number + _AHEAD < len(folders):
                announce(folders[number + _AHEAD], files.pattern)
            yield self.read(folder, files)

    def left_out(self) -> Sequence[LeftOut]:
        """Files and folders of the source that the layout does not name."""
        return [
            LeftOut(reason=reason, num=self._num_left_out[reason], examples=tuple(examples))
            for reason, examples in sorted(self._left_out.items())
        ]

    def describe(self, names: Mapping[str, str], layout: Layout) -> SequenceInfo:
        """Make a sequence of the words that a path holds; a dataset with labels adds them here.

        Args:
            names: Named groups of the levels.
            layout: Where they come from.
        """
        subject, condition, view = (
            names["subject"],
            names.get("condition") or layout.condition,
            names.get("view") or layout.view,
        )
        return SequenceInfo(
            sequence_id=f"{subject}-{condition}-{view}",
            subject_id=subject,
            condition=condition,
            view=view,
            view_deg=_angle(view) if self.views_are_angles else float("nan"),
            attributes=(-1,) * len(self.attributes),
        )

    @staticmethod
    def read(folder: Path, files: StreamFiles) -> Frames | Absent:
        """Read one stream of one folder; nothing that is wrong with it goes further than its own sequence."""
        try:
            names = sorted(name for name in os.listdir(folder) if fnmatch.fnmatchcase(name, files.pattern))  # noqa: PTH208
        except FileNotFoundError:
            return Absent(f"{folder} is missing", is_defect=not files.may_lack)
        except OSError as error:
            return Absent(f"{folder} cannot be listed: {error.strerror}")
        if not names:
            return Absent(f"{folder} has no file {files.pattern}", is_defect=not files.may_lack)
        if files.is_single and len(names) > 1:
            return Absent(f"{folder} has {len(names)} files {files.pattern} where one is expected: {', '.join(names)}")
        try:
            return files.read([folder / name for name in names])
        except DatasetError as error:
            return Absent(str(error))
        except OSError as error:
            return Absent(f"{folder / names[0]} cannot be read: {error.strerror or error}")

    @functools.cached_property
    def layout(self) -> Layout:
        """The layout that the source has.

        Raises:
            DatasetError: It has none of them, or the option names one that does not exist.
        """
        layouts = self.layouts()
        wanted = self.options.layout
        if wanted != "auto":
            chosen = [layout for layout in layouts if layout.name == wanted]
            if not chosen:
                known = ", ".join(layout.name for layout in layouts)
                raise DatasetError(f"{self.spec.name} has no layout {wanted!r}; there are auto, {known}")
            layouts = chosen
        for layout in layouts:
            folder = self._first_with_files(layout)
            if folder is not None and (wanted != "auto" or layout.fits is None or layout.fits(folder)):
                return layout
        root = self._root()
        expected = "".join(f"\n  {layout.name}: {layout.title}" for layout in layouts)
        found = sorted(os.listdir(root))[:5]  # noqa: PTH208
        raise DatasetError(
            f"{self.spec.name}: {root} is laid out as none of{expected}\nIt holds {', '.join(found) or 'nothing'}. "
            "Give the folder that these begin in."
        )

    @functools.cached_property
    def _streams(self) -> dict[str, StreamFiles]:
        """The streams of the layout of which one of the first folders has a file."""
        first = list(self._first(self.layout))
        return {
            files.modality: files
            for files in self.layout.streams
            if any(_has(self._folder(info, files), files.pattern) for info in first)
        }

    def _first(self, layout: Layout) -> Iterator[SequenceInfo]:
        """The first sequences that a layout finds, enough to tell what the source has."""
        found = _walk(self._root(), layout, lambda *_: None)
        return (self.describe(names, layout) for names in itertools.islice(found, _PROBED))

    def _first_with_files(self, layout: Layout) -> Path | None:
        for info in self._first(layout):
            for files in layout.streams:
                if _has(folder := self._folder(info, files, layout), files.pattern):
                    return folder
        return None

    def _tell_late_streams(self, infos: Sequence[SequenceInfo]) -> None:
        """Count the files of streams that the first folders have none of, as the card does not name such streams."""
        late = [files for files in self.layout.streams if files.modality not in self._streams]
        for info in infos if late else ():
            for files in late:
                if _has(folder := self._folder(info, files), files.pattern):
                    reason = (
                        f"files {files.pattern} in some folders, of which the first {_PROBED} have none, so that there "
                        f"is no {files.modality}"
                    )
                    self._leave_out(f"{folder.relative_to(self._root())}/{files.pattern}", reason)

    def _folder(self, info: SequenceInfo, files: StreamFiles, layout: Layout | None = None) -> Path:
        return self._root() / (files.folder or (layout or self.layout).folder)(info)

    def _root(self) -> Path:
        if self.source is None:
            raise DatasetError(f"{self.spec.name} is read from files: name their folder. {self.spec.access}")
        return self.source

    def _leave_out(self, path: str, reason: str) -> None:
        examples = self._left_out.setdefault(reason, [])
        self._num_left_out[reason] = self._num_left_out.get(reason, 0) + 1
        if len(examples) < _EXAMPLES:
            examples.append(path)


def _walk(root: Path, layout: Layout, leave_out: Callable[[str, str], None]) -> Iterator[dict[str, str]]:
    """Named groups of every folder that a layout names, in sorted order."""
    rows = [[re.compile(level, re.ASCII) for level in levels] for levels in (layout.levels, *layout.also)]

    def descend(
        place: str, depth: int, ways: list[tuple[list[re.Pattern[str]], dict[str, str]]]
    ) -> Iterator[dict[str, str]]:
        if finished := [names for levels, names in ways if len(levels) == depth]:
            yield finished[0]
            return
        try:
            with os.scandir(root / place) as scanned:
                entries = sorted((entry.name, _is_folder(entry)) for entry in scanned)
        except OSError as error:
            raise DatasetError(
                f"{root / place} cannot be listed ({error.strerror}), so that nobody knows what is missing; make it "
                "readable, or move it away"
            ) from error
        num_folders = 0
        for name, is_folder in entries:
            inner = f"{place}/{name}" if place else name
            if name.startswith(".") or inner in layout.beside:
                continue
            fitting = [
                (levels, {**names, **match.groupdict()})
                for levels, names in ways
                if (match := levels[depth].fullmatch(name))
            ]
            if not name.isprintable():
                leave_out(inner.encode("utf-8", "backslashreplace").decode(), "a name with unprintable characters")
            elif not is_folder:
                leave_out(inner, f"a file at level {depth + 1}, where folders are expected")
            elif fitting:
                num_folders += 1
                yield from descend(inner, depth + 1, fitting)
            else:
                expected = " or ".join(dict.fromkeys(levels[depth].pattern for levels, _ in ways))
                leave_out(inner, f"a folder at level {depth + 1} that is not named as {expected}")
        if not num_folders:
            leave_out(place or ".", f"a folder without the folders of level {depth + 1}")

    yield from descend("", 0, [(levels, {}) for levels in rows])


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _has(folder: Path, pattern: str) -> bool:
    try:
        return any(fnmatch.fnmatchcase(name, pattern) for name in os.listdir(folder))  # noqa: PTH208
    except OSError:
        return False


def _angle(view: str) -> float:
    """The degrees that a view's word begins with, as in ``090`` and ``270-far``."""
    match = re.match(r"\d{1,3}(?!\d)", view, re.ASCII)
    return float(match.group()) if match else float("nan")
