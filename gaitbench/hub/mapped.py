"""Somebody's pictures, in Parquet files or as files, read as sequences; too large ones are not decoded.

Axes: T frames, C channels, H rows, W columns.
"""

import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gaitbench.atomic import atomic_path, write_json
from gaitbench.card import DatasetCard, StreamInfo
from gaitbench.errors import DatasetError
from gaitbench.hub.files import RepositoryFiles
from gaitbench.hub.mapping import ColumnMapping
from gaitbench.hub.parquet import ParquetRows
from gaitbench.hub.reader import RepositoryReader
from gaitbench.hub.scan import Found, scan
from gaitbench.modality import Modality
from gaitbench.sequence import Absent, Frames, SequenceInfo
from gaitbench.storage.codec import Packed
from gaitbench.table import SequenceTable

__all__ = ["MappedReader"]

_MOST_PIXELS = 2**26
_MOST_PICTURE_BYTES = 2**28
_LONGEST_WORD = 200
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
_UNKNOWN = "unknown"


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
        self._infos, self._members = _sequences(self._found, title)

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
            except _PictureError as error:
                yield Absent(f"{self._title}: sequence {self._infos[row].sequence_id}: {error}")

    def _decoded(self, row: int) -> Frames | Packed:
        pictures = list(self._pictures(row))
        shape = self._card.streams[self._modality.name].frame_shape
        if not pictures:
            raise _PictureError("no pictures")
        if self._modality.codec == "jpeg" and all(_is_plain_jpeg(picture, shape) for picture in pictures):
            ends = np.cumsum([0, *map(len, pictures)], dtype=np.int64)
            return Packed(len(pictures), np.frombuffer(b"".join(pictures), np.uint8), ends)
        return np.stack([_pixels(picture, self._modality, shape, self._mapping) for picture in pictures])

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
                    raise _PictureError(f"a picture is only named ({each['path']!r}), its bytes are not in the file")
                if not isinstance(data, bytes) or len(data) > _MOST_PICTURE_BYTES:
                    raise _PictureError("a picture is missing or too large")
                yield data

    @cached_property
    def _first(self) -> bytes:
        for row in range(len(self._infos)):
            try:
                for picture in self._pictures(row):
                    return picture
            except _PictureError as error:
                raise DatasetError(f"{self._title}: sequence {self._infos[row].sequence_id}: {error}") from error
        raise DatasetError(f"{self._title}: no row has a picture")

    @cached_property
    def _modality(self) -> Modality:
        name = self._mapping.modality or _guess(self._first, self._title)
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
                with _opened(self._first) as image:
                    height, width = image.height, image.width
            except _PictureError as error:
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


class _PictureError(Exception):
    """A picture that cannot be used."""


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


def _sequences(found: Found, where: str) -> tuple[list[SequenceInfo], list[NDArray[np.int64]]]:
    """Group pictures into sequences, in order; gives each sequence's rows of the scan beside it."""
    names = ("subject", "condition", "view", "sequence")
    columns = [found.rows.column(name) for name in names]
    if columns[0].null_count:
        raise DatasetError(f"{where}: {columns[0].null_count} rows do not say their subject; mend or leave them out")
    codes, words = [], []
    for column in columns:
        encoded = column.combine_chunks().dictionary_encode()
        encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
        codes.append(encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64))
        words.append(encoded.dictionary.to_pylist())
    if found.is_list:
        codes.append(np.arange(len(found.rows)))
    groups, group_of = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)
    order = _frame_order(found, where)
    by_group = order[np.argsort(group_of.reshape(-1)[order], kind="stable")]
    ends = np.cumsum(np.bincount(group_of.reshape(-1)))
    members = np.split(by_group, ends[:-1])
    keys = [tuple("" if code < 0 else words[i][code] for i, code in enumerate(group[:4])) for group in groups.tolist()]
    for word in {word for key in keys for word in key}:
        if len(word) > _LONGEST_WORD or not (word.isprintable()):
            raise DatasetError(f"{where}: {word[:40]!r} cannot be a name: it is too long, or not printable")
    _check_frames(found, keys, members, where)
    in_order = sorted(range(len(keys)), key=lambda i: (keys[i], int(members[i][0])))
    counts = [0 if found.is_list else len(members[i]) for i in in_order]
    infos = _infos([keys[i] for i in in_order], counts, where)
    return infos, [members[i] for i in in_order]


def _infos(keys: list[tuple[str, ...]], counts: list[int], where: str) -> list[SequenceInfo]:
    named = [key[3] for key in keys]
    ids = named if all(named) and len(set(named)) == len(named) else ["-".join(filter(None, key)) for key in keys]
    if len(set(ids)) != len(ids):  # rows of whole sequences that nothing tells apart
        numbers: dict[str, Iterator[int]] = {}
        ids = [f"{one}-{next(numbers.setdefault(one, itertools.count())):03d}" for one in ids]
    if len(set(ids)) != len(ids):
        raise DatasetError(f"{where}: sequences cannot be told apart by their names; name a column for sequence")
    infos = []
    for sequence_id, (subject, condition, view, _), num_frames in zip(ids, keys, counts, strict=True):
        if not subject:
            raise DatasetError(f"{where}: a subject is empty; mend the column, or name another one")
        angle = float(view) if re.fullmatch(r"-?\d{1,3}(\.\d+)?", view) else float("nan")
        infos.append(
            SequenceInfo(
                sequence_id=sequence_id,
                subject_id=subject,
                condition=condition or _UNKNOWN,
                view=view or _UNKNOWN,
                view_deg=angle,
                num_frames=num_frames,
            )
        )
    return infos


