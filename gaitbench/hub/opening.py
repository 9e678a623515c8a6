"""From ``hf:...`` to a dataset: prepared in the cache, or streamed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gaitbench.card import DatasetCard, LeftOut
from gaitbench.dataset import BuilderOptions, DatasetBuilder, GaitDataset
from gaitbench.errors import DatasetError
from gaitbench.hub.address import parse_address
from gaitbench.hub.exported import ExportedReader
from gaitbench.hub.mapping import ColumnMapping
from gaitbench.hub.origin import Origin, find_origin
from gaitbench.hub.reader import RepositoryReader
from gaitbench.hub.stream import StreamedDataset
from gaitbench.prepare import prepare
from gaitbench.sequence import Absent, Frames, SequenceInfo
from gaitbench.storage.codec import Packed

__all__ = ["RepositoryBuilder", "open_repository", "repository_modalities", "stream_repository"]


class RepositoryBuilder(DatasetBuilder):
    """Makes a prepared dataset of a repository.

    Args:
        options: None; how a repository is read is part of its origin.
        source: The folder that :meth:`gaitbench.hub.origin.Origin.save` wrote.
    """

    def __init__(self, options: BuilderOptions, source: Path | None = None) -> None:
        super().__init__(options, source)
        assert source is not None
        self._reader: RepositoryReader | None = None
        self._rows: dict[str, int] = {}

    @property
    def reader(self) -> RepositoryReader:
        """The open repository."""
        if self._reader is None:
            assert self.source is not None
            self._reader = Origin.load(self.source).open(self.source)
        return self._reader

    def card(self) -> DatasetCard:
        """That of the repository."""
        return self.reader.card

    def sequences(self) -> Sequence[SequenceInfo]:
        """The rows of the repository's table, in its order."""
        table = self.reader.table
        return [table.info(i) for i in range(len(table))]

    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames | Packed | Absent]:
        """What the repository stores; of its own kind as it is."""
        if not self._rows:
            self._rows = {name: i for i, name in enumerate(self.reader.table.sequence_id.tolist())}
        return self.reader.frames([self._rows[info.sequence_id] for info in sequences], modality)

    def left_out(self) -> Sequence[LeftOut]:
        """What was passed over when the repository's dataset was prepared."""
        return self.reader.left_out


def open_repository(
    text: str,
    cache: Path,
    *,
    modalities: Sequence[str] | None = None,
    root: Path | None = None,
    options: Mapping[str, object] | None = None,
    workers: int | None = None,
    skip_broken: bool = False,
) -> GaitDataset:
    """Read a repository into a prepared dataset, once; what is there already is opened.

    Args:
        text: ``hf:ORG/NAME``, ``hf:ORG/NAME@REVISION`` or ``hf:FOLDER``.
        cache: The folder of everything that can be made again.
        modalities: Streams to have; None for all of the repository.
        root: Folder of the prepared dataset; None for one in the cache.
        options: How columns are read, for repositories that gaitbench did not write: the fields of
            :class:`gaitbench.hub.mapping.ColumnMapping`.
        workers: Processes; None for one per core.
        skip_broken: Go on without sequences whose pictures are broken.

    Raises:
        UsageError: It is no address, or an option does not exist.
        DatasetError: There is no such repository, it is broken, hostile or lacks a modality, or the hub refuses.
    """
    folder, reader = _open(text, cache, options)
    wanted = _wanted(reader, modalities, text)
    place = root or _cache_folder(cache, folder, reader.card)
    if isinstance(reader, ExportedReader) and not reader.card.repository and _is_new(place, wanted):
        # A folder may have rotted or been cut off; over the network the hashes of the sequences must do.
        reader.check_files()
    dataset = prepare(
        RepositoryBuilder,
        BuilderOptions(),
        folder,
        place,
        wanted,
        workers=workers,
        # Of a dataset that was exported with sequences left out, the reasons are copied like everything else.
        skip_broken=skip_broken or reader.is_exact,
    )
    if isinstance(reader, ExportedReader) and set(reader.modalities) <= set(dataset.modalities):
        found = dataset.fingerprint(reader.modalities)
        if found != reader.contents.fingerprint:
            raise DatasetError(
                f"{text} gives the fingerprint {found[:16]}, not {reader.contents.fingerprint[:16]}, which it was "
                f"exported with: it was altered, or {place} holds another dataset; remove {place} and read it again"
            )
    return dataset


def stream_repository(
    text: str,
    cache: Path,
    *,
    modalities: Sequence[str] | None = None,
    options: Mapping[str, object] | None = None,
) -> StreamedDataset:
    """Open a repository to go through its sequences without fetching all of it.

    Args:
        text: As for :func:`open_repository`.
        cache: As for :func:`open_repository`; only small files are kept there.
        modalities: Streams that sequences have; None for all of the repository.
        options: As for :func:`open_repository`.

    Raises:
        UsageError: It is no address, or an option does not exist.
        DatasetError: There is no such repository, or it lacks a modality.
    """
    _, reader = _open(text, cache, options)
    return StreamedDataset(reader, _wanted(reader, modalities, text), text)


def repository_modalities(text: str, cache: Path, options: Mapping[str, object] | None = None) -> tuple[str, ...]:
    """The streams of a repository.

    Raises:
        GaitbenchError: As :func:`stream_repository`.
    """
    return _open(text, cache, options)[1].modalities


def _open(text: str, cache: Path, options: Mapping[str, object] | None) -> tuple[Path, RepositoryReader]:
    mapping = ColumnMapping.of(dict(options)) if options else None
    origin = find_origin(parse_address(text), mapping, cache)
    folder = origin.save(cache)
    return folder, origin.open(folder)


def _wanted(reader: RepositoryReader, modalities: Sequence[str] | None, text: str) -> tuple[str, ...]:
    if missing := [name for name in modalities or () if name not in reader.modalities]:
        raise DatasetError(f"{text} has no {', '.join(missing)}; it has {', '.join(sorted(reader.modalities))}")
    return tuple(dict.fromkeys(modalities or reader.modalities))


def _cache_folder(cache: Path, folder: Path, card: DatasetCard) -> Path:
    words = re.sub(r"[^\w.-]+", "-", f"{card.name}-{card.version}", flags=re.ASCII)[:80]
    return cache / "datasets" / f"hf-{words}-{folder.name}"


def _is_new(place: Path, wanted: Sequence[str]) -> bool:
    try:
        return not set(wanted) <= set(GaitDataset.open(place).modalities)
    except DatasetError:
        return True
