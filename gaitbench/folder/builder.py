"""One's own data, as it lies in folders, becomes a dataset."""

import functools
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gaitbench.card import DatasetCard, LeftOut
from gaitbench.dataset import BuilderOptions, DatasetBuilder
from gaitbench.errors import DatasetError
from gaitbench.folder.attributes import Labels, read_labels
from gaitbench.folder.files import files_of, suffixes_of, unread, whole_walks
from gaitbench.folder.options import MODALITIES, FolderOptions, words_in
from gaitbench.folder.protocol import folder_protocol
from gaitbench.folder.scan import Tally, Walk, scan
from gaitbench.folder.streams import FolderStream, make_stream
from gaitbench.protocol import Protocol
from gaitbench.sequence import Absent, Frames, SequenceInfo

__all__ = ["FolderBuilder"]

_ANGLE = re.compile(r"[+-]?[0-9]{1,4}(?:\.[0-9]+)?(?=deg\Z|\Z)")


class FolderBuilder(DatasetBuilder):
    """Reads folders of one's own: subject, condition, view, frames. A sequence's id is the path of its folder.

    What is no walk and no frame is counted and told. A walk with a broken file says so, and the others are read.
    """

    options: FolderOptions

    def __init__(self, options: BuilderOptions, source: Path | None = None) -> None:
        super().__init__(options, source)
        self._tally = Tally()

    def card(self) -> DatasetCard:
        """Describe the data, with the streams that it has.

        Raises:
            DatasetError: There is no walk, no file of a modality that is asked for, or the labels cannot be read.
        """
        streams = {name: stream.info for name, stream in self._streams.items()}
        chosen = self.options.model_dump(mode="json")
        if self._labels is not None:
            chosen["attributes_sha256"] = self._labels.sha256
        return DatasetCard(
            name="folder",
            version="1",
            title="One's own data",
            description=f"Read from folders of {self.options.levels}: {', '.join(streams)}.",
            streams=streams,
            attributes=() if self._labels is None else self._labels.attributes,
            options=chosen,
            source="folders of the user's own",
        )

    def sequences(self) -> Sequence[SequenceInfo]:
        """Every folder or file that is a walk and has frames, sorted by its path.

        Raises:
            DatasetError: There is none, or a view is no angle where all should be.
        """
        self._tally = Tally()
        infos, walks = [], []
        for walk in self._walks(self._tally):
            if self._has_frames(walk):
                infos.append(self._info(walk))
                walks.append(walk)
        if not infos:
            raise self._nothing()
        self._check_angles(infos)
        if self._labels is not None:
            meant = {self._labels.key_of(walk) for walk in walks}
            for key in sorted(self._labels.rows.keys() - meant):
                self._tally.add(", ".join(key), f"a line of {self.options.attributes} about nobody who is here")
        return infos

    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames | Absent]:
        """Read the files of these sequences; broken ones are :class:`gaitbench.sequence.Absent`.

        Raises:
            DatasetError: The source has no such stream.
        """
        if modality not in self._streams:
            raise DatasetError(f"{self._root} has no {modality}, only {', '.join(self._streams)}")
        stream = self._streams[modality]
        for info in sequences:
            folder = self._folder(info.sequence_id, modality)
            if twin := self._twins.get(info.sequence_id):
                yield Absent(
                    f"{folder} may be of {twin}, from which it differs in case or in the writing of accents only; "
                    "rename one of them if they are two, or both to one name"
                )
                continue
            yield self._read(folder, stream)

    def left_out(self) -> Sequence[LeftOut]:
        """Files and folders of the source that are no walk, and lines of the labels that are about nobody."""
        return self._tally.left_out()

    def fit_protocol(self, protocol: Protocol) -> Protocol:
        """Give the protocol that the options ask for."""
        return folder_protocol(self.options) if protocol.name == "folder" else protocol

    @property
    def _root(self) -> Path:
        if self.source is None:
            raise DatasetError("one's own data is read from files: name their folder (--source DIR, --data DIR)")
        return self.source

    @functools.cached_property
    def _patterns(self) -> dict[str, str]:
        """Modality to the pattern of its files."""
        options = self.options
        if options.patterns:
            return {name: options.patterns[name] for name in MODALITIES if name in options.patterns}
        asked = words_in(options.modality)
        if "modality" in options.level_words:
            return dict.fromkeys(asked or self._modalities_at_their_level() or MODALITIES[:1], "*")
        if len(asked) > 1:
            return {name: f"{name}/*" for name in MODALITIES if name in asked}
        names = asked or MODALITIES
        return {name: f"{name}/*" for name in self._modalities_inside(names)} or {names[0]: "*"}

    def _modalities_inside(self, names: Sequence[str]) -> list[str]:
        """Those of which any walk has a folder with files; none where the first walk with files has no such folder."""
        found: set[str] = set()
        for walk in scan(self._root, self.options.level_words, (), _whole(names), Tally(), self._ignored):
            folder = self._root / walk.place
            found |= {name for name in names if name not in found and _has_files(folder / name, name, is_folder=True)}
            if len(found) == len(names) or (not found and _has_files(folder, names[0])):
                break
        return [name for name in names if name in found]

    def _modalities_at_their_level(self) -> list[str]:
        """Those of which any walk has files."""
        levels = self.options.level_words

        def is_there(name: str) -> bool:
            walks = scan(self._root, levels, (name,), _whole((name,)), Tally(), self._ignored)
            return any(_has_files(self._folder(walk.place, name), name) for walk in walks)

        return [name for name in MODALITIES if is_there(name)]

    @functools.cached_property
    def _streams(self) -> dict[str, FolderStream]:
        found = {}
        for modality, pattern in self._patterns.items():

            def walks(parts: tuple[str, ...], modality: str = modality) -> Iterator[Sequence[Path]]:
                for walk in self._walks(Tally()):
                    try:
                        paths = files_of(self._folder(walk.place, modality), parts, suffixes_of(modality))
                    except OSError:
                        continue  # told where it is read
                    if paths:
                        yield paths

            if next(self._walks(Tally()), None) is None:
                raise self._nothing()
            found[modality] = make_stream(self.options, modality, pattern, walks)
        return found

    @functools.cached_property
    def _labels(self) -> Labels | None:
        if not self.options.attributes:
            return None
        labels = read_labels(self._root / self.options.attributes)
        if (wanted := self.options.attributes_sha256) not in ("", labels.sha256):
            raise DatasetError(
                f"{self._root / self.options.attributes} has the hash {labels.sha256}, and {wanted} is asked for; it "
                "was changed: take the old file, or prepare into another folder without attributes_sha256"
            )
        return labels

    @property
    def _ignored(self) -> tuple[str, ...]:
        return (os.path.normpath(self.options.attributes),) if self.options.attributes else ()

    def _walks(self, tally: Tally) -> Iterator[Walk]:
        names = tuple(self._patterns)
        return scan(self._root, self.options.level_words, names, _whole(names), tally, self._ignored)

    @functools.cached_property
    def _twins(self) -> dict[str, str]:
        """Places of walks to the names that they may be confused with."""
        return {walk.place: walk.twin for walk in self._walks(Tally()) if walk.twin}

    def _folder(self, place: str, modality: str) -> Path:
        """Where a walk's files of a modality are."""
        names = place.split("/")
        if "modality" in self.options.level_words:
            names.insert(self.options.level_words.index("modality"), modality)
        return self._root.joinpath(*names)

    def _files(self, place: str, modality: str) -> list[Path]:
        """A walk's files of a modality.

        Raises:
            OSError: Its folder cannot be listed.
        """
        stream = self._streams[modality]
        return files_of(self._folder(place, modality), stream.parts, stream.suffixes)

    def _is_known(self, path: Path) -> bool:  # noqa: ARG002
        """Tell whether a file beside frames is read by somebody else."""
        return False

    def _has_frames(self, walk: Walk) -> bool:
        """Tell what nobody reads in a walk's folders, and whether there is anything that somebody does."""
        by_folder: dict[Path, list[Path]] = {}
        try:
            for name, stream in self._streams.items():
                folder = self._folder(walk.place, name)
                if folder.is_dir() or folder.parent.is_dir():
                    by_folder.setdefault(folder, []).extend(files_of(folder, stream.parts, stream.suffixes))
            for folder, files in by_folder.items():
                if files and folder.is_dir():
                    for path in itertools.filterfalse(self._is_known, unread(folder, frozenset(files))):
                        self._tally.add(str(path.relative_to(self._root)), "beside frames, and of no modality")
        except OSError:
            return True  # told where it is read
        if any(by_folder.values()):
            return True
        reason = f"a folder without files of {' or '.join(self._streams)}"
        if not any(folder.is_dir() and any(folder.iterdir()) for folder in by_folder):
            reason = "an empty folder"
        self._tally.add(walk.place, reason)
        return False

    @staticmethod
    def _read(folder: Path, stream: FolderStream) -> Frames | Absent:
        try:
            paths = files_of(folder, stream.parts, stream.suffixes)
            if not paths:
                # Another modality of the walk is there, so that this one was not recorded.
                return Absent(f"{folder} has no file of {stream.modality} ({'/'.join(stream.parts)})", is_defect=False)
            return stream.read(paths)
        except DatasetError as error:
            return Absent(str(error))
        except OSError as error:
            return Absent(f"{folder} cannot be read: {error.strerror or error}")

    def _info(self, walk: Walk) -> SequenceInfo:
        angle = _ANGLE.match(walk.view) if self.options.views_are_angles else None
        return SequenceInfo(
            sequence_id=walk.place,
            subject_id=walk.subject,
            condition=walk.condition,
            view=walk.view,
            view_deg=float(angle.group()) if angle else float("nan"),
            attributes=() if self._labels is None else self._labels.of(walk),
        )

    def _check_angles(self, infos: Sequence[SequenceInfo]) -> None:
        bad = sorted({info.view for info in infos if info.view_deg != info.view_deg})
        if self.options.views_are_angles and bad:
            raise DatasetError(
                f"{self._root}: {len(bad)} views are no angles in degrees (first: {', '.join(bad[:3])}), as the option "
                "views_are_angles says; name them like 090 or 45.5deg, or leave the option out"
            )

    def _nothing(self) -> DatasetError:
        tally = Tally()
        for _ in self._walks(tally):
            break
        told = [item for found in (tally, self._tally) for item in found.left_out()]
        reasons = "; ".join(dict.fromkeys(f"{item.reason} ({item.examples[0]})" for item in told)) or "it is empty"
        return DatasetError(
            f"{self._root} has no walk in folders of {self.options.levels}: {reasons}. Say what the folders are with "
            "the option levels, such as levels=subject/view"
        )


def _has_files(folder: Path, modality: str, *, is_folder: bool = False) -> bool:
    """Whether files of a modality lie in a folder, or beside it, with its name, unless it must be one."""
    try:
        return (folder.is_dir() or not is_folder) and bool(files_of(folder, ("*",), suffixes_of(modality)))
    except OSError:
        return False  # told where it is read


def _whole(modalities: Sequence[str]) -> frozenset[str]:
    return frozenset[str]().union(*(whole_walks(name) for name in modalities))
