"""Features of the frames of one dataset, computed in one way, on disk: parts that are whole or absent.

::

    GAITBENCH_CACHE
      features/FINGERPRINT-KEY/    of the dataset's stream and of everything that determines the values
        about.json                 what they are, for people
        00000.bin                  rows of some sequences, one after the other; a row is the features of a frame
        00000.json                 whose they are, what their source was, and the hash of the rows

A part's description is written after its rows, so that rows without one are what a killed process left. Parts are
never changed. A sequence is found by its id, its number of frames, and the hash of the stored frames that its features
were computed from: where frames were prepared anew and differ, the features are computed anew too.

Axes: N sequences, T frames of one.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, PositiveInt, ValidationError

from gaitbench.atomic import atomic_path, make_folder, output_errors, remove_leftovers, write_json
from gaitbench.card import FileEntry
from gaitbench.digest import json_digest
from gaitbench.errors import DatasetError
from gaitbench.progress import track
from gaitbench.storage.integrity import check_hashes, check_sizes, file_sha256
from gaitbench.store import cache_root

__all__ = ["ABOUT_FILE", "FeatureFolder", "Kept", "KeptSequence", "NewPart", "Place", "features_root"]

_log = logging.getLogger("gaitbench")

ABOUT_FILE = "about.json"
_LOCK_FILE = ".lock"


def features_root() -> Path:
    """The folder of all folders of features."""
    return cache_root() / "features"


class KeptSequence(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The features of one sequence, or of its mirror image."""

    sequence_id: str
    """Of the dataset."""
    num_frames: PositiveInt
    """T."""
    source_sha256: str
    """Hashes of the stored frames of every stream that is read, as the dataset's manifest has them, end to end."""
    is_flipped: bool = False
    """True for features of the mirrored frames."""


class Place(NamedTuple):
    """Where the rows of a sequence lie."""

    part: int
    """Which of the parts."""
    first: int
    """Its first row."""


