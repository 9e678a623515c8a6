"""Export: a prepared dataset in, a dataset repository out that the hub shows and `datasets` opens without gaitbench.

Data files are written one after the other, each atomically, and ``gaitbench.json`` last. An export that was killed
leaves whole files that the next run of the same export takes over.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import ValidationError

from gaitbench.atomic import atomic_path, make_folder, output_errors, remove_leftovers, write_json, write_text
from gaitbench.card import FileEntry, PreparedCard
from gaitbench.dataset import GaitDataset
from gaitbench.digest import json_digest
from gaitbench.errors import DatasetError, OutputError
from gaitbench.hub.contents import CONTENTS_FILE, INDEX_FILE, README_FILE, Contents, DataFile
from gaitbench.hub.readme import readme_text
from gaitbench.hub.rows import RowSource
from gaitbench.hub.splits import Splits, split_rows
from gaitbench.progress import Tracker, track
from gaitbench.protocol import Protocol
from gaitbench.storage.integrity import entry_of

__all__ = ["FILE_BYTES", "Export", "export"]

FILE_BYTES = 256 * 2**20
"""Size before compression at which a data file is closed; one row group more at most."""
_WORK_FILE = ".export.json"
_OURS = {README_FILE, CONTENTS_FILE, _WORK_FILE, "gaitbench", "data"}


class Export(NamedTuple):
    """A repository that was written."""

    folder: Path
    modalities: tuple[str, ...]
    splits: dict[str, int]
    """Split to its number of sequences."""
    num_files: int
    """Data files."""
    num_bytes: int
    """Size of the data files."""
    fingerprint: str
    """Of the dataset in these modalities; reading the repository back gives the same."""
    redistribution: bool | None
    """What the dataset's terms say about passing it on."""


def export(
    dataset: GaitDataset,
    out: Path | str,
    *,
    modalities: Sequence[str] | None = None,
    protocol: Protocol | None = None,
    redistribution: bool | None = None,
    file_bytes: int = FILE_BYTES,
) -> Export:
    """Write a dataset repository.

    Args:
        dataset: The sequences, all of a prepared dataset or some.
        out: A new or empty folder, or one in which the same export was begun or finished before.
        modalities: Streams to write; None for all in the dataset's folder.
        protocol: What divides the sequences into splits; None for a single split.
        redistribution: Whether the terms let anybody pass the data on; None for what the dataset's card says.
        file_bytes: Size before compression at which a data file is closed.

    Returns:
        What was written.

    Raises:
        DatasetError: A stream is missing or damaged, or there is no sequence.
        OutputError: The folder cannot be written, or holds something else.
    """
    out = Path(out)
    if not len(dataset):
        raise DatasetError(f"{dataset.root}: there is no sequence to export; take some")
    rows = RowSource(dataset, modalities or dataset.modalities)
    splits = split_rows(dataset.table, protocol)
    card = dataset.card
    if redistribution is not None:
        card = card.model_copy(update={"redistribution": redistribution})
    plan: dict[str, Any] = {
        "contents": Contents.model_fields["format_version"].default,
        "card": card.model_dump(mode="json"),
        "fingerprint": dataset.fingerprint(rows.modalities),
        "manifest": [[name, json_digest(_hashes(dataset, name))] for name in rows.modalities],
        "splits": {name: json_digest(of_split.tolist()) for name, of_split in splits.rows.items()},
        "file_bytes": file_bytes,
    }
    with _claimed(out):
        done = _Progress.of(out, json_digest(plan))
        if done.contents is None:
            _write(dataset, rows, splits, out, done, file_bytes, card.redistribution)
        contents = done.contents
    assert contents is not None
    return Export(
        folder=out,
        modalities=tuple(contents.streams),
        splits=contents.splits,
        num_files=len(contents.files),
        num_bytes=sum(file.num_bytes for file in contents.files),
        fingerprint=contents.fingerprint,
        redistribution=contents.card.redistribution,
    )


class _Progress:
    """What of an export is done, in a file of the folder."""

    def __init__(self, out: Path, identity: str, files: list[DataFile], contents: Contents | None) -> None:
        self._out = out
        self.identity = identity
        self.files = files
        self.contents = contents

    @classmethod
    def of(cls, out: Path, identity: str) -> "_Progress":
        """Read how far this very export came; stop at a folder that holds another one."""
        found: object = None
        with contextlib.suppress(OSError, ValueError):
            found = json.loads((out / _WORK_FILE).read_bytes())
        files: list[DataFile] = []
        is_same = isinstance(found, dict) and found.get("identity") == identity
        if is_same:
            assert isinstance(found, dict)
            with contextlib.suppress(ValidationError, TypeError, KeyError):
                files = [DataFile.model_validate(file) for file in found["files"]]
            whole = (_is_whole(out, file) for file in files)
            files = files[: next((i for i, is_whole in enumerate(whole) if not is_whole), len(files))]
            return cls(out, identity, files, None)
        contents = cls._finished(out)
        if contents is not None and contents.export_id == identity:
            return cls(out, identity, list(contents.files), contents)
        if found is not None or any((out / name).exists() for name in _OURS):
            raise OutputError(
                f"{out} holds another export, one of other data or settings, or a damaged one; choose another folder, "
                "or remove this one"
            )
        return cls(out, identity, [], None)

    @staticmethod
    def _finished(out: Path) -> Contents | None:
        """The export in the folder, if it is whole."""
        try:
            contents = Contents.parse(json.loads((out / CONTENTS_FILE).read_bytes()), str(out / CONTENTS_FILE))
        except (OSError, ValueError, DatasetError):
            return None
        is_whole = all(_is_whole(out, entry) for entry in (contents.index, *contents.files))
        return contents if is_whole and (out / README_FILE).is_file() else None

    def save(self) -> None:
        """Write down what is done."""
        files = [file.model_dump(mode="json") for file in self.files]
        write_json(self._out / _WORK_FILE, {"identity": self.identity, "files": files})

    def finish(self, contents: Contents) -> None:
        """Everything is written."""
        self.contents = contents
        with output_errors(self._out):
            (self._out / _WORK_FILE).unlink()


