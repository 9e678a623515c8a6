"""Somebody's pictures, in Parquet files or as files, read as sequences; too large ones are not decoded.

Axes: T frames, C channels, H rows, W columns.
"""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow.parquet as pq

from gaitbench.atomic import atomic_path, write_json
from gaitbench.card import DatasetCard, StreamInfo
from gaitbench.errors import DatasetError
from gaitbench.hub.files import RepositoryFiles
from gaitbench.hub.grouping import group_pictures
from gaitbench.hub.mapping import ColumnMapping
from gaitbench.hub.parquet import ParquetRows
from gaitbench.hub.pictures import PictureError, decode_picture, guess_modality, is_plain_jpeg, open_picture
from gaitbench.hub.reader import RepositoryReader
from gaitbench.hub.scan import Found, scan
from gaitbench.modality import Modality
from gaitbench.sequence import Absent, Frames
from gaitbench.storage.codec import Packed
from gaitbench.table import SequenceTable

__all__ = ["MappedReader"]

_MOST_PICTURE_BYTES = 2**28


class MappedReader(RepositoryReader):
    """A repository that gaitbench did not write.

    Args:
        files: The repository.
        mapping: Which column says what.
        title: ``hf:...``, for the card and messages.
        repository: ``ORG/NAME@COMMIT`` for the card; empty for a folder.
        cache: Folder for what was found by reading all rows.

    Raises:
        DatasetError: There are no pictures, a column is missing, or a file is broken.
    """

    def __init__(
        self, files: RepositoryFiles, mapping: ColumnMapping, title: str, repository: str, cache: Path
    ) -> None:
        self._files = files
        self._mapping = mapping
        self._title = title
        self._repository = repository
        self._found = _scan_once(files, mapping, cache)
        sizes = files.sizes()
        self._sizes = [sizes.get(path, 0) for path in self._found.paths]
        self._rows = ParquetRows(files, self._found.paths, self._sizes) if self._found.image else None
        self._infos, self._members = group_pictures(self._found, title)

    @property
    def card(self) -> DatasetCard:
        """A card made of what is known."""
        return self._card

    @property
    def table(self) -> SequenceTable:
        """A row per sequence, sorted by subject, condition, view and sequence."""
        return SequenceTable.from_infos(self._infos)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The one that the pictures show."""
        return (self._modality.name,)

    def modality(self, name: str) -> Modality:
        """The registered one."""
        del name
        return self._modality

    def frames(self, rows: Iterable[int], modality: str) -> Iterator[Frames | Packed | Absent]:
        """Yield the decoded pictures of rows; JPEG files as they are where the modality stores such."""
        if modality != self._modality.name:
            raise DatasetError(f"{self._title} has no {modality}, only {self._modality.name}")
        for row in rows:
            try:
                yield self._decoded(row)
            except PictureError as error:
                yield Absent(f"{self._title}: sequence {self._infos[row].sequence_id}: {error}")

    def _decoded(self, row: int) -> Frames | Packed:
        pictures = list(self._pictures(row))
        shape = self._card.streams[self._modality.name].frame_shape
        if not pictures:
            raise PictureError("no pictures")
        if self._modality.codec == "jpeg" and all(is_plain_jpeg(picture, shape) for picture in pictures):
            ends = np.cumsum([0, *map(len, pictures)], dtype=np.int64)
            return Packed(len(pictures), np.frombuffer(b"".join(pictures), np.uint8), ends)
        return np.stack([decode_picture(picture, self._modality, shape, self._mapping) for picture in pictures])

    def _pictures(self, row: int) -> Iterator[bytes]:
        for member in self._members[row]:
            file, at = (int(self._found.rows.column(name)[int(member)].as_py()) for name in ("file", "row"))
            if self._rows is None:
                yield self._files.read(self._found.paths[file], _MOST_PICTURE_BYTES)
                continue
            cells, place = self._rows.cell(file, at, self._found.image)
            cell = cells[place].as_py()
            for each in cell or [] if self._found.is_list else [cell]:
                data = each.get("bytes") if isinstance(each, dict) else each
                if data is None and isinstance(each, dict) and isinstance(each.get("path"), str):
                    raise PictureError(f"a picture is only named ({each['path']!r}), its bytes are not in the file")
                if not isinstance(data, bytes) or len(data) > _MOST_PICTURE_BYTES:
                    raise PictureError("a picture is missing or too large")
                yield data

    @cached_property
    def _first(self) -> bytes:
        for row in range(len(self._infos)):
            try:
                for picture in self._pictures(row):
                    return picture
            except PictureError as error:
                raise DatasetError(f"{self._title}: sequence {self._infos[row].sequence_id}: {error}") from error
        raise DatasetError(f"{self._title}: no row has a picture")

    @cached_property
    def _modality(self) -> Modality:
        name = self._mapping.modality or guess_modality(self._first, self._title)
        modality = _registered(name)
        if modality.kind != "raster" or modality.dtype == "float32":
            raise DatasetError(
                f"{self._title}: pictures cannot be {name}; say which modality they show: --option modality=NAME"
            )
        return modality

    @cached_property
    def _card(self) -> DatasetCard:
        modality = self._modality
        if self._mapping.size_px is not None:
            height, width = self._mapping.size_px
        else:
            try:
                with open_picture(self._first) as image:
                    height, width = image.height, image.width
            except PictureError as error:
                raise DatasetError(f"{self._title}: the first picture: {error}") from error
        info = StreamInfo(frame_shape=(modality.channels, height, width), frame_rate_hz=self._mapping.frame_rate_hz)
        place = self._repository.partition("@")[0] or PurePosixPath(self._files.where).name
        slug = re.sub(r"[^a-z0-9]+", "-", place.lower()).strip("-") or "repository"
        chosen = json.dumps(self._mapping.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
        return DatasetCard(
            name=self._mapping.name or slug,
            version="mapped-1",
            title=f"Pictures of {place}",
            description=f"Read from somebody's repository with the mapping {chosen}.",
            streams={modality.name: info},
            source=place,
            repository=self._repository,
        )


def _scan_once(files: RepositoryFiles, mapping: ColumnMapping, cache: Path) -> Found:
    """Scan a repository, or take what another process found."""
    table, about = cache / "scan.parquet", cache / "scan.json"
    if about.is_file() and table.is_file():
        described = json.loads(about.read_bytes())
        with pq.ParquetFile(table, pre_buffer=False) as file:
            rows = file.read(use_threads=False).combine_chunks()
        return Found(rows, tuple(described["paths"]), described["image"], described["is_list"])
    found = scan(files, mapping)
    with atomic_path(table) as temp:
        pq.write_table(found.rows, temp)
    write_json(about, {"paths": list(found.paths), "image": found.image, "is_list": found.is_list})
    return found


def _registered(name: str) -> Modality:
    from gaitbench.registry import load_registry
    from gaitbench.specs import ModalitySpec

    spec = load_registry().get("modality", name)
    assert isinstance(spec, ModalitySpec)
    return spec.modality