class _Part(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The description of a part."""

    rows: FileEntry
    """The file."""
    sequences: tuple[KeptSequence, ...]
    """In the order of their rows."""


class Kept(NamedTuple):
    """The parts of a folder that are whole."""

    files: tuple[Path, ...]
    """Rows of each."""
    places: dict[KeptSequence, Place]
    """Where a sequence is."""


class NewPart:
    """A part that is being written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sequences: list[KeptSequence] = []
        """Whose rows were written, in their order."""
        self.sha256 = hashlib.sha256()
        self.num_bytes = 0

    def write(self, rows: NDArray[np.generic]) -> None:
        """Add the features of some frames."""
        data = np.ascontiguousarray(rows).data.cast("B")
        self._file.write(data)
        self.sha256.update(data)
        self.num_bytes += len(data)


class FeatureFolder:
    """The folder of one dataset and one way to compute.

    Args:
        root: The folder; created when something is written.
        shape: C', h, w of a frame.
        dtype: Of the values.
        about: What is written down for people.
    """

    def __init__(self, root: Path, shape: tuple[int, int, int], dtype: str, about: dict[str, object]) -> None:
        self.root = root
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.about = about
        self.frame_nbytes = math.prod(shape) * self.dtype.itemsize
        # Rows that this process wrote, and therefore need not be hashed again.
        self._own: set[str] = set()

    def read(self, *, sweep: bool = False) -> Kept:
        """Look at what is there; a broken part is left out with a warning, and computed again when needed.

        Args:
            sweep: Remove broken parts and what killed processes left; only within :meth:`lock`.

        Raises:
            OutputError: Something cannot be removed.
        """
        parts = [part for path in self._descriptions() if (part := self._part(path)) is not None]
        sound = self._sound(parts)
        if sweep:
            good = {ABOUT_FILE, *(name for part in sound for name in (part.rows.path, _description(part)))}
            with output_errors(self.root):
                for path in (*self.root.glob("*.bin"), *self.root.glob("*.json")):
                    if path.name not in good:
                        path.unlink()
        places: dict[KeptSequence, Place] = {}
        for number, part in enumerate(sound):
            first = 0
            for sequence in part.sequences:
                places[sequence] = Place(number, first)
                first += sequence.num_frames
        return Kept(tuple(self.root / part.rows.path for part in sound), places)

    def tables(self, kept: Kept) -> list[NDArray[np.uint8]]:
        """Memory-map the parts, ``[rows, bytes]`` each."""
        try:
            return [np.memmap(path, np.uint8, mode="r").reshape(-1, self.frame_nbytes) for path in kept.files]
        except (OSError, ValueError) as error:
            raise DatasetError(f"{self.root} changed while it was being opened ({error}); run it again") from error

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Wait until this process alone adds to the folder, and clear what killed ones left.

        Raises:
            OutputError: The folder cannot be written.
        """
        make_folder(self.root)
        with output_errors(self.root):
            descriptor = os.open(self.root / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with track(None, f"wait for another process that computes features in {self.root}"):
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError as error:
                _log.warning("%s: cannot be locked (%s); run one process at a time", self.root, error.strerror)
            remove_leftovers(self.root)
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def new_part(self) -> Iterator[NewPart]:
        """Write the rows of some sequences; the part exists when the block has ended, and not at all when it raises.

        Only within :meth:`lock`, after a sweep.

        Raises:
            OutputError: The folder cannot be written.
        """
        if not (self.root / ABOUT_FILE).exists():
            write_json(self.root / ABOUT_FILE, self.about)
        numbers = [int(path.stem) for path in self._descriptions()]
        name = f"{max(numbers, default=-1) + 1:05d}"
        with atomic_path(self.root / f"{name}.bin") as temp:
            with temp.open("wb") as file:
                part = NewPart(file)
                yield part
            expected = sum(sequence.num_frames for sequence in part.sequences) * self.frame_nbytes
            assert part.num_bytes == expected, f"{part.num_bytes} bytes of features instead of {expected}"
        entry = FileEntry(path=f"{name}.bin", num_bytes=part.num_bytes, sha256=part.sha256.hexdigest())
        content = _Part(rows=entry, sequences=tuple(part.sequences)).model_dump(mode="json")
        write_json(self.root / f"{name}.json", {**content, "checksum": json_digest(content)})
        self._own.add(entry.path)

    def free_bytes(self) -> int:
        """What is free on the disk that the folder is or will be on."""
        with output_errors(self.root):
            place = next(folder for folder in (self.root, *self.root.parents) if folder.exists())
            return shutil.disk_usage(place).free

    def _descriptions(self) -> list[Path]:
        return sorted(path for path in self.root.glob("*.json") if path.stem.isdecimal())

    def _part(self, path: Path) -> _Part | None:
        """The description in a file; None, with a warning, for a broken one."""
        try:
            content = json.loads(path.read_bytes())
            checksum = content.pop("checksum")
            part = _Part.model_validate(content)
            num_bytes = sum(sequence.num_frames for sequence in part.sequences) * self.frame_nbytes
            is_own = part.rows.path == path.with_suffix(".bin").name
            if checksum != json_digest(content) or part.rows.num_bytes != num_bytes or not is_own:
                raise ValueError("it does not agree with itself")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
            _tell(path, str(error).splitlines()[0])
            return None
        return part

    def _sound(self, parts: Sequence[_Part]) -> list[_Part]:
        """Those of the parts whose rows are as they were written."""
        try:
            self._check(parts)
        except DatasetError:
            return [part for part in parts if self._is_sound(part)]
        return list(parts)

    def _is_sound(self, part: _Part) -> bool:
        try:
            self._check([part])
        except DatasetError as error:
            _tell(self.root / part.rows.path, str(error).partition(";")[0])
            return False
        return True

    def _check(self, parts: Sequence[_Part]) -> None:
        entries = [part.rows for part in parts]
        check_sizes(self.root, entries)
        foreign = [entry for entry in entries if entry.path not in self._own]
        check_hashes(self.root, foreign, lambda entry: file_sha256(self.root / entry.path))


def _description(part: _Part) -> str:
    return Path(part.rows.path).with_suffix(".json").name


def _tell(path: Path, reason: str) -> None:
    _log.warning("%s: broken features are computed again (%s)", path, reason)