def _write(
    dataset: GaitDataset,
    rows: RowSource,
    splits: Splits,
    out: Path,
    done: _Progress,
    file_bytes: int,
    redistribution: bool | None,
) -> None:
    for folder in (make_folder(out / "data"), make_folder(out / "gaitbench"), out):
        remove_leftovers(folder)
    done.save()
    with track(len(dataset), f"export {dataset.card.name}: {', '.join(rows.modalities)}") as tracker:
        for split, of_split in splits.rows.items():
            finished = [file for file in done.files if file.split == split]
            start = sum(file.num_rows for file in finished)
            tracker.advance(start)
            number = len(finished)
            while start < len(of_split):
                path = out / f"data/{split}-{number:05d}.parquet"
                num_rows = _write_file(path, rows, of_split[start:], file_bytes, tracker)
                entry = entry_of(out, path)
                done.files.append(DataFile(**entry.model_dump(), split=split, num_rows=num_rows))
                done.save()
                start, number = start + num_rows, number + 1
    _write_index(out / INDEX_FILE, dataset, rows.modalities, splits, done.files)
    prepared = PreparedCard.read(dataset.root)
    contents = Contents(
        export_id=done.identity,
        card=dataset.card.model_copy(update={"redistribution": redistribution, "repository": ""}),
        streams={name: dataset.stream(name).model_copy(update={"shards": ()}) for name in rows.modalities},
        left_out=prepared.left_out or (),
        num_sequences=len(dataset),
        fingerprint=dataset.fingerprint(rows.modalities),
        undivided=splits.undivided,
        index=entry_of(out, out / INDEX_FILE),
        files=tuple(done.files),
    )
    write_text(out / README_FILE, readme_text(contents, rows.features()))
    write_json(out / CONTENTS_FILE, contents.content())
    done.finish(contents)


def _write_file(path: Path, rows: RowSource, wanted: NDArray[np.int64], file_bytes: int, tracker: Tracker) -> int:
    """Write one data file; gives how many of the rows went into it."""
    num_rows = num_bytes = 0
    schema = rows.features().arrow_schema
    plain = [name for name in schema.names if name not in rows.modalities and name != "attributes"]
    with (
        atomic_path(path) as temp,
        pq.ParquetWriter(
            temp,
            schema,
            compression="zstd",
            compression_level=1,
            # Dictionaries of pictures and measurements would only be in the way.
            use_dictionary=plain,
            write_page_checksum=True,
            write_page_index=True,
        ) as writer,
    ):
        for batch in rows.batches(wanted):
            writer.write_table(batch.table, row_group_size=len(batch.table))
            num_rows += len(batch.table)
            num_bytes += batch.num_bytes
            tracker.advance(len(batch.table))
            if num_bytes >= file_bytes:
                break
    return num_rows


def _write_index(
    path: Path, dataset: GaitDataset, modalities: Sequence[str], splits: Splits, files: Sequence[DataFile]
) -> None:
    """Write what an exact copy needs beside the frames: the table as stored, and where each sequence lies."""
    table = dataset.stored_table
    file_of = np.zeros(len(table), np.int32)
    row_of = np.zeros(len(table), np.int64)
    start: dict[str, int] = {}
    for number, file in enumerate(files):
        first = start.get(file.split, 0)
        rows = splits.rows[file.split][first : first + file.num_rows]
        file_of[rows], row_of[rows] = number, np.arange(file.num_rows)
        start[file.split] = first + file.num_rows
    stored = table.to_arrow()
    columns: dict[str, Any] = {name: stored.column(name) for name in stored.schema.names}
    columns |= {"file": pa.array(file_of), "row": pa.array(row_of)}
    for name in modalities:
        manifest, absent = dataset.manifest(name), dataset.absent(name)
        why = [absent.get(sequence_id) for sequence_id in table.sequence_id.tolist()]
        columns[f"{name}.num_frames"] = manifest["num_frames"]
        columns[f"{name}.sha256"] = manifest["sha256"]
        columns[f"{name}.absent"] = pa.array([each and each.reason for each in why], pa.string())
        columns[f"{name}.is_defect"] = pa.array([each and each.is_defect for each in why], pa.bool_())
    with atomic_path(path) as temp:
        pq.write_table(pa.table(columns), temp, compression="zstd", row_group_size=2**16, write_page_checksum=True)


def _hashes(dataset: GaitDataset, modality: str) -> list[object]:
    manifest = dataset.manifest(modality)
    return [manifest["sequence_id"].to_pylist(), [each.hex() for each in manifest["sha256"].to_pylist()]]


def _is_whole(out: Path, entry: FileEntry) -> bool:
    try:
        return entry_of(out, out / entry.path).sha256 == entry.sha256
    except (OSError, DatasetError):
        return False


@contextlib.contextmanager
def _claimed(out: Path) -> Iterator[None]:
    """Have the folder to oneself; another export into it is waited for."""
    make_folder(out)
    with output_errors(out):
        foreign = sorted(path.name for path in out.iterdir() if path.name not in _OURS and path.suffix != ".tmp")
        if foreign:
            raise OutputError(f"{out} holds something else ({', '.join(foreign[:3])}); choose an empty or a new folder")
        descriptor = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with track(None, f"wait for another process that exports into {out}"):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