def _frame_order(found: Found, where: str) -> NDArray[np.int64]:
    """Rows of the scan by frame: numbers as numbers, other words as words, rows as they lie where nothing says it."""
    frames = found.rows.column("frame")
    if frames.null_count == len(frames) or found.is_list:
        return np.arange(len(frames))
    if frames.null_count:
        raise DatasetError(f"{where}: {frames.null_count} rows do not say their frame; mend or leave them out")
    words = frames.to_pylist()
    keys: list[Any] = [int(word) for word in words] if all(map(_is_number, words)) else words
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) <= 18


def _check_frames(found: Found, keys: list[tuple[str, ...]], members: list[NDArray[np.int64]], where: str) -> None:
    """Two pictures of one frame mean that a column is missing which tells two sequences apart."""
    frames = found.rows.column("frame")
    if frames.null_count or found.is_list:
        return
    words = np.array(frames.to_pylist(), dtype=object)
    for key, rows in zip(keys, members, strict=True):
        of_one = words[rows]
        if len(set(of_one)) != len(of_one):
            twice = next(word for word, after in itertools.pairwise(of_one) if word == after)
            missing = [role for role, word in zip(("condition", "view", "sequence"), key[1:], strict=True) if not word]
            step = " ".join(f"--option columns.{role}=NAME" for role in missing) or "mend the column of the frames"
            raise DatasetError(
                f"{where}: frame {twice} of {'-'.join(filter(None, key))} occurs twice. Say what tells the sequences "
                f"apart: {step}"
            )


def _registered(name: str) -> Modality:
    from gaitbench.registry import load_registry
    from gaitbench.specs import ModalitySpec

    spec = load_registry().get("modality", name)
    assert isinstance(spec, ModalitySpec)
    return spec.modality


def _guess(picture: bytes, where: str) -> str:
    """What pictures show: colours are photographs, two grey values silhouettes; anything else must be said."""
    try:
        with _opened(picture) as image:
            if image.mode == "1":
                return "silhouette"
            if image.mode in ("RGB", "RGBA"):
                return "rgb"
            if image.mode == "L" and len(np.unique(_loaded(image))) <= 2:
                return "silhouette"
            mode = image.mode
    except _PictureError as error:
        raise DatasetError(f"{where}: the first picture: {error}") from error
    raise DatasetError(
        f"{where}: the first picture is grey or has a palette (mode {mode}); say what the pictures show: "
        "--option modality=silhouette, depth or parsing"
    )


def _opened(picture: bytes) -> Any:
    """Read a header; refuses what would be too large to decode."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(picture), formats=_FORMATS)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise _PictureError(f"no {', '.join(_FORMATS)} file, or a broken one") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _PictureError("a picture is too large to be decoded") from error
    if image.width * image.height > _MOST_PIXELS:
        raise _PictureError(f"a picture has {image.width} x {image.height} pixels, which is too large to be decoded")
    return image


def _loaded(image: Any) -> NDArray[np.generic]:
    try:
        return np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise _PictureError(f"a picture is truncated or altered ({error})") from error


def _is_plain_jpeg(picture: bytes, shape: tuple[int, ...]) -> bool:
    with _opened(picture) as image:
        bands = {1: "L", 3: "RGB"}.get(shape[0])
        return image.format == "JPEG" and image.mode == bands and (image.height, image.width) == shape[1:]


def _pixels(picture: bytes, modality: Modality, shape: tuple[int, ...], mapping: ColumnMapping) -> NDArray[np.generic]:
    """Decode a picture to ``[C, H, W]`` of the modality."""
    from PIL import Image

    with _opened(picture) as opened:
        image = opened
        if (image.height, image.width) != shape[1:] and mapping.size_px is None:
            raise _PictureError(
                f"a picture has {image.height} x {image.width} pixels, the first one {shape[1]} x {shape[2]}; scale "
                f"all of them: --option size_px=[{shape[1]},{shape[2]}]"
            )
        try:
            if modality.channels == 3:
                image = image.convert("RGB")
            elif modality.channels == 1 and modality.dtype == "uint8" and image.mode not in ("1", "L", "P"):
                if modality.unit == "class" or image.mode.startswith("I"):
                    raise _PictureError(f"a picture has mode {image.mode}, {modality.name} needs 8 bits of one channel")
                image = image.convert("L")
            elif modality.channels == 1 and image.mode == "P" and modality.unit != "class":
                image = image.convert("L")
            if (image.height, image.width) != shape[1:]:
                is_smooth = modality.unit != "class" and modality.dtype == "uint8" and image.mode not in ("1", "P")
                how = Image.Resampling.BILINEAR if is_smooth else Image.Resampling.NEAREST
                image = image.resize((shape[2], shape[1]), how)
        except (OSError, SyntaxError, ValueError) as error:
            raise _PictureError(f"a picture is truncated or altered ({error})") from error
        pixels = _loaded(image)
    if modality.channels == 3:
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))
    if pixels.ndim != 2:
        raise _PictureError(f"a picture has {pixels.shape[-1]} channels, {modality.name} has {modality.channels}")
    low, high = int(pixels.min()), int(pixels.max())
    if modality.codec == "bits":
        mask = pixels if high <= 1 else np.greater_equal(pixels, mapping.threshold)
        return mask.astype(np.uint8)[None]
    if low < 0 or high > np.iinfo(modality.dtype).max:
        raise _PictureError(f"a picture has values outside {modality.dtype}")
    return pixels.astype(modality.dtype)[None]
